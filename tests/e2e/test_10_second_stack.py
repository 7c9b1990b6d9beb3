"""Two stacks side by side, and what stands in the way of a stack."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack, free_port_base

pytestmark = pytest.mark.processes_only


@pytest.fixture(scope="module")
def second(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A bare stack beside the first one, in a home whose name is not simple."""
    home = tmp_path_factory.mktemp("second") / "with a space, 100 % and ünicode"
    second = Stack(home, free_port_base(stack.port_base + 100))
    second.tradelake("up", "--port-base", second.port_base)
    yield second
    if home.exists():
        second.tradelake("down", "--purge")


def test_a_second_stack_runs_beside_the_first(pipeline: Stack, second: Stack) -> None:
    first_pids = {part["pid"] for part in pipeline.status()["parts"]}
    status = second.status()
    assert status["running"] is True
    assert {part["pid"] for part in status["parts"]} & first_pids == set()
    assert status["jobs"] == []
    assert len(pipeline.jobs()) == len(pipeline.job_names)


def test_the_second_stack_has_topics_of_its_own(pipeline: Stack, second: Stack) -> None:
    before = pipeline.broker.count("binance-trades")
    second.tradelake("topics", "create")
    second.tradelake("produce", "--generate", 10)
    assert second.broker.count("binance-trades") == 10
    assert pipeline.broker.count("binance-trades") == before


def test_no_secret_can_be_read_by_others_or_stands_in_a_command_line(second: Stack) -> None:
    secrets = second.home / "secrets"
    assert [file for file in (secrets, *secrets.iterdir()) if file.stat().st_mode & 0o077] == []
    (secret,) = [line.split("=")[1].strip() for line in (secrets / "aws-credentials").read_text().splitlines() if "secret" in line]
    assert len(secret) >= 32
    shown = [process for process in second.processes() if secret in "\0".join([*process.cmdline(), *process.environ().values()])]
    assert shown == []
    others = [
        file for file in second.home.rglob("*") if file.is_file() and secrets not in file.parents and file.stat().st_size < 10_000_000
    ]
    assert [file for file in others if secret.encode() in file.read_bytes()] == []


def test_down_keeps_the_data_and_purge_deletes_it(second: Stack) -> None:
    second.tradelake("down")
    assert second.processes() == []
    assert (second.home / "kafka").is_dir()
    second.tradelake("down", "--purge")
    assert second.processes() == []
    assert not second.home.exists()


def test_a_port_in_use_is_one_clear_line_and_nothing_is_left(pipeline: Stack, tmp_path: Path) -> None:
    stack = Stack(tmp_path / "home", free_port_base(pipeline.port_base + 200))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stack.port_base + 2))
        taken.listen()
        ran = stack.tradelake("up", "--port-base", stack.port_base, exit_code=1)
    (line,) = ran.stderr.strip().splitlines()
    assert f"port {stack.port_base + 2}" in line
    assert f"pid {os.getpid()}" in line
    assert "--port-base" in line
    assert stack.processes() == []


def test_a_folder_that_is_no_home_is_never_taken_down_or_deleted(pipeline: Stack, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    ran = Stack(tmp_path, pipeline.port_base).tradelake("down", "--purge", exit_code=1)
    assert "is not the home of a stack" in ran.stderr
    assert (tmp_path / "precious").read_text() == "data"


@pytest.mark.parametrize("command", [("status",), ("submit",), ("topics", "create"), ("query", "SELECT 1"), ("produce", "--generate", "1")])
def test_commands_without_a_stack_say_that_there_is_none(tmp_path: Path, command: tuple[str, ...]) -> None:
    began = time.monotonic()
    ran = Stack(tmp_path / "nowhere", 0).tradelake(*command, exit_code=1)
    assert "tradelake up" in ran.stderr, (ran.stderr, time.monotonic() - began)
    assert "Traceback" not in ran.stderr
