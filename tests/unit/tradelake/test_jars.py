"""Jars: what is frozen, and that no byte is used that is not."""

import re
from hashlib import sha256
from pathlib import Path
from threading import Barrier, Thread

import pytest
import requests

from tradelake import jars
from tradelake.console import Failure
from tradelake.jars import LOCK, Advance, Artifact, Damaged, Jars, Lock, load_lock

CONTENT = b"the bytes of a jar"
ARTIFACT = Artifact("org.example:thing:1.0", sha256(CONTENT).hexdigest(), len(CONTENT))
FLIPPED = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]


@pytest.fixture
def cached(tmp_path: Path) -> Jars:
    return Jars(Lock({"things": [ARTIFACT]}), tmp_path)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)


class Repository:
    """Answers each fetch with the next of these: bytes, or an error after half of the right ones."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)

    def __call__(self, artifact: Artifact, folder: Path, advance: Advance) -> Path:
        answer = self.answers.pop(0)
        file = folder / artifact.filename
        file.write_bytes(CONTENT[: len(CONTENT) // 2] if isinstance(answer, Exception) else answer)
        advance(file.stat().st_size)
        if isinstance(answer, Exception):
            raise answer
        return file


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_the_lock_pins_every_artifact_with_sha256_and_size() -> None:
    lock = load_lock()
    assert {"flink-lib", "flink-s3-plugin", "kafka", "registry", "catalog", "s3"} <= set(lock.sets)
    assert all(lock.sets.values())
    assert [a for a in lock.artifacts if not re.fullmatch(r"[0-9a-f]{64}", a.sha256) or not isinstance(a.size, int) or a.size < 1] == []


def test_the_lock_names_no_host() -> None:
    content = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert [line for line in content if "/" in line] == []


def test_a_coordinate_names_its_file() -> None:
    pinned = Artifact("io.example:app:3.3.3:all:tar.gz", "", 1)
    assert pinned.parts == ("io.example", "app", "3.3.3", "all", "tar.gz")
    assert pinned.filename == "app-3.3.3-all.tar.gz"
    assert ARTIFACT.filename == "thing-1.0.jar"


def test_an_absent_jar_is_fetched(cached: Jars) -> None:
    assert cached.refresh(Repository(CONTENT)) == 1
    assert [file.read_bytes() for file in cached.files("things")] == [CONTENT]
    assert cached.missing() == []


def test_what_is_there_is_not_fetched_again(cached: Jars) -> None:
    cached.refresh(Repository(CONTENT))
    assert cached.refresh(Repository()) == 0


def test_a_flipped_byte_in_the_cache_is_refused_and_fetched_again(cached: Jars, capsys: pytest.CaptureFixture[str]) -> None:
    cached.refresh(Repository(CONTENT))
    cached.path(ARTIFACT).write_bytes(FLIPPED)
    assert cached.missing() == [ARTIFACT]
    capsys.readouterr()
    assert cached.refresh(Repository(CONTENT)) == 1
    assert cached.path(ARTIFACT).read_bytes() == CONTENT
    assert "refused thing-1.0.jar" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [FLIPPED, CONTENT[:-1], CONTENT + b"x", b""], ids=["flipped", "short", "long", "empty"])
def test_a_damaged_download_never_gets_its_name(cached: Jars, wrong: bytes) -> None:
    with pytest.raises(Damaged):
        cached.place(ARTIFACT, Repository(wrong), lambda size: None)
    assert files_in(cached.cache) == []


@pytest.mark.parametrize("cut", [requests.ConnectionError("reset"), requests.Timeout(), FLIPPED], ids=["reset", "timeout", "flipped"])
def test_a_cut_download_is_redone_and_counted_once(cached: Jars, cut: bytes | Exception) -> None:
    counted: list[int] = []
    jars.place_with_retries(cached, ARTIFACT, Repository(cut, CONTENT), counted.append)
    assert cached.path(ARTIFACT).read_bytes() == CONTENT
    assert sum(counted) == ARTIFACT.size
    assert files_in(cached.cache) == ["jars/org.example/thing-1.0.jar"]


def test_a_repository_that_stays_away_is_one_line_without_its_address(cached: Jars) -> None:
    gone = [requests.ConnectionError("HTTPSConnectionPool(host='jars.example.com')") for _ in range(jars.ATTEMPTS)]
    with pytest.raises(Failure) as failure:
        cached.refresh(Repository(*gone))
    assert str(failure.value).startswith("thing-1.0.jar cannot be downloaded (no connection to the repository); ")
    assert "example.com" not in str(failure.value)
    assert files_in(cached.cache) == []


def test_two_processes_that_fetch_at_once_leave_one_whole_file(cached: Jars) -> None:
    both_are_half_way = Barrier(2)

    def slow(artifact: Artifact, folder: Path, advance: Advance) -> Path:
        file = folder / artifact.filename
        file.write_bytes(CONTENT[:5])
        both_are_half_way.wait(10)
        file.write_bytes(CONTENT)
        return file

    errors: list[BaseException] = []

    def refresh() -> None:
        try:
            cached.refresh(slow)
        except BaseException as error:
            errors.append(error)

    both = [Thread(target=refresh) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert errors == []
    assert files_in(cached.cache) == ["jars/org.example/thing-1.0.jar"]
    assert cached.missing() == []


def test_jars_that_are_not_there_are_one_line_that_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADELAKE_CACHE", str(tmp_path))
    with pytest.raises(Failure, match=r"^\d+ of \d+ jars are missing or damaged \(.*\); run `tradelake jars`$"):
        jars.verified_jars()


def test_a_mirror_takes_the_place_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get(url: str, **options: object) -> requests.Response:
        asked.append(url)
        raise requests.ConnectionError

    monkeypatch.setenv("TRADELAKE_MAVEN_REPOSITORY", "http://mirror.invalid/jars/")
    monkeypatch.setattr("jgo.util.http.get", get)
    with pytest.raises(requests.ConnectionError):
        jars.fetch_with_jgo(ARTIFACT, tmp_path, lambda size: None)
    assert asked == ["http://mirror.invalid/jars/org/example/thing/1.0/thing-1.0.jar"]
