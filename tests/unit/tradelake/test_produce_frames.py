"""Recorded lines are read exactly, and a broken one stops nothing."""

import gzip
import io
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
