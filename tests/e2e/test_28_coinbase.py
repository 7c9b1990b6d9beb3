"""A third exchange comes into the running pipeline by one block of its file, and goes again; the other two do not notice."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
import yaml
from confluent_kafka.admin import AdminClient
from pyiceberg.expressions import EqualTo, In

from tests import third
from tests.chaos.run import await_growth, flow
from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.e2e.test_27_feed import AWAY, CUTS, OF_THE_TRADE, Live, comparable
from tests.simulator.exchange import Exchange, Visit, again, backwards, text, trades
from tests.simulator.market import market
from tests.simulator.speech import Coinbase
from tests.truth.lake import GOLD, SILVER, bronze, silver, tables
from tests.truth.trades import Trade

pytestmark = pytest.mark.processes_only
"""It removes state that a job has left in a folder."""

JOBS = ("bronze-coinbase", "silver-coinbase")
ODD = Visit(
    [
        trades(20, together=5),
        text('{"channel":"market_trades","events":[{"type":"update","trades":[{}]}]}'),
        backwards(10),
        trades(10, extra={"venue": "spot"}),
        again(50),
    ]
)
LIVE, RECORDED = ("LIVEA-USD", "LIVEB-EUR"), ("TAPEA-USD", "TAPEB-BTC")
RECORDED_TRADES = 120


@pytest.fixture(scope="module")
def three(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, commanded with the block of Coinbase in its pipeline file; afterwards nothing is left of it."""
    pipeline = yaml.safe_load(yaml.safe_dump(stack.pipeline))
    pipeline["exchanges"]["coinbase"] = yaml.safe_load(third.with_coinbase())["exchanges"]["coinbase"]
    file = tmp_path_factory.mktemp("third") / "with-coinbase.yaml"
    file.write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
    three = stack.with_pipeline(file)
    yield three
    if running := [name for name in JOBS if name in stack.jobs()]:
        three.tradelake("stop", *running)
    if "gold" not in stack.jobs():
        stack.tradelake("restore", "gold", "--without", "coinbase")
    elif "silver_coinbase_trades" in sources(stack):
        stack.tradelake("upgrade", "gold", "--without", "coinbase")
    remove_traces(three)


def remove_traces(stack: Stack) -> None:
    """The tables, the topic and the jobs' states of an exchange that has gone."""
    catalog, database = stack.lake.catalog(), str(stack.pipeline["database"])
    for table in (bronze("coinbase"), silver("coinbase")):
        if catalog.table_exists((database, table)):
            catalog.drop_table((database, table))
    admin = AdminClient({"bootstrap.servers": stack.broker.bootstrap_servers})
    if stack.topics["coinbase"] in admin.list_topics(timeout=30).topics:
        for deleted in admin.delete_topics([stack.topics["coinbase"]]).values():
            deleted.result()
    state = Path(stack.environment["flink"]["state"].removeprefix("file://"))
    for kind in ("checkpoints", "savepoints"):
        for job in JOBS:
            rmtree(state / kind / job, ignore_errors=True)


def sources(stack: Stack) -> str:
    """What gold reads."""
    return " ".join(vertex["name"] for vertex in stack.rest(f"/jobs/{stack.jobs()['gold']['jid']}")["vertices"])


@pytest.fixture(scope="module")
def early(stack: Stack) -> list[dict[str, Any]]:
    """Trades that gold has, and remembers, from before the third exchange."""
    some = [raw.binance("EARLYUSDT") for _ in range(20)]
    stack.send_trades("binance", some)
    stack.settle()
    return some


def gold(stack: Stack, products: tuple[str, ...]) -> list[list[tuple[str, object]]]:
    symbols = [product.replace("-", "") for product in products]
    return comparable(stack.lake.rows(GOLD, OF_THE_TRADE, In("symbol", symbols)).to_pylist())


