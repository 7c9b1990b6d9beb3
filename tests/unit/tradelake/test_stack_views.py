"""`tradelake status` and `tradelake logs`."""

import io
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest
from click.testing import CliRunner
from rich.console import Console

from tradelake.cli import tradelake
from tradelake.console import Failure
from tradelake.stack import status
from tradelake.stack.logs import Follower, last_lines
from tradelake.stack.ports import Ports, write_ports
from tradelake.stack.status import JobStatus, PartStatus, Status


def part(state: str) -> PartStatus:
    return PartStatus("kafka", state, 1, 60, 10, "127.0.0.1:1")


@pytest.mark.parametrize(
    ("found", "healthy"),
    [
        (Status([part("RUNNING")], []), True),
        (Status([part("RUNNING")], [JobStatus("gold", "RUNNING")]), True),
        (Status([part("NOT READY")], []), False),
        (Status([part("RUNNING"), part("BACKOFF")], []), False),
        (Status([part("RUNNING")], [JobStatus("gold", "STOPPED")]), True),
        (Status([part("RUNNING")], [JobStatus("gold", "RESTARTING")]), False),
        (Status([part("RUNNING")], [JobStatus("gold", "CANCELED")]), False),
        (Status([part("RUNNING")], [JobStatus("gold", "FAILED")]), False),
        (Status([part("RUNNING")], [JobStatus("gold", "FINISHED")]), False),
        (Status([part("RUNNING")], [], jobs_known=False), False),
    ],
)
def test_a_stack_is_healthy_when_all_of_it_runs(found: Status, healthy: bool) -> None:
    assert found.healthy is healthy
    assert found.json()["running"] is healthy


class JobManager:
    """Runs of jobs, the oldest first, and the last savepoint of each job that has one: its type, and what became of it."""

    def __init__(self, *runs: tuple[str, str], **savepoints: tuple[str, str]) -> None:
        self.runs = [{"jid": name, "name": name, "state": state, "start-time": time} for time, (name, state) in enumerate(runs)]
        self.savepoints = {name: {"checkpoint_type": kind, "status": end} for name, (kind, end) in savepoints.items()}

    def get(self, url: str) -> httpx.Response:
        *_, name, last = url.split("/")
        return httpx.Response(
            200, json={"jobs": self.runs[::-1]} if last == "overview" else {"latest": {"savepoint": self.savepoints.get(name)}}
        )


def states(monkeypatch: pytest.MonkeyPatch, jobmanager: JobManager, *names: str) -> dict[str, str]:
    monkeypatch.setattr(status, "client", lambda: jobmanager)
    found = status.read_jobs("http://flink", names)
    assert found is not None
    return {job.name: job.state for job in found}


def test_of_each_job_of_the_pipeline_the_newest_run_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [("gold", "FAILED"), ("gold", "RUNNING"), ("silver", "RUNNING"), ("silver", "CANCELED"), ("bronze", "FAILED")]
    jobmanager = JobManager(*runs, ("a query of somebody", "FAILED"))
    assert states(monkeypatch, jobmanager, "bronze", "silver", "gold", "never submitted") == {
        "bronze": "FAILED",
        "gold": "RUNNING",
        "silver": "CANCELED",
    }


def test_a_finished_job_was_stopped_only_if_it_ended_with_a_savepoint(monkeypatch: pytest.MonkeyPatch) -> None:
    savepoints = {"stopped": ("SYNC_SAVEPOINT", "COMPLETED"), "saved": ("SAVEPOINT", "COMPLETED"), "failed": ("SYNC_SAVEPOINT", "FAILED")}
    names = [*savepoints, "none"]
    jobmanager = JobManager(*((name, "FINISHED") for name in names), **savepoints)
    assert states(monkeypatch, jobmanager, *names) == dict.fromkeys(names, "FINISHED") | {"stopped": "STOPPED"}


@pytest.mark.parametrize("answer", [httpx.ConnectError("refused"), httpx.Response(503, json={"errors": ["not yet"]})])
def test_a_jobmanager_that_does_not_answer_is_said_to(monkeypatch: pytest.MonkeyPatch, answer: httpx.Response | Exception) -> None:
    monkeypatch.setattr(status, "client", lambda: Mock(get=Mock(side_effect=[answer])))
    assert status.read_jobs("http://flink", ["gold"]) is None
    assert "Flink does not answer" in shown(Status([part("RUNNING")], [], jobs_known=False))


def shown(found: Status) -> str:
    file = io.StringIO()
    for table in status.tables(found):
        Console(file=file, width=140).print(table)
    return file.getvalue()


def test_a_job_that_has_ended_is_shown_with_its_end() -> None:
    lines = shown(Status([part("RUNNING")], [JobStatus("gold", "CANCELED"), JobStatus("silver", "STOPPED")])).splitlines()
    assert [line.split() for line in lines[-2:]] == [["gold", "CANCELED"], ["silver", "STOPPED", "with", "a", "savepoint"]]


def test_a_stack_that_is_down_is_shown_so_and_exits_with_1(tmp_path: Path) -> None:
    write_ports(tmp_path, Ports(20000))
    result = CliRunner().invoke(tradelake, ["--home", str(tmp_path), "status", "--json"])
    assert result.exit_code == 1
    assert '"running": false' in result.output
    assert result.output.count('"state": "STOPPED"') == 7


@pytest.mark.parametrize("command", [["status"], ["logs"], ["down"], ["down", "--purge"]])
def test_a_folder_that_is_no_home_is_left_alone(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "precious").touch()
    result = CliRunner().invoke(tradelake, ["--home", str(tmp_path), *command])
    assert isinstance(result.exception, Failure)
    assert str(result.exception) == f"{tmp_path} is not the home of a stack; `tradelake up` makes one"
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    assert last_lines(log, 2) == []
    log.write_text("one\ntwo\nthree\n")
    assert last_lines(log, 2) == ["two", "three"]
    assert last_lines(log, 0) == []


def test_a_log_is_followed_across_its_rotation(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("old\n")
    follower = Follower(log)
    with log.open("a") as stream:
        stream.write("one\nhal")
    assert list(follower.lines()) == ["one"]
    with log.open("a") as stream:
        stream.write("f\nlast\n")
    log.rename(tmp_path / "kafka.log.1")
    log.write_text("new\n")
    assert list(follower.lines()) == ["half", "last", "new"]


def test_a_log_that_is_not_there_yet_is_followed(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "kafka.log")
    assert list(follower.lines()) == []
    (tmp_path / "kafka.log").write_text("first\n")
    assert list(follower.lines()) == ["first"]
