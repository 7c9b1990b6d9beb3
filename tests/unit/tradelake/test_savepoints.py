import os
from pathlib import Path

import pytest

from conf.settings import S3
from tradelake.console import Failure
from tradelake.savepoints import newest


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
