"""Bars: those of the trades that gold has, whenever these came, over a killed process, a stop, an upgrade, and made anew."""

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.e2e import raw
from tests.e2e.stack import Stack, pid_in
from tests.e2e.test_06_queries import QUERIES
from tests.e2e.test_19_sql_client import answers
from tests.e2e.waiting import wait_until
from tests.truth.bars import WIDTHS, Bar, bars
from tests.truth.lake import GOLD
from tests.truth.trades import Raw, Trade

OHLCV = "gold_ohlcv"
SECOND, MINUTE, HOUR = WIDTHS.values()
WATERMARK_US = 5 * MINUTE
COLUMNS = ("message_id", "exchange", "symbol", "timestamp", "price", "quantity", "source_sequence")
KEY = ("exchange", "symbol", "width", "window_start")
MADE = ["price_against_other_exchanges", "volume_against_its_past"]


class Bars:
    """The stack's pipeline with bars, and the trades that this module has sent."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.random = stack, random.Random(29)
        self.start_us = 0
        """Of the hour that the made trades begin in: later than all other trades, so that nothing has closed their windows."""
        self.sent: list[Trade] = []

    def send(self, exchange: str, raws: list[Raw]) -> None:
        self.stack.send_trades(exchange, raws)
        self.sent += self.stack.truth(exchange, raws)

    def binance(self, symbol: str, at_us: int, price: str, quantity: str) -> Raw:
        ms = (self.start_us + at_us) // 1000
        return raw.binance(symbol, trade_time_ms=ms, price=price, quantity=quantity, ingestion_timestamp=ms * 1000 + 5_000)

    def kraken(self, pair: str, at_us: int, price: str, quantity: str) -> Raw:
        at_us += self.start_us
        time = f"{at_us // SECOND}.{at_us % SECOND:06}"
        return raw.kraken(pair, timestamp=time, price=price, volume=quantity, ingestion_timestamp=at_us + 5_000)

    def some(self, count: int, first_us: int, last_us: int) -> None:
        """Trades at random moments, many at one and the same, in no order."""
        moments = [self.random.randrange(first_us, last_us, 1000) for _ in range(count // 3)]
        for exchange in ("binance", "kraken"):
            chosen = [self.random.choice(moments) for _ in range(count)]
            make = self.binance if exchange == "binance" else self.kraken
            symbol = {"binance": "BARSUSDT", "kraken": "BARS/USD"}[exchange]
            self.send(exchange, [make(symbol, at, self.decimal(5), self.decimal(3)) for at in chosen])

    def decimal(self, digits: int) -> str:
        return f"{self.random.randrange(1, 10 ** (digits + 8)) / Decimal(10**8):.8f}"

    def close(self, at_us: int) -> None:
        """A trade this much later than the start: it closes all windows that ended five minutes before it."""
        self.send("binance", [self.binance("BARSFENCEUSDT", at_us, "1", "1")])
        self.stack.settle()

    def gold(self) -> list[Trade]:
        trades: list[Trade] = self.stack.lake.rows(GOLD, COLUMNS).to_pylist()
        return trades

    def wanted(self) -> set[Bar]:
        """The bars of gold's trades whose windows the newest of them has closed."""
        trades = self.gold()
        closed_us = max(trade["timestamp"] for trade in trades) - WATERMARK_US
        return {bar for bar in bars(trades) if bar.start_us + WIDTHS[bar.width] <= closed_us}

    def arrive(self) -> None:
        """Wait until the bars hold as many trades as gold has in closed windows. (That they are no more, is for a test to see.)"""
        wanted = sum(bar.trades for bar in self.wanted())
        self.stack.wait(f"bars hold {wanted} trades", lambda: sum(self.stack.lake.rows(OHLCV, ("trades",))["trades"].to_pylist()) >= wanted)

    def ask(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.stack.tradelake("query", "--name", name, "--json").json
        return rows

    def united(self) -> list[Bar]:
        return [bar_of(row) for row in self.ask("ohlcv")]

    def rows(self, *columns: str, where: str = "symbol IN ('BARSUSDT', 'BARSUSD')") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.stack.lake.rows(OHLCV, columns, where).to_pylist()
        return rows


def bar_of(row: dict[str, Any]) -> Bar:
    start_us = (datetime.fromisoformat(row["window_start"]).replace(tzinfo=UTC) - datetime.fromtimestamp(0, UTC)) // timedelta(
        microseconds=1
    )
    values = {name: Decimal(row[name]) for name in ("open", "high", "low", "close", "volume", "notional", "vwap")}
    ids = {"first": row["first_message_id"], "last": row["last_message_id"]}
    return Bar(row["exchange"], row["symbol"], row["width"], start_us, **values, trades=row["trades"], **ids)


