"""What is no trade: every reason of the contract, by examples that go through Kafka and the real jobs."""

import re
from collections import Counter
from typing import Any

import pytest

from conf.settings import load
from tests.e2e.stack import Coordinate, Stack
from tests.truth.lake import BRONZE, DLQ, SILVER
from tradelake.produce.bad import Example, bad_messages, key
from udfs.rejected import ERROR_TYPES

EXCHANGES = ("binance", "kraken")
CONTRACT = {
    "null_value": "decode",
    "bad_magic_byte": "decode",
    "truncated": "decode",
    "avro_decode_failed": "decode",
    "trailing_bytes": "decode",
    "unknown_schema_id": "schema",
    "incompatible_schema": "schema",
    "price_not_a_number": "price",
    "price_not_positive": "price",
    "price_out_of_range": "price",
    "quantity_not_a_number": "quantity",
    "quantity_not_positive": "quantity",
    "quantity_out_of_range": "quantity",
    "timestamp_unreadable": "timestamp",
    "timestamp_in_future": "timestamp",
    "timestamp_too_old": "timestamp",
    "symbol_missing": "symbol",
    "symbol_unreadable": "symbol",
    "side_unknown": "side",
}
"""The contract's table of reasons, written off by hand."""
ONLY_OF_KRAKEN = {"side_unknown"}

Sent = dict[Coordinate, tuple[str, Example]]


@pytest.fixture(scope="module")
def sent(stack: Stack) -> dict[str, Sent]:
    """All examples of both exchanges, by where they stand in Kafka; returned once they are rejected."""
    rejected_before, silver_before = stack.lake.count(DLQ), stack.lake.counts(SILVER.values())
    settings = load(stack.pipeline_file, stack.home / "environment.yaml")
    found: dict[str, Sent] = {}
    for exchange in EXCHANGES:
        examples = [(reason, example) for reason, some in bad_messages(settings, exchange).items() for example in some]
        coordinates = stack.send(exchange, [(key(exchange), example.value) for _, example in examples])
        found[exchange] = dict(zip(coordinates, examples, strict=True))
    stack.arrive()
    assert stack.lake.count(DLQ) == rejected_before + sum(map(len, found.values()))
    assert stack.lake.counts(SILVER.values()) == silver_before
    return found


@pytest.fixture(scope="module")
def rejected(stack: Stack, sent: dict[str, Sent]) -> dict[Coordinate, dict[str, Any]]:
    rows = stack.lake.rows(DLQ).to_pylist()
    return {Coordinate(row["kafka_topic"], row["kafka_partition"], row["kafka_offset"]): row for row in rows}


def test_the_reasons_in_the_code_are_the_contracts() -> None:
    assert ERROR_TYPES == CONTRACT


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_no_reason_in_the_code_is_without_an_example(sent: dict[str, Sent], exchange: str) -> None:
    assert {reason for reason, _ in sent[exchange].values()} == set(ERROR_TYPES) - (set() if exchange == "kraken" else ONLY_OF_KRAKEN)


@pytest.mark.parametrize("reason", CONTRACT)
def test_every_example_is_rejected_with_exactly_its_type_and_reason(
    stack: Stack, sent: dict[str, Sent], rejected: dict[Coordinate, dict[str, Any]], reason: str
) -> None:
    columns = ("error_type", "error_reason", "raw_record", "bronze_source", "schema_id")
    wanted, found = {}, {}
    for exchange in EXCHANGES:
        for at, (named, example) in sent[exchange].items():
            if named == reason:
                row = rejected[at]
                wanted[example.description] = (CONTRACT[reason], reason, example.value, BRONZE[exchange], schema_id(example.value))
                found[example.description] = tuple(row[column] for column in columns)
                assert row["dlq_date"] == row["error_timestamp"].date()
    assert found == wanted


def schema_id(value: bytes | None) -> int | None:
    """The id in the header, as a signed INT; None where there is no readable header."""
    readable = value is not None and len(value) >= 5 and value[0] == 0
    return int.from_bytes(value[1:5], "big", signed=True) if value is not None and readable else None


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_tombstone_is_kept_as_a_row_of_bronze(stack: Stack, sent: dict[str, Sent], exchange: str) -> None:
    rows = stack.lake.rows(BRONZE[exchange], ("raw_bytes", "message_key", "topic", "partition", "offset")).to_pylist()
    without_value = {
        Coordinate(row["topic"], row["partition"], row["offset"]): row["message_key"] for row in rows if row["raw_bytes"] is None
    }
    assert without_value == {at: key(exchange) for at, (_, example) in sent[exchange].items() if example.value is None}


def test_bronze_is_silver_and_rejected_by_kafka_coordinates(stack: Stack, sent: dict[str, Sent]) -> None:
    assert stack.discrepancies() == []


def test_messages_with_key_headers_and_neither_are_kept_as_they_came(pipeline: Stack) -> None:
    value = b"\x01 no trade"
    (bare,) = pipeline.send("binance", [(None, value)])
    (full,) = pipeline.send("binance", [(b"\xff\x00", value)], headers=[("trace", b"\x00\xff"), ("empty", None)])
    pipeline.arrive()
    rows = pipeline.lake.rows(BRONZE["binance"], ("raw_bytes", "message_key", "headers", "topic", "partition", "offset")).to_pylist()
    found = {Coordinate(r["topic"], r["partition"], r["offset"]): (r["raw_bytes"], r["message_key"], dict(r["headers"])) for r in rows}
    assert found[bare] == (value, None, {})
    assert found[full] == (value, b"\xff\x00", {"trace": b"\x00\xff", "empty": None})


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_the_judges_counters_say_how_many_were_rejected_for_which_reason(pipeline: Stack, sent: dict[str, Sent], exchange: str) -> None:
    rows = pipeline.lake.rows(DLQ, ("error_reason",), f"bronze_source = '{BRONZE[exchange]}'")
    in_the_table = Counter(rows["error_reason"].to_pylist())
    pipeline.wait("the counters equal the table", lambda: rejected_counters(pipeline, exchange) == in_the_table)


def rejected_counters(stack: Stack, exchange: str) -> dict[str, int]:
    """What the running judge has counted, by reason."""
    named = {
        re.search(r"reason\.(\w+)\.rejected$", name): count for name, count in stack.metrics(f"silver-{exchange}", ".rejected").items()
    }
    return {match[1]: count for match, count in named.items() if match}


def test_a_snapshot_of_the_dead_letter_table_has_rows(pipeline: Stack) -> None:
    """Several jobs write it and one expires it: snapshots without rows would push out those by which a stopped job finds its place.

    Other tables get one with every tenth checkpoint.
    """
    pipeline.settle()
    before = len(rows_added(pipeline, SILVER["kraken"]))
    pipeline.wait("a snapshot without rows in silver", lambda: 0 in rows_added(pipeline, SILVER["kraken"])[before:])
    assert 0 not in rows_added(pipeline, DLQ)


def rows_added(stack: Stack, table: str) -> list[int]:
    """By each snapshot."""
    summaries = [snapshot.summary for snapshot in stack.lake.table(table).snapshots()]
    return [int(summary["added-records"] or 0) for summary in summaries if summary]
