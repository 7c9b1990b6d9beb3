"""What is missing is found, asked for page by page, and sent once; what is left is named. The exchanges are in memory."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.market import FIRST_NUMBER, Trade, market
from tests.simulator.rest import Asked, BinanceRest, Fault, KrakenRest, RestSpeech, nanoseconds
from tests.simulator.speech import Binance, KrakenV2
from tests.unit.tradelake.tables_in_memory import empty_tables, insert
from tests.unit.udfs.strategies import EXCHANGES
from tradelake.backfill import binance, kraken
from tradelake.backfill.api import Again, Answer, Api, GivenUp, Refused
from tradelake.backfill.apis import APIS
from tradelake.backfill.client import Client, Key
from tradelake.backfill.fill import Fill
from tradelake.backfill.held import Lake
from tradelake.backfill.holes import batches, requests, without
from tradelake.backfill.report import Gap, Report, Span, iso
from tradelake.console import Failure
from tradelake.feed.gaps import Hole
from tradelake.produce.frames import content
from udfs.exchange import MODULES
from udfs.kraken import rest_records

LATER_US = 5_000_000
"""After the trade: when it is received."""


def happened(*symbols: str, count: int = 30, seed: int = 3) -> list[Trade]:
    trades = market(symbols, seed)
    return [next(trades) for _ in range(count)]


# What a REST answer becomes


class Told:
    """An exchange in memory. `faults`: of each request; an exception is raised in its place."""

    def __init__(self, api: Api, speech: RestSpeech, trades: Sequence[Trade], *faults: Fault | BaseException | None) -> None:
        self.api, self.speech, self.trades, self.faults = api, speech, trades, list(faults)
        self.asked: list[dict[str, Any]] = []

    def get(self, path: str, **parameters: str | int) -> Answer:
        self.asked.append(parameters)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, BaseException):
            raise fault
        asked = Asked(path, {name: str(value) for name, value in parameters.items()}, {})
        status, text = self.speech.answer(asked, self.trades, fault or Fault())
        self.api.judge(status, {}, content(text))
        return Answer(content(text), max((trade.time_us for trade in self.trades), default=0) + LATER_US)


@pytest.mark.parametrize("extra", [{}, {"venue": "spot"}])
def test_a_trade_of_binances_rest_api_is_the_feeds_but_for_what_rest_does_not_tell(extra: dict[str, Any]) -> None:
    trades = happened("BTCUSDT")
    told = Told(binance.API, BinanceRest(["BTCUSDT"]), trades, Fault(extra=extra))
    found = binance.Trades().trades(told, "BTCUSDT", FIRST_NUMBER, 1000)
    at_us = trades[-1].time_us + LATER_US
    of_the_feed = [record for text in Binance().frames(trades) for record in MODULES["binance"].records(json.loads(text), at_us)]
    assert [one.record for one in found] == [record | {"event_time_ms": record["trade_time_ms"]} for record in of_the_feed]
    judge = EXCHANGES["binance"]
    for one, record in zip(found, of_the_feed, strict=True):
        by_rest, by_feed = judge.to_trade(one.record, 7), judge.to_trade(record, 7)
        assert by_rest._replace(vendor_data="") == by_feed._replace(vendor_data="")
        assert json.loads(by_rest.vendor_data) == json.loads(by_feed.vendor_data) | {"event_time_ms": by_feed.timestamp // 1000}
        assert (one.number, one.time_us) == (by_feed.source_sequence, by_feed.timestamp)


@pytest.mark.parametrize("extra", [{}, {"venue": "spot"}])
def test_a_trade_of_krakens_rest_api_is_that_of_the_v2_feed(extra: dict[str, Any]) -> None:
    """REST's time has nanoseconds: they are cut off, never rounded, and never pass through a float."""
    trades = happened("DOGE/USD")
    told = Told(kraken.API, KrakenRest(["DOGE/USD"]), trades, Fault(extra=extra))
    page = kraken.Trades().page(told, "DOGE/USD", trades[0].time_us * 1000 - 1)
    at_us = trades[-1].time_us + LATER_US
    of_the_feed = [record for text in KrakenV2().frames(trades) for record in MODULES["kraken"].records(content(text), at_us)]
    assert [one.record for one in page.trades] == of_the_feed
    assert page.next_ns == nanoseconds(trades[-1])
    assert any(nanoseconds(trade) % 1000 > 500 for trade in trades), "a time that would be rounded up"
    judge = EXCHANGES["kraken"]
    assert [judge.to_trade(one.record, 7) for one in page.trades] == [judge.to_trade(record, 7) for record in of_the_feed]


