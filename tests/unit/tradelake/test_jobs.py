import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from tradelake import jobs as tradelake_jobs
from tradelake import operations
from tradelake.console import Failure
from tradelake.home import Home
from tradelake.jobs import Start, _reason, changing, outcomes, stop_jobs, submit, submit_jobs
from tradelake.rest import FlinkJob, FlinkRest


def test_a_refusal_of_the_job_is_what_a_person_reads() -> None:
    printed = "WARNING: x\nrefused: gold would start without state\nResume it: a\nOr insist: b\n\tat java.base/x\nCaused by: exit 2"
    assert _reason(printed) == "gold would start without state\nResume it: a\nOr insist: b"


def test_without_a_refusal_the_last_cause_is_given() -> None:
    assert _reason("noise\nCaused by: first\n\tat x\nCaused by: second\n\tat y\n") == "Caused by: second"
    of_the_command_line = "Caused by: java.lang.RuntimeException: Python process exits with code: 1\n\tat z"
    assert _reason(f"py4j.Error: x\nCaused by: the table is not there\n\tat y\norg.apache.flink.Abort: a\n{of_the_command_line}\n") == (
        "Caused by: the table is not there"
    )
    assert _reason(f"Traceback\n  File x\nValueError: no such thing\n{of_the_command_line}") == "ValueError: no such thing"
    assert _reason("") == "flink run failed without a word"


def test_an_unknown_job_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = CliRunner().invoke(submit, ["silver"], obj=Home(tmp_path))
    assert ran.exit_code == 2
    assert "no job is called silver; there are bronze-binance" in ran.output


class Cluster:
    """A Flink whose savepoint of one job fails, or is not even begun."""

    def __init__(self, failing: str = "", ended: str = "") -> None:
        self.left, self.failing, self.asked = ["bronze-binance", "silver-binance", "gold"], failing, list[str]()
        self.ended = ended

    def jobs(self) -> list[FlinkJob]:
        return [FlinkJob(name, name, "RUNNING", {}) for name in self.left]

    def alive(self, name: str) -> FlinkJob | None:
        return next((job for job in self.jobs() if job.name == name), None)

    def stop_with_savepoint(self, job_id: str, folder: str) -> str:
        if job_id == self.ended:
            raise Failure("404: no such job")
        return job_id

    def savepoint_status(self, job_id: str, trigger: str) -> dict[str, Any]:
        self.asked.append(job_id)
        if job_id == self.failing:
            return {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"stack-trace": "no space left\n\tat x"}}}
        self.left.remove(job_id)
        return {"status": {"id": "COMPLETED"}, "operation": {"location": f"file:/{job_id}"}}


def test_every_savepoint_is_waited_for_when_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, environment = Cluster("bronze-binance"), SimpleNamespace(flink=SimpleNamespace(state="file:///state"))
    monkeypatch.setattr("tradelake.jobs.rest_of", lambda home: cluster)
    home: Any = SimpleNamespace(environment=lambda: environment)
    with pytest.raises(Failure, match="the savepoint of bronze-binance failed: no space left; bronze-binance goes on running"):
        stop_jobs(home, cluster.left[:])
    assert cluster.asked == ["bronze-binance", "silver-binance", "gold"]


