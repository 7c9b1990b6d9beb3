"""Questions to the lake: those that are shipped, those that must be refused, and Flink's own client."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import Stack
from tests.truth.lake import DLQ, GOLD, SILVER, TABLES
from tests.truth.recordings import Recordings

QUERIES = Path(__file__).parents[2] / "sql" / "queries"
NAMES = sorted(file.stem for file in QUERIES.glob("*.sql"))


def ask(stack: Stack, question: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = stack.tradelake("query", question, "--json").json
    return rows


def test_at_least_ten_questions_are_shipped() -> None:
    assert len(NAMES) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_question_is_answered(pipeline: Stack, name: str) -> None:
    rows = pipeline.tradelake("query", "--name", name, "--json").json
    assert rows
    assert all(row.keys() == rows[0].keys() for row in rows)


def test_every_table_answers_under_its_plain_name(pipeline: Stack) -> None:
    counts = " UNION ALL ".join(f"SELECT '{table}' AS name, count(*) AS rows FROM {table}" for table in TABLES)
    assert {row["name"]: row["rows"] for row in ask(pipeline, counts)} == pipeline.counts()


def test_rejects_by_reason_are_those_of_the_dead_letter_table(pipeline: Stack) -> None:
    rows = pipeline.tradelake("query", "--name", "rejects_by_reason", "--json").json
    reasons = pipeline.lake.rows(DLQ, ("error_reason",))["error_reason"].to_pylist()
    counted: dict[str, int] = {}
    for row in rows:
        (count,) = (value for value in row.values() if isinstance(value, int))
        counted[row["error_reason"]] = counted.get(row["error_reason"], 0) + count
    assert counted == {reason: reasons.count(reason) for reason in set(reasons)}


def test_volume_of_a_recorded_hour_is_exact(pipeline: Stack, recordings: Recordings) -> None:
    trades = [t for t in pipeline.truth("binance", recordings.trades("binance")) if t["timestamp"] // 3_600_000_000 == 478_655]
    wanted = sum(trade["price"] * trade["quantity"] for trade in trades if trade["symbol"] == "BTCUSDT")
    (row,) = ask(
        pipeline,
        f"SELECT sum(price::DECIMAL(19, 8) * quantity::DECIMAL(19, 8)) AS volume FROM {GOLD} "
        "WHERE symbol = 'BTCUSDT' AND exchange_date = DATE '2024-08-08' AND exchange_hour = 23",
    )
    assert row["volume"].rstrip("0") == f"{wanted:f}".rstrip("0")


def test_json_is_one_array_and_keeps_every_digit(pipeline: Stack) -> None:
    question = f"SELECT message_id, price, quantity, \"timestamp\" FROM {SILVER['kraken']} WHERE symbol = 'ALGOBTC' ORDER BY ALL LIMIT 1"
    (row,) = ask(pipeline, question)
    assert row["price"] == "0.00002375"
    assert isinstance(row["timestamp"], int)
    assert ask(pipeline, f"SELECT 1 AS one FROM {GOLD} WHERE false") == []


def test_csv_has_a_header_and_the_same_values(pipeline: Stack) -> None:
    question = f"SELECT symbol, price FROM {SILVER['kraken']} ORDER BY ALL LIMIT 5"
    printed = list(csv.DictReader(io.StringIO(pipeline.tradelake("query", question, "--csv").stdout)))
    assert printed == ask(pipeline, question)


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO {GOLD} SELECT * FROM {GOLD}",
        f"DROP TABLE {GOLD}",
        f"COPY {GOLD} TO 's3://tradelake/gold.csv'",
        "ATTACH '/tmp/other.db'",
        f"SELECT 1; DROP TABLE {GOLD}",
    ],
)
def test_whatever_is_no_single_select_is_wrong_usage(pipeline: Stack, statement: str) -> None:
    before = pipeline.counts()
    refused = pipeline.tradelake("query", statement, exit_code=2)
    assert refused.stdout == ""
    assert pipeline.counts() == before


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM read_text('http://127.0.0.1:1/')"],
)
def test_a_select_reads_nothing_but_the_lake(pipeline: Stack, statement: str) -> None:
    refused = pipeline.tradelake("query", statement, exit_code=1)
    assert refused.stdout == ""
    assert "root:" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_flinks_sql_client_opens_with_catalog_and_tables_in_place(pipeline: Stack, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text(f"SHOW TABLES;\nSELECT COUNT(*) AS rejected FROM {DLQ};\nSELECT * FROM no_such_table;\n", encoding="utf-8")
    printed = pipeline.tradelake("sql", "--file", script, exit_code=1).stdout
    assert all(f"| {table}" in re.sub(" +", " ", printed) for table in TABLES)
    assert f"| {pipeline.lake.count(DLQ)} |" in re.sub(" +", " ", printed)
    assert "Object 'no_such_table' not found" in printed
    script.write_text("SHOW TABLES;\n", encoding="utf-8")
    pipeline.tradelake("sql", "--file", script)
