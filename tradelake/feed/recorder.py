"""Frames into files, in the format that `tradelake produce` reads: receive time first, one JSON object a line, gzip.

{"recv_ns":1723161254087896568,"frame":{"stream":"btcusdt@trade","data":{...}}}

The frame's own text stands behind `frame`, digit for digit. A text that is no JSON stands quoted behind `text`: `produce` names it.
A file that is being written ends in `.part`; what was written until a crash can be read from it all the same.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from tradelake.console import Failure
from tradelake.feed.connection import Received
from tradelake.feed.feed import Record
from tradelake.feed.report import Report
from tradelake.produce.frames import content

NANOSECONDS = 1_000_000_000
FLUSHED_EVERY_NS = NANOSECONDS
LEVEL = 6


class Recorder:
    """Writes into a folder, a new file every `rotate_s` seconds.

    Raises:
        Failure: the folder or a file cannot be written.
    """

    def __init__(self, folder: Path, exchange: str, rotate_s: float, report: Report) -> None:
        self._folder, self._exchange, self._rotate_ns, self._report = folder, exchange, int(rotate_s * NANOSECONDS), report
        self._raw: BinaryIO | None = None
        self._packed: gzip.GzipFile | None = None
        self._path = folder
        self._ends_ns = self._flush_ns = 0
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)

    async def take(self, received: Received, records: Sequence[Record]) -> None:
        with self._writing():
            if received.at_ns >= self._ends_ns:
                self._end()
            packed = self._packed or self._begin(received.at_ns)
            packed.write(line(received))
            if received.at_ns >= self._flush_ns:
                packed.flush(zlib.Z_SYNC_FLUSH)
                self._flush_ns = received.at_ns + FLUSHED_EVERY_NS

    def close(self) -> None:
        """End the file, and give it its name."""
        with self._writing():
            self._end()

    def _begin(self, now_ns: int) -> gzip.GzipFile:
        moment = datetime.fromtimestamp(now_ns // NANOSECONDS, UTC)
        self._path = self._folder / f"{self._exchange}-{moment:%Y%m%dT%H%M%S}.{now_ns % NANOSECONDS:09}Z.ndjson.gz"
        self._raw = _unfinished(self._path).open("xb")
        self._packed = gzip.GzipFile("", "wb", LEVEL, self._raw, mtime=0)
        self._ends_ns, self._flush_ns = now_ns + self._rotate_ns, now_ns + FLUSHED_EVERY_NS
        return self._packed

    def _end(self) -> None:
        if self._packed is not None and self._raw is not None:
            packed, self._packed = self._packed, None
            packed.close()
            self._raw.close()
            _unfinished(self._path).rename(self._path)
            self._report.files.append(str(self._path))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Failure(f"{self._folder}: cannot be written: {error.strerror or error}") from error


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def line(received: Received) -> bytes:
    """A frame's line, with its end. Between the parts of a JSON text a line's end is a blank like any other."""
    try:
        content(received.text)
        rest = f'"frame":{received.text}'.replace("\n", " ").replace("\r", " ")
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        rest = f'"text":{json.dumps(received.text)}'
    return f'{{"recv_ns":{received.at_ns},{rest}}}\n'.encode()