def test_krakens_time_is_cut_at_microseconds_and_its_zeros_do_not_matter() -> None:
    row = ["30243.40000", "0.34507674", "TIME", "b", "m", "x", 61044952]
    texts = ["1688669597.827736999", "1688669597.8", "1688669597", "1688669597.000000999"]
    rows = "[" + ",".join(json.dumps(row).replace('"TIME"', text) for text in texts) + "]"
    records = rest_records("BTC/USD", content(rows), 1)
    assert [one["timestamp"] for one in records] == ["1688669597.827736", "1688669597.800000", "1688669597.000000", "1688669597.000000"]
    assert records[0] == {
        "channel_id": 0,
        "price": "30243.40000",
        "volume": "0.34507674",
        "timestamp": "1688669597.827736",
        "side": "b",
        "order_type": "m",
        "misc": "x",
        "pair": "BTC/USD",
        "ingestion_timestamp": 1,
        "trade_id": 61044952,
        "occurrence": 0,
    }


GOOD_BINANCE = {"id": 1, "price": "4.0", "qty": "12.0", "time": 1499865549590, "isBuyerMaker": True, "isBestMatch": True}
GOOD_KRAKEN = '["1.0", "2.0", 1688669597.8, "b", "m", "", 5]'


@pytest.mark.parametrize(
    "answer",
    [{}, None, "x", [1], [{**GOOD_BINANCE, "price": 4.0}], [{**GOOD_BINANCE, "id": True}], [{**GOOD_BINANCE, "time": "1"}], [{"id": 1}]],
)
def test_an_answer_of_binance_that_is_made_otherwise_is_refused(answer: Any) -> None:
    class Says:
        def get(self, path: str, **parameters: str | int) -> Answer:
            return Answer(answer, 1)

    with pytest.raises(Refused, match="binance answers with"):
        binance.Trades().trades(Says(), "BTCUSDT", 1, 1)


@pytest.mark.parametrize(
    ("part", "instead"),
    [('"1.0"', "1.0"), ('"2.0"', "null"), ("1688669597.8", '"1688669597.8"'), ("1688669597.8", "-1.5"), ("1688669597.8", "true"),
     ("1688669597.8", "1e999999"), (", 5]", "]"), (", 5]", ", true]"), (", 5]", ', "5"]'), ('"b"', "1")],
)  # fmt: skip
def test_an_answer_of_kraken_that_is_made_otherwise_is_refused(part: str, instead: str) -> None:
    class Says:
        def get(self, path: str, **parameters: str | int) -> Answer:
            return Answer(content(f'{{"error":[],"result":{{"X":[{GOOD_KRAKEN.replace(part, instead)}],"last":"5"}}}}'), 1)

    assert GOOD_KRAKEN.replace(part, instead) != GOOD_KRAKEN
    with pytest.raises(Refused, match="kraken answers with a trade"):
        kraken.Trades().page(Says(), "BTC/USD", 1)


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "1", '{"result":[]}', '{"result":{"last":"1"}}', '{"result":{"A":[],"B":[],"last":"1"}}', '{"result":{"A":[]}}',
     '{"result":{"A":[],"last":"x"}}', '{"result":{"A":[],"last":1.5}}'],
)  # fmt: skip
def test_an_answer_of_kraken_without_one_pair_and_its_end_is_refused(text: str) -> None:
    class Says:
        def get(self, path: str, **parameters: str | int) -> Answer:
            return Answer(content(text), 1)

    with pytest.raises(Refused, match="something else"):
        kraken.Trades().page(Says(), "BTC/USD", 1)


# What an exchange says


