"""Writers change their schema while the jobs run."""

from typing import Any

import pytest
from pyiceberg.expressions import In

from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import DLQ, SILVER, V2_COLUMNS
from tests.truth.trades import Raw

SYMBOLS = {"binance": "EVOLVEDUSDT", "kraken": "EVOLVED/EUR"}
EACH = 200


def evolved(stack: Stack, exchange: str) -> dict[str, Any]:
    """The newest schema with a field more, with a default, in the middle of the record."""
    schema = stack.registry.schema(stack.schema_ids[exchange])
    fields = [{name: field[name] for name in field if not name.startswith("__")} for field in schema["fields"]]
    added = {"name": "sequence_of_the_feed", "type": ["null", "string"], "default": None}
    name = schema["name"].rpartition(".")[2]
    return {"type": "record", "name": name, "namespace": "com.k2.marketdata.raw", "fields": [*fields[:2], added, *fields[2:]]}


@pytest.mark.parametrize("exchange", ["binance", "kraken"])
def test_a_field_that_a_writer_adds_leaves_old_and_new_messages_valid(pipeline: Stack, exchange: str) -> None:
    before = pipeline.lake.count(SILVER[exchange]), pipeline.lake.count(DLQ)
    answer = pipeline.registry.register(f"{pipeline.topics[exchange]}-value", evolved(pipeline, exchange))
    assert answer.status_code == 200, answer.text
    old_id, new_id = pipeline.schema_ids[exchange], answer.json()["id"]
    assert new_id != old_id
    sent: list[Raw] = []
    for number in range(EACH):
        old, new = (raw.trade(exchange, SYMBOLS[exchange]) for _ in range(2))
        pipeline.send_trades(exchange, [old], old_id, partition=number % 4)
        pipeline.send_trades(exchange, [new | {"sequence_of_the_feed": f"n{number}"}], new_id, partition=(number + 1) % 4)
        sent += [old, new]
    pipeline.arrive()
    assert (pipeline.lake.count(SILVER[exchange]), pipeline.lake.count(DLQ)) == (before[0] + 2 * EACH, before[1])
    assert_silver_holds(pipeline, exchange, sent, {old_id: EACH, new_id: EACH})


def test_messages_of_krakens_first_version_are_valid_beside_the_second(pipeline: Stack) -> None:
    first, second = pipeline.registry.ids("kraken-trades-value")[:2]
    known = {field["name"] for field in pipeline.registry.schema(first)["fields"]}
    assert {"trade_id", "occurrence"} & known == set()
    pair, rejected_before = "EVOLVED/GBP", pipeline.lake.count(DLQ)
    old = [{name: value for name, value in raw.kraken(pair).items() if name in known} for _ in range(EACH)]
    new = [raw.kraken(pair, trade_id=70_000_000 + n) if n % 2 else raw.kraken(pair, occurrence=n) for n in range(EACH)]
    for one, other in zip(old, new, strict=True):
        pipeline.send_trades("kraken", [one], first)
        pipeline.send_trades("kraken", [other], second)
    pipeline.arrive()
    assert pipeline.lake.count(DLQ) == rejected_before
    assert_silver_holds(pipeline, "kraken", old + new, {first: EACH, second: EACH})


def assert_silver_holds(stack: Stack, exchange: str, sent: list[Raw], by_schema: dict[int, int]) -> None:
    """Exactly these trades, so many by each schema."""
    expected = stack.truth(exchange, sent)
    where = In("message_id", [trade["message_id"] for trade in expected])
    rows = stack.lake.rows(SILVER[exchange], (*V2_COLUMNS, "schema_id"), where).to_pylist()
    found = sorted(({name: row[name] for name in expected[0]} for row in rows), key=lambda row: row["message_id"])
    assert found == sorted(expected, key=lambda row: row["message_id"])
    assert {schema_id: sum(row["schema_id"] == schema_id for row in rows) for schema_id in by_schema} == by_schema
    assert len(rows) == sum(by_schema.values())


@pytest.mark.parametrize("change", ["a field without a default", "another type"])
def test_the_registry_refuses_a_schema_that_old_readers_cannot_read(pipeline: Stack, change: str) -> None:
    subject = "binance-trades-value"
    schema, before = evolved(pipeline, "binance"), pipeline.registry.ids(subject)
    if change == "another type":
        next(field for field in schema["fields"] if field["name"] == "price")["type"] = "long"
    else:
        schema["fields"].append({"name": "venue", "type": "string"})
    assert pipeline.registry.register(subject, schema).status_code == 409
    assert pipeline.registry.ids(subject) == before


def test_evolved_trades_reach_gold_once(pipeline: Stack) -> None:
    pipeline.settle()
    assert pipeline.discrepancies() == []
