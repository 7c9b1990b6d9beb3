"""`tradelake backfill` against an exchange that fails as exchanges do: what it gives is in Kafka, and the rest is named."""

import json
import re
import shlex
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.live.__main__ import look, told_alike
from tests.processes.test_feed_commands import Running, decoded, run
from tests.processes.test_sender import record
from tests.simulator.exchange import Exchange, Visit, missed, trades
from tests.simulator.market import FIRST_NUMBER, Trade, market
from tests.simulator.rest import BinanceRest, Fault, KrakenRest, RestExchange
from tests.simulator.speech import Binance, KrakenV2
from tradelake.backfill import binance, client
from tradelake.backfill.api import GivenUp, Refused
from tradelake.backfill.client import ATTEMPTS, Client, Key
from tradelake.backfill.command import backfill
from tradelake.backfill.report import Report, iso
from tradelake.console import Failure
from tradelake.home import Home

SYMBOL, OTHER, PAIR = "BTCUSDT", "ETHUSDT", "BTC/USD"
SECRET = "s3cr3tk3y"


def happened(*symbols: str, count: int = 40) -> list[Trade]:
    made = market(symbols, seed=5)
    return [next(made) for _ in range(count)]


def range_of(first: int, last: int) -> list[str]:
    return ["--from-id", str(FIRST_NUMBER + first), "--to-id", str(FIRST_NUMBER + last)]


def raws(speech: Binance | KrakenV2, some: Sequence[Trade]) -> list[dict[str, Any]]:
    """The feed's records of these trades; of Binance with REST's event time."""
    made = [speech.raw(trade) for trade in some]
    return [one | {"event_time_ms": one["trade_time_ms"]} if "event_time_ms" in one else one for one in made]


def ordered(records: Sequence[dict[str, Any]]) -> list[list[tuple[str, Any]]]:
    return sorted(sorted((name, value) for name, value in one.items() if name != "ingestion_timestamp") for one in records)


# The client


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(client, "LONGEST_PAUSE_S", 0.01)


def ask(url: str, *, key: Key | None = None, patience_s: float = 60.0, said: list[str] | None = None) -> tuple[list[int], Report]:
    report = Report("binance")
    with Client(binance.API, url, key, patience_s, report, (said if said is not None else []).append) as asking:
        found = binance.Trades().trades(asking, SYMBOL, FIRST_NUMBER, 10)
    return [trade.number - FIRST_NUMBER for trade in found], report


BROKEN = [
    Fault(status=503),
    Fault(half=True),
    Fault(body="<html>"),
    Fault(hang_up=True),
    Fault(status=429, body='{"code":-1003,"msg":"Too many requests."}'),
    Fault(status=429, retry_after="soon"),
]


@pytest.mark.parametrize("fault", BROKEN, ids=["503", "half", "html", "hang-up", "429", "429-soon"])
def test_an_exchange_that_cannot_answer_is_asked_again(quick, fault):
    said: list[str] = []
    with RestExchange(BinanceRest([SYMBOL]), happened(SYMBOL), [fault, fault]) as exchange:
        found, report = ask(exchange.url, said=said)
    assert found == list(range(10))
    assert (report.requests, report.retries, len(exchange.asked)) == (3, 2, 3)
    assert len(said) == 2
    assert all("asking again in" in line for line in said)


@pytest.mark.parametrize("status", [429, 418])
def test_it_is_left_alone_for_as_long_as_it_says(quick, status):
    with RestExchange(BinanceRest([SYMBOL]), happened(SYMBOL), [Fault(status=status, retry_after=2)]) as exchange:
        started = time.monotonic()
        found, report = ask(exchange.url)
        assert time.monotonic() - started >= 2
    assert (found, report.retries, len(exchange.asked)) == (list(range(10)), 1, 2)
    assert report.waited_s >= 2


def test_who_wants_to_be_left_alone_for_too_long_is_not_asked_again(quick):
    with (
        RestExchange(BinanceRest([SYMBOL]), [], [Fault(status=418, retry_after=7200)]) as exchange,
        pytest.raises(GivenUp, match=r"binance wants to be left alone for 7,200 s \(HTTP 418\): run this again after that"),
    ):
        ask(exchange.url)
    assert len(exchange.asked) == 1


