"""A feed against an exchange that fails as exchanges do: nothing is lost that was told, or is told again; what is lost is named."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.simulator.exchange import (
    Exchange,
    Session,
    Step,
    Visit,
    abort,
    again,
    backwards,
    close,
    ending,
    half_a_frame,
    missed,
    silence,
    text,
    trades,
    until_alone,
    until_another,
)
from tests.simulator.market import Trade
from tests.simulator.speech import Binance, Coinbase, KrakenV1, KrakenV2, Speech
from tradelake.console import Failure
from tradelake.feed import connection
from tradelake.feed.connection import Received
from tradelake.feed.feed import Feed, Timing
from tradelake.feed.report import Report
from tradelake.feed.wire import Wire
from tradelake.feed.wires import WIRES

STILL_S = 10.0
"""Without another frame for so long, nothing more is expected."""
QUICK = Timing(silence_s=60.0, renew_s=None, overlap_s=0.3, longest_pause_s=0.1)
BINANCE, KRAKEN_V2, KRAKEN_V1 = ("binance", "stream", Binance), ("kraken", "v2", KrakenV2), ("kraken", "v1", KrakenV1)
COINBASE = ("coinbase", "market_trades", Coinbase)
WITH_A_MEMORY = pytest.mark.parametrize("spoken", [KRAKEN_V2, KRAKEN_V1, COINBASE], ids=lambda spoken: f"{spoken[0]}-{spoken[1]}")
EVERY_WIRE = pytest.mark.parametrize("spoken", [BINANCE, KRAKEN_V2, KRAKEN_V1, COINBASE], ids=lambda spoken: f"{spoken[0]}-{spoken[1]}")
SYMBOLS = {
    "stream": ("BTCUSDT", "ETHUSDT"),
    "v2": ("BTC/USD", "ETH/USD"),
    "v1": ("XBT/USD", "ETH/USD"),
    "market_trades": ("BTC-USD", "ETH-USD"),
}
BROKEN = {
    "stream": '{"stream":"x@trade","data":{"e":"trade"}}',
    "v2": '{"channel":"trade","data":[{"symbol":1}]}',
    "v1": '[1,[["a"]],"trade","A/B"]',
    "market_trades": '{"channel":"market_trades","events":[{"type":"update","trades":[{"trade_id":"x"}]}]}',
}
"""A frame of trades whose trade cannot be read."""


@dataclass
class Kept:
    """A sink that keeps all."""

    records: list[dict[str, Any]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    async def take(self, received: Received, records: Sequence[dict[str, Any]]) -> None:
        self.texts.append(received.text)
        self.records += records


@dataclass
class Ran:
    """What a feed made of an exchange."""

    exchange: Exchange
    report: Report
    kept: Kept
    said: list[str]

    def taken(self) -> set[tuple[Any, ...]]:
        return {key(self.exchange.speech, record) for record in self.kept.records}

    def told(self) -> set[tuple[Any, ...]]:
        return self.keys(self.exchange.sent)

    def keys(self, some: Sequence[Trade] | set[Trade]) -> set[tuple[Any, ...]]:
        return {key(self.exchange.speech, self.exchange.speech.raw(trade)) for trade in some}


def key(speech: Speech, record: dict[str, Any]) -> tuple[Any, ...]:
    """All of a trade but when and in which frame it was received."""
    return tuple(sorted((name, value) for name, value in record.items() if name not in speech.of_the_frame))


def run(
    spoken: tuple[str, str, type],
    *script: Visit,
    wire: Wire | None = None,
    timing: Timing = QUICK,
    symbols: Sequence[str] = (),
) -> Ran:
    """Feed from an exchange with this script, until the script is through and everything told has been taken."""
    exchange_name, wire_name, speech = spoken
    report, kept, said = Report(), Kept(), []
    with Exchange(speech(), SYMBOLS[wire_name], script) as exchange:
        ran = Ran(exchange, report, kept, said)
        wire = wire or WIRES[exchange_name][wire_name]
        feed = Feed(wire, exchange.url, symbols or SYMBOLS[wire_name], timing, kept, report, said.append)
        asyncio.run(_until_still(feed, ran))
    return ran


async def _until_still(feed: Feed, ran: Ran) -> None:
    task = asyncio.create_task(feed.run())
    frames, since = -1, time.monotonic()
    while not task.done() and not (ran.exchange.done.is_set() and ran.told() <= ran.taken()) and time.monotonic() - since < STILL_S:
        if ran.report.frames != frames and not ran.exchange.done.is_set():
            frames, since = ran.report.frames, time.monotonic()
        await asyncio.sleep(0.02)
    for _ in range(20):
        await asyncio.sleep(0)  # who waits for what came last takes a turn or two to count it
    if task.done():
        task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@EVERY_WIRE
def test_every_trade_is_taken_as_the_exchange_wrote_it(spoken):
    before = time.time_ns() // 1000
    ran = run(spoken, Visit([trades(40), trades(40, together=8)]))
    assert ran.taken() == ran.keys(ran.exchange.happened)
    assert len(ran.kept.records) == len(ran.exchange.happened) == 80
    assert all(before <= record["ingestion_timestamp"] <= time.time_ns() // 1000 for record in ran.kept.records)
    assert (ran.report.trades, ran.report.connections, ran.report.reconnects, ran.report.malformed) == (80, 1, 0, 0)
    assert ran.report.symbols == dict.fromkeys(SYMBOLS[spoken[1]], 40)


@EVERY_WIRE
@pytest.mark.parametrize("fault", [half_a_frame, abort, close, silence], ids=lambda fault: fault.__name__)
def test_a_lost_connection_is_made_again_and_subscribed_again(spoken, fault):
    ran = run(spoken, Visit([trades(31), fault]), Visit([trades(10)]), timing=replace(QUICK, silence_s=3.0) if fault is silence else QUICK)
    assert ran.taken() == ran.told()
    assert (ran.report.connections, ran.report.reconnects, ran.report.renewals, ran.report.malformed) == (2, 1, 0, 0)
    assert len(ran.exchange.happened) == 41 + (fault is half_a_frame)


@EVERY_WIRE
def test_faults_in_a_row_lose_nothing_that_was_told(spoken):
    faults: list[Step] = [half_a_frame, abort, close, abort, half_a_frame, close]
    ran = run(spoken, *[Visit([trades(7), fault]) for fault in faults], Visit([trades(5)]))
    assert ran.taken() == ran.told()
    assert (ran.report.connections, ran.report.reconnects) == (7, 6)


@WITH_A_MEMORY
def test_what_was_missed_while_away_is_told_again(spoken):
    ran = run(spoken, Visit([trades(20), abort, missed(30)]), Visit([trades(5), again(50)]))
    assert ran.taken() == ran.keys(ran.exchange.happened)
    assert len(ran.exchange.happened) == 55
    assert len(ran.kept.records) > 55, "the snapshots repeat trades"


def test_a_gap_in_binance_numbers_is_told_with_both_ends():
    ran = run(BINANCE, Visit([trades(20), missed(6), trades(2), close]), Visit([trades(2)]))
    assert ran.taken() == ran.told()
    lost = [trade for trade in ran.exchange.happened if trade not in ran.exchange.sent]
    numbers = {symbol: [trade.number for trade in lost if trade.symbol == symbol] for symbol in SYMBOLS["stream"]}
    assert [said for said in ran.said if said.startswith("gap")] == [
        f"gap: {symbol} misses {missing[0]} to {missing[-1]}, 3 trades" for symbol, missing in numbers.items()
    ]
    assert (ran.report.gaps, ran.report.missing) == (2, 6)


def test_trades_out_of_order_are_all_taken_and_what_came_late_is_not_missing():
    ran = run(BINANCE, Visit([trades(10), backwards(8), trades(2)]))
    assert ran.taken() == ran.keys(ran.exchange.happened)
    assert (ran.report.gaps, ran.report.missing) == (2, 0)


@EVERY_WIRE
def test_what_cannot_be_read_is_counted_and_the_rest_goes_on(spoken):
    steps = [trades(3), text('{"nonsense'), text(BROKEN[spoken[1]]), text(""), text('{"p":NaN}'), text("[" * 5000), trades(3)]
    ran = run(spoken, Visit(steps))
    assert ran.taken() == ran.keys(ran.exchange.happened)
    assert (ran.report.malformed, ran.report.connections) == (5, 1)
    assert sum(said.startswith("malformed frame: ") for said in ran.said) == 5
    assert len(ran.kept.texts) == ran.report.frames, "a sink of frames has the broken ones too"


def test_a_flood_of_what_cannot_be_read_is_not_told_one_by_one():
    ran = run(BINANCE, Visit([*[text("x")] * 50, trades(1)]))
    assert ran.report.malformed == 50
    assert [said for said in ran.said if "malformed" in said][10:] == ["further malformed frames are only counted"]


@EVERY_WIRE
def test_events_and_fields_that_nobody_knows_yet_change_nothing(spoken):
    unknown = [text('{"channel":"weather","data":[]}'), text('{"e":"weather"}'), text("[1,2]"), text("5"), text("null")]
    extra = {} if spoken is KRAKEN_V1 else {"extra": {"venue": {"name": "spot", "rank": 1.5}}}
    ran = run(spoken, Visit([*unknown, trades(6, **extra), *unknown, trades(2)]))
    assert ran.taken() == ran.keys(ran.exchange.happened)
    assert (ran.report.malformed, ran.report.connections, len(ran.kept.records)) == (0, 1, 8)


def test_an_announced_cut_is_forestalled_and_both_connections_are_read():
    ran = run(BINANCE, Visit([trades(10), ending, trades(20), close]), Visit([until_alone, trades(5)]))
    assert ran.taken() == ran.keys(ran.exchange.happened)
    assert len(ran.kept.records) > len(ran.taken()), "what both tell comes twice"
    assert (ran.report.renewals, ran.report.reconnects, ran.report.connections, ran.report.missing) == (1, 0, 2, 0)


@EVERY_WIRE
def test_a_connection_that_is_old_is_replaced_before_it_is_cut(spoken):
    visits = [Visit([trades(5), until_another]) for _ in range(3)]
    ran = run(spoken, *visits, Visit([until_alone, trades(5)]), timing=replace(QUICK, renew_s=0.4, overlap_s=0.1))
    assert ran.taken() == ran.keys(ran.exchange.happened)
    assert (ran.report.renewals, ran.report.reconnects, ran.report.missing) == (ran.report.connections - 1, 0, 0)
    assert ran.report.connections >= 4


RENEWALS = 60


@EVERY_WIRE
def test_connections_that_come_and_go_leave_nothing_behind(spoken):
    exchange_name, wire_name, speech = spoken
    report, most = Report(), []
    timing = replace(QUICK, renew_s=0.03, overlap_s=0.01)
    wire = replace(WIRES[exchange_name][wire_name], attempts=2 * RENEWALS, pause_s=0.0)

    async def live(exchange: Exchange) -> None:
        feed = Feed(wire, exchange.url, SYMBOLS[wire_name], timing, Kept(), report, lambda said: None)
        task = asyncio.create_task(feed.run())
        while report.connections <= RENEWALS and not task.done():
            most.append(len(asyncio.all_tasks()))
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with Exchange(speech(), SYMBOLS[wire_name]) as exchange:
        asyncio.run(live(exchange))
    assert (report.connections, report.renewals) == (RENEWALS + 1, RENEWALS)
    assert max(most) < RENEWALS


def test_who_is_turned_away_comes_again_when_the_exchange_says():
    started = time.monotonic()
    ran = run(BINANCE, Visit(http=429, retry_after=1), Visit(http=503), Visit([trades(4)]))
    assert time.monotonic() - started >= 1.0
    assert ran.said[:2] == ["the exchange answers with HTTP 429", "connecting again in 1.0 s"]
    assert (ran.taken(), ran.report.connections, ran.report.reconnects) == (ran.told(), 1, 0)


@WITH_A_MEMORY
def test_too_many_requests_are_no_refusal(spoken):
    ran = run(spoken, Visit(busy=True), Visit([trades(4)]))
    reason = "rate limit exceeded" if spoken is COINBASE else "Exceeded msg rate"
    assert ran.said[0] == f"the exchange asks for fewer requests: {reason}"
    assert (ran.taken(), ran.report.refused, ran.report.connections) == (ran.told(), [], 1)


@EVERY_WIRE
def test_a_subscription_that_is_not_answered_is_tried_again(spoken, monkeypatch):
    monkeypatch.setattr(connection, "ANSWER_S", 0.3)
    ran = run(spoken, Visit(deaf=True), Visit([trades(4)]))
    assert ran.said[0].startswith("no answer to a subscription within")
    assert ran.taken() == ran.told()


@pytest.mark.parametrize("spoken", [KRAKEN_V2, KRAKEN_V1], ids=["v2", "v1"])
def test_a_symbol_that_is_refused_is_named_and_the_others_go_on(spoken):
    symbols = ("ABC/USD", *SYMBOLS[spoken[1]])
    ran = run(spoken, Visit([trades(4), close]), Visit([trades(4)]), symbols=symbols)
    assert ran.taken() == ran.keys(ran.exchange.happened)
    assert ran.report.refused == ["ABC/USD"]
    assert ran.said.count("kraken does not subscribe ABC/USD: Currency pair not supported ABC/USD") == 1


@pytest.mark.parametrize("spoken", [KRAKEN_V2, KRAKEN_V1], ids=["v2", "v1"])
def test_nothing_subscribed_is_a_failure(spoken):
    with pytest.raises(Failure, match="kraken subscribed none of ABC/USD, DEF/USD"):
        run(spoken, Visit(), symbols=("ABC/USD", "DEF/USD"))


class NoTrades(Coinbase):
    def answer(self, text: str, known: Iterable[str]) -> list[str]:
        return super().answer(text, known) if "heartbeats" in text else ['{"type":"error","message":"no such product"}']


def test_an_exchange_that_grants_heartbeats_and_no_trades_subscribed_nothing():
    with pytest.raises(Failure, match="coinbase subscribed none of BTC-USD, ETH-USD"):
        run(("coinbase", "market_trades", NoTrades), Visit())


def test_a_request_that_is_refused_whole_is_a_failure_that_names_its_symbols():
    with pytest.raises(Failure, match="binance subscribed none of BTCUSDT, ETHUSDT"):
        run(BINANCE, Visit(busy=True))


def test_no_more_connections_are_opened_than_the_exchange_allows():
    wire = replace(WIRES["binance"]["stream"], attempts=2, attempts_s=1.5)
    started = time.monotonic()
    ran = run(BINANCE, *[Visit([trades(1), close])] * 2, Visit([trades(1)]), wire=wire)
    assert time.monotonic() - started >= 1.5
    assert (ran.taken(), ran.report.connections) == (ran.told(), 3)


def test_many_symbols_are_asked_for_on_one_connection_a_part_at_a_time():
    many = tuple(f"A{n}USDT" for n in range(401))

    async def all_subscribed(session: Session) -> None:
        while session.symbols != set(many):
            await session.moment()

    exchange = Exchange(Binance(), many, [Visit([all_subscribed, trades(802)])])
    report, kept = Report(), Kept()
    with exchange:
        wire = replace(WIRES["binance"]["stream"], pause_s=0.05)
        said: list[str] = []
        feed = Feed(wire, exchange.url, many, QUICK, kept, report, said.append)
        ran = Ran(exchange, report, kept, said)
        asyncio.run(_until_still(feed, ran))
    assert ran.taken() == ran.keys(exchange.happened)
    assert [len(exchange.speech.asked(request)) for request in exchange.sessions[0].requests] == [200, 200, 1]
    assert len(exchange.sessions) == report.connections == 1
    assert said == ["subscribed: 401 symbols"]
