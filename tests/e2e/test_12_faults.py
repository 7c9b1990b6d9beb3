"""Parts are killed, one after another, while trades flow: everything goes on by itself, and nothing is lost or doubled."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from tests.e2e.stack import Stack, pid_in
from tests.e2e.waiting import wait_until
from tests.truth.lake import BRONZE, DLQ, GOLD, SILVER

pytestmark = pytest.mark.processes_only

RATE = 300
ENDLESS = 10_000_000
Flow = tuple[subprocess.Popen[str], dict[str, int]]


@pytest.fixture(scope="module")
def flow(stack: Stack) -> Iterator[Flow]:
    """A producer that goes on until it is interrupted, and the rows of all tables before it began."""
    stack.settle()
    before = stack.counts()
    symbols = ",".join(f"FAULT{asset}USDT" for asset in "ABCD")
    producer = stack.start("produce", "--generate", ENDLESS, "--rate", RATE, "--seed", 101, "--symbols", symbols, "--json")
    yield producer, before
    if producer.poll() is None:
        producer.kill()
        producer.wait()


@pytest.mark.parametrize("part", ["jobmanager", "taskmanager", "kafka", "s3"])
def test_trades_flow_again_by_themselves_after_a_part_was_killed(stack: Stack, flow: Flow, part: str) -> None:
    producer, _ = flow
    await_growth(stack)
    killed = stack.pid(part)
    os.kill(killed, signal.SIGKILL)
    wait_until("the process is gone", lambda: not psutil.pid_exists(killed), lambda: None)
    stack.wait("the part is back, and every part and job runs", lambda: is_back(stack, part, killed))
    await_growth(stack)
    assert producer.poll() is None


def await_growth(stack: Stack) -> None:
    """Wait until a second's trades more are in gold."""
    stack.wait_for_counts(**{GOLD: stack.lake.count(GOLD) + RATE})


def is_back(stack: Stack, part: str, killed: int) -> bool:
    if stack.running() != sorted(stack.job_names):
        return False
    status = stack.health()
    return bool(status["running"]) and pid_in(status, part) != killed


def test_what_was_sent_over_all_faults_is_in_every_layer_exactly_once(stack: Stack, flow: Flow) -> None:
    producer, before = flow
    producer.send_signal(signal.SIGINT)
    printed, _ = producer.communicate()
    sent, failed = (json.loads(printed)[key] for key in ("sent", "failed"))
    assert failed == 0
    stack.settle()
    after = stack.counts()
    assert {table: after[table] - before[table] for table in (BRONZE["binance"], SILVER["binance"], DLQ, GOLD)} == {
        BRONZE["binance"]: sent + 1,  # the fence
        SILVER["binance"]: sent + 1,
        DLQ: 0,
        GOLD: sent + 2,
    }
    assert stack.discrepancies() == []
