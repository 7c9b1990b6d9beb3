"""The example files of Flink's SQL client, run by the client itself, and what they answer."""

import re
import signal
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from threading import Timer
from typing import Any

import psutil
import pytest

from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import DLQ, GOLD

EXAMPLES = Path(__file__).parents[2] / "sql" / "examples"
VIEWS = [
    "duplicates_in_gold",
    "lag_by_exchange_and_minute",
    "last_trades",
    "rejects_by_reason",
    "spread_between_exchanges",
    "trades",
    "volume_by_exchange_and_minute",
]
PATIENCE_S = 300
STREAM = "SELECT symbol FROM gold_crypto_trades /*+ OPTIONS('streaming' = 'true', 'monitor-interval' = '1 s') */;\n"

Row = dict[str, str]


def answers(printed: str) -> list[list[Row]]:
    """The rows of each table that the client printed; a query without rows prints none."""
    found: list[list[Row]] = []
    columns: list[str] = []
    for line in printed.splitlines():
        if line.rstrip().endswith("-+") and not columns:
            columns = ["?"]
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if columns == ["?"]:
                columns = cells
                found.append([])
            else:
                found[-1].append(dict(zip(columns, cells, strict=True)))
        elif not line.startswith("+"):
            columns = []
    return found


def example(stack: Stack, name: str, **given: object) -> list[list[Row]]:
    values = [argument for key, value in given.items() for argument in ("--set", f"{key}={value}")]
    return answers(stack.tradelake("sql", "--file", EXAMPLES / f"{name}.sql", *values).stdout)


@pytest.fixture(scope="module")
def still(stack: Stack) -> Stack:
    """The stack with trades and a rejected message in it, and nothing under way."""
    stack.send_trades("binance", [raw.binance("SQLUSDT", price="101.50000000", quantity="2.00000000")])
    stack.send_trades("kraken", [raw.kraken("SQL/USD", price="100.00000", volume="0.50000000")])
    stack.send("kraken", [(b"k", b"\x01")])
    stack.settle()
    return stack