def repeats_are_removed(stack: Stack, early: list[dict[str, Any]]) -> bool:
    """Whether trades from before, sent once more, do not come into gold again."""
    stack.send_trades("binance", early)
    stack.settle()
    ids = [trade["message_id"] for trade in stack.truth("binance", early)]
    in_silver = stack.lake.rows(SILVER["binance"], ("message_id",), In("message_id", ids)).num_rows
    return stack.lake.rows(GOLD, ("message_id",), In("message_id", ids)).num_rows == len(ids) < in_silver


def test_gold_takes_a_third_exchange_from_its_savepoint_while_trades_flow(stack: Stack, three: Stack, early: list[dict[str, Any]]) -> None:
    assert stack.running() == sorted(stack.job_names), "an earlier test left the pipeline broken"
    three.tradelake("topics", "create")
    printed = three.tradelake("tables", "create").stdout
    assert [line.split(":")[0] for line in printed.splitlines() if ": created" in line] == [bronze("coinbase"), silver("coinbase")]
    with flow(stack, "third"):
        await_growth(stack)
        three.tradelake("submit", *JOBS)
        three.tradelake("upgrade", "gold")
        await_growth(stack)
    assert three.running() == sorted(three.job_names)
    assert all(f"silver_{exchange}_trades" in sources(three) for exchange in ("binance", "kraken", "coinbase"))
    restored = three.rest(f"/jobs/{three.jobs()['gold']['jid']}/checkpoints")["latest"]["restored"]
    assert restored["is_savepoint"]
    assert repeats_are_removed(three, early)
    assert three.discrepancies() == []


def test_what_coinbase_told_through_its_faults_is_in_gold_once(three: Stack) -> None:
    with Exchange(Coinbase(), LIVE, [Visit(busy=True), *CUTS, *AWAY, ODD]) as exchange:
        process = three.start("feed", "coinbase", "--symbols", ",".join(LIVE), "--url", exchange.url, "--json")
        live = Live(exchange, process, "coinbase", LIVE)
        three.wait("all that was told is in Kafka", lambda: live.is_through(three))
        process.send_signal(signal.SIGTERM)
        said = json.loads(process.communicate()[0])
    assert (process.returncode, said["malformed"], said["failed"], said["missing"]) == (0, 1, 0, 0)
    sent = live.sent(three)
    assert said["sent"] == len(sent) > len(exchange.sent), "repeats were sent, for gold to remove"
    three.settle()
    assert gold(three, LIVE) == comparable(three.truth("coinbase", live.told()))
    assert len(gold(three, LIVE)) == len(exchange.sent)
    assert three.discrepancies() == []


def test_recorded_frames_are_in_gold_once_with_the_takers_side(three: Stack, tmp_path: Path) -> None:
    speech, happened = Coinbase(), market(RECORDED, seed=28)
    told = [next(happened) for _ in range(RECORDED_TRADES)]
    parts = [told[start : start + 6] for start in range(0, len(told), 6)]
    frames = [*speech.heartbeat(), *(frame for part in [*parts, told[-40:]] for frame in speech.frames(part, snapshot=part is parts[0]))]
    (file := tmp_path / "frames").write_text("".join(f'{{"recv_ns":{time.time_ns()},"frame":{frame}}}\n' for frame in frames))
    report = three.tradelake("produce", "coinbase", file, "--json").json
    assert (report["sent"], report["skipped"], report["unreadable"]) == (RECORDED_TRADES + 40, 1, 0)
    three.settle()
    wanted = three.truth("coinbase", [speech.raw(trade) | {"ingestion_timestamp": 0} for trade in told])
    assert gold(three, RECORDED) == comparable(wanted)
    taken: dict[str, Trade] = {trade["trade_id"]: trade for trade in wanted if trade["symbol"] == "TAPEAUSD"}
    assert all(taken[f"COINBASE-{t.number}"]["side"] == t.side.upper() for t in told if t.symbol == "TAPEA-USD")
    assert three.lake.rows(silver("coinbase"), ("message_id",), In("symbol", ["TAPEAUSD", "TAPEBBTC"])).num_rows == RECORDED_TRADES + 40
    assert three.discrepancies() == []


