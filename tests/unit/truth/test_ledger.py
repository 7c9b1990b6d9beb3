"""The ledger sees each kind of loss, doubling and change that it promises to see."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.truth.kafka import Message
from tests.truth.ledger import QUESTIONS, audit, table_of

UTC = datetime.UTC
KAFKA_TIME = datetime.datetime(2024, 8, 9, 0, 0, 1, 5000)
READ_TIME = datetime.datetime(2024, 8, 9, 0, 0, 2)
TRADE_US = 1_723_161_600_000_000  # 2024-08-09 00:00 UTC
Rows = dict[str, list[dict[str, Any]]]


def value(offset: int) -> bytes:
    return b"\x00\x00\x00\x00\x07" + bytes([offset])


def silver(offset: int) -> dict[str, Any]:
    return {
        "message_id": f"id-{offset}",
        "trade_id": f"BINANCE-{offset}",
        "symbol": "BTCUSDT",
        "exchange": "BINANCE",
        "asset_class": "crypto",
        "timestamp": TRADE_US,
        "price": Decimal("1.00000000"),
        "quantity": Decimal("2.00000000"),
        "currency": "USDT",
        "side": "BUY",
        "trade_conditions": [],
        "source_sequence": offset,
        "ingestion_timestamp": TRADE_US,
        "platform_sequence": offset,
        "vendor_data": "{}",
        "exchange_date": datetime.date(2024, 8, 9),
    }


def coordinates(offset: int) -> dict[str, Any]:
    return {"topic": "t", "partition": 0, "offset": offset}


def sound() -> Rows:
    """Offsets 0 and 1 are trades, 2 is rejected."""
    arrival = {"kafka_timestamp": KAFKA_TIME, "bronze_ingestion_timestamp": READ_TIME, "schema_id": 7}
    return {
        "bronze": [
            {
                "raw_bytes": value(o),
                "message_key": b"k",
                "headers": [],
                "kafka_timestamp": KAFKA_TIME,
                "ingestion_timestamp": READ_TIME,
                **coordinates(o),
            }
            for o in range(3)
        ],
        "silver": [silver(o) | coordinates(o) | arrival for o in range(2)],
        "dlq": [{"raw_record": value(2), **coordinates(2)}],
        "gold": [silver(o) | {"exchange_hour": 0} for o in range(2)],
    }


def answers(rows: Rows, messages: int = 3) -> list[str]:
    milliseconds = int(KAFKA_TIME.replace(tzinfo=UTC).timestamp() * 1000)
    kafka = table_of(Message("t", 0, o, milliseconds, b"k", value(o), ()) for o in range(messages))
    types = {"headers": pa.map_(pa.string(), pa.binary()), "trade_conditions": pa.list_(pa.string())}

    def table(name: str) -> pa.Table:
        inferred = pa.Table.from_pylist(rows[name] or sound()[name])
        schema = pa.schema([(f.name, types.get(f.name, f.type)) for f in inferred.schema])
        return pa.Table.from_pylist(rows[name], schema)

    return audit({"kafka": kafka} | {name: table(name) for name in rows})


def test_sound_books_have_no_discrepancy() -> None:
    assert answers(sound()) == []


def drop(table: str) -> Callable[[Rows], None]:
    return lambda rows: rows[table].pop()


def repeat(table: str) -> Callable[[Rows], None]:
    return lambda rows: rows[table].append(dict(rows[table][0]))


def change(table: str, column: str, to: Any) -> Callable[[Rows], None]:
    return lambda rows: rows[table][0].update({column: to})


BREAKS = {
    "Kafka messages are not in bronze": drop("bronze"),
    "bronze rows are not in Kafka": change("bronze", "offset", 9),
    "bronze rows too many for their coordinates": repeat("bronze"),
    "bronze rows differ from their Kafka message": change("bronze", "raw_bytes", b"other"),
    "bronze rows are neither in silver nor rejected": drop("dlq"),
    "silver or rejected rows are not in bronze": change("silver", "offset", 9),
    "silver or rejected rows too many for their coordinates": repeat("silver"),
    "silver rows differ from their bronze row": change("silver", "bronze_ingestion_timestamp", KAFKA_TIME),
    "silver rows name another schema than their message": change("silver", "schema_id", 8),
    "rejected rows differ from their message": change("dlq", "raw_record", None),
    "gold rows too many for their message_id": repeat("gold"),
    "trades of silver are not in gold": drop("gold"),
    "gold rows are no row of silver": change("gold", "price", Decimal("1.00000001")),
    "gold rows stand in another hour than their trade": change("gold", "exchange_hour", 1),
    "silver rows stand on another day than their trade": change("silver", "exchange_date", datetime.date(2024, 8, 8)),
}


def test_every_question_has_a_break_that_it_sees() -> None:
    assert set(BREAKS) == set(QUESTIONS)


@pytest.mark.parametrize("what", BREAKS)
def test_a_break_is_seen_and_counted(what: str) -> None:
    rows = sound()
    BREAKS[what](rows)
    assert f"1 {what}" in answers(rows)