@pytest.mark.parametrize(
    ("name", "status", "headers", "said", "error", "wait_s"),
    [
        ("binance", 200, {}, [], None, 0),
        ("binance", 429, {"Retry-After": "7"}, {"code": -1003, "msg": "Too much request weight used"}, Again, 7),
        ("binance", 418, {"Retry-After": "120"}, None, Again, 120),
        ("binance", 429, {}, None, Again, 0),
        ("binance", 429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None, Again, 0),
        ("binance", 503, {}, None, Again, 0),
        ("binance", 200, {}, None, Again, 0),
        ("binance", 400, {}, {"code": -1121, "msg": "Invalid symbol."}, Refused, 0),
        ("binance", 403, {}, None, Refused, 0),
        ("binance", 401, {}, {"code": -2014, "msg": "API-key format invalid."}, Refused, 0),
        ("binance", 400, {}, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, Refused, 0),
        ("kraken", 200, {}, {"error": [], "result": {}}, None, 0),
        ("kraken", 200, {}, {"error": ["EGeneral:Too many requests"]}, Again, 0),
        ("kraken", 200, {}, {"error": ["EAPI:Rate limit exceeded"]}, Again, 0),
        ("kraken", 429, {"Retry-After": "3"}, None, Again, 3),
        ("kraken", 200, {}, {"error": ["EService:Unavailable"]}, Again, 0),
        ("kraken", 520, {}, None, Again, 0),
        ("kraken", 200, {}, None, Again, 0),
        ("kraken", 200, {}, {"error": ["EQuery:Unknown asset pair"]}, Refused, 0),
        ("kraken", 404, {}, None, Refused, 0),
    ],
)
def test_what_an_exchange_says_is_understood(
    name: str, status: int, headers: dict[str, str], said: Any, error: type[Exception] | None, wait_s: float
) -> None:
    if error is None:
        APIS[name].judge(status, headers, said)
        return
    with pytest.raises(error) as raised:
        APIS[name].judge(status, headers, said)
    assert getattr(raised.value, "wait_s", 0) == wait_s


def test_who_lacks_a_key_is_told_where_to_put_it() -> None:
    with pytest.raises(Refused) as raised:
        binance.judge(401, {}, {"code": -2014, "msg": "API-key format invalid."})
    where = "put it into $TRADELAKE_BINANCE_API_KEY, or into a file and name that with --api-key-file"
    assert str(raised.value) == f"binance wants an API key that it knows (API-key format invalid.): {where}"


@pytest.mark.parametrize(("used", "rest_s"), [("4799", 0.0), ("4800", 15.0), ("9" * 4, 15.0), ("", 0.0), ("x", 0.0)])
def test_what_is_left_of_a_minutes_weight_is_left_to_others(used: str, rest_s: float) -> None:
    assert binance.rest_s({"X-MBX-USED-WEIGHT-1M": used}, 60 * 1000 + 45.0) == rest_s
    assert binance.rest_s({}, 45.0) == 0.0


# Holes


@given(st.sets(st.integers(0, 60)), st.integers(0, 60), st.integers(0, 60))
def test_what_is_left_of_a_hole_is_what_is_not_there(there: set[int], one: int, other: int) -> None:
    hole = Hole(min(one, other), max(one, other))
    left = without([hole], [*there, *there])
    assert {n for part in left for n in range(part.first, part.last + 1)} == set(range(hole.first, hole.last + 1)) - there
    assert left == sorted(left)
    assert all(part.size > 0 for part in left)
    assert all(after.first > before.last + 1 for before, after in pairwise(left))


def gap(symbol: str, first: int, last: int) -> Gap:
    return Gap(symbol, first, last, [Hole(first, last)])


def test_small_gaps_that_lie_together_share_an_answer_and_a_large_one_takes_several() -> None:
    gaps = [gap("A", 5, 5), gap("A", 7, 9), gap("A", 14, 14), gap("A", 15, 40), gap("A", 100, 100)]
    made = [[(one.first, one.last) for one in batch] for batch in batches(gaps[::-1], 10)]
    assert made == [[(5, 5), (7, 9), (14, 14)], [(15, 40)], [(100, 100)]]
    assert requests(gaps, 10) == 1 + 3 + 1
    assert requests([], 10) == 0
    assert len(batches([gap("A", 5, 5), gap("A", 14, 14)], 10)) == 1
    assert len(batches([gap("A", 5, 5), gap("A", 15, 15)], 10)) == 2


# What the lake has


def silver_rows(connection: duckdb.DuckDBPyConnection, symbol: str, ids: Iterable[int], at: datetime = datetime(2026, 1, 1)) -> None:
    for number in ids:
        insert(connection, "silver_binance_trades", {"symbol": symbol, "source_sequence": number, "validation_timestamp": at})


@pytest.fixture
def lake() -> Lake:
    connection = empty_tables()
    silver_rows(connection, "BTCUSDT", [10, 11, 11, 15, 16, 20])
    silver_rows(connection, "BTCUSDT", [15, 30], datetime(2026, 1, 2))  # 15 is a repeat
    silver_rows(connection, "ETHUSDT", [7, 9])
    for pair, number in (("BTC/USD", 5), ("BTC/USD", 5), ("XBT/USD", 6), ("BTC/USD", 9)):
        vendor_data = f'{{"channel_id":0,"misc":"","occurrence":0,"pair":"{pair}"}}'
        insert(connection, "silver_kraken_trades", {"symbol": "BTCUSD", "source_sequence": number, "vendor_data": vendor_data})
    insert(connection, "silver_kraken_trades", {"symbol": "BTCUSD", "source_sequence": None, "vendor_data": '{"pair":"BTC/USD"}'})
    return Lake(connection, "binance")


