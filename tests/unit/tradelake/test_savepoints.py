import os
import time
from pathlib import Path

import pytest

from conf.settings import S3
from tradelake.console import Failure
from tradelake.savepoints import is_complete, newest, note_roll_back, same, states


def complete(state: Path, path: str, at: int) -> str:
    folder = state / path
    folder.mkdir(parents=True)
    (folder / "_metadata").touch()
    os.utime(folder / "_metadata", (at, at))
    return folder.as_uri()


def test_a_job_without_state_has_no_newest(tmp_path: Path) -> None:
    assert newest(tmp_path.as_uri(), "gold", S3()) is None


def test_a_folder_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "gold").touch()
    with pytest.raises(Failure, match=r"^file:///.*/checkpoints/gold cannot be read: "):
        newest(tmp_path.as_uri(), "gold", S3())


def test_the_newest_of_savepoints_and_checkpoints_is_taken(tmp_path: Path) -> None:
    complete(tmp_path, "checkpoints/gold/0a1b2c3d4e5f/chk-9", at=100)
    savepoint = complete(tmp_path, "savepoints/gold/savepoint-0a1b2c-1", at=200)
    assert newest(tmp_path.as_uri(), "gold", S3()) == savepoint
    checkpoint = complete(tmp_path, "checkpoints/gold/ffffff3d4e5f/chk-1", at=300)
    assert newest(tmp_path.as_uri(), "gold", S3()) == checkpoint


def test_an_unfinished_state_and_another_jobs_are_passed_over(tmp_path: Path) -> None:
    checkpoint = complete(tmp_path, "checkpoints/gold/0a1b2c3d4e5f/chk-9", at=100)
    (tmp_path / "checkpoints/gold/0a1b2c3d4e5f/chk-10").mkdir()
    complete(tmp_path, "checkpoints/bronze-kraken/ab/chk-99", at=500)
    complete(tmp_path, "savepoints/savepoint-abcdef-1", at=600)
    assert newest(tmp_path.as_uri(), "gold", S3()) == checkpoint


def test_a_savepoint_of_flinks_own_command_is_found_by_its_job_id(tmp_path: Path) -> None:
    complete(tmp_path, "checkpoints/gold/0a1b2c3d4e5f/chk-9", at=100)
    savepoint = complete(tmp_path, "savepoints/savepoint-0a1b2c-77", at=200)
    assert newest(tmp_path.as_uri(), "gold", S3()) == savepoint


def test_after_a_roll_back_the_state_that_was_gone_back_to_is_the_newest(tmp_path: Path) -> None:
    older = complete(tmp_path, "savepoints/gold/savepoint-0a1b2c-1", at=100)
    complete(tmp_path, "savepoints/gold/savepoint-0a1b2c-2", at=200)
    complete(tmp_path, "checkpoints/gold/0a1b2c3d4e5f/chk-9", at=300)
    state = tmp_path.as_uri()
    note_roll_back(state, "gold", S3(), older, done=False)
    with pytest.raises(Failure, match=f"interrupted; end it: `tradelake restore gold {older} --roll-back`"):
        newest(state, "gold", S3())
    note_roll_back(state, "gold", S3(), older, done=True)
    assert newest(state, "gold", S3()) == older
    made_since = complete(tmp_path, "checkpoints/gold/ffffff3d4e5f/chk-2", at=int(time.time()) + 60)
    assert newest(state, "gold", S3()) == made_since
    assert newest(state, "bronze-kraken", S3()) is None


def test_a_state_is_complete_once_its_metadata_is_there(tmp_path: Path) -> None:
    state = complete(tmp_path, "savepoints/gold/savepoint-0a1b2c-1", at=100)
    path = state.removeprefix("file://")
    assert [is_complete(address, S3()) for address in (state, f"file:{path}", f"{path}/")] == [True] * 3
    assert not is_complete(f"{state}-none", S3())


def test_states_are_listed_the_newest_first(tmp_path: Path) -> None:
    first = complete(tmp_path, "savepoints/gold/savepoint-0a1b2c-1", at=100)
    second = complete(tmp_path, "checkpoints/gold/0a1b2c3d4e5f/chk-9", at=300)
    listed = states(tmp_path.as_uri(), "gold", S3())
    assert [(one.address, one.kind, one.time.timestamp()) for one in listed] == [(second, "checkpoint", 300), (first, "savepoint", 100)]


def test_two_ways_to_write_one_address() -> None:
    assert same("file:/x/y", "file:///x/y/")
    assert not same("file:/x/y", "file:/x/z")