def test_a_savepoint_that_cannot_be_begun_leaves_no_other_unwaited(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, environment = Cluster(ended="silver-binance"), SimpleNamespace(flink=SimpleNamespace(state="file:///state"))
    monkeypatch.setattr("tradelake.jobs.rest_of", lambda home: cluster)
    home: Any = SimpleNamespace(environment=lambda: environment)
    with pytest.raises(Failure, match=r"^silver-binance: 404: no such job$"):
        stop_jobs(home, cluster.left[:])
    assert (cluster.asked, cluster.left) == (["bronze-binance", "gold"], ["silver-binance"])


def test_who_starts_jobs_of_a_home_is_alone(tmp_path: Path) -> None:
    with changing(Home(tmp_path)), pytest.raises(Failure, match="wait until it has ended"), changing(Home(tmp_path)):
        pytest.fail("two at once")
    with changing(Home(tmp_path / "of nobody")):
        assert not (tmp_path / "of nobody").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost"])
def test_a_proxy_is_not_asked_for_this_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    assert FlinkRest(f"http://{host}:8081")._client._mounts == {}
    assert FlinkRest("http://flink:8081")._client._mounts != {}


def test_a_lost_answer_triggers_nothing_again(received: list[dict[str, Any]], slow_flink: str) -> None:
    client = FlinkRest(slow_flink)
    client._client.timeout = 0.3
    assert client.stop_with_savepoint("job", "file:///s") == "the request"
    first, second = received
    assert first == second
    assert re.fullmatch("[0-9a-f]{32}", first["triggerId"])


@pytest.fixture
def received() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def slow_flink(received: list[dict[str, Any]]) -> Iterator[str]:
    """Answers the first request too late."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if len(received) == 1:
                time.sleep(0.6)
            with suppress(OSError):
                body = b'{"request-id": "the request"}'
                self.send_response(202)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Pipeline:
    """Jobs of which one will not stop, or one will not start again, or somebody interrupts a start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stuck: str = "", broken: str = "", interrupted: str = "") -> None:
        self.runs, self.stuck, self.broken, self.interrupted = ["bronze-binance", "silver-binance", "gold"], stuck, broken, interrupted
        self.told = list[str]()
        self.read = {"gold": ["silver_binance_trades", "silver_kraken_trades"]}
        monkeypatch.setattr(tradelake_jobs, "_planning", self.planning)
        monkeypatch.setattr(tradelake_jobs, "rest_of", lambda home: self)
        monkeypatch.setattr(tradelake_jobs, "_state", lambda home, name, start: start.state or f"newest-of-{name}")
        self.read = {"gold": ["silver_binance_trades", "silver_kraken_trades"]}
        for module in (tradelake_jobs, operations):
            monkeypatch.setattr(module, "alive", self.all_alive)
        monkeypatch.setattr(operations, "stop_jobs", self.stop_jobs)
        monkeypatch.setattr(operations, "rest_of", lambda home: self)
        monkeypatch.setattr(operations, "_say_where", lambda rest, names: None)

    def get(self, path: str) -> dict[str, Any]:
        read = self.read.get(path.removeprefix("/jobs/"), ["bronze_binance_trades"])
        return {"vertices": [{"name": f"Source: {table} -> Calc -> x: Writer"} for table in read]}

    def jobs(self) -> list[FlinkJob]:
        return [FlinkJob(name, name, "RUNNING", {}) for name in self.runs]

    def all_alive(self, home: Home) -> dict[str, FlinkJob]:
        return {name: FlinkJob(name, name, "RUNNING", {}) for name in self.runs}

    def alive(self, name: str) -> FlinkJob | None:
        return FlinkJob(name, name, "RUNNING", {"RUNNING": 1}) if name in self.runs else None

    def stop_jobs(self, home: Home, names: list[str]) -> dict[str, str]:
        self.runs = [name for name in self.runs if name == self.stuck]
        if self.stuck:
            raise Failure(f"{self.stuck} goes on running")
        return {name: f"savepoint-of-{name}" for name in names}

    @contextmanager
    def planning(self, home: Home, jobs: list[str]) -> Iterator[Iterator[str]]:
        self.told += jobs
        yield self.printed(jobs)

    def printed(self, jobs: list[str]) -> Iterator[str]:
        for job in jobs:
            name, *options = job.split()
            if name == self.interrupted:
                raise KeyboardInterrupt
            yield f"several: begin {name}\n"
            if name == self.broken:
                yield f"refused: does not fit {options[1]}\n"
                yield f"several: failed {name}\n"
            else:
                self.runs.append(name)
                yield f"several: submitted {name}\n"


def test_when_one_job_will_not_stop_the_others_go_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(monkeypatch, stuck="silver-binance")
    ran = CliRunner().invoke(operations.upgrade, [], obj=Home(tmp_path))
    assert str(ran.exception) == "silver-binance goes on running"
    assert sorted(pipeline.runs) == ["bronze-binance", "gold", "silver-binance"]


def test_a_job_that_does_not_start_again_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(monkeypatch, broken="bronze-binance")
    ran = CliRunner().invoke(operations.upgrade, [], obj=Home(tmp_path))
    assert str(ran.exception) == "bronze-binance: does not fit savepoint-of-bronze-binance"
    assert sorted(pipeline.runs) == ["gold", "silver-binance"]


THIRD = ["silver_binance_trades", "silver_kraken_trades", "silver_coinbase_trades"]


