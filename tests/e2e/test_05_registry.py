"""A registry that is down is no fault of a message: silver waits, and rejects nothing."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.e2e.test_04_evolution import assert_silver_holds, evolved
from tests.truth.lake import BRONZE, DLQ, SILVER

pytestmark = pytest.mark.processes_only

EACH = 50


def new_schema(stack: Stack, exchange: str, field: str) -> int:
    """The id of a schema that no job has met: the newest, and this field."""
    schema = evolved(stack, exchange)
    schema["fields"].append({"name": field, "type": "int", "default": 0})
    answer = stack.registry.register(f"{stack.topics[exchange]}-value", schema)
    assert answer.status_code == 200, answer.text
    schema_id: int = answer.json()["id"]
    stack.registry.schema(schema_id)
    return schema_id


@pytest.fixture
def hung_registry(pipeline: Stack) -> Iterator[int]:
    """The registry's process, which answers nothing until it is told to continue."""
    pid = pipeline.pid("registry")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_registry_that_hangs_delays_silver_and_rejects_nothing(pipeline: Stack, request: pytest.FixtureRequest) -> None:
    exchange, symbol, field = "binance", "HUNGUSDT", f"hung_{raw.number()}"
    unmet, known = new_schema(pipeline, exchange, field), pipeline.schema_ids[exchange]
    before = pipeline.counts()
    pid = request.getfixturevalue("hung_registry")
    trades = [raw.binance(symbol) for _ in range(2 * EACH)]
    pipeline.send_trades(exchange, [trade | {"sequence_of_the_feed": None, field: 1} for trade in trades[:EACH]], unmet)
    pipeline.send_trades(exchange, trades[EACH:], known)
    pipeline.wait_for_counts(**{BRONZE[exchange]: before[BRONZE[exchange]] + 2 * EACH})
    pipeline.wait_for_log("taskmanager", f"schema {unmet} cannot be had")
    assert pipeline.lake.counts((SILVER[exchange], DLQ)) == {SILVER[exchange]: before[SILVER[exchange]], DLQ: before[DLQ]}
    os.kill(pid, signal.SIGCONT)
    pipeline.arrive()
    assert pipeline.lake.count(DLQ) == before[DLQ]
    assert_silver_holds(pipeline, exchange, trades, {unmet: EACH, known: EACH})


def test_a_registry_that_is_killed_comes_back_and_nothing_is_rejected(pipeline: Stack) -> None:
    exchange, pair, field = "kraken", "KILLED/USD", f"killed_{raw.number()}"
    unmet, known = new_schema(pipeline, exchange, field), pipeline.schema_ids[exchange]
    rejected_before, killed = pipeline.lake.count(DLQ), pipeline.pid("registry")
    os.kill(killed, signal.SIGKILL)
    trades = [raw.kraken(pair) for _ in range(2 * EACH)]
    pipeline.send_trades(exchange, [trade | {"sequence_of_the_feed": "1", field: 1} for trade in trades[:EACH]], unmet)
    pipeline.send_trades(exchange, trades[EACH:], known)
    pipeline.arrive()
    assert pipeline.pid("registry") != killed
    assert pipeline.lake.count(DLQ) == rejected_before
    assert_silver_holds(pipeline, exchange, trades, {unmet: EACH, known: EACH})


def test_an_outage_lost_nothing_on_the_way_to_gold(pipeline: Stack) -> None:
    pipeline.settle()
    assert pipeline.discrepancies() == []
