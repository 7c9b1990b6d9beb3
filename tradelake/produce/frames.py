"""Recorded frames: one JSON object a line, gzip or not.

{"recv_ns": 1723161254087896568, "frame": {...}}     nanoseconds
{"recv_s": "1617666461.5072992", "frame": [...]}     decimal text, seconds
"""

import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

GZIP = b"\x1f\x8b"
BUFFER = 1 << 16
STDIN = "-"
NANOSECONDS = 1_000
"""Of a microsecond."""
SECONDS = re.compile(r"([0-9]{1,12})(?:\.([0-9]+))?")
PLACES = 6
LONGEST_REASON = 300
"""Characters; what is echoed may be a whole line."""


@dataclass(frozen=True)
class Frame:
    """One frame, where it stands, and when it was received: microseconds since the epoch, floored."""

    file: str
    line: int
    received_us: int
    content: Any


@dataclass(frozen=True)
class Unreadable:
    """A line that holds no frame."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        reason = self.reason if len(self.reason) <= LONGEST_REASON else f"{self.reason[:LONGEST_REASON]}..."
        return f"{self.file}, line {self.line}: {reason}"


class _Unread(io.RawIOBase):
    """A stream with the bytes back in front that were read of it."""

    def __init__(self, head: bytes, rest: io.BufferedReader) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        taken = self._head[: len(buffer)] or self._rest.read1(len(buffer))  # readinto1 waits for more than it has
        self._head = self._head[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


def read(file: str) -> Iterator[Frame | Unreadable]:
    """The frames of a file (`-`: standard input) in their order; what cannot be read takes their place, and the rest goes on.

    Numbers with a fraction are Decimals: nothing passes through a float.
    """
    number = 0
    with _opened(file) as lines:
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _frame(file, number, line)
        except (EOFError, OSError, zlib.error) as error:
            yield Unreadable(file, number + 1, f"the file cannot be read on: {error}")


@contextmanager
def _opened(file: str) -> Iterator[Iterable[bytes]]:
    with sys.stdin.buffer if file == STDIN else Path(file).open("rb") as raw:
        head = raw.read(len(GZIP))
        whole = io.BufferedReader(_Unread(head, cast(io.BufferedReader, raw)), BUFFER)
        yield gzip.GzipFile(fileobj=whole) if head == GZIP else whole


def _frame(file: str, number: int, line: bytes) -> Frame | Unreadable:
    try:
        entry = content(line)
        return Frame(file, number, received_us(entry), entry["frame"])
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        return Unreadable(file, number, f"no JSON object with a frame: {error}")
    except KeyError as error:
        return Unreadable(file, number, f"{error} is missing")


def content(text: str | bytes) -> Any:
    """What the JSON text of a frame holds; numbers with a fraction are Decimals, digit for digit.

    Raises:
        ValueError, TypeError, ArithmeticError, RecursionError: it is no JSON, or cannot be computed with.
    """
    return json.loads(text, parse_float=Decimal, parse_constant=_no_number)


def received_us(entry: dict[str, Any]) -> int:
    """The receive time of a recorded line, exactly, floored to microseconds.

    Raises:
        KeyError: there is none.
        TypeError, ValueError: it is neither whole nanoseconds nor seconds as decimal text.
    """
    if "recv_ns" not in entry:
        return _microseconds(entry["recv_s"])
    if type(entry["recv_ns"]) is not int:
        raise TypeError("recv_ns is no whole number")
    return int(entry["recv_ns"]) // NANOSECONDS


def _microseconds(seconds: Any) -> int:
    """Digits are counted, not computed: no precision can run out."""
    match = SECONDS.fullmatch(seconds) if isinstance(seconds, str) else None
    if not match:
        raise ValueError("recv_s is no decimal text")
    return int(match[1] + (match[2] or "")[:PLACES].ljust(PLACES, "0"))


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
