"""Parts are killed, one after another, while trades flow: the jobs go on by themselves, and nothing is lost or doubled."""

import os
import signal

import psutil
import pytest

from tests.e2e.stack import Stack
from tests.e2e.waiting import wait_until
from tests.truth.lake import BRONZE, GOLD, SILVER

FLOWING = 6_000
RATE = 300


@pytest.mark.parametrize(("part", "seed"), [("jobmanager", 101), ("taskmanager", 102), ("kafka", 103), ("s3", 104)])
def test_a_part_killed_while_trades_flow_loses_and_doubles_nothing(pipeline: Stack, part: str, seed: int) -> None:
    pipeline.settle()
    before, killed = pipeline.counts(), pipeline.pid(part)
    symbols = ",".join(f"K{seed}{asset}USDT" for asset in "ABCD")
    producer = pipeline.start("produce", "--generate", FLOWING, "--rate", RATE, "--seed", seed, "--symbols", symbols)
    pipeline.wait_for_counts(**{GOLD: before[GOLD] + 3 * RATE})  # trades flow through all layers
    assert producer.poll() is None

    os.kill(killed, signal.SIGKILL)
    wait_until("the process is gone", lambda: not psutil.pid_exists(killed), lambda: None)
    printed, _ = producer.communicate()
    assert producer.returncode == 0, printed

    pipeline.wait_until_running()  # no command is given
    pipeline.settle()
    assert pipeline.pid(part) != killed
    assert pipeline.status()["running"] is True
    after = pipeline.counts()
    sent = FLOWING + 1  # and the fence
    assert {layer: after[layer] - before[layer] for layer in (BRONZE["binance"], SILVER["binance"])} == {
        BRONZE["binance"]: sent,
        SILVER["binance"]: sent,
    }
    assert after[GOLD] - before[GOLD] == FLOWING + 2
    assert pipeline.discrepancies() == []
