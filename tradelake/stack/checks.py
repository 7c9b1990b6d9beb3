"""What must be true of the machine before a stack starts; each refusal is one line that says what to do."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tradelake.console import Failure

MEMORY_NEEDED = 3_000_000_000
DISK_NEEDED = 2_000_000_000
CGROUP = Path("/sys/fs/cgroup")


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
    """One `up` or `down` of a home at a time."""
    with (home / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"another `tradelake up` or `tradelake down` works on {home}; wait until it has ended") from None
        yield