def test_the_holes_of_the_lake_are_those_that_the_audit_names(lake: Lake) -> None:
    assert lake.gaps(None, None) == [
        ("BTCUSDT", Hole(12, 14)),
        ("BTCUSDT", Hole(17, 19)),
        ("BTCUSDT", Hole(21, 29)),
        ("ETHUSDT", Hole(8, 8)),
    ]
    assert lake.gaps(["ETHUSDT", "NONE"], None) == [("ETHUSDT", Hole(8, 8))]
    assert lake.gaps(None, datetime(2026, 1, 1, 12, tzinfo=UTC)) == [("BTCUSDT", Hole(21, 29))]


def test_of_wanted_ids_those_are_asked_for_that_are_not_there(lake: Lake) -> None:
    assert lake.holes("BTCUSDT", Hole(8, 16)) == [Hole(8, 9), Hole(12, 14)]
    assert lake.holes("BTCUSDT", Hole(15, 16)) == []
    assert lake.holes("NONE", Hole(0, 2**63 - 1)) == [Hole(0, 2**63 - 1)]
    assert lake.holes("BTCUSDT", Hole(30, 40)) == [Hole(31, 40)]


def test_a_pair_has_its_own_trades_by_its_very_name(lake: Lake) -> None:
    of_kraken = Lake(lake._connection, "kraken")
    assert of_kraken.held("BTC/USD", [9, 6, 5, 4]) == {5, 9}
    assert of_kraken.held("XBT/USD", [9, 6, 5, 4]) == {6}
    assert of_kraken.held("BTC/USD", []) == set()


# Filling


class Sent:
    """Keeps what is sent; the `interrupted_at`-th is a Ctrl-C."""

    def __init__(self, interrupted_at: int = 0) -> None:
        self.records: list[dict[str, Any]] = []
        self.interrupted_at = interrupted_at

    def send(self, record: dict[str, Any]) -> None:
        if len(self.records) + 1 == self.interrupted_at:
            raise KeyboardInterrupt
        self.records.append(record)

    @property
    def numbers(self) -> list[tuple[str, int]]:
        return [(one.get("symbol", one.get("pair")), one["trade_id"]) for one in self.records]


def ids(symbol: str, *numbers: int) -> list[tuple[str, int]]:
    return [(symbol, FIRST_NUMBER + number) for number in numbers]


def fill(told: Told, report: Report, sent: Sent | None = None, held: Callable[..., set[int]] | None = None, page: int = 1000) -> Sent:
    sent = sent or Sent()
    api = told.api if page == 1000 else Api(**{**vars(told.api), "page": page})
    Fill(api, told, EXCHANGES[told.api.exchange], sent, report, *([held] if held else [])).run()
    report.end()
    return sent


def gaps_of(*wanted: tuple[str, int, int]) -> Report:
    return Report("binance", gaps=[gap(symbol, FIRST_NUMBER + first, FIRST_NUMBER + last) for symbol, first, last in wanted])


def left(report: Report) -> list[tuple[str, list[tuple[int, int]], list[str]]]:
    return [
        (one.symbol, [(hole.first - FIRST_NUMBER, hole.last - FIRST_NUMBER) for hole in one.left], one.reasons)
        for one in report.gaps
        if one.left or one.reasons
    ]


def told_by_binance(*faults: Fault | BaseException | None, symbols: Sequence[str] = ("AUSDT", "BUSDT"), count: int = 60) -> Told:
    return Told(binance.API, BinanceRest(symbols), happened(*symbols, count=count), *faults)


def test_gaps_are_filled_each_trade_once_and_nothing_else_is_sent() -> None:
    told = told_by_binance()
    report = gaps_of(("AUSDT", 3, 5), ("AUSDT", 8, 8), ("BUSDT", 0, 20))
    sent = fill(told, report)
    assert sent.numbers == ids("AUSDT", 3, 4, 5, 8) + ids("BUSDT", *range(21))
    assert [(one["symbol"], one["fromId"] - FIRST_NUMBER, one["limit"]) for one in told.asked] == [("AUSDT", 3, 6), ("BUSDT", 0, 21)]
    assert (report.filled, report.missing, report.fetched, report.complete, left(report)) == (25, 0, 25, True, [])


