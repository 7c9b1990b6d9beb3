"""What the demo sends, when it is complete, what it says when something stands still, and what it prints."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from rich.console import Console

from conf.settings import PIPELINE, Settings, load_pipeline
from tests.unit.tradelake.tables_in_memory import empty_tables, insert
from tests.unit.tradelake.test_query import ENVIRONMENT
from tradelake.cli import tradelake
from tradelake.console import Failure
from tradelake.demo import command
from tradelake.demo.progress import PATIENCE_S, Progress, Reject, Watch, read_progress, read_rejects, read_totals, running_jobs, settled
from tradelake.demo.report import Outcome, as_object
from tradelake.demo.screen import View, by_reason, closing, hops_table, rejects_table, render, summary, unmeasured
from tradelake.demo.traffic import BROKEN, RECONNECTS, Sending, floor_ms, interleave, with_repeats
from tradelake.latency import HOPS, Hop
from tradelake.produce.bad import examples
from tradelake.produce.sample import sample_records
from tradelake.rest import FlinkJob
from tradelake.stack.checks import alone

SETTINGS = Settings(pipeline=load_pipeline(PIPELINE), environment=ENVIRONMENT)
SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UNTIL = SINCE + timedelta(seconds=10)


def test_a_reconnect_repeats_the_last_trades() -> None:
    assert list(with_repeats("abcde", every=2, again=1)) == list("abbcdde")


def test_streams_are_spread_over_one_another_in_their_own_order() -> None:
    assert "".join(interleave("aaaaaa", "XY", "")) == "aaXaaaYa"
    assert list(interleave(range(1000)))[::250] == [0, 250, 500, 750]


def test_about_two_percent_are_repeats_and_ten_messages_are_broken() -> None:
    trades = {exchange: sample_records(exchange) for exchange in RECONNECTS}
    repeats = {
        exchange: len(list(with_repeats(trades[exchange], *RECONNECTS[exchange]))) - len(trades[exchange]) for exchange in RECONNECTS
    }
    assert repeats == {"binance": 160, "kraken": 10}
    assert sum(map(len, BROKEN.values())) == 10


@pytest.mark.parametrize("exchange", BROKEN)
def test_every_broken_message_has_an_example(exchange: str) -> None:
    known = examples(exchange, 1, 2, SETTINGS.pipeline.limits)
    assert len(set(BROKEN[exchange])) == len(BROKEN[exchange])
    assert set(BROKEN[exchange]) <= known.keys()


def test_the_time_span_begins_where_kafka_rounds_to() -> None:
    assert floor_ms(SINCE + timedelta(microseconds=1999)) == SINCE + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("progress", "layer"),
    [
        (Progress(), "bronze"),
        (Progress(bronze=9, judged=9, silver=8, rejected=1, trades=7, gold=7), "bronze"),
        (Progress(bronze=10, judged=9, silver=8, rejected=1, trades=7, gold=7), "silver"),
        (Progress(bronze=10, judged=10, silver=9, rejected=1, trades=7, gold=6), "gold"),
        (Progress(bronze=10, judged=10, silver=9, rejected=1, trades=7, gold=7), None),
    ],
)
def test_the_first_layer_that_lacks_something_is_unfinished(progress: Progress, layer: str | None) -> None:
    assert progress.unfinished(10) == layer


def message(connection: duckdb.DuckDBPyConnection, offset: int, sent: datetime, trade: str | None, reason: str = "") -> None:
    """One message of Binance in bronze, and what became of it: a trade of silver, a reason to be rejected for, or nothing yet."""
    at = {"topic": "binance-trades", "partition": 0, "offset": offset}
    insert(connection, "bronze_binance_trades", {**at, "kafka_timestamp": sent.replace(tzinfo=None)})
    if trade:
        insert(connection, "silver_binance_trades", {**at, "kafka_timestamp": sent.replace(tzinfo=None), "message_id": trade})
    if reason:
        where = {f"kafka_{key}": value for key, value in at.items()}
        row = {"error_type": "price", "error_reason": reason, "error_detail": str(offset), "error_timestamp": sent.replace(tzinfo=None)}
        insert(connection, "silver_dlq_trades", {**where, **row})


@pytest.fixture
def tables() -> duckdb.DuckDBPyConnection:
    """Seven messages of the span (one undecided, one a repeat, two rejected, one trade not in gold yet), one before it, one after."""
    connection = empty_tables()
    message(connection, 0, SINCE - timedelta(milliseconds=1), "old")
    for offset, trade in ((1, "a"), (2, "b"), (3, "a"), (4, "c")):
        message(connection, offset, SINCE, trade)
    message(connection, 5, SINCE, None, "price_not_positive")
    message(connection, 6, SINCE, None, "price_not_positive")
    message(connection, 7, SINCE, None)
    message(connection, 8, UNTIL, "later")
    for trade in ("old", "a", "b"):
        insert(connection, "gold_crypto_trades", {"message_id": trade})
    return connection


def test_progress_counts_exactly_the_messages_of_the_time_span(tables: duckdb.DuckDBPyConnection) -> None:
    progress = read_progress(tables, ["binance", "kraken"], SINCE, UNTIL)
    assert progress == Progress(bronze=7, judged=6, silver=4, rejected=2, trades=3, gold=2)
    assert progress.repeats == 1


def test_a_trade_that_stands_twice_in_gold_counts_twice(tables: duckdb.DuckDBPyConnection) -> None:
    insert(tables, "gold_crypto_trades", {"message_id": "a"})
    assert read_progress(tables, ["binance", "kraken"], SINCE, UNTIL).gold == 3


def test_until_it_is_known_the_span_is_open(tables: duckdb.DuckDBPyConnection) -> None:
    assert read_progress(tables, ["binance", "kraken"], SINCE, None).bronze == 8


def test_totals_are_rows_of_all_tables_of_a_layer(tables: duckdb.DuckDBPyConnection) -> None:
    insert(tables, "bronze_kraken_trades", {"topic": "kraken-trades"})
    assert read_totals(tables, SETTINGS.pipeline) == {"bronze": 10, "silver": 6, "dlq": 2, "gold": 3}


def test_rejects_are_counted_by_reason(tables: duckdb.DuckDBPyConnection) -> None:
    message(tables, 9, SINCE - timedelta(days=1), None, "truncated")
    assert read_rejects(tables, SINCE) == [Reject("price", "price_not_positive", 2, "5")]
    assert [reject.reason for reject in read_rejects(tables)] == ["price_not_positive", "truncated"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_said_while_something_moves() -> None:
    clock = Clock()
    watch = Watch("http://web", clock)
    for count in range(10):
        watch.see(count, "silver", {"gold": True})
        clock.now += PATIENCE_S - 1


def test_a_layer_that_stands_still_is_named() -> None:
    clock = Clock()
    watch = Watch("http://web", clock)
    watch.see(1, "silver", {"gold": True})
    clock.now += PATIENCE_S
    with pytest.raises(Failure, match=r"^silver stands still.*http://web"):
        watch.see(1, "silver", {"gold": True})


def test_a_job_that_does_not_run_is_named_although_others_move() -> None:
    clock = Clock()
    watch = Watch("http://web", clock)
    watch.see(0, "gold", {"gold": True, "silver-binance": True})
    clock.now += PATIENCE_S / 2
    watch.see(1, "gold", {"gold": False, "silver-binance": True})
    clock.now += PATIENCE_S / 2
    with pytest.raises(Failure, match="the job gold has not been running for 120 s"):
        watch.see(2, "gold", {"gold": False, "silver-binance": True})


class Cluster:
    """A cluster with one job, whose newest complete checkpoint began at `checkpoint`; None: it does not answer."""

    def __init__(self, checkpoint: datetime | None, state: str = "RUNNING") -> None:
        self.checkpoint, self._job = checkpoint, FlinkJob("id", "gold", state, {"running": 1, "total": 1})

    def jobs(self) -> list[FlinkJob]:
        if self.checkpoint is None:
            raise Failure("does not answer")
        return [self._job]

    def alive(self, name: str) -> FlinkJob | None:
        return self.jobs()[0]

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        assert self.checkpoint is not None
        return {"latest": {"completed": {"trigger_timestamp": round(self.checkpoint.timestamp() * 1000)}}}


@pytest.mark.parametrize(("looks", "wanted"), [(-1, False), (1.999, False), (2, True)])
def test_gold_has_settled_after_a_checkpoint_that_began_after_two_looks_for_snapshots(looks: float, wanted: bool) -> None:
    cluster: Any = Cluster(SINCE + looks * SETTINGS.pipeline.jobs.gold.monitor_interval)
    assert settled(cluster, SETTINGS, SINCE) is wanted


def test_a_cluster_that_does_not_answer_has_not_settled_and_runs_nothing() -> None:
    cluster: Any = Cluster(None)
    assert not settled(cluster, SETTINGS, SINCE)
    assert running_jobs(cluster, ["gold"]) == {"gold": False}


def test_a_restarting_job_does_not_run() -> None:
    running: Any = Cluster(SINCE)
    restarting: Any = Cluster(SINCE, "RESTARTING")
    assert running_jobs(running, ["gold", "bronze-binance"]) == {"gold": True, "bronze-binance": False}
    assert running_jobs(restarting, ["gold"]) == {"gold": False}


SENT = Sending(total=8, repeats=1, broken=2, sent=7, seconds=2)
PROGRESS = Progress(bronze=7, judged=6, silver=4, rejected=2, trades=3, gold=2)


def text(*renderables: Any) -> str:
    file = io.StringIO()
    Console(file=file, width=80, color_system=None).print(*renderables)
    return file.getvalue()


def test_the_screen_fits_into_eighty_columns_and_shows_every_layer() -> None:
    tables = {"bronze": 1_000_007, "silver": 1_000_004, "dlq": 2, "gold": 1_000_002}
    lines = text(render(View(SENT, tables, PROGRESS, [Reject("price", "price_not_positive", 2, None)], waiting_for="gold"))).splitlines()
    assert max(map(len, lines)) <= 80
    cells = {line.split()[0]: line.split()[-2:] for line in lines if line.split()[:1] and line.split()[0] in tables}
    assert cells == {"bronze": ["7", "1,000,007"], "silver": ["4", "1,000,004"], "dlq": ["2", "2"], "gold": ["2", "1,000,002"]}
    assert "…" not in "".join(lines)
    assert any("price_not_positive 2" in line for line in lines)


def test_a_line_says_the_same_where_there_is_no_terminal() -> None:
    assert summary(View(SENT, progress=PROGRESS)) == (
        "sent 7 of 8 · bronze 7 · silver 4 · rejected 2 · repeats removed 1 · gold 2 of 3 trades"
    )


def test_latency_stands_beside_the_targets() -> None:
    hops = {name: Hop(7, 0, 1, 2, 3.21, 4) for name in HOPS} | {"end_to_end": Hop(0, 0)}
    lines = [line.split()[-6:] for line in text(hops_table(hops)).splitlines() if line.rstrip().endswith(" s")]
    assert lines == [
        ["1.0", "s", "3.2", "s", "10", "s"],
        ["1.0", "s", "3.2", "s", "60", "s"],
        ["1.0", "s", "3.2", "s", "60", "s"],
        ["gold", "0", "-", "-", "300", "s"],
    ]


def test_rows_that_are_not_measured_are_named() -> None:
    hops = dict.fromkeys(HOPS, Hop(7, 0, 1, 2, 3.21, 4))
    assert unmeasured(hops) == ""
    assert unmeasured(hops | {"silver_to_gold": Hop(7, 1200), "end_to_end": Hop(7, 3)}) == (
        "Not measured: 1,200 rows of silver to gold, 3 rows of all the way: Kafka to gold; "
        "their snapshot is from before this demo, or has expired."
    )


def test_what_others_have_written_is_no_markup() -> None:
    reject = Reject("[/price]", "[/reason]", 2, "[/example]")
    said = text(rejects_table([reject]), by_reason([reject]), closing("http://[::1]", "a [/bin]/tradelake"))
    assert [word for word in ("[/price]", "[/reason]", "[/example]", "[/reason] 2", "a [/bin]/tradelake status") if word not in said] == []


@pytest.mark.parametrize(
    "arguments", [["--port-base", "70000"], ["--port-base", "80"], ["--rate", "nan"], ["--rate", "inf"], ["--rate", "0"]]
)
def test_a_number_that_makes_no_sense_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(tradelake, ["--home", str(tmp_path / "home"), "demo", *arguments])
    assert (result.exit_code, f"Invalid value for '{arguments[0]}'" in result.output) == (2, True)
    assert not (tmp_path / "home").exists()


def test_everything_is_brought_up_under_the_homes_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def step(name: str, result: Any = None) -> Any:
        def taken(*arguments: Any) -> Any:
            with pytest.raises(Failure, match="works on"), alone(tmp_path):
                pass
            steps.append(name)
            return result

        return taken

    def stop(*arguments: Any) -> None:
        with alone(tmp_path):
            raise Failure("watching begins, and nobody is kept out")

    monkeypatch.setattr(command.lifecycle, "up", step("up", True))
    monkeypatch.setattr(command.continuation, "resume_jobs", step("resume"))
    monkeypatch.setattr(command, "create_topics", step("topics"))
    monkeypatch.setattr(command, "create_tables", step("tables", []))
    monkeypatch.setattr(command, "FlinkRest", lambda url: SimpleNamespace(jobs=list))
    monkeypatch.setattr(command, "submit_jobs", step("submit"))
    monkeypatch.setattr(command.Home, "settings", lambda home: SETTINGS)
    monkeypatch.setattr(command, "connect", stop)
    result = CliRunner().invoke(tradelake, ["--home", str(tmp_path), "demo"])
    assert str(result.exception) == "watching begins, and nobody is kept out"
    assert steps == ["up", "resume", "topics", "tables", "submit"]


def test_it_ends_with_five_commands_to_try() -> None:
    said = closing("http://127.0.0.1:18080", ".venv/bin/tradelake")
    assert "http://127.0.0.1:18080" in said
    assert len([line for line in said.splitlines() if line.startswith("  .venv/bin/tradelake ")]) == 5


@pytest.mark.parametrize(("end_to_end", "p99"), [(Hop(3, 0, 1, 2, 3, 4), 3), (Hop(0, 0), None)])
def test_the_object_has_the_rows_of_the_tables_and_the_latency_of_the_run(
    tables: duckdb.DuckDBPyConnection, end_to_end: Hop, p99: float | None
) -> None:
    after = {"bronze": 9, "silver": 6, "dlq": 2, "gold": 3}
    hops = dict.fromkeys(HOPS, end_to_end)
    found = as_object(tables, Outcome(SENT, PROGRESS, dict.fromkeys(after, 0), after, 1.5), hops)
    assert {key: found[key] for key in ("bronze", "silver", "dlq", "gold", "duplicates", "p99_s", "rejects")} == {
        **after,
        "duplicates": 3,
        "p99_s": p99,
        "rejects": {"price_not_positive": 2},
    }
    assert found["hops"]["kafka_to_bronze"]["rows"] == end_to_end.rows
