"""Recorded lines are read exactly, and a broken one stops nothing."""

import gzip
import io
import os
import sys
from decimal import Decimal

import pytest

from tradelake.produce.frames import Frame, Unreadable, read

LINES = b'{"recv_ns":1723161254087896999,"frame":{"p":0.10000000000000000001}}\n{"recv_s":"1617666461.5072999","frame":[1]}\n'


@pytest.fixture
def recording(tmp_path):
    def write(content: bytes) -> str:
        file = tmp_path / "frames"
        file.write_bytes(content)
        return str(file)

    return write


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_both_formats_packed_or_not(recording, pack):
    file = recording(pack(LINES))
    assert list(read(file)) == [
        Frame(file, 1, 1723161254087896, {"p": Decimal("0.10000000000000000001")}),
        Frame(file, 2, 1617666461507299, [1]),
    ]


def test_standard_input_packed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(LINES)))))
    assert [frame.received_us for frame in read("-")] == [1723161254087896, 1617666461507299]


class Trickle(io.RawIOBase):
    """A pipe whose writer writes byte by byte."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._content.readinto(memoryview(buffer)[:1])


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_that_comes_byte_by_byte(monkeypatch, pack):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Trickle(pack(LINES)))))
    assert [frame.received_us for frame in read("-")] == [1723161254087896, 1617666461507299]


def test_a_line_of_standard_input_is_read_before_the_next_is_written(monkeypatch):
    out, into = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(out))
    with os.fdopen(into, "wb", buffering=0) as writer:
        writer.write(LINES.splitlines(keepends=True)[0])
        frames = read("-")
        assert next(frames).received_us == 1723161254087896
        writer.write(LINES.splitlines(keepends=True)[1])
        assert next(frames).received_us == 1617666461507299


@pytest.mark.parametrize("content", [b"", b"\x1f", b"\n", b"{}"])
def test_a_file_of_hardly_a_byte(recording, content):
    assert [type(entry) for entry in read(recording(content))] == [Unreadable] * bool(content.strip())


def test_a_reason_is_not_as_long_as_what_it_echoes():
    assert len(str(Unreadable("file", 1, "x" * 1_000_000))) < 330
    assert str(Unreadable("file", 1, "x" * 300)) == "file, line 1: " + "x" * 300


@pytest.mark.parametrize(
    ("seconds", "microseconds"),
    [("1617666461", 1617666461000000), ("1617666461.5", 1617666461500000), ("1617666461." + "9" * 60, 1617666461999999)],
)
def test_seconds_are_floored_whatever_their_precision(recording, seconds, microseconds):
    (frame,) = read(recording(b'{"recv_s":"%s","frame":{}}' % seconds.encode()))
    assert frame.received_us == microseconds


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"[]",
        b"3",
        b'"text"',
        b"{}",
        b'{"recv_ns":1}',
        b'{"frame":{}}',
        b'{"recv_ns":1.5,"frame":{}}',
        b'{"recv_ns":true,"frame":{}}',
        b'{"recv_ns":"1","frame":{}}',
        b'{"recv_s":1617666461.5,"frame":{}}',
        b'{"recv_s":"1e999999999","frame":{}}',
        b'{"recv_s":"-1","frame":{}}',
        b'{"recv_ns":1,"frame":NaN}',
        b'{"recv_ns":1,"frame":"\xff"}',
        b'{"recv_ns":1,"frame":1e9999999999999999999}',
        b'{"recv_ns":1,"frame":{"p":-1e-9999999999999999999}}',
        b"[" * 100_000,
    ],
)
def test_an_unreadable_line_is_named_and_the_rest_goes_on(recording, line):
    file = recording(LINES.splitlines(keepends=True)[0] + line + b"\n\n" + LINES)
    entries = list(read(file))
    assert [type(entry) for entry in entries] == [Frame, Unreadable, Frame, Frame]
    assert str(entries[1]).startswith(f"{file}, line 2: ")


def test_a_cut_gzip_file_gives_what_it_holds(recording):
    file = recording(gzip.compress(LINES * 1000)[:-20])
    *frames, last = read(file)
    assert all(isinstance(frame, Frame) for frame in frames)
    assert isinstance(last, Unreadable)
    assert last.line == len(frames) + 1