@pytest.fixture(scope="module")
def made(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bars]:
    """All that gold has so far, the shipped recordings among it, as bars. Afterwards the pipeline is as it was before."""
    ohlcv = {"checkpoint_interval": "1 s", "monitor_interval": "500 ms", "watermark": "5 min", "corrections": "1 s"}
    file = tmp_path_factory.mktemp("ohlcv") / "pipeline.yaml"
    file.write_text(yaml.safe_dump(stack.pipeline | {"jobs": stack.pipeline["jobs"] | {"ohlcv": ohlcv}}))
    made = Bars(stack.with_pipeline(file))
    stack.tradelake("produce", "sample")
    stack.settle()
    made.start_us = max(trade["timestamp"] for trade in made.gold()) // HOUR * HOUR + 2 * HOUR
    made.stack.tradelake("tables", "create")
    made.stack.tradelake("submit", "--fresh-state", "ohlcv")  # an earlier run on this stack has left a savepoint
    yield made
    if "ohlcv" in made.stack.jobs():
        made.stack.tradelake("stop", "ohlcv")
    made.stack.lake.catalog().drop_table((stack.pipeline["database"], OHLCV))
    assert stack.running() == sorted(stack.job_names)


def test_without_bars_a_question_about_them_says_how_to_have_them(stack: Stack) -> None:
    assert "`tradelake submit ohlcv`" in stack.tradelake("query", "--name", "ohlcv", exit_code=1).stderr


def test_without_their_block_in_the_settings_there_is_no_job_of_bars(stack: Stack, made: Bars) -> None:
    assert "no job is called ohlcv" in stack.tradelake("submit", "ohlcv", exit_code=2).stderr
    assert "jobs.ohlcv: is missing" in refusal(stack)
    assert [row["job"] for row in made.stack.tradelake("jobs", "--json").json] == [*stack.job_names, "ohlcv"]
    assert made.stack.tradelake("submit").stderr.count("runs already") == len(stack.job_names)


def refusal(stack: Stack) -> str:
    """What plain `flink run` of the job says."""
    ran = stack.flink_run("ohlcv")
    assert ran.exit_code != 0
    return ran.stdout + ran.stderr


def test_closed_windows_have_one_row_each_and_open_ones_none(made: Bars) -> None:
    made.some(60, HOUR - 2 * MINUTE, HOUR + 2 * MINUTE)
    made.stack.settle()
    assert made.rows("trades") == []
    made.close(2 * HOUR + 6 * MINUTE)
    made.arrive()
    rows = made.rows(*KEY, "correction", "trades")
    assert set(Counter(tuple(row[name] for name in KEY) for row in rows).values()) == {1}
    assert {row["correction"] for row in rows} == {False}
    assert Counter(row["width"] for row in rows for _ in range(row["trades"])) == dict.fromkeys(WIDTHS, 120)
    of_this_test = [trade for trade in made.sent if trade["symbol"] in ("BARSUSDT", "BARSUSD")]
    assert {bar for bar in made.united() if bar.symbol in ("BARSUSDT", "BARSUSD")} == bars(of_this_test)