def test_who_never_answers_is_given_up(quick):
    quickly = binance.Api(**{**vars(binance.API), "pause_s": 0.0})
    report = Report("binance")
    with RestExchange(BinanceRest([SYMBOL]), [], [Fault(status=500)] * 20) as exchange:
        with (
            Client(quickly, exchange.url, None, 60, report, lambda said: None) as asking,
            pytest.raises(GivenUp, match=r"binance gives no answer after 8 attempts \(HTTP 500\): run this again later"),
        ):
            asking.get("/api/v3/historicalTrades")
        assert len(exchange.asked) == report.requests == ATTEMPTS


def test_the_rest_of_a_minute_is_left_to_others_once_much_was_used(quick, monkeypatch):
    monkeypatch.setattr(binance, "MINUTE_S", 46.5)
    at_45 = binance.Api(**{**vars(binance.API), "rest_s": lambda headers, now_s: binance.rest_s(headers, 45.0)})
    with RestExchange(BinanceRest([SYMBOL]), happened(SYMBOL)) as exchange:
        exchange.weight = binance.ENOUGH
        started = time.monotonic()
        with Client(at_45, exchange.url, None, 60, Report("binance"), lambda said: None) as asking:
            for _ in range(2):
                asking.get("/api/v3/historicalTrades", symbol=SYMBOL, fromId=1, limit=1)
        assert time.monotonic() - started >= binance.PAUSE_S + 1.5


def test_a_key_goes_with_every_request_and_an_exchange_that_repeats_it_is_not_shown(quick):
    with RestExchange(BinanceRest([SYMBOL], SECRET), happened(SYMBOL), [Fault(status=500)]) as exchange:
        found, _ = ask(exchange.url, key=Key(SECRET))
        assert [one.headers["x-mbx-apikey"] for one in exchange.asked] == [SECRET] * 2
        assert len(found) == 10
        with pytest.raises(Refused) as raised:
            ask(exchange.url, key=Key("wr0ng"))
        with pytest.raises(Refused, match="binance wants an API key"):
            ask(exchange.url)
    assert "x-mbx-apikey" not in exchange.asked[-1].headers
    assert "API-key format invalid: ...)" in str(raised.value)
    assert "wr0ng" not in str(raised.value)


# The command


EVERY_FAULT = [Fault(cut=3), Fault(status=429, retry_after=1), Fault(half=True), Fault(status=503), Fault(extra={"venue": "spot"}, cut=4)]


def test_what_binance_gives_through_its_faults_is_in_kafka_once(home, arrived):
    made = happened(SYMBOL, OTHER)
    with RestExchange(BinanceRest([SYMBOL, OTHER]), made, EVERY_FAULT) as exchange:
        running = Running(
            home.path, "backfill", "binance", "--symbols", f"{SYMBOL},{OTHER}", *range_of(2, 15), "--all", "--url", exchange.url, "--json"
        )
        said = json.loads(running.end())
    assert running.process.returncode == 0, running.log.read_text()
    wanted = [trade for trade in made if 2 <= trade.number - FIRST_NUMBER <= 15]
    assert ordered(decoded(arrived, "binance")) == ordered(raws(Binance(), wanted))
    assert all(key == record(value, "binance")["symbol"].encode() for key, value, _, _ in arrived("binance-trades"))
    counts = {
        "sent": 28,
        "fetched": 28,
        "filled": 28,
        "missing": 0,
        "failed": 0,
        "retries": 3,
        "rejected": 0,
        "interrupted": False,
        "spans": [],
    }
    assert {name: said[name] for name in counts} == counts
    assert said["requests"] == len(exchange.asked) == 7
    assert [(gap["symbol"], gap["left"]) for gap in said["gaps"]] == [(SYMBOL, []), (OTHER, [])]


