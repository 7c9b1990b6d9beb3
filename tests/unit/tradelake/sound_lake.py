"""A small lake in memory that is as it must be, and every fault that can be planted in it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from tests.unit.tradelake.tables_in_memory import empty_tables, insert
from tests.unit.udfs.strategies import BINANCE, JUDGES, KRAKEN, message
from tradelake.audit import checks
from tradelake.audit.checks import Books
from tradelake.audit.pins import DLQ, GOLD, REPLAYS, Pins
from tradelake.audit.values import values
from udfs.rejected import Rejected

TOPICS = {"binance": "binance-trades", "kraken": "kraken-trades"}
SENT = datetime(2026, 1, 1)
ROWS = 6
BAD = 2
"""The offset of a message in each partition that is rejected."""
SILVER_BINANCE = "silver_binance_trades"


class Present(Pins):
    """Tables as they are now."""

    def relation(self, name: str) -> str:
        return name if name != REPLAYS or name in self.tables else super().relation(name)

    def with_places(self, name: str) -> str:
        return f"(SELECT * EXCLUDE filename, 'file' AS filename, rowid AS file_row_number FROM {name})"

    def rows(self, name: str) -> int:
        return 0


def record(exchange: str, number: int) -> dict[str, Any]:
    if exchange == "binance":
        return BINANCE | {"trade_id": 1000 + number}
    return KRAKEN | {"volume": f"0.{number + 1:08}"}


def sound_lake() -> duckdb.DuckDBPyConnection:
    """Two partitions of each exchange, six messages in each, one of them rejected, through all layers. Binance's ids are dense."""
    connection = empty_tables()
    number = 0
    for exchange, topic in TOPICS.items():
        for partition in (0, 1):
            for offset in range(ROWS):
                raw = None if offset == BAD else message(1 if exchange == "binance" else 3, record(exchange, number))
                number += offset != BAD
                put(connection, exchange, topic, partition, offset, raw)
    return connection


