import json
from contextlib import suppress
from decimal import Decimal

import pyarrow as pa
import pytest

from tests.unit.udfs.strategies import COINBASE, EXCHANGES, LIMITS
from udfs.coinbase import _microseconds, microseconds, records, split_product, taker_side, to_trade
from udfs.rejected import Rejected
from udfs.trade import Trade

DOCUMENTED = """{"channel": "market_trades", "client_id": "", "timestamp": "2023-02-09T20:19:35.39625135Z", "sequence_num": 0, "events": [
 {"type": "snapshot", "trades": [
  {"trade_id": "000000000", "product_id": "ETH-USD", "price": "1260.01", "size": "0.3", "side": "BUY", "time": "2019-08-14T20:42:27.265Z"}
 ]}]}"""
RECEIVED = 1565815347300000
"""As if the documented trade had come at once."""
RECORD = {
    "trade_id": 0,
    "product_id": "ETH-USD",
    "price": "1260.01",
    "size": "0.3",
    "side": "BUY",
    "time": "2019-08-14T20:42:27.265Z",
    "event_type": "snapshot",
    "sequence_num": 0,
    "frame_time": "2023-02-09T20:19:35.39625135Z",
    "ingestion_timestamp": RECEIVED,
}
TRADE = Trade(
    message_id="016c91de-1841-8000-b5b0-7ee9e2ee2882",
    trade_id="COINBASE-0",
    symbol="ETHUSD",
    exchange="COINBASE",
    asset_class="crypto",
    timestamp=1565815347265000,
    price=Decimal("1260.01"),
    quantity=Decimal("0.3"),
    currency="USD",
    side="SELL",
    trade_conditions=(),
    source_sequence=0,
    ingestion_timestamp=RECEIVED,
    platform_sequence=42,
    vendor_data='{"product_id":"ETH-USD","time":"2019-08-14T20:42:27.265Z"}',
)
ENTRY = json.loads(DOCUMENTED)["events"][0]["trades"][0]


def frame(*trades, kind="update", **changes):
    return json.loads(DOCUMENTED) | {"events": [{"type": kind, "trades": list(trades)}]} | changes


def trade(**changes):
    return to_trade(COINBASE | changes, 42, LIMITS, ())


def test_the_documented_frame_is_a_record():
    assert records(json.loads(DOCUMENTED), RECEIVED) == [RECORD]


def test_the_side_of_the_documented_frame_is_the_makers_and_the_trades_is_the_takers():
    """Each trade's side "refers to the makers side": a maker that bought was met by a taker that sold."""
    assert ENTRY["side"] == RECORD["side"] == "BUY"
    assert to_trade(RECORD, 42, LIMITS, ()) == TRADE
    assert to_trade(RECORD | {"side": "SELL"}, 42, LIMITS, ()) == TRADE._replace(side="BUY")


def test_a_record_has_every_field_of_the_schema():
    assert set(records(json.loads(DOCUMENTED), RECEIVED)[0]) == {field["name"] for field in EXCHANGES["coinbase"].reader_schema["fields"]}


def test_trades_of_a_frame_are_in_the_order_of_their_numbers_however_they_were_sent():
    """Newest first, and by several events."""
    sent = [ENTRY | {"trade_id": str(number)} for number in (12, 11, 9)]
    made = records(frame(events=[{"type": "update", "trades": sent}, {"type": "snapshot", "trades": [ENTRY | {"trade_id": "010"}]}]), 1)
    assert [record["trade_id"] for record in made] == [9, 10, 11, 12]
    assert [record["event_type"] for record in made] == ["update", "snapshot", "update", "update"]


def test_what_a_frame_says_of_itself_may_change_or_be_absent():
    (made,) = records({"channel": "market_trades", "events": [{"trades": [ENTRY | {"venue": "spot"}]}]}, RECEIVED)
    assert made == RECORD | {"event_type": "", "sequence_num": None, "frame_time": ""}
    for odd in ("7", True, -1, 2**63, Decimal("1.5")):
        (made,) = records(frame(ENTRY, kind=7, sequence_num=odd, timestamp=5), RECEIVED)
        assert made == RECORD | {"event_type": "", "sequence_num": None, "frame_time": ""}


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        None,
        7,
        "market_trades",
        {"channel": "heartbeats", "events": [{"heartbeat_counter": "3049"}]},
        {"channel": "subscriptions", "events": [{"subscriptions": {"market_trades": ["ETH-USD"]}}]},
        {"channel": "ticker", "events": [{"type": "snapshot", "tickers": []}]},
        {"type": "error", "message": "x"},
        {"channel": "market_trades", "events": []},
    ],
)
def test_frames_that_are_not_trades(content):
    assert records(content, RECEIVED) == []


@pytest.mark.parametrize(
    "changes",
    [
        *[{name: None} for name in ENTRY],
        {"price": 1260.01},
        {"price": Decimal("1260.01")},
        {"size": 1},
        {"trade_id": 5},
        {"trade_id": ""},
        {"trade_id": "-1"},
        {"trade_id": "1 "},
        {"trade_id": "1e3"},
        {"trade_id": "\u0661"},
        {"trade_id": "9" * 19},
        {"trade_id": "b2a1-uuid"},
    ],
)
def test_a_broken_trade_is_no_record(changes):
    with pytest.raises(ValueError, match="a trade with"):
        records(frame(ENTRY | changes), RECEIVED)