def test_every_command_knows_the_third_exchange(three: Stack) -> None:
    report = three.tradelake("audit", "--json").json
    assert {bronze("coinbase"), silver("coinbase")} <= {check["table"] for check in report["checks"]}
    assert [finding for finding in report["findings"] if not finding["notice"]] == []
    (row,) = [r for r in three.tradelake("query", "--name", "duplicates_in_silver", "--json").json if r["exchange"] == "COINBASE"]
    assert row["silver_rows"] == three.lake.count(silver("coinbase"))
    asked = {name: three.tradelake("query", "--name", name, "--json").json for name in ("snapshots", "kafka_offsets_of_bronze")}
    assert {r["table_name"] for r in asked["snapshots"]} == set(tables(three.topics))
    assert {r["topic"] for r in asked["kafka_offsets_of_bronze"]} == set(three.topics.values())
    (one, *_) = three.lake.rows(GOLD, ("message_id",), EqualTo("symbol", "TAPEAUSD"))["message_id"].to_pylist()
    (first, *_) = three.tradelake("trace", one, "--json").json["messages"]
    assert (first["topic"], *(len(first[layer]) for layer in ("bronze", "silver", "dlq", "gold"))) == ("coinbase-trades", 1, 1, 0, 1)
    differs = three.tradelake("rebuild", "silver", "--exchange", "coinbase", "--json").json["tables"]
    assert differs[silver("coinbase")]["right"] == three.lake.count(silver("coinbase"))


def test_a_file_without_the_exchange_stops_nothing_and_starts_nothing(stack: Stack, three: Stack) -> None:
    before = {name: job["jid"] for name, job in three.jobs().items()}
    refused = stack.tradelake("upgrade", exit_code=1).stderr
    assert "gold reads silver_coinbase_trades" in refused
    assert "tradelake upgrade --without coinbase gold" in refused
    runs_still = stack.tradelake("upgrade", "gold", "--without", "coinbase", exit_code=1).stderr
    assert "bronze-coinbase, silver-coinbase runs still" in runs_still
    assert {name: job["jid"] for name, job in three.jobs().items()} == before
    three.tradelake("stop", "gold")
    assert "`tradelake restore JOB --without EXCHANGE`" in stack.tradelake("submit", "gold", exit_code=1).stderr
    three.tradelake("submit", "gold")
    three.wait_until_running()
    assert three.discrepancies() == []


def test_the_exchange_is_left_on_purpose_and_the_others_keep_their_memory(stack: Stack, three: Stack, early: list[dict[str, Any]]) -> None:
    three.settle()
    three.tradelake("stop", *JOBS)
    of_it = three.lake.rows(GOLD, ("message_id",), EqualTo("exchange", "COINBASE")).num_rows
    with flow(stack, "two again"):
        await_growth(stack)
        stack.tradelake("upgrade", "gold", "--without", "coinbase")
        await_growth(stack)
    stack.settle()
    assert stack.running() == sorted(stack.job_names)
    assert "coinbase" not in sources(stack)
    orphans = [f for f in stack.tradelake("audit", "--json", exit_code=1).json["findings"] if not f["notice"]]
    assert {(f["check"], f["kind"]) for f in orphans} == {("ids", "orphan")}
    again = three.tradelake("upgrade", "gold", exit_code=1).stderr
    assert "gold would take all trades of coinbase again" in again
    swapped = stack.tradelake("rebuild", "gold", "--swap", "--wait", "10 s", "--json").json["tables"][GOLD]
    assert swapped["wrong"] == {"orphan": of_it}
    remove_traces(three)
    assert repeats_are_removed(stack, early)
    assert stack.tradelake("audit").exit_code == 0
    assert stack.discrepancies() == []
