"""`tradelake feed` and `record` as a person runs them: against an exchange on this machine, into a broker for tests, or into files."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import pytest
from confluent_kafka import Producer

from conf.settings import load_pipeline
from tests import third
from tests.live.__main__ import look, tell
from tests.processes.conftest import begin, settings_of
from tests.processes.test_feed import QUICK, SYMBOLS
from tests.processes.test_sender import record
from tests.simulator.exchange import Exchange, Visit, abort, close, ending, missed, text, trades, until_told_to
from tests.simulator.speech import Binance, Coinbase, KrakenV1, KrakenV2
from tradelake.feed.commands import feed as feed_command
from tradelake.feed.commands import record as record_command
from tradelake.feed.feed import Feed
from tradelake.feed.kafka import KafkaSink
from tradelake.feed.report import Report
from tradelake.feed.wires import WIRES
from tradelake.home import Home
from tradelake.produce import sender
from tradelake.produce.frames import Frame, read
from tradelake.produce.replay import replay
from tradelake.produce.sender import Sender

TRADELAKE = Path(sys.executable).with_name("tradelake")
BINANCE = ",".join(SYMBOLS["stream"])


def raws(exchange: Exchange) -> list[dict[str, Any]]:
    """Each trade that was told, once, without the time at which it was received."""
    return sorted((exchange.speech.raw(trade) for trade in exchange.sent), key=repr)


def distinct(records: list[dict[str, Any]], of_the_frame: frozenset[str]) -> list[dict[str, Any]]:
    once = {repr(sorted(one.items())): one for one in ({k: v for k, v in r.items() if k not in of_the_frame} for r in records)}
    return list(once.values())


def same(records: list[dict[str, Any]], exchange: Exchange) -> bool:
    def ordered(some: list[dict[str, Any]]) -> list[list[tuple[str, Any]]]:
        return sorted(sorted(one.items()) for one in some)

    return sorted(map(repr, ordered(distinct(records, exchange.speech.of_the_frame)))) == sorted(map(repr, ordered(raws(exchange))))


class Running:
    """A command in a process of its own; its complaints and its progress go to a file."""

    def __init__(self, folder: Path, *arguments: object, **variables: str) -> None:
        self.log = folder / "stderr"
        command = [str(TRADELAKE), "--home", str(folder), *map(str, arguments)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRADELAKE_")}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment | variables)

    def wait_until(self, true: Callable[[], bool]) -> None:
        while not true():
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def stop(self, how: signal.Signals) -> str:
        self.process.send_signal(how)
        return self.end()

    def end(self) -> str:
        out, _ = self.process.communicate()
        return out


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_feed_is_stopped_with_everything_delivered_and_says_what_it_saw(home, arrived, how):
    script = [Visit([trades(30), missed(4), trades(6), text("{"), abort]), Visit([trades(4), ending, close]), Visit([trades(5)])]
    with Exchange(Binance(), SYMBOLS["stream"], script) as exchange:
        running = Running(home.path, "feed", "binance", "--symbols", BINANCE, "--url", exchange.url, "--json")
        running.wait_until(lambda: exchange.done.is_set() and same(decoded(arrived, "binance"), exchange))
        summary = json.loads(running.stop(how))
    assert running.process.returncode == 0, running.log.read_text()
    messages = arrived("binance-trades")
    assert summary["sent"] == summary["trades"] == len(messages)
    expected = {"connections": 3, "reconnects": 1, "renewals": 1, "malformed": 1, "gaps": 2, "missing": 4, "failed": 0, "refused": []}
    assert {name: summary[name] for name in expected} == expected
    assert set(summary["symbols"]) == set(SYMBOLS["stream"])
    assert all(key == record(value, "binance")["symbol"].encode() for key, value, _, _ in messages)
    assert "stopping: what was received is kept" in running.log.read_text()


def decoded(arrived: Any, exchange: str) -> list[dict[str, Any]]:
    return [record(value, exchange) for _, value, _, _ in arrived(f"{exchange}-trades")]


@pytest.mark.parametrize(("speech", "wire"), [(KrakenV2, "v2"), (KrakenV1, "v1")])
def test_both_of_krakens_wires_are_understood(home, arrived, speech, wire):
    with Exchange(speech(), SYMBOLS[wire], [Visit([trades(20, together=4), abort, missed(6)]), Visit([trades(4)])]) as exchange:
        running = Running(home.path, "feed", "kraken", "--wire", wire, "--symbols", ",".join(SYMBOLS[wire]), "--url", exchange.url)
        running.wait_until(lambda: exchange.done.is_set() and same(decoded(arrived, "kraken"), exchange))
        line = running.stop(signal.SIGTERM)
    assert running.process.returncode == 0, running.log.read_text()
    assert len(exchange.sent) == 30
    assert ", 1 reconnects" in line
    assert line.count("\n") == 1


def test_a_feed_ends_by_itself_when_told_so(home):
    with Exchange(KrakenV2(), SYMBOLS["v2"]) as exchange:
        running = Running(home.path, "feed", "kraken", "--symbols", "BTC/USD", "--url", exchange.url, "--for", "500ms", "--json")
        summary = json.loads(running.end())
    assert running.process.returncode == 0, running.log.read_text()
    assert summary["seconds"] >= 0.5


def test_nothing_subscribed_ends_with_one(home):
    with Exchange(KrakenV2(), SYMBOLS["v2"]) as exchange:
        running = Running(home.path, "feed", "kraken", "--symbols", "ABC/USD", "--url", exchange.url)
        running.end()
    assert running.process.returncode == 1
    said = running.log.read_text()
    assert "kraken does not subscribe ABC/USD: Currency pair not supported ABC/USD" in said
    assert "tradelake: kraken subscribed none of ABC/USD" in said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_what_is_recorded_is_replayed_trade_for_trade(settings, arrived, tmp_path, how):
    script = [Visit([trades(30, together=3), text("{nonsense"), close, missed(5)]), Visit([trades(6)])]
    folder = tmp_path / "frames"
    with Exchange(KrakenV2(), SYMBOLS["v2"], script) as exchange:
        symbols = ",".join(SYMBOLS["v2"])
        running = Running(
            tmp_path, "record", "kraken", "--symbols", symbols, "--url", exchange.url, "--into", folder, "--rotate", "1s", "--json"
        )
        running.wait_until(lambda: exchange.done.is_set() and recorded(folder) >= {trade.number for trade in exchange.sent})
        time.sleep(1.2)  # a heartbeat of the next second is in a file of its own
        summary = json.loads(running.stop(how))
    assert running.process.returncode == 0, running.log.read_text()
    files = sorted(str(file) for file in folder.iterdir())
    assert summary["files"] == files
    assert len(files) >= 2
    assert all(file.endswith(".ndjson.gz") for file in files)
    complaints: list[Any] = []
    report = replay(settings, "kraken", files, complain=complaints.append)
    assert (report.sent, report.unreadable, len(complaints)) == (summary["trades"], 1, 1)
    assert report.sent + report.unreadable < summary["frames"] + report.sent
    assert same(decoded(arrived, "kraken"), exchange)


def recorded(folder: Path) -> set[int]:
    """The numbers of the trades in the files, finished or not."""
    entries = [entry for file in folder.glob("*") for entry in read(str(file))] if folder.exists() else []
    frames = [entry.content for entry in entries if isinstance(entry, Frame)]
    return {trade["trade_id"] for frame in frames if frame.get("channel") == "trade" for trade in frame["data"]}


FRAME = '{"recv_ns":%d,"frame":{"e":"trade","E":5,"s":"BTCUSDT","t":%d,"p":"1.5","q":"2.5","T":4,"m":true,"M":true}}\n'


def test_a_recording_is_replayed_at_a_multiple_of_its_speed(settings, arrived, tmp_path):
    file = tmp_path / "frames"
    seconds = [0, 10, 5, 20]  # a clock that goes back holds nothing up
    file.write_text("".join(FRAME % (10**18 + second * 10**9, number) for number, second in enumerate(seconds)))
    started = time.monotonic()
    report = replay(settings, "binance", [str(file)], speed=20)
    assert time.monotonic() - started >= 1.0
    sent_at = {record(value, "binance")["trade_id"]: at_ms for _, value, _, at_ms in arrived("binance-trades")}
    assert report.sent == 4
    assert sent_at[1] - sent_at[0] >= 495
    assert sent_at[3] - sent_at[0] >= 995


def test_an_interrupt_ends_a_replay_that_waits_for_its_next_frame(home, arrived, tmp_path):
    file = tmp_path / "frames"
    file.write_text(FRAME % (10**18, 1) + FRAME % (2 * 10**18, 2))
    running = Running(home.path, "produce", "binance", file, "--speed", "1", "--json")
    running.wait_until(lambda: len(arrived("binance-trades")) == 1)
    assert json.loads(running.stop(signal.SIGTERM))["sent"] == 1
    assert running.process.returncode == 1


SLOW_BROKER_MS = 100


def feed_into(
    settings: Any, exchange: Exchange, queue: int, until: Callable[[Report], bool], before: Callable[[], object] = lambda: None
) -> Report:
    report = Report()
    with Sender(settings, "binance", queue=queue) as kafka:
        before()
        sink = KafkaSink(kafka, report, lambda said: None)
        live = Feed(WIRES["binance"]["stream"], exchange.url, SYMBOLS["stream"], QUICK, sink, report, lambda said: None)

        async def some_time() -> None:
            task = asyncio.create_task(live.run())
            while not until(report) and not task.done():
                await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(some_time())
        sink.close()
    return report


@pytest.mark.parametrize("broker", [{"test.mock.broker.rtt": SLOW_BROKER_MS}], indirect=True)
def test_a_slow_broker_holds_up_the_reading_and_nothing_is_lost(settings, arrived):
    with Exchange(Binance(), SYMBOLS["stream"], [Visit([trades(400)])]) as exchange:
        report = feed_into(settings, exchange, 20, lambda report: report.trades == 400)
    assert (report.sent, report.failed, report.missing, report.connections) == (400, 0, 0, 1)
    assert report.waits > 0
    assert report.waited_s > 0
    assert same(decoded(arrived, "binance"), exchange)


def test_what_a_dead_broker_does_not_take_until_the_end_is_counted(registry_url, monkeypatch):
    monkeypatch.setattr(sender, "PATIENCE_S", 0.3)
    owner, address = begin()
    with Exchange(Binance(), SYMBOLS["stream"], [Visit([trades(40)])]) as exchange:
        report = feed_into(settings_of(address, registry_url), exchange, 20, lambda report: report.waits > 0, before=owner.close)
    assert (report.sent, report.trades, report.failed) == (0, 20, 21)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_who_asks_twice_is_not_kept_waiting_for_a_dead_broker(home_of, registry_url, how):
    owner, address = begin()
    home = home_of(settings_of(address, registry_url))
    with Exchange(Binance(), SYMBOLS["stream"], [Visit([trades(4), until_told_to, trades(40)])]) as exchange:
        running = Running(home.path, "feed", "binance", "--symbols", BINANCE, "--url", exchange.url)
        running.wait_until(lambda: len(exchange.sent) == 4)
        owner.close()
        exchange.go_on.set()
        running.wait_until(exchange.done.is_set)
        time.sleep(0.5)
        running.process.send_signal(how)
        running.wait_until(lambda: "stopping" in running.log.read_text())
        time.sleep(0.5)
        assert running.process.poll() is None, "it waits for the broker"
        asked = time.monotonic()
        running.stop(how)
    assert time.monotonic() - asked < sender.PATIENCE_S / 2
    assert running.process.returncode != 0


def run(home: Home, command: click.Command, *arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(command, arguments, obj=home)


@pytest.mark.parametrize(
    "arguments",
    [
        ["binance"],
        ["nyse", "--symbols", "A"],
        ["binance", "--symbols", ""],
        ["binance", "--symbols", "btcusdt"],
        ["binance", "--symbols", "BTCUSDT,BTCUSDT"],
        ["binance", "--symbols", "BTCUSDT,"],
        ["binance", "--symbols", ",".join(f"A{n}" for n in range(1025))],
        ["kraken", "--symbols", "BTCUSD"],
        ["kraken", "--symbols", "BTC/USD", "--wire", "v3"],
        ["binance", "--symbols", "BTCUSDT", "--wire", "stream"],
        ["binance", "--symbols", "BTCUSDT", "--url", "http://127.0.0.1"],
        ["binance", "--symbols", "BTCUSDT", "--silence", "soon"],
        ["binance", "--symbols", "BTCUSDT", "--for", "0s"],
    ],
)
@pytest.mark.parametrize("command", [feed_command, record_command])
def test_wrong_usage_is_refused(home, tmp_path, command, arguments):
    into = ["--into", str(tmp_path / "x")] if command is record_command and "--symbols" in arguments else []
    assert run(home, command, *arguments, *into).exit_code == 2


def test_rate_and_speed_do_not_go_together(home, tmp_path):
    (tmp_path / "frames").touch()
    ran = Running(home.path, "produce", "binance", tmp_path / "frames", "--rate", "1", "--speed", "1")
    ran.end()
    assert ran.process.returncode == 2
    assert "say either --rate or --speed" in ran.log.read_text()


def test_an_exchange_that_is_not_switched_on_is_no_exchange_of_this_pipeline(tmp_path):
    ran = Running(tmp_path, "record", "coinbase", "--symbols", "BTC-USD", "--into", tmp_path / "x")
    ran.end()
    assert (ran.process.returncode, "no such exchange; there are binance, kraken" in ran.log.read_text()) == (1, True)


def test_coinbase_live_and_from_its_recording_is_the_same_trades(home, settings, arrived, tmp_path):
    """In a pipeline that has its block; each symbol's in the order of their numbers, though a frame has the newest first."""
    pipeline = ("--conf", third.write(tmp_path))
    settings = settings.model_copy(update={"pipeline": load_pipeline(pipeline[1])})
    for wrong in ("BTC/USD", "BTC-PERP-INTX", "btc-usd"):
        ran = Running(tmp_path, *pipeline, "record", "coinbase", "--symbols", wrong, "--into", tmp_path / "nowhere")
        ran.end()
        assert ran.process.returncode == 2, wrong
    owner = Producer({"bootstrap.servers": settings.environment.kafka.bootstrap_servers})
    owner.produce("coinbase-trades", b"first", partition=0)
    owner.flush()
    symbols, script = ",".join(SYMBOLS["market_trades"]), [Visit([trades(40, together=8), abort]), Visit([trades(10)])]
    with Exchange(Coinbase(), SYMBOLS["market_trades"], script) as exchange:
        feed = Running(home.path, *pipeline, "feed", "coinbase", "--symbols", symbols, "--url", exchange.url, "--json")
        feed.wait_until(lambda: exchange.done.is_set() and same(decoded(arrived, "coinbase"), exchange))
        summary = json.loads(feed.stop(signal.SIGTERM))
    messages = arrived("coinbase-trades")
    assert (summary["reconnects"], summary["malformed"], summary["failed"], summary["sent"]) == (1, 0, 0, len(messages))
    assert len(messages) > len(exchange.sent) == 50, "a snapshot repeats trades"
    assert {key.decode() for key, _, _, _ in messages} == set(SYMBOLS["market_trades"])
    numbers = [one["trade_id"] for one in decoded(arrived, "coinbase") if one["product_id"] == "BTC-USD" and one["event_type"] == "update"]
    assert numbers == sorted(numbers)

    with Exchange(Coinbase(), SYMBOLS["market_trades"], [Visit([trades(30, together=6)])], seed=2) as another:
        command = ("record", "coinbase", "--symbols", symbols, "--url", another.url, "--into", tmp_path / "frames", "--json")
        recording = Running(tmp_path, *pipeline, *command)
        recording.wait_until(another.done.is_set)
        files = json.loads(recording.stop(signal.SIGTERM))["files"]
    complaints: list[Any] = []
    report = replay(settings, "coinbase", files, complain=complaints.append)
    assert (complaints, report.sent) == ([], 30)
    again = decoded(arrived, "coinbase")[len(messages) :]
    assert {one["trade_id"] for one in again} == {trade.number for trade in another.sent}


