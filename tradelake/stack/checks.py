"""What must be true of the machine before a stack starts; each refusal is one line that says what to do."""

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import psutil

from tradelake.console import Failure

MEMORY_NEEDED = 4_000_000_000
DISK_NEEDED = 2_000_000_000
CGROUP = Path("/sys/fs/cgroup")
LOCK = ".lock"
"""The file of a home that is locked while a command works on it, and that names this command."""


def free_memory() -> int:
    """Bytes that this process may still take: the machine's, or what a container's limit leaves of them."""
    available = psutil.virtual_memory().available
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # no container, or one without a limit, which reads "max"
        return available
    return min(available, limit - used)


def free_disk(folder: Path) -> int:
    """Bytes free where `folder` is, or is going to be."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(existing).free


def check_resources(home: Path) -> None:
    """Raises:
    Failure: too little memory or disk.
    """
    memory, disk = free_memory(), free_disk(home)
    if memory < MEMORY_NEEDED:
        raise Failure(f"{gigabytes(memory)} of memory are free and the stack needs {gigabytes(MEMORY_NEEDED)}; end what uses it")
    if disk < DISK_NEEDED:
        raise Failure(
            f"{gigabytes(disk)} of disk are free at {home} and the stack needs {gigabytes(DISK_NEEDED)}; make room, or set TRADELAKE_HOME"
        )


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


@contextmanager
def writing(home: Path) -> Iterator[None]:
    """Turns a refusal of the file system into a line that a person can act on."""
    try:
        yield
    except OSError as error:
        raise Failure(
            f"{error.filename or home} cannot be written: {error.strerror}; make it writable, or set TRADELAKE_HOME to another folder"
        ) from error


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """One command at a time that starts or stops something of this home, which is made if it is not there.

    Commands take it, once; what they call does not: a process that holds it is refused like any other.

    Raises:
        Failure: another command works on the home, or the home cannot be written.
    """
    with writing(home):
        file = locked(home)
    with file:
        yield


def locked(home: Path) -> TextIO:
    """The home's lock file, locked until it is closed, or its process ends."""
    while True:
        home.mkdir(parents=True, exist_ok=True)
        file = (home / LOCK).open("a+", encoding="utf-8", errors="backslashreplace")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), (home / LOCK).stat()):
                file.truncate(0)
                print(command_line(), file=file, flush=True)
                return file
        except BlockingIOError:
            file.seek(0)
            with file:
                raise Failure(f"{file.read().strip() or 'another command'} works on {home}; wait until it has ended") from None
        except FileNotFoundError:
            pass  # `down --purge` has deleted it in between: what is locked is no longer the home's lock
        file.close()


def command_line() -> str:
    return f"`{' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])}` (pid {os.getpid()})"
