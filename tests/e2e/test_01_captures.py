"""Real trades, from the recording to gold: every row, every value, every byte; and nothing more when they are sent again."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.stack import Stack
from tests.truth.lake import BRONZE, DLQ, GOLD, SILVER, TABLES, V2_COLUMNS
from tests.truth.recordings import Recordings
from tests.truth.trades import Trade

OF_THE_TRADE = tuple(column for column in V2_COLUMNS if column != "platform_sequence")
EXCHANGES = ("binance", "kraken")


def produce(stack: Stack, recordings: Recordings) -> None:
    for command in recordings.commands():
        stack.tradelake("produce", *command)


def layers(recordings: Recordings, times: int) -> dict[str, int]:
    """The rows of every table when the recordings were sent so many times."""
    per_exchange = {layer[exchange]: times * recordings.counts[exchange] for layer in (BRONZE, SILVER) for exchange in EXCHANGES}
    return per_exchange | {DLQ: 0, GOLD: recordings.total}


@pytest.fixture(scope="module")
def arrived(stack: Stack, recordings: Recordings) -> Stack:
    assert stack.counts() == dict.fromkeys(TABLES, 0)
    produce(stack, recordings)
    stack.arrive()
    stack.wait_for_counts(**{GOLD: recordings.total})
    return stack


@pytest.fixture(scope="module")
def expected(stack: Stack, recordings: Recordings) -> dict[str, list[Trade]]:
    return {exchange: stack.truth(exchange, recordings.trades(exchange)) for exchange in EXCHANGES}


def test_every_recorded_trade_reaches_bronze_silver_and_gold_and_none_is_rejected(arrived: Stack, recordings: Recordings) -> None:
    assert arrived.counts() == layers(recordings, times=1)


def test_the_books_of_the_recordings_balance(arrived: Stack) -> None:
    assert arrived.discrepancies() == []


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_every_value_of_silver_equals_the_independent_reading(arrived: Stack, expected: dict[str, list[Trade]], exchange: str) -> None:
    found = arrived.lake.rows(SILVER[exchange], OF_THE_TRADE).to_pylist()
    assert first_difference(found, expected[exchange]) is None


def test_every_value_of_gold_equals_the_independent_reading(arrived: Stack, expected: dict[str, list[Trade]]) -> None:
    found = arrived.lake.rows(GOLD, OF_THE_TRADE).to_pylist()
    assert first_difference(found, [trade for trades in expected.values() for trade in trades]) is None


def first_difference(found: list[Trade], wanted: list[Trade]) -> tuple[Any, Any] | None:
    """The first pair of rows, by message_id, that is not equal."""
    pairs = zip(by_id(found), by_id(wanted), strict=True)
    return next(((row, truth) for row, truth in pairs if row != truth), None)


def by_id(trades: list[Trade]) -> Iterator[Trade]:
    return iter(sorted(trades, key=lambda trade: trade["message_id"]))


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_prices_are_exact_decimals_and_times_whole_microseconds(arrived: Stack, exchange: str) -> None:
    types = {field.name: str(field.field_type) for field in arrived.lake.table(SILVER[exchange]).schema().fields}
    assert {name: types[name] for name in ("price", "quantity", "timestamp", "ingestion_timestamp")} == {
        "price": "decimal(18, 8)",
        "quantity": "decimal(18, 8)",
        "timestamp": "long",
        "ingestion_timestamp": "long",
    }


@pytest.mark.parametrize(("exchange", "symbol"), [("binance", "symbol"), ("kraken", "pair")])
def test_bronze_holds_the_recorded_trades_byte_for_byte(arrived: Stack, recordings: Recordings, exchange: str, symbol: str) -> None:
    rows = arrived.lake.rows(BRONZE[exchange], ("raw_bytes", "message_key", "kafka_timestamp_type")).to_pylist()
    decoded = [(arrived.registry.decode(row["raw_bytes"]), row["message_key"]) for row in rows]
    assert {schema_id for (schema_id, _), _ in decoded} == {arrived.schema_ids[exchange]}
    assert all(key == record[symbol].encode() for (_, record), key in decoded)
    assert {row["kafka_timestamp_type"] for row in rows} == {"CreateTime"}
    found = sorted((record for (_, record), _ in decoded), key=repr)
    assert found == sorted((ordered(found[0], raw) for raw in recordings.trades(exchange)), key=repr)


def ordered(like: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    return {name: raw[name] for name in like}


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_trades_of_a_symbol_keep_their_order_in_kafka(arrived: Stack, recordings: Recordings, exchange: str) -> None:
    found: dict[bytes, list[int]] = {}
    for message in arrived.broker.messages(arrived.topics[exchange]):
        assert message.key is not None
        assert message.value is not None
        found.setdefault(message.key, []).append(arrived.registry.decode(message.value)[1]["ingestion_timestamp"])
    sent: dict[bytes, list[int]] = {}
    for raw in recordings.trades(exchange):
        sent.setdefault(str(raw["symbol" if exchange == "binance" else "pair"]).encode(), []).append(raw["ingestion_timestamp"])
    assert found == sent


def test_sending_all_again_doubles_bronze_and_silver_and_adds_nothing_to_gold(arrived: Stack, recordings: Recordings) -> None:
    produce(arrived, recordings)
    arrived.arrive()
    assert arrived.counts() == layers(recordings, times=2)
    arrived.settle()
    fences = len(EXCHANGES)
    assert arrived.lake.count(GOLD) == recordings.total + fences
    assert arrived.discrepancies() == []