def put(connection: duckdb.DuckDBPyConnection, exchange: str, topic: str, partition: int, offset: int, raw: bytes | None) -> None:
    """One message through all layers."""
    sent = SENT + timedelta(minutes=offset)
    at = {"topic": topic, "partition": partition, "offset": offset, "kafka_timestamp": sent}
    insert(connection, f"bronze_{exchange}_trades", at | {"raw_bytes": raw, "ingestion_timestamp": sent})
    try:
        judged = JUDGES[exchange].judge(raw, offset)
    except Rejected as why:
        row = {"kafka_topic": topic, "kafka_partition": partition, "kafka_offset": offset, "bronze_source": f"bronze_{exchange}_trades"}
        reason = {"error_type": why.error_type, "error_reason": why.error_reason, "schema_id": why.schema_id, "raw_record": raw}
        insert(connection, DLQ, row | reason)
        return
    trade = judged.trade._asdict() | {"trade_conditions": list(judged.trade.trade_conditions)}
    time = datetime.fromtimestamp(judged.trade.timestamp // 1_000_000, UTC)
    place = {"exchange_date": time.date()}
    meta = {"schema_id": judged.schema_id, "bronze_ingestion_timestamp": sent, "validation_timestamp": sent}
    insert(connection, f"silver_{exchange}_trades", trade | at | meta | place)
    insert(connection, GOLD, trade | place | {"exchange_hour": time.hour, "gold_ingestion_timestamp": sent})


def audited(connection: duckdb.DuckDBPyConnection, **options: Any) -> Books:
    """All checks but those of files and snapshots, which need a real catalog."""
    ends = {(topic, partition): (0, ROWS) for topic in TOPICS.values() for partition in (0, 1)}
    ends |= options.pop("ends", {})
    sample = options.pop("sample", None)
    pins = Present(options.pop("tables", {}))
    books = Books(connection, pins, TOPICS, **({"patience_s": 0} | options))
    for exchange in TOPICS:
        checks.offsets(books, exchange, ends)
        checks.coordinates(books, exchange)
        values(books, exchange, JUDGES[exchange], sample)
        checks.places(books, "silver", f"silver_{exchange}_trades")
    checks.ids(books)
    checks.places(books, "gold", GOLD)
    checks.gaps(books, "binance")
    return books


def found(books: Books) -> list[tuple[str, str, str, str, int]]:
    return sorted((c.name, f.kind, f.table, f.key, f.rows) for c in books.checks for f in c.findings)


def id_at(connection: duckdb.DuckDBPyConnection, offset: int, partition: int = 0) -> str:
    ((message_id,),) = connection.execute(
        f'SELECT message_id FROM {SILVER_BINANCE} WHERE "partition" = {partition} AND "offset" = {offset}'
    ).fetchall()
    return str(message_id)


HERE = '"partition" = 0 AND "offset" = 3'
BRONZE_BINANCE = "bronze_binance_trades"
AGAIN = {
    table: f'INSERT INTO {table} FROM (FROM {table} WHERE {HERE})' for table in (BRONZE_BINANCE, SILVER_BINANCE)
}  # fmt: skip
FAULTS = {
    "an offset that bronze lacks": (
        f"DELETE FROM {BRONZE_BINANCE} WHERE {HERE}",
        [
            ("coordinates", "orphan", SILVER_BINANCE, "binance-trades:0:3", 1),
            ("offsets", "absent", BRONZE_BINANCE, "binance-trades:0:3", 1),
        ],
    ),
    "the first and the last offsets that bronze lacks": (
        f'DELETE FROM {BRONZE_BINANCE} WHERE "partition" = 1 AND "offset" IN (0, 1, 5)',
        [
            ("coordinates", "orphan", SILVER_BINANCE, "binance-trades:1:0-1", 2),
            ("coordinates", "orphan", SILVER_BINANCE, "binance-trades:1:5", 1),
            ("offsets", "absent", BRONZE_BINANCE, "binance-trades:1:0-1", 2),
            ("offsets", "absent", BRONZE_BINANCE, "binance-trades:1:5", 1),
        ],
    ),
    "a row that bronze has twice, and what follows from it": (
        "; ".join(AGAIN.values()),
        [("offsets", "doubled", BRONZE_BINANCE, "binance-trades:0:3", 1)],
    ),
    "a row that bronze alone has twice": (
        AGAIN[BRONZE_BINANCE],
        [
            ("coordinates", "absent", SILVER_BINANCE, "binance-trades:0:3", 1),
            ("offsets", "doubled", BRONZE_BINANCE, "binance-trades:0:3", 1),
        ],
    ),
    "an offset that Kafka has not given yet": (
        f'UPDATE {BRONZE_BINANCE} SET "offset" = 6 WHERE "partition" = 0 AND "offset" = 5; '
        f'UPDATE {SILVER_BINANCE} SET "offset" = 6, platform_sequence = 6 WHERE "partition" = 0 AND "offset" = 5; '
        f"UPDATE {GOLD} SET platform_sequence = 6 WHERE source_sequence = 1004",
        [
            ("offsets", "absent", BRONZE_BINANCE, "binance-trades:0:5", 1),
            ("offsets", "orphan", BRONZE_BINANCE, "binance-trades:0:6", 1),
        ],
    ),
    "a row that silver lacks": (
        f"DELETE FROM {SILVER_BINANCE} WHERE {HERE}; DELETE FROM {GOLD} WHERE source_sequence = 1002",
        [
            ("coordinates", "absent", SILVER_BINANCE, "binance-trades:0:3", 1),
            ("source gaps", "gap", GOLD, "BTCUSDT 1002-1002", 1),
        ],
    ),
    "a row that silver has twice": (
        AGAIN[SILVER_BINANCE],
        [("coordinates", "doubled", SILVER_BINANCE, "binance-trades:0:3", 1)],
    ),
    "a rejected row that the dead-letter table lacks": (
        f"DELETE FROM {DLQ} WHERE kafka_topic = 'kraken-trades' AND kafka_partition = 1",
        [("coordinates", "absent", "silver_kraken_trades", "kraken-trades:1:2", 1)],
    ),
    "a rejected row that the dead-letter table has twice": (
        f"INSERT INTO {DLQ} FROM (FROM {DLQ} WHERE kafka_topic = 'kraken-trades' AND kafka_partition = 1)",
        [("coordinates", "doubled", "silver_kraken_trades", "kraken-trades:1:2", 1)],
    ),
    "a row both in silver and rejected": (
        f"UPDATE {DLQ} SET kafka_offset = 3 WHERE kafka_topic = 'binance-trades' AND kafka_partition = 0",
        [
            ("coordinates", "absent", SILVER_BINANCE, "binance-trades:0:2", 1),
            ("coordinates", "doubled", SILVER_BINANCE, "binance-trades:0:3", 1),
            ("values", "altered", DLQ, "binance-trades:0:3", 1),
        ],
    ),
    "a price that silver has changed": (
        f"UPDATE {SILVER_BINANCE} SET price = price + 0.00000001 WHERE {HERE}",
        [("ids", "altered", GOLD, "ID", 1), ("values", "altered", SILVER_BINANCE, "binance-trades:0:3", 1)],
    ),
    "a price that silver and gold have changed": (
        f"UPDATE {SILVER_BINANCE} SET price = price + 0.00000001 WHERE {HERE}; "
        f"UPDATE {GOLD} SET price = price + 0.00000001 WHERE source_sequence = 1002",
        [("values", "altered", SILVER_BINANCE, "binance-trades:0:3", 1)],
    ),
    "a Kafka time that silver has changed": (
        f"UPDATE {SILVER_BINANCE} SET kafka_timestamp = kafka_timestamp + INTERVAL 1 MICROSECOND WHERE {HERE}",
        [("values", "altered", SILVER_BINANCE, "binance-trades:0:3", 1)],
    ),
    "a good trade that was rejected": (
        f"DELETE FROM {SILVER_BINANCE} WHERE {HERE}; DELETE FROM {GOLD} WHERE source_sequence = 1002; "
        f"INSERT INTO {DLQ} (kafka_topic, kafka_partition, kafka_offset, bronze_source, error_reason) "
        f"VALUES ('binance-trades', 0, 3, '{BRONZE_BINANCE}', 'price_not_a_number')",
        [("source gaps", "gap", GOLD, "BTCUSDT 1002-1002", 1), ("values", "altered", DLQ, "binance-trades:0:3", 1)],
    ),
    "another reason than the bytes give": (
        f"UPDATE {DLQ} SET error_reason = 'truncated' WHERE kafka_topic = 'binance-trades' AND kafka_partition = 1",
        [("values", "altered", DLQ, "binance-trades:1:2", 1)],
    ),
    "a trade that gold lacks": (
        f"DELETE FROM {GOLD} WHERE source_sequence = 1002",
        [("ids", "absent", GOLD, "ID", 1), ("source gaps", "gap", GOLD, "BTCUSDT 1002-1002", 1)],
    ),
    "a trade that gold has twice": (
        f"INSERT INTO {GOLD} FROM (FROM {GOLD} WHERE source_sequence = 1002)",
        [("ids", "doubled", GOLD, "ID", 1)],
    ),
    "a trade that gold has changed": (
        f"UPDATE {GOLD} SET side = 'HOLD' WHERE source_sequence = 1002",
        [("ids", "altered", GOLD, "ID", 1)],
    ),
    "a trade that gold has from nowhere": (
        f"UPDATE {GOLD} SET message_id = 'nowhere' WHERE source_sequence = 1002",
        [("ids", "absent", GOLD, "ID", 1), ("ids", "orphan", GOLD, "nowhere", 1)],
    ),
    "a trade in another hour": (
        f"UPDATE {GOLD} SET exchange_hour = (exchange_hour + 1) % 24 WHERE source_sequence = 1002",
        [("partitions", "misplaced", GOLD, "ID", 1)],
    ),
    "a trade on another day": (
        f"UPDATE {SILVER_BINANCE} SET exchange_date = exchange_date + 1 WHERE {HERE}",
        [("partitions", "misplaced", SILVER_BINANCE, "ID", 1)],
    ),
    "a trade on no day": (
        f"UPDATE {SILVER_BINANCE} SET exchange_date = NULL WHERE {HERE}",
        [("partitions", "misplaced", SILVER_BINANCE, "ID", 1)],
    ),
}
