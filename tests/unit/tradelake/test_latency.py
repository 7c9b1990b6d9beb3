"""Latency is measured over all rows, from commit to commit, and what cannot be measured is counted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from tests.unit.tradelake.tables_in_memory import empty_tables, insert
from tradelake.latency import COMMITS, HOPS, Hop, hops

T0 = datetime(2026, 1, 2, 3, 4, 5)
EXCHANGES = ("binance", "kraken")


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def send(connection: duckdb.DuckDBPyConnection, offset: int, sent: float, bronze: str, silver: str | None = None, trade: str = "") -> None:
    """One message of Binance: sent that many seconds after T0, then in these files of bronze and silver."""
    row = {"topic": "t", "partition": 0, "offset": offset, "kafka_timestamp": after(sent)}
    insert(connection, "bronze_binance_trades", {**row, "filename": bronze})
    if silver:
        insert(connection, "silver_binance_trades", {**row, "message_id": trade, "filename": silver})


def gold(connection: duckdb.DuckDBPyConnection, trade: str, file: str, taken: float = 9) -> None:
    insert(connection, "gold_crypto_trades", {"message_id": trade, "filename": file, "gold_ingestion_timestamp": after(taken)})


def committed(connection: duckdb.DuckDBPyConnection, **files: float) -> None:
    """Files, and how many seconds after T0 their snapshots were committed."""
    columns: list[list[Any]] = [list(files), [after(seconds) for seconds in files.values()]]
    connection.register("commits", pa.table(columns, schema=COMMITS))


@pytest.fixture
def tables() -> duckdb.DuckDBPyConnection:
    return empty_tables()


def test_each_hop_is_the_time_between_two_commits(tables: duckdb.DuckDBPyConnection) -> None:
    send(tables, 0, 0, "b1", "s1", "x")
    gold(tables, "x", "g1")
    committed(tables, b1=2, s1=3.5, g1=7.25)
    assert {name: hop.p50_s for name, hop in hops(tables, EXCHANGES).items()} == {
        "kafka_to_bronze": 2,
        "bronze_to_silver": 1.5,
        "silver_to_gold": 3.75,
        "end_to_end": 7.25,
    }


def test_percentiles_are_over_all_rows(tables: duckdb.DuckDBPyConnection) -> None:
    for offset in range(200):
        send(tables, offset, -offset / 100, "b1")
    committed(tables, b1=1)
    assert hops(tables, EXCHANGES)["kafka_to_bronze"] == Hop(200, 0, p50_s=1.99, p95_s=2.89, p99_s=2.97, max_s=2.99)


def test_a_repeat_counts_from_the_trade_that_came_first(tables: duckdb.DuckDBPyConnection) -> None:
    send(tables, 0, 0, "b1", "s1", "x")
    send(tables, 1, 5, "b2", "s2", "x")
    gold(tables, "x", "g1")
    committed(tables, b1=1, b2=6, s1=2, s2=8, g1=9)
    measured = hops(tables, EXCHANGES)
    assert (measured["silver_to_gold"].rows, measured["silver_to_gold"].max_s) == (1, 7)
    assert (measured["end_to_end"].rows, measured["end_to_end"].max_s) == (1, 9)
    assert measured["bronze_to_silver"].rows == 2


def test_rows_without_a_known_commit_or_partner_are_unmeasured(tables: duckdb.DuckDBPyConnection) -> None:
    send(tables, 0, 0, "b1", "s1", "x")
    send(tables, 1, 0, "expired", "s1", "y")
    insert(tables, "silver_binance_trades", {"topic": "t", "partition": 1, "offset": 0, "kafka_timestamp": T0, "filename": "s1"})
    gold(tables, "x", "g1")
    gold(tables, "y", "expired")
    gold(tables, "unknown", "g1")
    committed(tables, b1=1, s1=2, g1=4)
    measured = hops(tables, EXCHANGES)
    assert {name: (hop.rows, hop.unmeasured) for name, hop in measured.items()} == {
        "kafka_to_bronze": (1, 1),
        "bronze_to_silver": (1, 2),
        "silver_to_gold": (1, 2),
        "end_to_end": (1, 2),
    }


def test_only_rows_since_a_moment_count(tables: duckdb.DuckDBPyConnection) -> None:
    send(tables, 0, -1, "old", "old", "x")
    gold(tables, "x", "old", taken=-0.5)
    send(tables, 1, 0, "b1", "s1", "y")
    gold(tables, "y", "g1")
    committed(tables, b1=1, s1=2, g1=4)
    measured = hops(tables, EXCHANGES, since=T0.replace(tzinfo=UTC))
    assert {(hop.rows, hop.unmeasured) for hop in measured.values()} == {(1, 0)}
    assert measured["end_to_end"].max_s == 4


def test_both_exchanges_are_measured(tables: duckdb.DuckDBPyConnection) -> None:
    for exchange in EXCHANGES:
        insert(
            tables,
            f"bronze_{exchange}_trades",
            {"topic": exchange, "partition": 0, "offset": 0, "kafka_timestamp": T0, "filename": "b1"},
        )
    committed(tables, b1=1)
    assert hops(tables, EXCHANGES)["kafka_to_bronze"].rows == 2
    assert hops(tables, ["kraken"])["kafka_to_bronze"].rows == 1


def test_empty_tables_have_no_latency(tables: duckdb.DuckDBPyConnection) -> None:
    committed(tables)
    assert hops(tables, EXCHANGES) == dict.fromkeys(HOPS, Hop(0, 0))
