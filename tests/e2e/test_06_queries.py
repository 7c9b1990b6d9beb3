"""Questions to the lake: those that are shipped, those that must be refused, and Flink's own client."""

import csv
import io
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import BRONZE, DLQ, GOLD, SILVER, TABLES
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


def test_all_layers_are_read_as_of_one_moment(pipeline: Stack) -> None:
    """Two trades and a broken message more since: none of them is there as of before, all are as of after; the past stays as it was."""
    question = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in TABLES)
    pipeline.settle()
    before, first = now(), pipeline.counts()
    pipeline.send_trades("binance", [raw.binance("ASOFUSDT")])
    pipeline.send_trades("kraken", [raw.kraken("ASOF/USD")])
    pipeline.send("kraken", [(b"k", b"\x01")])
    pipeline.settle()
    after, last = now(), pipeline.counts()
    assert {table: last[table] - first[table] for table in TABLES} == {
        BRONZE["binance"]: 2, BRONZE["kraken"]: 3, SILVER["binance"]: 2, SILVER["kraken"]: 2, DLQ: 1, GOLD: 4,
    }  # fmt: skip
    for moment, counts in ((before, first), (after, last), (before, first)):
        answered = pipeline.tradelake("query", "--as-of", moment, question, "--json")
        assert answered.json == [counts]
        assert answered.stderr.strip() == f"as of {moment}"
    compared = f"SELECT (SELECT count(*) FROM newest.market_data.{GOLD}) - (SELECT count(*) FROM lake.market_data.{GOLD}) AS since"
    assert pipeline.tradelake("query", "--as-of", before, compared, "--json").json == [{"since": 4}]
    where = "SELECT symbol FROM gold_crypto_trades WHERE symbol LIKE 'ASOF%' ORDER BY symbol"
    assert pipeline.tradelake("query", "--as-of", before, where, "--json").json == []
    assert pipeline.tradelake("query", "--as-of", after, where, "--json").json == [{"symbol": "ASOFUSD"}, {"symbol": "ASOFUSDT"}]


def now() -> str:
    """The time as `--as-of` takes it and says it again. Commits carry milliseconds: the next one is later than this."""
    time.sleep(0.002)
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_before_their_first_snapshots_tables_are_empty_unless_those_have_expired(pipeline: Stack) -> None:
    question = " UNION ALL ".join(f"SELECT count(*) AS rows FROM {table}" for table in TABLES)
    asked = ["query", "--as-of", "2020-01-01T00:00:00Z", question, "--json"]
    oldest = {table: min(pipeline.lake.table(table).snapshots(), key=lambda s: s.timestamp_ms) for table in TABLES}
    expired = [table for table, snapshot in oldest.items() if snapshot.parent_snapshot_id is not None]
    if expired:  # on a stack that has been up for a while
        refused = pipeline.tradelake(*asked, exit_code=1)
        assert refused.stdout == ""
        assert f"({', '.join(sorted(expired))})" in refused.stderr
    else:
        assert pipeline.tradelake(*asked).json == [{"rows": 0}] * len(TABLES)


@pytest.mark.parametrize(("name", "what"), [("snapshots", "Metadata functions"), ("latency_by_layer", "the column filename")])
def test_what_only_the_present_has_is_refused_as_of_a_moment(pipeline: Stack, name: str, what: str) -> None:
    refused = pipeline.tradelake("query", "--as-of", "1 s", "--name", name, exit_code=1)
    assert refused.stdout == ""
    assert what in refused.stderr
    assert "newest.market_data.TABLE" in refused.stderr


def test_flinks_sql_client_opens_with_catalog_and_tables_in_place(pipeline: Stack, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text(f"SHOW TABLES;\nSELECT COUNT(*) AS rejected FROM {DLQ};\nSELECT * FROM no_such_table;\n", encoding="utf-8")
    printed = pipeline.tradelake("sql", "--file", script, exit_code=1).stdout
    assert all(f"| {table}" in re.sub(" +", " ", printed) for table in TABLES)
    assert f"| {pipeline.lake.count(DLQ)} |" in re.sub(" +", " ", printed)
    assert "Object 'no_such_table' not found" in printed
    script.write_text("SHOW TABLES;\n", encoding="utf-8")
    pipeline.tradelake("sql", "--file", script)