def test_trades_that_come_too_late_add_rows_to_their_bars_and_make_those_that_were_not_there(made: Bars) -> None:
    """First and last of all, at once the highest and the lowest; in a second without a trade; a month before all others."""
    before = set(map(tuple, ((row[name] for name in (*KEY, "produced_at", "trades")) for row in made.rows(*KEY, "produced_at", "trades"))))
    late = [
        made.binance("BARSUSDT", 0, "99999999.99999999", "0.00000001"),
        made.binance("BARSUSDT", 2 * HOUR - 1000, "0.00000001", "99999999.99999999"),
        made.binance("BARSUSDT", -30 * 24 * HOUR, "7", "7"),
    ]
    made.send("binance", [*late, *late])  # gold takes each once
    made.sent = made.sent[:-3]
    made.some(30, HOUR - 2 * MINUTE, HOUR + 2 * MINUTE)
    made.stack.settle()
    made.arrive()
    rows = made.rows(*KEY, "produced_at", "trades", "correction")
    assert {tuple(row[name] for name in (*KEY, "produced_at", "trades")) for row in rows if not row["correction"]} == before
    assert sum(row["trades"] for row in rows if row["correction"]) == 3 * (3 + 60)
    of_this_test = [trade for trade in made.sent if trade["symbol"] in ("BARSUSDT", "BARSUSD")]
    assert {bar for bar in made.united() if bar.symbol in ("BARSUSDT", "BARSUSD")} == bars(of_this_test)


@pytest.mark.processes_only
def test_a_killed_taskmanager_doubles_and_loses_no_bar(made: Bars, stack: Stack) -> None:
    made.some(60, 3 * HOUR, 4 * HOUR)
    killed = stack.pid("taskmanager")
    os.kill(killed, signal.SIGKILL)
    made.some(30, 3 * HOUR, 5 * HOUR)
    wait_until("the process is gone", lambda: not psutil.pid_exists(killed), lambda: None)
    running = sorted([*stack.job_names, "ohlcv"])
    stack.wait("all jobs run again", lambda: stack.running() == running and is_back(stack, killed))
    made.close(6 * HOUR)
    made.some(20, 0, 5 * HOUR)
    stack.settle()
    made.arrive()
    assert Counter(made.united()) == Counter(made.wanted())


def is_back(stack: Stack, killed: int) -> bool:
    status = stack.health()
    return bool(status["running"]) and pid_in(status, "taskmanager") != killed


def test_bars_go_on_from_a_savepoint(made: Bars) -> None:
    """With trades that wait in open windows, and others that come in between."""
    made.some(30, 6 * HOUR, 8 * HOUR)
    made.stack.settle()
    made.stack.tradelake("stop", "ohlcv")
    assert "ohlcv would start without state" in refusal(made.stack)
    made.some(30, 6 * HOUR, 8 * HOUR)
    made.some(10, 0, 5 * HOUR)  # too late, and the first that it will read
    made.stack.settle()
    made.stack.tradelake("submit", "ohlcv")
    made.stack.tradelake("savepoint", "ohlcv")
    made.stack.tradelake("upgrade", "ohlcv")
    made.close(9 * HOUR)
    made.arrive()
    assert Counter(made.united()) == Counter(made.wanted())


def test_two_tasks_keep_the_windows_and_one_says_what_is_late(made: Bars) -> None:
    made.some(30, 9 * HOUR + 6 * MINUTE, 9 * HOUR + 30 * MINUTE)
    made.stack.settle()
    made.stack.tradelake("rescale", "ohlcv", 2)
    vertices = made.stack.rest(f"/jobs/{made.stack.jobs()['ohlcv']['jid']}")["vertices"]
    assert {vertex["parallelism"] for vertex in vertices if "window" in vertex["name"]} == {2}
    assert {vertex["parallelism"] for vertex in vertices if "watermark" in vertex["name"]} == {1}
    made.some(30, 9 * HOUR + 6 * MINUTE, 9 * HOUR + 30 * MINUTE)
    made.close(9 * HOUR + 40 * MINUTE)
    made.some(10, 9 * HOUR + 6 * MINUTE, 9 * HOUR + 30 * MINUTE)
    made.stack.settle()
    made.arrive()
    assert Counter(made.united()) == Counter(made.wanted())


def test_the_graph_is_named_for_a_reader(made: Bars) -> None:
    job = made.stack.jobs()["ohlcv"]["jid"]
    description = "\n".join(node["description"] for node in made.stack.rest(f"/jobs/{job}/plan")["plan"]["nodes"])
    for label, window in (("1s: window", "event_time, 1000"), ("1m: window", "event_time, 60000"), ("1h: window", "event_time, 3600000")):
        assert f"{label}: GroupWindowAggregate(" in description, description
        assert f"{window})]" in description.partition(f"{label}: GroupWindowAggregate(")[2]
    assert "gather corrections: GroupWindowAggregate(" in description
    assert description.count(f"ohlcv-{OHLCV}: Writer<br/>") == 1
    names = " ".join(vertex["name"] for vertex in made.stack.rest(f"/jobs/{job}")["vertices"])
    assert not any(word in names for word in ("Calc[", "*anonymous", "TableToData", "Enforcer["))