def test_pages_follow_each_other_and_one_that_ends_early_is_no_end() -> None:
    told = told_by_binance(None, Fault(cut=2), Fault(cut=1))
    report = gaps_of(("AUSDT", 1, 25))
    assert fill(told, report, page=10).numbers == ids("AUSDT", *range(1, 26))
    asked = [(one["fromId"] - FIRST_NUMBER, one["limit"]) for one in told.asked]
    assert asked == [(1, 10), (11, 10), (13, 10), (14, 10), (24, 2)]
    assert report.complete


def test_what_the_exchange_does_not_have_is_named() -> None:
    lost = frozenset({FIRST_NUMBER + 5, FIRST_NUMBER + 6, FIRST_NUMBER + 9})
    told = told_by_binance(Fault(lost=lost))
    report = gaps_of(("AUSDT", 3, 10), ("AUSDT", 25, 40))
    assert fill(told, report).numbers == ids("AUSDT", 3, 4, 7, 8, 10, *range(25, 30))
    none = ["binance gives no such trades"]
    assert left(report) == [("AUSDT", [(5, 6), (9, 9)], none), ("AUSDT", [(30, 40)], none)]
    assert (report.filled, report.missing, report.complete) == (10, 14, False)


def test_an_unknown_symbol_keeps_no_other_from_being_filled() -> None:
    told = told_by_binance()
    report = gaps_of(("NONEUSDT", 1, 2), ("NONEUSDT", 5000, 5001), ("BUSDT", 1, 1))
    assert fill(told, report).numbers == ids("BUSDT", 1)
    why = ["HTTP 400: Invalid symbol."]
    assert left(report) == [("NONEUSDT", [(1, 2)], why), ("NONEUSDT", [(5000, 5001)], why)]
    assert len(told.asked) == 2


def test_an_exchange_that_is_given_up_is_asked_nothing_more() -> None:
    told = told_by_binance(Fault(lost=frozenset({FIRST_NUMBER})), None, GivenUp("left alone"))
    report = gaps_of(("AUSDT", 0, 0), ("AUSDT", 3, 17), ("AUSDT", 20, 21), ("BUSDT", 1, 1))
    assert fill(told, report, page=10).numbers == ids("AUSDT", *range(3, 13))
    assert left(report) == [
        ("AUSDT", [(0, 0)], ["binance gives no such trades"]),
        ("AUSDT", [(13, 17)], ["left alone"]),
        ("AUSDT", [(20, 21)], ["left alone"]),
        ("BUSDT", [(1, 1)], ["left alone"]),
    ]
    assert len(told.asked) == 3


def test_an_exchange_that_answers_with_other_trades_is_not_asked_without_end() -> None:
    class Says:
        asked = 0

        def get(self, path: str, **parameters: str | int) -> Answer:
            self.asked += 1
            return Answer([GOOD_BINANCE], 1)

    report, says = gaps_of(("AUSDT", 3, 5)), Says()
    Fill(binance.API, says, EXCHANGES["binance"], Sent(), report).run()
    assert (left(report), says.asked) == ([("AUSDT", [(3, 5)], ["binance gives no such trades"])], 1)


def test_ctrl_c_keeps_what_was_sent_and_the_next_run_asks_for_the_rest() -> None:
    told = told_by_binance()
    report = gaps_of(("AUSDT", 3, 6), ("BUSDT", 1, 1))
    first = fill(told, report, Sent(interrupted_at=3))
    assert (first.numbers, report.interrupted) == (ids("AUSDT", 3, 4), True)
    assert left(report) == [("AUSDT", [(5, 6)], ["interrupted"]), ("BUSDT", [(1, 1)], ["interrupted"])]
    again = Report("binance", gaps=[gap(one.symbol, hole.first, hole.last) for one in report.gaps for hole in one.left])
    assert fill(told, again).numbers == ids("AUSDT", 5, 6) + ids("BUSDT", 1)
    assert again.complete


def test_what_silver_would_reject_is_not_sent() -> None:
    told = told_by_binance()
    old = 400 * 86_400_000_000
    told.trades = [
        Trade(**{**vars(trade), "time_us": trade.time_us - old}) if trade.number < FIRST_NUMBER + 5 else trade for trade in told.trades
    ]
    report = gaps_of(("AUSDT", 3, 6))
    assert fill(told, report).numbers == ids("AUSDT", 5, 6)
    assert left(report) == [("AUSDT", [(3, 4)], ["silver would reject it: timestamp_too_old"])]
    assert (report.rejected, report.fetched, report.missing) == (2, 4, 2)


