"""The supervisor itself, over parts that only sleep."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tradelake.console import Failure
from tradelake.stack import starting
from tradelake.stack.lifecycle import stop_processes
from tradelake.stack.part import Part
from tradelake.stack.processes import PART, of_home, sweep
from tradelake.stack.starting import Start
from tradelake.stack.supervision import Supervisor

SLEEP = ["sh", "-c", "sleep 600 & wait"]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    (tmp_path / "logs").mkdir()
    yield Supervisor(tmp_path)
    for process in of_home(tmp_path):
        process.kill()


def part(name: str, ready: Callable[[], bool] = lambda: True, needs: tuple[str, ...] = ()) -> Part:
    return Part(name, "", "", lambda: [], ready, needs=needs)


def start(supervisor: Supervisor, commands: dict[Part, list[str]]) -> None:
    supervisor.launch(commands)
    Start(supervisor, list(commands)).run()


def parts_of(home: Path) -> set[str]:
    return {process.environ()[PART] for process in of_home(home)}


def wait_until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.05)


def pid(supervisor: Supervisor, name: str) -> int:
    return int(supervisor.states()[name]["pid"])


def test_stopping_leaves_no_process_not_even_of_the_parts_children(supervisor: Supervisor) -> None:
    start(supervisor, {part("kafka"): SLEEP, part("s3"): SLEEP})
    wait_until(lambda: parts_of(supervisor.home) == {"supervisord", "kafka", "s3"})
    wait_until(lambda: len(list(of_home(supervisor.home))) == 5)
    stop_processes(supervisor)
    assert parts_of(supervisor.home) == set()


def test_a_killed_part_is_started_again(supervisor: Supervisor) -> None:
    start(supervisor, {part("kafka"): SLEEP})
    killed = pid(supervisor, "kafka")
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: pid(supervisor, "kafka") not in (0, killed))
    assert psutil.pid_exists(pid(supervisor, "kafka"))


def test_starting_what_runs_changes_nothing_and_another_fault_is_named(supervisor: Supervisor) -> None:
    start(supervisor, {part("kafka"): SLEEP, part("s3"): SLEEP})
    running = pid(supervisor, "kafka")
    supervisor.start("kafka")
    assert pid(supervisor, "kafka") == running
    with pytest.raises(Failure, match=r"^the supervisor does not start catalog: BAD_NAME: catalog"):
        supervisor.start("catalog")


def test_what_a_killed_supervisor_leaves_is_swept(supervisor: Supervisor) -> None:
    start(supervisor, {part("kafka"): SLEEP})
    wait_until(lambda: len(list(of_home(supervisor.home))) == 3)
    (master,) = [process for process in of_home(supervisor.home) if process.environ()[PART] == "supervisord"]
    master.kill()
    wait_until(lambda: parts_of(supervisor.home) == {"kafka"})
    assert not supervisor.running()
    assert sweep(supervisor.home) == 2
    assert parts_of(supervisor.home) == set()


def test_sweeping_one_part_spares_the_others(supervisor: Supervisor) -> None:
    start(supervisor, {part("kafka"): SLEEP, part("s3"): SLEEP})
    wait_until(lambda: len(list(of_home(supervisor.home))) == 5)
    kept = pid(supervisor, "s3")
    assert sweep(supervisor.home, "kafka") == 2
    assert pid(supervisor, "s3") == kept


def test_a_part_that_dies_fails_the_start_with_its_last_words(supervisor: Supervisor) -> None:
    dying = part("kafka", ready=lambda: False)
    commands = {dying: ["sh", "-c", "echo 'Caused by: java.net.BindException: in use'; exit 1"], part("s3", ready=lambda: False): SLEEP}
    with pytest.raises(Failure, match=r"^kafka does not stay up: Caused by: java.net.BindException: in use \(`tradelake logs kafka`"):
        start(supervisor, commands)


def test_a_part_waits_for_what_it_needs(supervisor: Supervisor) -> None:
    asked: list[str] = []

    def ready(name: str) -> Callable[[], bool]:
        return lambda: asked.append(name) is None and asked.count(name) == 2

    start(supervisor, {part("jobmanager", ready("jobmanager"), needs=("zookeeper",)): SLEEP, part("zookeeper", ready("zookeeper")): SLEEP})
    assert asked == ["zookeeper", "zookeeper", "jobmanager", "jobmanager"]


def test_a_part_that_never_gets_ready_is_named(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "PATIENCE", 0.5)
    with pytest.raises(Failure, match=r"^kafka is not ready after "):
        start(supervisor, {part("kafka", ready=lambda: False): SLEEP})


def test_a_callers_pipe_is_not_kept_open(supervisor: Supervisor) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    os.set_blocking(reading, False)
    start(supervisor, {part("kafka"): SLEEP})
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("one\n\ntwo\n", "two"),
        ("Caused by: java.io.IOException: full\n\tat a.b.C(D.java:1)\n\t... 2 more\n", "Caused by: java.io.IOException: full"),
        ("", "it printed nothing"),
    ],
)
def test_the_telling_line_of_a_log(tmp_path: Path, log: str, words: str) -> None:
    file = tmp_path / "a.log"
    file.write_text(log)
    assert starting.last_words(file) == words