def test_an_exchange_that_is_gone_stops_nothing_until_it_is_left_on_purpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(monkeypatch)
    pipeline.read["gold"] = THIRD
    ran = CliRunner().invoke(operations.upgrade, [], obj=Home(tmp_path))
    assert isinstance(ran.exception, Failure)
    assert "gold reads silver_coinbase_trades" in str(ran.exception)
    assert "tradelake upgrade --without coinbase gold" in str(ran.exception)
    assert pipeline.told == []
    assert CliRunner().invoke(operations.upgrade, ["--without", "coinbase"], obj=Home(tmp_path)).exit_code == 0
    assert sorted(pipeline.told) == [
        "bronze-binance --from-state savepoint-of-bronze-binance",
        "gold --from-state savepoint-of-gold --leave-state",
        "silver-binance --from-state savepoint-of-silver-binance",
    ]


def test_an_exchange_is_left_only_when_it_is_gone_and_its_jobs_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(monkeypatch)
    ran = CliRunner().invoke(operations.upgrade, ["--without", "kraken", "gold"], obj=Home(tmp_path))
    assert (ran.exit_code, "has kraken still: take its block out first" in ran.output.replace("\n", " ")) == (2, True)
    ran = CliRunner().invoke(operations.upgrade, ["--without", "coinbase", "gold"], obj=Home(tmp_path))
    assert str(ran.exception) == "no job that is upgraded reads of coinbase; nothing was stopped"
    pipeline.read["gold"] = THIRD
    pipeline.runs.append("silver-coinbase")
    for command in (operations.upgrade, operations.restore):
        ran = CliRunner().invoke(command, ["--without", "coinbase", "gold"], obj=Home(tmp_path))
        assert isinstance(ran.exception, Failure)
    assert str(ran.exception or "").startswith("silver-coinbase runs still: `tradelake stop silver-coinbase` first")
    assert pipeline.told == []


def test_state_that_nobody_takes_is_explained() -> None:
    printed = (
        "Caused by: java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint file:/x. Cannot map checkpoint/savepoint "
        "state for operator 1f to the new program, because the operator is not available in the new program. If you want to allow to skip "
        "this, you can set the --allowNonRestoredState option on the CLI.\n\tat y"
    )
    assert "`tradelake restore JOB --without EXCHANGE`" in _reason(printed)
    assert "allowNonRestoredState" not in _reason(printed)


def test_whoever_interrupts_a_submission_gets_no_further_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(monkeypatch, interrupted="c")
    pipeline.runs = []
    with pytest.raises(KeyboardInterrupt):
        submit_jobs(Home(tmp_path), dict.fromkeys("abcde", Start()))
    assert pipeline.runs == ["a", "b"]


def test_each_job_starts_as_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(monkeypatch)
    monkeypatch.setattr(tradelake_jobs, "_state", lambda home, name, start: start.state)
    submit_jobs(Home(tmp_path), {"gold": Start("file:/a b/s-1"), "bronze-kraken": Start(fresh=True, parallelism=2)})
    assert pipeline.told == ["gold --from-state 'file:/a b/s-1'", "bronze-kraken --fresh-state --parallelism 2"]


def test_what_several_jobs_print_is_told_apart() -> None:
    printed = """
        WARNING: of Java
        several: begin a
        Job has been submitted with JobID 1
        several: submitted a
        several: begin b
        Caused by: the table is not there
        several: failed b
        several: begin c
        refused: no
        several: failed c
        several: begin d
        Traceback
        java.lang.OutOfMemoryError: heap
    """
    begun: list[str] = []
    lines = [line.strip() + "\n" for line in printed.splitlines()]
    assert list(outcomes(lines, "abcde", begun.append)) == [
        ("a", None),
        ("b", "Caused by: the table is not there"),
        ("c", "no"),
        ("d", "java.lang.OutOfMemoryError: heap"),
        ("e", "java.lang.OutOfMemoryError: heap"),
    ]
    assert begun == ["a", "b", "c", "d"]
    assert list(outcomes([], "ab", begun.append)) == [(name, "flink run failed without a word") for name in "ab"]


def test_who_interrupts_ends_the_process_that_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "flink"
    script.write_text("#!/bin/sh\necho $$\nexec sleep 1000\n")
    script.chmod(0o700)
    monkeypatch.setattr(tradelake_jobs, "flink_command", lambda home: ([str(script)], {"PATH": os.defpath}))
    seen: list[int] = []

    def planned() -> None:
        with tradelake_jobs._planning(Home(tmp_path), ["gold"]) as lines:
            seen.append(int(next(lines)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        planned()
    assert not psutil.pid_exists(seen[0])