def test_a_time_of_binance_is_found_by_its_ids(home, arrived):
    made = happened(SYMBOL)
    begins, ends = (made[at].time_us // 1000 * 1000 for at in (5, 12))
    with RestExchange(BinanceRest([SYMBOL]), made) as exchange:
        time.sleep(0.2)  # the market's clock runs ahead a little
        running = Running(
            home.path, "backfill", "binance", "--symbols", SYMBOL, "--from", iso(begins), "--to", iso(ends), "--all", "--url", exchange.url
        )
        line = running.end()
    assert running.process.returncode == 0, running.log.read_text()
    assert ordered(decoded(arrived, "binance")) == ordered(raws(Binance(), made[5:12]))
    assert f"filled: {SYMBOL} ids {made[5].number}-{made[11].number}, 7 trades\n7 trades sent, 3 requests in " in line


def test_what_kraken_gives_through_its_faults_is_in_kafka_once(home, arrived):
    made = happened(PAIR, "ETH/USD")
    busy = Fault(body='{"error":["EGeneral:Too many requests"]}')
    with RestExchange(
        KrakenRest([PAIR, "ETH/USD"], inclusive=True), made, [Fault(cut=5), busy, Fault(extra={"venue": "spot"}, cut=6)]
    ) as exchange:
        time.sleep(0.2)
        time_of = ("--from", iso(made[4].time_us), "--to", iso(made[30].time_us))
        running = Running(home.path, "backfill", "kraken", "--symbols", PAIR, *time_of, "--all", "--url", exchange.url, "--json")
        said = json.loads(running.end())
    assert running.process.returncode == 0, running.log.read_text()
    assert ordered(decoded(arrived, "kraken")) == ordered(raws(KrakenV2(), [trade for trade in made[4:30] if trade.symbol == PAIR]))
    assert (said["sent"], said["fetched"], said["retries"], said["failed"], said["gaps"]) == (13, 13, 1, 0, [])
    assert [(span["symbol"], span["sent"], span["asked"], span["reasons"]) for span in said["spans"]] == [(PAIR, 13, True, [])]


def test_what_is_not_filled_is_named_and_the_exit_code_is_1(home, arrived):
    made = happened(SYMBOL)
    lost = Fault(lost=frozenset({FIRST_NUMBER + 5, FIRST_NUMBER + 6, FIRST_NUMBER + 9}))
    with RestExchange(BinanceRest([SYMBOL]), made, [lost]) as exchange:
        running = Running(
            home.path, "backfill", "binance", "--symbols", f"{SYMBOL},NONEUSDT", *range_of(3, 10), "--all", "--url", exchange.url
        )
        lines = running.end().splitlines()
    assert running.process.returncode == 1
    first = FIRST_NUMBER
    assert lines[:3] == [
        f"filled: {SYMBOL} ids {first + 3}-{first + 10}, 5 trades",
        f"not filled: {SYMBOL} ids {first + 5}-{first + 6}, id {first + 9}: binance gives no such trades",
        f"not filled: NONEUSDT ids {first + 3}-{first + 10}: HTTP 400: Invalid symbol.",
    ]
    assert lines[3].startswith("5 trades sent, 2 requests in ")
    assert lines[3].endswith(", 11 missing still")
    assert running.log.read_text() == "tradelake: 11 trades are still missing: the reasons stand above\n"
    assert len(arrived("binance-trades")) == 5


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_who_is_stopped_while_waiting_has_delivered_what_was_fetched(home, arrived, how):
    script = [Fault(cut=6), Fault(status=429, retry_after=500)]
    with RestExchange(BinanceRest([SYMBOL]), happened(SYMBOL), script) as exchange:
        running = Running(home.path, "backfill", "binance", "--symbols", SYMBOL, *range_of(0, 19), "--all", "--url", exchange.url, "--json")
        running.wait_until(lambda: "asking again in 500" in running.log.read_text())
        said = json.loads(running.stop(how))
    assert running.process.returncode == 1
    assert (said["interrupted"], said["sent"], said["missing"]) == (True, 6, 14)
    assert said["gaps"][0]["left"] == [[FIRST_NUMBER + 6, FIRST_NUMBER + 19]]
    assert {one["trade_id"] - FIRST_NUMBER for one in decoded(arrived, "binance")} == set(range(6))
    assert "interrupted; what was fetched until then is delivered, and the same command asks for the rest" in running.log.read_text()


@pytest.mark.parametrize("place", ["variable", "file"])
def test_a_key_comes_from_a_variable_or_a_file_and_is_seen_nowhere(home, arrived, tmp_path, monkeypatch, place):
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    script = [Fault(status=500, body=f'{{"msg":"{SECRET}"}}'), Fault(status=429, retry_after=3)]
    with RestExchange(BinanceRest([SYMBOL], SECRET), happened(SYMBOL), script) as exchange:
        options = ["--api-key-file", file] if place == "file" else []
        variables = {"TRADELAKE_BINANCE_API_KEY": SECRET} if place == "variable" else {}
        running = Running(
            home.path, "backfill", "binance", "--symbols", SYMBOL, *range_of(0, 1), "--all", "--url", exchange.url, *options, **variables
        )
        running.wait_until(lambda: "HTTP 429" in running.log.read_text())
        assert SECRET not in Path(f"/proc/{running.process.pid}/cmdline").read_text()
        out = running.end()
    assert running.process.returncode == 0, running.log.read_text()
    assert {one.headers["x-mbx-apikey"] for one in exchange.asked} == {SECRET}
    assert len(arrived("binance-trades")) == 2
    assert "HTTP 500: ..." in running.log.read_text()
    assert SECRET not in out + running.log.read_text()


def test_who_has_no_key_where_one_is_wanted_reads_where_to_put_it(home):
    with RestExchange(BinanceRest([SYMBOL], SECRET), []) as exchange:
        running = Running(home.path, "backfill", "binance", "--symbols", SYMBOL, *range_of(1, 2), "--all", "--url", exchange.url)
        out = running.end()
    assert running.process.returncode == 1
    assert "binance wants an API key that it knows (API-key format invalid: ): put it into $TRADELAKE_BINANCE_API_KEY" in out
    assert len(exchange.asked) == 1


def test_a_dry_run_asks_for_nothing_and_sends_nothing(home, arrived):
    with RestExchange(BinanceRest([SYMBOL]), happened(SYMBOL)) as exchange:
        ran = run(
            home, backfill, "binance", "--symbols", f"{SYMBOL},{OTHER}", *range_of(0, 2000), "--all", "--url", exchange.url, "--dry-run"
        )
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.splitlines() == [
        f"{SYMBOL} ids {FIRST_NUMBER}-{FIRST_NUMBER + 2000}: 2,001 trades",
        f"{OTHER} ids {FIRST_NUMBER}-{FIRST_NUMBER + 2000}: 2,001 trades",
        "2 gaps, 4,002 trades, 6 requests of weight 25, at least 3 s",
    ]
    assert (exchange.asked, arrived("binance-trades")) == ([], [])


def test_the_command_that_a_feed_names_fills_the_gap_that_it_names(home, arrived):
    """The line is there with the very next trade of the symbol."""
    script = [Visit([trades(6), missed(4), trades(2)])]
    with Exchange(Binance(), [SYMBOL], script) as told:
        running = Running(home.path, "feed", "binance", "--symbols", SYMBOL, "--url", told.url, "--json")
        running.wait_until(lambda: told.done.is_set() and len(arrived("binance-trades")) == 8)
        summary = json.loads(running.stop(signal.SIGTERM))
    lost = [trade.number for trade in told.happened if trade not in told.sent]
    assert (summary["gaps"], summary["missing"], summary["holes"]) == (1, 4, {SYMBOL: [[lost[0], lost[-1]]]})
    (line,) = [text for text in running.log.read_text().splitlines() if "gap: " in text]
    match = re.search(rf"gap: {SYMBOL} misses {lost[0]} to {lost[-1]}, 4 trades; to fill it: tradelake (--home \S+ backfill .*)$", line)
    assert match, line
    with RestExchange(BinanceRest([SYMBOL]), told.happened) as exchange:
        filling = Running(home.path, *shlex.split(match[1]), "--all", "--url", exchange.url)
        filling.end()
    assert filling.process.returncode == 0, filling.log.read_text()
    assert {one["trade_id"] for one in decoded(arrived, "binance")} == {trade.number for trade in told.happened}
    assert len(arrived("binance-trades")) == 12


@pytest.mark.parametrize("name", ["binance", "kraken"])
def test_a_look_at_an_exchange_compares_what_its_two_apis_tell(tmp_path, capsys, name):
    speech, symbol, wire = (Binance(), SYMBOL, "stream") if name == "binance" else (KrakenV2(), PAIR, "v2")
    with Exchange(speech, [symbol], [Visit([trades(6)])]) as exchange:
        _, entries = look(name, wire, symbol, "1500ms", tmp_path, exchange.url)
    told = BinanceRest([symbol]) if name == "binance" else KrakenRest([symbol])
    with RestExchange(told, exchange.happened) as rest:
        assert told_alike(name, entries, rest.url)
    assert f"by REST: 6 of 6 trades of {symbol}, 0 of them told otherwise" in capsys.readouterr().out
    other = [Trade(**{**vars(trade), "price": "7"}) if at == 2 else trade for at, trade in enumerate(exchange.happened)]
    with RestExchange(told, other) as rest:
        assert not told_alike(name, entries, rest.url)
    assert "1 of them told otherwise" in capsys.readouterr().out
    with RestExchange(told, []) as rest:
        assert not told_alike(name, entries, rest.url)
        assert not told_alike(name, [], rest.url)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nyse", "--gaps"], "No such command 'nyse'"),
        (["binance"], "say one of --gaps, --from-id and --to-id, or --from (and --to)"),
        (["binance", "--gaps", "--from-id", "1", "--to-id", "2"], "say one of --gaps"),
        (["binance", "--from-id", "1", "--to-id", "2"], "--symbols is missing: BTCUSDT,..."),
        (["binance", "--symbols", "BTCUSDT", "--from-id", "1"], "--from-id and --to-id go together"),
        (["binance", "--symbols", "BTCUSDT", "--from-id", "2", "--to-id", "1"], "--to-id 1 is below --from-id 2"),
        (["binance", "--symbols", "BTCUSDT", "--from-id", "-1", "--to-id", "1"], "-1 is not in the range"),
        (["binance", "--symbols", "btcusdt", "--gaps"], "--symbols is a list of different symbols as binance writes them"),
        (["binance", "--symbols", "A,A", "--gaps"], "--symbols is a list of different symbols"),
        (["binance", "--symbols", "BTCUSDT", "--to", "1 h"], "--to needs a --from"),
        (["binance", "--symbols", "BTCUSDT", "--from", "1 h", "--to", "2 h"], "is not after --from"),
        (["binance", "--symbols", "BTCUSDT", "--from", "yesterday"], "'yesterday' is no time"),
        (["binance", "--symbols", "BTCUSDT", "--from", "2999-01-01T00:00:00Z"], "lies in the future"),
        (["binance", "--symbols", "BTCUSDT", "--from", "1 h", "--since", "1 h"], "--since belongs to --gaps"),
        (["binance", "--gaps", "--all"], "it does not go with --all"),
        (["binance", "--gaps", "--url", "http://api.example.com"], "http is for 127.0.0.1 alone"),
        (["binance", "--gaps", "--api-key-file", "/nowhere"], "does not exist"),
        (["kraken", "--gaps"], "kraken's numbers have holes of their own"),
        (["kraken", "--symbols", "BTC/USD", "--from-id", "1", "--to-id", "2"], "use --from TIME --to TIME"),
        (["kraken", "--symbols", "BTC/USD"], "say one of --from (and --to)"),
        (["kraken", "--symbols", "XBT/USD", "--from", "1 h"], "write BTC, as the v2 feed does"),
        (["kraken", "--symbols", "USD/XDG", "--from", "1 h"], "write DOGE, as the v2 feed does"),
        (["kraken", "--symbols", "BTCUSD", "--from", "1 h"], "as kraken writes them"),
        (["kraken", "--api-key-file", "x"], "No such option"),
    ],
)
def test_wrong_usage_is_refused_with_one_line_that_says_what_to_do(home, arguments, complaint):
    ran = run(home, backfill, *arguments)
    assert ran.exit_code == 2
    assert complaint in " ".join(ran.stderr.split())


