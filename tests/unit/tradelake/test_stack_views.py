"""`tradelake status` and `tradelake logs`."""

from pathlib import Path

import pytest
from click.testing import CliRunner

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
        (Status([part("RUNNING")], [JobStatus("gold", "RESTARTING")]), False),
    ],
)
def test_a_stack_is_healthy_when_all_of_it_runs(found: Status, healthy: bool) -> None:
    assert found.healthy is healthy
    assert found.json()["running"] is healthy


class Overview:
    """A JobManager's answer."""

    def __init__(self, *jobs: tuple[str, str]) -> None:
        self.jobs = [{"name": name, "state": state, "start-time": time} for time, (name, state) in enumerate(jobs)]

    def get(self, url: str) -> "Overview":
        return self

    def json(self) -> dict[str, object]:
        return {"jobs": self.jobs[::-1]}


def test_of_each_job_the_newest_run_counts_unless_it_ended_well(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Overview(("gold", "FAILED"), ("gold", "RUNNING"), ("silver", "RUNNING"), ("silver", "FINISHED"), ("bronze", "FAILED"))
    monkeypatch.setattr(status, "client", lambda: runs)
    assert status.read_jobs("http://flink") == [JobStatus("bronze", "FAILED"), JobStatus("gold", "RUNNING")]


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
