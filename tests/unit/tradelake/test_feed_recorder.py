"""A recorded frame is read again as it came, and a stopped or broken recording loses nothing that was written."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from tradelake.console import Failure
from tradelake.feed.connection import Received
from tradelake.feed.recorder import Recorder, line
from tradelake.feed.report import Report
from tradelake.produce.frames import Frame, Unreadable, read

AT = 1_723_161_254_087_896_568


def write(recorder: Recorder, *frames: tuple[str, int]) -> None:
    async def all_of_them() -> None:
        for text, at_ns in frames:
            await recorder.take(Received(text, at_ns), [])

    asyncio.run(all_of_them())


def contents(*files: Path | str) -> list[Frame | Unreadable]:
    return [entry for file in files for entry in read(str(file))]


def test_a_frame_is_kept_digit_for_digit_behind_its_time():
    assert line(Received('{"p": 0.10}', AT)) == b'{"recv_ns":1723161254087896568,"frame":{"p": 0.10}}\n'


def test_a_frame_of_several_lines_is_one_line():
    assert line(Received('{"p":\r\n1.50,\n"s":"a\\nb"}\n', AT)) == b'{"recv_ns":1723161254087896568,"frame":{"p":  1.50, "s":"a\\nb"} }\n'


def test_what_is_no_json_is_kept_and_named_by_who_reads_it(tmp_path):
    report = Report()
    recorder = Recorder(tmp_path, "kraken", 3600, report)
    write(recorder, ('{"nonsense', AT), ('{"p":0.10}', AT + 1))
    recorder.close()
    bad, good = contents(*report.files)
    assert isinstance(bad, Unreadable)
    assert "'frame' is missing" in str(bad)
    assert (good.received_us, good.content) == (AT // 1000, {"p": Decimal("0.10")})


def test_a_file_has_its_name_once_it_is_complete_and_another_begins_in_time(tmp_path):
    report = Report()
    recorder = Recorder(tmp_path / "new" / "folder", "binance", 10, report)
    write(recorder, ("1", AT), ("2", AT + 9_999_999_999))
    assert [file.name for file in (tmp_path / "new" / "folder").iterdir()] == ["binance-20240808T235414.087896568Z.ndjson.gz.part"]
    write(recorder, ("3", AT + 10_000_000_000))
    recorder.close()
    recorder.close()
    names = ["binance-20240808T235414.087896568Z.ndjson.gz", "binance-20240808T235424.087896568Z.ndjson.gz"]
    assert [Path(file).name for file in report.files] == names
    assert sorted(file.name for file in (tmp_path / "new" / "folder").iterdir()) == names
    assert [[frame.content for frame in contents(file)] for file in report.files] == [[1, 2], [3]]


def test_an_unfinished_file_gives_what_was_written_a_second_before(tmp_path):
    recorder = Recorder(tmp_path, "binance", 3600, Report())
    write(recorder, ("1", AT), ("2", AT + 1_000_000_001))
    (file,) = tmp_path.iterdir()
    first, second, cut = contents(file)
    assert [first.content, second.content] == [1, 2]
    assert isinstance(cut, Unreadable)


def test_a_folder_that_cannot_be_is_said_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="file/x: cannot be written: Not a directory"):
        Recorder(tmp_path / "file" / "x", "binance", 3600, Report())


def test_no_file_is_written_over(tmp_path):
    recorder = Recorder(tmp_path, "binance", 3600, Report())
    (tmp_path / "binance-20240808T235414.087896568Z.ndjson.gz.part").touch()
    with pytest.raises(Failure, match="cannot be written: File exists"):
        write(recorder, ("1", AT))