def test_what_is_unusual_is_named_by_both_engines(made: Bars, tmp_path: Path) -> None:
    """A coin that is half a percent dearer on one exchange; a minute of five times the volume of those before it."""
    at = 10 * HOUR
    made.send("binance", [made.binance("BARSODDUSDT", at, "201", "1")])
    made.send("kraken", [made.kraken("BARSODD/USD", at + 1, "199", "2"), made.kraken("BARSODD/USD", at + 2, "202", "1")])
    volumes = ((0, "10"), (30, "2"), (60, "1"), (61, "0.2"))
    made.send("binance", [made.binance("BARSVOLUMEUSDT", at + minute * MINUTE, "5", volume) for minute, volume in volumes])
    made.close(13 * HOUR)
    made.arrive()
    prices, minutes = ([row for row in made.ask(name) if "BARS" in (row.get("coin") or row["symbol"])] for name in MADE)
    (price,) = [row for row in prices if row["coin"] == "BARSODD"]
    assert {name: price[name] for name in ("exchange", "price", "other_price", "deviation_bp", "trades", "other_trades")} == {
        "exchange": "BINANCE", "price": "201.00000000", "other_price": "200.00000000", "deviation_bp": 50.0, "trades": 1, "other_trades": 2,
    }  # fmt: skip
    (minute,) = [row for row in minutes if row["symbol"] == "BARSVOLUMEUSDT"]
    assert (minute["volume"], minute["volume_of_hour_before"], minute["times_the_average"]) == ("1.00000000", "12.00000000", 5.0)

    script = tmp_path / "bars.sql"
    script.write_text(
        "SELECT exchange, price, other_price FROM price_against_other_exchanges WHERE coin = 'BARSODD';\n"
        "SELECT volume, volume_of_hour_before, times_the_average FROM volume_against_its_past WHERE symbol = 'BARSVOLUMEUSDT';\n"
        "SELECT width, `open`, high, low, `close`, volume, notional, vwap, trades FROM ohlcv"
        " WHERE symbol = 'BARSUSDT' AND width <> '1s' ORDER BY width, window_start;\n",
        encoding="utf-8",
    )
    found = answers(made.stack.tradelake("sql", "--file", script).stdout)
    assert found[0] == [{"exchange": "BINANCE", "price": "201.00000000", "other_price": "200.00000000"}]
    assert found[1] == [{"volume": "1.00000000", "volume_of_hour_before": "12.00000000", "times_the_average": "5.0"}]
    united = [row for row in made.ask("ohlcv") if row["symbol"] == "BARSUSDT" and row["width"] != "1s"]
    assert len(united) > 10
    assert found[2] == [{name: str(row[name]) for name in found[2][0]} for row in united]


def test_bars_of_gold_differ_from_gold_in_nothing(made: Bars) -> None:
    assert made.ask("bars_that_differ_from_gold") == []
    assert {file.name for file in QUERIES.iterdir() if "gold_ohlcv" in file.read_text(encoding="utf-8")} == {
        *(f"{name}.sql" for name in MADE), "ohlcv.sql", "bars_that_differ_from_gold.sql",
    }  # fmt: skip


def test_bars_made_anew_from_gold_are_the_same(made: Bars, tmp_path: Path) -> None:
    """The repair that docs/bars.md gives. Gold is read in the order of its files, so that most trades come too late."""
    before = made.united()
    made.stack.tradelake("stop", "ohlcv")
    (tmp_path / "drop.sql").write_text("DROP TABLE gold_ohlcv;", encoding="utf-8")
    made.stack.tradelake("sql", "-f", tmp_path / "drop.sql")
    made.stack.tradelake("tables", "create")
    made.stack.tradelake("submit", "--fresh-state", "ohlcv")
    made.arrive()
    assert Counter(made.united()) == Counter(before) == Counter(made.wanted())
