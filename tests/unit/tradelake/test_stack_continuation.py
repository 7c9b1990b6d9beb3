"""The jobs over a `down` and an `up`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from conf.settings import PIPELINE, load_pipeline
from tradelake.console import Failure
from tradelake.home import Home
from tradelake.rest import FlinkJob
from tradelake.stack import continuation
from tradelake.stack.continuation import TO_RESUME, refuse_another_cluster, resume_jobs, stop_jobs
from tradelake.stack.ports import Ports, write_ports


class Cluster:
    """Jobs of a cluster: name -> whether all tasks run; what is asked of them is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **jobs: bool) -> None:
        self.jobs, self.resumed = jobs, [""]
        self.refuses = False
        monkeypatch.setattr(continuation.jobs, "alive", lambda home: self.alive())
        monkeypatch.setattr(continuation.jobs, "stop_all", self.stop)
        monkeypatch.setattr(continuation.jobs, "resume", self.resume)

    def alive(self) -> dict[str, FlinkJob]:
        return {name: FlinkJob("id", name, "RUNNING", {"running": int(running), "total": 1}) for name, running in self.jobs.items()}

    def stop(self, home: Home) -> list[str]:
        stopped, self.jobs = list(self.jobs), {}
        if self.refuses:
            raise Failure("gold could not be stopped")
        return stopped

    def resume(self, home: Home, names: list[str]) -> None:
        self.resumed = names
        self.jobs = dict.fromkeys(names, True)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_what_down_stops_up_resumes_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, bronze=True, gold=True)
    stop_jobs(home, home.path)
    assert cluster.jobs == {}
    assert resume_jobs(home, home.path) == ["bronze", "gold"]
    assert cluster.resumed == ["bronze", "gold"]
    assert list(home.path.iterdir()) == []


def test_a_job_that_will_not_stop_is_named_and_comes_back_too(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster(monkeypatch, bronze=True, gold=True)
    cluster.refuses = True
    stop_jobs(home, home.path)
    assert "gold could not be stopped" in capsys.readouterr().err
    assert json.loads((home.path / TO_RESUME).read_text())["jobs"] == ["bronze", "gold"]


def test_a_failure_is_printed_as_it_is_and_the_stack_goes_down(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(home: Home) -> dict[str, FlinkJob]:
        raise Failure("Connection refused [/127.0.0.1:18093]")

    monkeypatch.setattr(continuation.jobs, "alive", unreachable)
    stop_jobs(home, home.path)
    assert "Connection refused [/127.0.0.1:18093]; the stack goes down all the same" in capsys.readouterr().err


def test_a_mistake_in_the_settings_keeps_no_stack_up(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Cluster(monkeypatch, gold=True)
    monkeypatch.setattr(continuation.jobs, "alive", lambda home: load_pipeline(home.path / "none.yaml"))
    stop_jobs(home, home.path)
    assert "none.yaml: cannot be read: No such file or directory; the stack goes down all the same" in capsys.readouterr().err


@pytest.fixture
def other(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home, with a pipeline file in another database."""
    file = tmp_path_factory.mktemp("other") / "pipeline.yaml"
    file.write_text(PIPELINE.read_text().replace("database: market_data", "database: other"))
    return replace(home, pipeline_file=file)


def test_jobs_do_not_go_on_in_another_database(home: Home, other: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, gold=True)
    stop_jobs(other, home.path)
    with pytest.raises(Failure, match=r"^the jobs were stopped in database other, and would go on with its state in market_data, by "):
        resume_jobs(home, home.path)
    assert cluster.jobs == {}
    assert resume_jobs(other, home.path) == ["gold"]


def test_the_same_database_by_another_file_is_no_obstacle(home: Home, other: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(monkeypatch, gold=True)
    stop_jobs(home, home.path)
    other.pipeline_file.write_text(PIPELINE.read_text())
    assert resume_jobs(other, home.path) == ["gold"]


def test_a_stack_leaves_the_jobs_of_another_cluster_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is yet to be made."""
    example = PIPELINE.parent / "environments" / "example.yaml"
    moved = home.path / "moved.yaml"
    moved.write_text(example.read_text().replace("http://jobmanager:8081", "http://127.0.0.1:20000"))
    for made in (False, True):
        if made:
            write_ports(home.path, Ports(20000))
        monkeypatch.setenv("TRADELAKE_ENVIRONMENT", str(example))
        with pytest.raises(
            Failure, match=r"names the cluster at http://jobmanager:8081, which is not the stack of .*unset \$TRADELAKE_ENV"
        ):
            refuse_another_cluster(home, home.path)
        monkeypatch.setenv("TRADELAKE_ENVIRONMENT", str(moved))
        refuse_another_cluster(home, home.path, 20000)
        monkeypatch.setenv("TRADELAKE_ENVIRONMENT", "")
        refuse_another_cluster(home, home.path, 30000)


def test_what_is_to_be_resumed_may_be_gone_afterwards(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, gold=True)
    stop_jobs(home, home.path)

    def resume(home: Home, names: list[str]) -> None:
        cluster.resume(home, names)
        (home.path / TO_RESUME).unlink()

    monkeypatch.setattr(continuation.jobs, "resume", resume)
    assert resume_jobs(home, home.path) == ["gold"]


def test_a_failed_resumption_is_tried_again_by_the_next_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, gold=True)
    stop_jobs(home, home.path)

    def fail(home: Home, names: list[str]) -> None:
        raise Failure("no slots")

    monkeypatch.setattr(continuation.jobs, "resume", fail)
    with pytest.raises(Failure, match="no slots"):
        resume_jobs(home, home.path)
    monkeypatch.setattr(continuation.jobs, "resume", cluster.resume)
    assert resume_jobs(home, home.path) == ["gold"]


def test_a_stack_without_jobs_leaves_nothing_to_resume(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(monkeypatch)
    stop_jobs(home, home.path)
    assert list(home.path.iterdir()) == []
    assert resume_jobs(home, home.path) == []


def test_jobs_that_high_availability_brings_back_are_waited_for(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, gold=False)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        cluster.jobs["gold"] = len(waits) == 3

    monkeypatch.setattr(continuation.time, "sleep", sleep)
    assert resume_jobs(home, home.path) == ["gold"]
    assert len(waits) == 3


def test_a_job_that_stays_in_restarts_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(monkeypatch, gold=False)
    monkeypatch.setattr(continuation, "PATIENCE", -1.0)
    with pytest.raises(Failure, match="the stack is up, but gold still restarts"):
        resume_jobs(home, home.path)