def test_binance_tells_the_ids_of_a_time() -> None:
    told = told_by_binance()
    mine = [trade for trade in told.trades if trade.symbol == "AUSDT"]
    since, until = mine[4].time_us // 1000 * 1000, mine[9].time_us // 1000 * 1000
    find = binance.Trades().ids
    assert find(told, "AUSDT", since, until) == Hole(mine[4].number, mine[8].number)
    assert find(told, "AUSDT", since + 1, until) == Hole(mine[5].number, mine[8].number)
    assert find(told, "AUSDT", since, mine[-1].time_us + 10**6) == Hole(mine[4].number, mine[-1].number)
    assert find(told, "AUSDT", mine[-1].time_us + 10**6, mine[-1].time_us + 2 * 10**6) is None
    assert find(told, "AUSDT", since + 1, since + 2) is None
    assert find(Told(binance.API, BinanceRest(["AUSDT"]), []), "AUSDT", since, until) is None
    assert all(one["limit"] == 1 for one in told.asked)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("cut", [None, 7])
def test_a_time_of_kraken_is_asked_for_page_by_page_each_trade_once(inclusive: bool, cut: int | None) -> None:
    trades = happened("BTC/USD", "ETH/USD", count=80)
    told = Told(kraken.API, KrakenRest(["BTC/USD", "ETH/USD"], inclusive), trades, *[Fault(cut=cut) for _ in range(40)])
    mine = [trade for trade in trades if trade.symbol == "BTC/USD"]
    report = Report("kraken", spans=[Span("BTC/USD", mine[3].time_us, mine[30].time_us, mine[3].time_us)])
    kept = {trade.number for trade in mine[10:12]}
    sent = fill(told, report, held=lambda symbol, numbers: kept.intersection(numbers))
    assert sent.numbers == [("BTC/USD", trade.number) for trade in mine[3:30] if trade.number not in kept]
    assert (report.held, report.fetched, report.complete) == (2, 25, True)
    assert report.spans[0].sent == 25
    assert (len(told.asked) > 3) == bool(cut)


def test_a_time_that_the_exchange_has_not_come_to_ends_with_its_last_trade() -> None:
    trades = happened("BTC/USD", count=20)
    told = Told(kraken.API, KrakenRest(["BTC/USD"]), trades)
    report = Report("kraken", spans=[Span("BTC/USD", trades[5].time_us, trades[-1].time_us + 10**9, trades[5].time_us)])
    assert len(fill(told, report).records) == 15
    assert (report.complete, len(told.asked)) == (True, 2)


def test_a_time_that_was_not_asked_to_its_end_says_how_far_and_why() -> None:
    trades = happened("BTC/USD", "ETH/USD", count=40)
    told = Told(kraken.API, KrakenRest(["BTC/USD", "ETH/USD"]), trades, Fault(cut=5), GivenUp("left alone"))
    begins, ends = trades[0].time_us, trades[-1].time_us + 1
    report = Report("kraken", spans=[Span(symbol, begins, ends, begins) for symbol in ("BTC/USD", "ETH/USD")])
    assert len(fill(told, report).records) == 5
    reached = [(span.reached_us, span.asked, span.reasons) for span in report.spans]
    assert reached == [(trades[8].time_us, False, ["left alone"]), (begins, False, ["left alone"])]
    assert not report.complete


# Keys


def test_a_key_is_never_part_of_a_representation() -> None:
    key = Key.of(" s3cr3t\n", "here")
    assert key.text == "s3cr3t"
    report = Report("binance")
    with Client(binance.API, "https://127.0.0.1:9", key, 1.0, report, print) as client:
        shown = [repr(key), str(key), repr(vars(client)), repr(client._http.headers), repr(client._http.auth), repr(vars(client._http))]
    assert not any("s3cr3t" in text for text in shown)
    assert "s3cr3t" not in json.dumps(asdict(report))


@pytest.mark.parametrize("text", ["", "\n", "a b", "a\nb", "\u00e4", "a\x00"])
def test_what_cannot_be_a_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(Failure) as failure:
        Key.of(text, "$KEY")
    assert str(failure.value) == "$KEY holds no API key: it must be one line of letters and digits"


def test_a_time_is_shown_to_the_microsecond() -> None:
    assert iso(1_767_225_600_000_001) == "2026-01-01T00:00:00.000001Z"