@pytest.mark.parametrize("events", [None, {}, "x", [None], [[]], [{}], [{"type": "update"}], [{"trades": {}}], [{"trades": ["x"]}]])
def test_a_frame_without_its_trades_is_broken(events):
    with pytest.raises(ValueError, match=r"a frame of trades with event|a trade that is no object"):
        records(frame(events=events), RECEIVED)


def test_a_trade_is_one_by_its_product_and_number_whatever_its_frame_and_precision():
    through = [
        trade(time="2023-02-09T20:19:35.351234Z"),
        trade(time="2023-02-09T20:19:35.351234999Z", event_type="snapshot", sequence_num=None, frame_time=""),
        trade(time="2023-02-09T20:19:35.351Z", sequence_num=99),
    ]
    assert len({one.message_id for one in through}) == 1
    assert through[0].message_id[15:18] == "000"
    assert trade(trade_id=995098701).message_id != through[0].message_id
    assert trade(product_id="ETH-USD").message_id != through[0].message_id


@pytest.mark.parametrize(
    ("product", "symbol", "currency"),
    [("BTC-USD", "BTCUSD", "USD"), ("ETH-BTC", "ETHBTC", "BTC"), ("00-USD", "00USD", "USD"), ("DOGE-GBP", "DOGEGBP", "GBP")],
)
def test_a_product_is_a_symbol_and_names_its_currency(product, symbol, currency):
    assert split_product(product) == (symbol, currency)


@pytest.mark.parametrize("product", ["BTCUSD", "-", "BTC-", "-USD", "BTC-PERP-INTX", "btc-usd", "BTC-USD\n", "BTC/USD", "B\u00c4-USD"])
def test_a_product_that_cannot_be_read(product):
    with pytest.raises(Rejected, match="symbol_unreadable"):
        split_product(product)


@pytest.mark.parametrize("side", ["buy", "sell", "", "BUY ", "B", "UNKNOWN_ORDER_SIDE"])
def test_a_side_that_nobody_knows(side):
    with pytest.raises(Rejected, match="side_unknown"):
        taker_side(side)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-08-14T20:42:27.265Z", 1565815347265000),
        ("2023-02-09T20:19:35.39625135Z", 1675973975396251),
        ("2023-02-09T20:19:35.396251999Z", 1675973975396251),
        ("2023-02-09T20:19:35Z", 1675973975000000),
        ("2023-02-09T21:19:35.5+01:00", 1675973975500000),
        ("2024-02-29T00:00:00.000001Z", 1709164800000001),
        ("1969-12-31T23:59:59.9Z", -100000),
    ],
)
def test_a_time_is_floored_to_microseconds(text, expected):
    assert microseconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2023-02-09",
        "2023-02-09T20:19:35",
        "2023-02-09 20:19:35Z",
        "2023-02-09T20:19:35z",
        "2023-02-09T20:19:35.Z",
        "2023-02-09T20:19:35.1234567890Z",
        "2023-02-09T20:19:35,5Z",
        "2023-02-09T20:19:60Z",
        "2023-02-09T24:19:00Z",
        "2023-02-31T20:19:35Z",
        "2023-13-01T20:19:35Z",
        "0000-01-01T00:00:00Z",
        "2023-02-09T20:19:35+25:00",
        "2023-02-09T20:19:35Z\n",
        "\u0662023-02-09T20:19:35Z",
        "1675973975.5",
    ],
)
def test_a_time_that_cannot_be_read(text):
    with pytest.raises(Rejected, match="timestamp_unreadable"):
        microseconds(text)


def test_whole_columns_read_every_day_and_hour_that_there_is_and_no_other():
    """A cast that fails of one row would leave all rows of its batch to the judge."""
    days = [f"{y}-{m:02}-{d:02}" for y in (1999, 2000, 2023, 2024, 2096, 2099, 2100) for m in range(14) for d in range(33)]
    clocks = [f"2023-02-09T{h:02}:{m:02}:{s:02}" for h in (0, 9, 19, 20, 23, 24, 29) for m in (0, 59, 60) for s in (0, 59, 60)]
    fractions = ["", ".", ".5", ".265", ".123456", ".1234567", ".123456789", ".1234567890"]
    texts = [f"{day}T23:59:59.999999999Z" for day in days] + [f"{clock}Z" for clock in clocks]
    texts += [f"2023-02-09T20:19:35{fraction}{zone}" for fraction in fractions for zone in ("Z", "z", "", "+01:00")]
    read = dict(zip(texts, _microseconds(pa.array(texts)).tolist(), strict=True))
    scalar = {}
    for text in texts:
        with suppress(Rejected):
            scalar[text] = microseconds(text)
    assert {text: time for text, time in read.items() if time} == {
        text: time for text, time in scalar.items() if text.startswith("20") and text.endswith("Z")
    }