def rows(stack: Stack, table: str, *columns: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.lake.rows(table, columns).to_pylist()
    return found


def test_batch(still: Stack) -> None:
    views, per_exchange, rejects, volume, spread, last = example(still, "batch")
    gold = rows(still, GOLD, "message_id", "exchange", "symbol", "timestamp", "price", "quantity", "currency", "trade_id")
    assert [row["view name"] for row in views] == VIEWS
    assert {row["exchange"]: int(row["trades"]) for row in per_exchange} == Counter(row["exchange"] for row in gold)
    told = Counter((row["bronze_source"], row["error_reason"]) for row in rows(still, DLQ, "bronze_source", "error_reason"))
    assert {(row["bronze_source"], row["error_reason"]): int(row["messages"]) for row in rejects} == told
    assert [int(row["messages"]) for row in rejects] == sorted(told.values(), reverse=True)
    minutes = Counter((row["timestamp"] // 60_000_000, row["exchange"], row["currency"]) for row in gold)
    newest = sorted(minutes, key=lambda key: (-key[0], key[1], key[2]))[:10]
    assert [(row["exchange"], row["currency"], int(row["trades"])) for row in volume] == [(*key[1:], minutes[key]) for key in newest]
    for row, key in zip(volume, newest, strict=True):
        of = [trade for trade in gold if (trade["timestamp"] // 60_000_000, trade["exchange"], trade["currency"]) == key]
        assert Decimal(row["quote_volume"]) == sum(trade["price"] * trade["quantity"] for trade in of)
    (ours,) = [row for row in spread if row["coin"] == "SQL"]
    assert {key: ours[key] for key in ("exchange", "price", "other_exchange", "other_price", "spread", "spread_bp")} == {
        "exchange": "BINANCE", "price": "101.50000000", "other_exchange": "KRAKEN", "other_price": "100.00000000",
        "spread": "-1.50000000", "spread_bp": "-147.78",
    }  # fmt: skip
    latest = sorted(gold, key=lambda trade: (-(trade["timestamp"] // 1000), -int(trade["message_id"].replace("-", ""), 16)))[:20]
    assert [row["trade_id"] for row in last] == [trade["trade_id"] for trade in latest]


def test_changelog(still: Stack) -> None:
    """Every message changes one row of the result: the old count is taken back, the new one given."""
    (changes,) = example(still, "changelog")
    counts: dict[str, int] = {}
    for change in changes:
        source, messages = change["bronze_source"], int(change["messages"])
        if change["op"] == "-U":
            assert counts.pop(source) == messages
        else:
            assert (change["op"], source in counts, messages) == ("+I" if messages == 1 else "+U", False, messages)
            counts[source] = messages
    told = Counter(row["bronze_source"] for row in rows(still, DLQ, "bronze_source"))
    assert counts == told
    assert len(changes) == sum(2 * messages - 1 for messages in told.values())


def test_time_travel(still: Stack) -> None:
    table = still.lake.table(GOLD)
    snapshot = table.snapshots()[-1]
    before = still.lake.count(GOLD)
    still.send_trades("kraken", [raw.kraken("TRAVEL/USD") for _ in range(3)])
    still.settle()
    found = example(still, "time_travel", snapshot_id=snapshot.snapshot_id, as_of_ms=snapshot.timestamp_ms)
    assert found == [
        [{"rows_now": str(before + 5)}],  # with the two fences
        [{"rows_of_the_snapshot": str(before)}],
        [{"rows_as_of_then": str(before)}],
        [{"rows_since": "5"}],
    ]


def test_metadata_tables(still: Stack) -> None:
    snapshots, history, partitions, files = example(still, "metadata_tables")
    table = still.lake.table(GOLD)
    known = {str(snapshot.snapshot_id): snapshot for snapshot in table.snapshots()}
    (newest_with_rows,) = [row for row in snapshots if row["added"]][:1] or [None]
    assert [row["snapshot_id"] in known for row in snapshots] == [True] * 10
    assert newest_with_rows is None or newest_with_rows["added"] == known[newest_with_rows["snapshot_id"]].summary["added-records"]
    assert {row["total"] for row in snapshots[:1]} == {str(still.lake.count(GOLD))}
    assert [row["is_current_ancestor"] for row in history] == ["TRUE"] * 10
    inspected = table.inspect.partitions().to_pylist()
    wanted = sorted((part["record_count"] for part in inspected), reverse=True)[:10]
    assert [int(row["record_count"]) for row in partitions] == wanted
    sizes = table.inspect.files()["file_size_in_bytes"].to_pylist()
    assert files == [
        [
            {
                "files": str(len(sizes)),
                "records": str(still.lake.count(GOLD)),
                "smallest": str(min(sizes)),
                "largest": str(max(sizes)),
            }
        ][0]
    ]


def sessions(stack: Stack) -> list[dict[str, Any]]:
    return [job for name, job in stack.jobs().items() if name.startswith("tradelake sql ")]


@pytest.mark.processes_only
def test_streaming_shows_each_new_trade_until_it_is_interrupted(still: Stack) -> None:
    """And waits for them quietly. The client alone would end, and leave its query running on the cluster."""
    client = still.start("sql", "--file", EXAMPLES / "streaming.sql")
    patience = Timer(PATIENCE_S, client.kill)  # reading from it would wait for ever
    patience.start()
    try:
        still.wait("the query runs", lambda: [job["state"] for job in sessions(still)] == ["RUNNING"])
        still.settle()
        assert cores(client.pid) < 0.5
        trades = [raw.kraken("STREAMED/USD", price=f"{number}.50000") for number in range(1, 4)]
        still.send_trades("kraken", trades)
        seen: list[str] = []
        assert client.stdout
        for line in client.stdout:
            if "STREAMEDUSD" in line:
                seen.append(re.sub(" +", " ", line))
            if len(seen) == len(trades):
                break
        assert sorted(row.split("|")[1:6:1][0].strip() for row in seen) == ["+I"] * 3
        assert sorted(row.split("|")[5].strip() for row in seen) == ["1.50000000", "2.50000000", "3.50000000"]
    finally:
        client.send_signal(signal.SIGTERM)  # as `timeout` does; Ctrl-C is ignored by what was started in the background
        client.communicate()
        patience.cancel()
    assert client.returncode == 1
    still.wait("the query is gone", lambda: sessions(still) == [])


def cores(pid: int, seconds: float = 5) -> float:
    """How many cores this process and its children keep busy."""

    def used() -> float:
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    process = psutil.Process(pid)
    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds


@pytest.mark.processes_only
def test_a_query_without_an_end_is_ended_after_the_time_given(still: Stack, tmp_path: Path) -> None:
    script = tmp_path / "stream.sql"
    script.write_text(f"SET 'execution.runtime-mode' = 'streaming';\n{STREAM}", encoding="utf-8")
    still.tradelake("sql", "--file", script, "--stop-after", "20 s")
    still.wait("the query is gone", lambda: sessions(still) == [])
    assert list((still.home / "flink" / "tmp").glob("sql-script-*")) == []


def test_views_answer_in_streaming_mode_too(still: Stack, tmp_path: Path) -> None:
    """The two that are hardest on a planner, and that the batch example has not both."""
    script = tmp_path / "views.sql"
    asked = "SELECT a.spreads, b.lags FROM (SELECT COUNT(*) AS spreads FROM spread_between_exchanges WHERE coin = 'SQL') AS a"
    text = f"{asked} CROSS JOIN (SELECT SUM(trades) AS lags FROM lag_by_exchange_and_minute) AS b;\n"
    script.write_text(f"SET 'execution.runtime-mode' = 'streaming';\n{text}", encoding="utf-8")
    (changes,) = answers(still.tradelake("sql", "--file", script).stdout)
    assert (changes[-1]["spreads"], int(changes[-1]["lags"])) == ("1", still.lake.count(GOLD))


def test_without_tables_there_are_no_views_and_the_client_says_so(still: Stack, tmp_path: Path) -> None:
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(still.pipeline_file.read_text(encoding="utf-8").replace("database: market_data", "database: not_there_yet"))
    script = tmp_path / "show.sql"
    script.write_text("SHOW TABLES;\n", encoding="utf-8")
    ran = still.with_pipeline(pipeline).tradelake("sql", "--file", script)
    assert "no views: there is no gold_crypto_trades, silver_dlq_trades; `tradelake tables create`" in ran.stderr
    assert answers(ran.stdout) == []
    still.lake.catalog().drop_namespace("not_there_yet")