def test_settings_without_an_address_say_which_line_is_missing(tmp_path):
    pipeline = Path("conf/pipeline.yaml").read_text(encoding="utf-8")
    file = tmp_path / "pipeline.yaml"
    file.write_text(pipeline.replace('endpoints: {v2: "wss://ws.kraken.com/v2", v1:', "endpoints: {v1:"))
    ran = run(Home(tmp_path, file), record_command, "kraken", "--symbols", "BTC/USD", "--into", str(tmp_path / "x"))
    assert str(ran.exception) == f"{file}: exchanges.kraken.feed.endpoints.v2 is missing: add it, or name an address with --url"
    assert not (tmp_path / "x").exists()


def test_a_look_at_an_exchange_tells_what_it_sent_and_fails_when_it_sent_nothing(tmp_path, capsys):
    with Exchange(KrakenV2(), SYMBOLS["v2"], [Visit([trades(6)])]) as exchange:
        summary, entries = look("kraken", "v2", ",".join(SYMBOLS["v2"]), "1500ms", tmp_path, exchange.url)
    assert tell("kraken", summary, entries)
    told = capsys.readouterr().out
    assert "6 trades, " in told
    assert "'trade_id': 'KRAKEN-4000002'" in told
    assert "'status': 1" in told
    assert not tell("kraken", summary | {"trades": 0}, [])
    assert not tell("kraken", summary | {"malformed": 1}, entries)