def test_a_lake_that_does_not_answer_is_one_line(home):
    ran = run(home, backfill, "binance", "--gaps", "--url", "http://127.0.0.1:9")
    assert isinstance(ran.exception, Failure)
    assert "is the stack up? `tradelake status` shows it" in str(ran.exception)


def test_an_exchange_that_does_not_know_a_symbol_whose_time_is_asked_for_is_one_line(home):
    with RestExchange(BinanceRest([SYMBOL]), []) as exchange:
        ran = run(home, backfill, "binance", "--symbols", "NONEUSDT", "--from", "1 h", "--all", "--url", exchange.url)
    assert str(ran.exception) == "binance refuses: HTTP 400: Invalid symbol."


def test_settings_without_an_address_say_which_line_is_missing(home, tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.write_text(Path("conf/pipeline.yaml").read_text(encoding="utf-8").replace('rest: "https://api.kraken.com"', ""))
    ran = run(Home(home.path, file), backfill, "kraken", "--symbols", PAIR, "--from", "1 h", "--all")
    assert str(ran.exception) == f"{file}: exchanges.kraken.feed.rest is missing: add it, or name an address with --url"


def test_more_than_anybody_means_is_not_asked_for(home):
    ran = run(
        home, backfill, "binance", "--symbols", SYMBOL, "--from-id", "0", "--to-id", "2000000", "--all", "--url", "http://127.0.0.1:9"
    )
    wanted = "2,000,001 trades are missing: name fewer --symbols or a later --since, or allow it with --most 2000001"
    assert str(ran.exception) == wanted
