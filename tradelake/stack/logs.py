"""The logs of the parts, as the supervisor keeps them: `logs/<part>.log`, at most 40 MB each."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO


def last_lines(file: Path, count: int) -> list[str]:
    if not file.exists():
        return []
    with file.open(encoding="utf-8", errors="replace") as lines:
        return [line.rstrip("\n") for line in deque(lines, maxlen=count)]


@dataclass
class Follower:
    """Reads what is appended to a log, across its rotation."""

    file: Path
    stream: TextIO | None = None
    partial: str = field(default="")

    def __post_init__(self) -> None:
        if self.file.exists():
            self.stream = self.file.open(encoding="utf-8", errors="replace")
            self.stream.seek(0, 2)

    def lines(self) -> Iterator[str]:
        """The complete lines that came since the last call."""
        yield from self.read()
        if self.file.exists() and (self.stream is None or not os.path.samestat(self.file.stat(), os.fstat(self.stream.fileno()))):
            self.stream = self.file.open(encoding="utf-8", errors="replace")
            yield from self.read()

    def read(self) -> Iterator[str]:
        for line in self.stream or ():
            self.partial += line
            if self.partial.endswith("\n"):
                yield self.partial.rstrip("\n")
                self.partial = ""


def follow(files: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """New lines of all files, for ever."""
    followers = [Follower(file) for file in files]
    while True:
        for follower in followers:
            for line in follower.lines():
                yield follower.file, line
        time.sleep(0.3)
