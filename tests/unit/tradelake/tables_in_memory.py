"""The lake's tables in memory: the columns of `sql/tables/`, in DuckDB, for queries that need no server."""

import re
from collections.abc import Mapping
from typing import Any

import duckdb

import sql

KINDS = {
    "bronze_binance_trades": "bronze",
    "bronze_kraken_trades": "bronze",
    "silver_binance_trades": "silver",
    "silver_kraken_trades": "silver",
    "silver_dlq_trades": "dlq",
    "gold_crypto_trades": "gold",
}
IN_DUCKDB = (
    (r" COMMENT '(?:[^']|'')*'", ""),
    (r"\) PARTITIONED BY .*", ", filename VARCHAR)"),  # the file of a row, which an Iceberg table has without naming it
    ("ARRAY<STRING>", "VARCHAR[]"),
    ("MAP<STRING, BYTES>", "MAP(VARCHAR, BLOB)"),
    (r"\bBYTES\b", "BLOB"),
    (r"\bSTRING\b", "VARCHAR"),
    (r"TIMESTAMP\(6\)", "TIMESTAMP"),
    ("`", '"'),
)


def empty_tables() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for table, kind in KINDS.items():
        (statement,) = sql.statements(f"tables/{kind}", table=table)
        for pattern, replacement in IN_DUCKDB:
            statement = re.sub(pattern, replacement, statement, flags=re.DOTALL)
        connection.execute(statement)
    return connection


def insert(connection: duckdb.DuckDBPyConnection, table: str, *rows: Mapping[str, Any]) -> None:
    for row in rows:
        columns = ", ".join(f'"{column}"' for column in row)
        connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


def answer(connection: duckdb.DuckDBPyConnection, text: str) -> list[tuple[Any, ...]]:
    return connection.execute(text).fetchall()
