"""The processes of one home, found by what they carry in their environment, whoever started them."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

HOME, PART = "TRADELAKE_HOME", "TRADELAKE_PART"
GRACE = 10.0
"""Seconds between asking a process to end and ending it."""


def environment(home: Path, part: str) -> dict[str, str]:
    return {HOME: str(home), PART: part}


def of_home(home: Path, part: str | None = None) -> Iterator[psutil.Process]:
    """The supervisor, the parts and all that they started, Flink's Python workers included; or those of one part."""
    for process in psutil.process_iter():
        try:
            carried = process.environ()
        except (psutil.Error, OSError):
            continue
        if carried.get(HOME) == str(home) and PART in carried and part in (None, carried[PART]) and process.pid != psutil.Process().pid:
            yield process


def sweep(home: Path, part: str | None = None) -> int:
    """End every process of this home, or of one of its parts, but for the caller; the number of those that were there."""
    found = list(of_home(home, part))
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(found, timeout=GRACE)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=GRACE)
    return len(found)
