import json
import re
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.udfs.strategies import EXCHANGES, KRAKEN, LIMITS
from udfs.kraken import microseconds, records, split_pair, to_trade
from udfs.rejected import Rejected
from udfs.rules import check_price
from udfs.trade import Trade

FILL = ["58721.20000", "0.02798644", "1617666461.465618", "s", "m", ""]
FRAME = [321, [FILL, ["58721.20000", "0.12749400", "1617666461.466773", "b", "l", "x"], FILL, FILL], "trade", "XBT/USD"]
RECEIVED = 1617666461507299
TRADE = Trade(
    message_id="0178a46f-4f19-826a-9d12-3898e564c79f",
    trade_id="KRAKEN-1617666461.465618-9d123898e564",
    symbol="BTCUSD",
    exchange="KRAKEN",
    asset_class="crypto",
    timestamp=1617666461465618,
    price=Decimal("58721.2"),
    quantity=Decimal("0.02798644"),
    currency="USD",
    side="SELL",
    trade_conditions=("market",),
    source_sequence=None,
    ingestion_timestamp=RECEIVED,
    platform_sequence=42,
    vendor_data='{"channel_id":321,"misc":"","occurrence":0,"pair":"XBT/USD"}',
)


def trade(**changes):
    return to_trade(KRAKEN | changes, 42, LIMITS, ())


def test_a_frame_holds_several_trades_and_counts_the_identical_ones():
    made = records(FRAME, RECEIVED)
    other = KRAKEN | {"volume": "0.12749400", "timestamp": "1617666461.466773", "side": "b", "order_type": "l", "misc": "x"}
    assert made == [KRAKEN, other, KRAKEN | {"occurrence": 1}, KRAKEN | {"occurrence": 2}]


def test_a_record_has_every_field_of_the_schema():
    assert set(records(FRAME, RECEIVED)[0]) == {field["name"] for field in EXCHANGES["kraken"].reader_schema["fields"]}


@pytest.mark.parametrize(
    "frame", [{"event": "heartbeat"}, {}, [], [1, [], "spread", "XBT/USD"], [1, {}, "book-10", "XBT/USD"], None, "x", 1]
)
def test_frames_that_are_not_trades(frame):
    assert records(frame, RECEIVED) == []


@pytest.mark.parametrize(
    "frame",
    [
        ["1", [FILL], "trade", "XBT/USD"],
        [1, None, "trade", "XBT/USD"],
        [1, [FILL], "trade", None],
        [1, [FILL[:5]], "trade", "XBT/USD"],
        [1, [[*FILL[:5], 1]], "trade", "XBT/USD"],
        [1, ["abcdef"], "trade", "XBT/USD"],
    ],
)
def test_a_broken_frame_of_trades_is_no_record(frame):
    with pytest.raises(ValueError, match=r"a frame of trades|a trade that is not six texts"):
        records(frame, RECEIVED)


V2_FRAME = """{"channel":"trade","type":"update","data":[
{"symbol":"MATIC/USD","side":"sell","price":0.5117,"qty":40.0,"ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"},
{"symbol":"MATIC/USD","side":"buy","price":0.5120,"qty":40,"ord_type":"limit","trade_id":4665907,"timestamp":"2023-09-25T07:49:37.7Z"}]}"""
V2_TRADE = json.loads(V2_FRAME, parse_float=Decimal)["data"][0]
V2_RECORD = {
    "channel_id": 0,
    "price": "0.5117",
    "volume": "40.0",
    "timestamp": "1695628177.708706",
    "side": "s",
    "order_type": "m",
    "misc": "",
    "pair": "MATIC/USD",
    "ingestion_timestamp": RECEIVED,
    "trade_id": 4665906,
    "occurrence": 0,
}


def v2(**changes):
    (record,) = records({"channel": "trade", "type": "update", "data": [V2_TRADE | changes]}, RECEIVED)
    return record


@pytest.mark.parametrize("kind", ["update", "snapshot", "of a later version"])
def test_the_documented_frame_of_v2_enters_the_same_record_digit_for_digit(kind):
    other = {"price": "0.5120", "volume": "40", "timestamp": "1695628177.700000", "side": "b", "order_type": "l", "trade_id": 4665907}
    frame = json.loads(V2_FRAME, parse_float=Decimal) | {"type": kind}
    assert records(frame, RECEIVED) == [V2_RECORD, V2_RECORD | other]


def test_a_new_field_of_v2_is_passed_over():
    assert v2(venue="spot") == V2_RECORD


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("0.10000000000000000001", "0.10000000000000000001"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.10"),
        ("1e-7", "0.0000001"),
        ("1.50E2", "150"),
        ("5", "5"),
        ("-1.0", "-1.0"),
    ],
)
def test_a_number_of_v2_is_its_plain_decimal_text(sent, text):
    assert v2(price=json.loads(sent, parse_float=Decimal))["price"] == text


@pytest.mark.parametrize(
    ("sent", "epoch"),
    [
        ("2023-09-25T07:49:37.708706999Z", "1695628177.708706"),
        ("2023-09-25T07:49:37Z", "1695628177.000000"),
        ("2023-09-25T09:49:37.5+02:00", "1695628177.500000"),
        ("1970-01-01T00:00:00.000001Z", "0.000001"),
    ],
)
def test_a_time_of_v2_is_floored_to_microseconds(sent, epoch):
    assert v2(timestamp=sent)["timestamp"] == epoch


def test_a_side_or_order_type_that_nobody_knows_is_left_to_silver():
    made = v2(side="both", ord_type="iceberg")
    assert (made["side"], made["order_type"]) == ("both", "iceberg")


@pytest.mark.parametrize("frame", [{"channel": "heartbeat"}, {"channel": "ticker", "data": []}, {"method": "subscribe", "success": True}])
def test_frames_of_v2_that_are_not_trades(frame):
    assert records(frame, RECEIVED) == []


@pytest.mark.parametrize(
    "changes",
    [
        *[{name: None} for name in V2_TRADE],
        {"trade_id": True},
        {"trade_id": "1"},
        {"price": 0.5117},
        {"price": "0.5117"},
        {"price": True},
        {"qty": Decimal("NaN")},
        {"qty": Decimal("1e999999")},
        {"qty": Decimal("1e-999999")},
        {"timestamp": "yesterday"},
        {"timestamp": "2023-02-31T00:00:00Z"},
        {"timestamp": "2023-09-25T07:49:37.7"},
        {"timestamp": "1969-12-31T23:59:59.9Z"},
        {"timestamp": "\u0662023-09-25T07:49:37Z"},
    ],
)
def test_a_broken_trade_of_v2_is_no_record(changes):
    with pytest.raises(ValueError, match=r"a trade with|day is out of range"):
        v2(**changes)


@pytest.mark.parametrize("data", [None, {}, "x", ["x"]])
def test_a_frame_of_v2_without_its_trades_is_broken(data):
    with pytest.raises(ValueError, match=r"a frame of trades with data|a trade that is no object"):
        records({"channel": "trade", "type": "update", "data": data}, RECEIVED)


def test_a_trade_of_v2_is_one_by_its_id_whatever_its_time_tells():
    times = ("2023-09-25T07:49:37.708706Z", "2023-09-25T07:49:37.708Z")
    first, again = (to_trade(v2(timestamp=time) | {"ingestion_timestamp": 1695628177800000}, 42, LIMITS, ()) for time in times)
    assert first.message_id == again.message_id
    assert (first.trade_id, first.symbol, first.side, first.trade_conditions) == ("KRAKEN-4665906", "MATICUSD", "SELL", ("market",))
    assert (first.price, first.quantity, first.timestamp) == (Decimal("0.5117"), Decimal("40"), 1695628177708706)


def test_the_real_frame_as_a_trade():
    assert to_trade(records(FRAME, RECEIVED)[0], 42, LIMITS, ()) == TRADE


def test_identical_fills_of_one_frame_differ_by_occurrence():
    ids = {to_trade(record, 0, LIMITS, ()).message_id for record in records(FRAME, RECEIVED)}
    assert len(ids) == 4


def test_a_trade_id_names_the_trade_and_its_milliseconds():
    numbered = trade(trade_id=99)
    assert (numbered.trade_id, numbered.source_sequence) == ("KRAKEN-99", 99)
    assert numbered.message_id[15:18] == "000"
    assert trade(trade_id=99, timestamp="1617666461.465", occurrence=3).message_id == numbered.message_id


@pytest.mark.parametrize(("order_type", "conditions"), [("l", ("limit",)), ("m", ("market",)), ("x", ()), ("", ())])
def test_an_order_type_is_a_condition(order_type, conditions):
    assert trade(order_type=order_type).trade_conditions == conditions


@pytest.mark.parametrize(
    ("pair", "symbol", "currency"),
    [
        ("XBT/USD", "BTCUSD", "USD"),
        ("BTC/USD", "BTCUSD", "USD"),
        ("ALGO/XBT", "ALGOBTC", "BTC"),
        ("XDG/XBT", "DOGEBTC", "BTC"),
        ("XBT/XDG", "BTCDOGE", "DOGE"),
        ("1INCH/EUR", "1INCHEUR", "EUR"),
        ("XBTX/USD", "XBTXUSD", "USD"),
    ],
)
def test_assets_have_the_names_of_other_exchanges(pair, symbol, currency):
    assert split_pair(pair) == (symbol, currency)


@pytest.mark.parametrize("pair", ["XBTUSD", "/", "XBT/", "/USD", "XBT/USD/EUR", "xbt/usd", "XBT/USD\n", "XBT /USD", "X\u00c4T/USD"])
def test_a_pair_that_cannot_be_read(pair):
    with pytest.raises(Rejected, match="symbol_unreadable"):
        split_pair(pair)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1617666461.465618", 1617666461465618),
        ("1617666461.4", 1617666461400000),
        ("1617666461.000001", 1617666461000001),
        ("1617666461", 1617666461000000),
        ("0001617666461.5", 1617666461500000),
        ("0", 0),
        ("000.5", 500000),
        ("0" * 20 + "9999999999", 9999999999000000),
    ],
)
def test_a_time_is_read_digit_by_digit(text, expected):
    assert microseconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "1617666461.",
        ".5",
        "1617666461.4656180",
        "-1.5",
        "+1.5",
        "1e9",
        "1617666461,5",
        "1617666461.5\n",
        "soon",
        "9" * 5000,
        "\u0661.5",
    ],
)
def test_a_time_that_cannot_be_read(text):
    with pytest.raises(Rejected, match="timestamp_unreadable"):
        microseconds(text)


TEN_MILLION = 10_000_000


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (microseconds, "0" * TEN_MILLION + "x"),
        (microseconds, "0" * TEN_MILLION + "12345678901"),
        (split_pair, "A" * TEN_MILLION),
        (split_pair, "A/" + "B" * TEN_MILLION + "x"),
        (check_price, "0" * TEN_MILLION + "x"),
        (check_price, "1." + "0" * TEN_MILLION + "x"),
    ],
)
def test_no_text_is_read_twice(read, text):
    started = time.process_time()
    with pytest.raises(Rejected):
        read(text)
    assert time.process_time() - started < 1


@given(st.text("0019.x", max_size=16) | st.from_regex(r"0{0,3}[0-9]{0,11}\.?[0-9]{0,7}", fullmatch=True))
def test_a_time_is_what_its_plain_pattern_says(text):
    match = re.fullmatch(r"0*([0-9]{1,10})(?:\.([0-9]{1,6}))?", text)
    if match:
        assert microseconds(text) == int(match[1]) * 1_000_000 + int((match[2] or "").ljust(6, "0"))
    else:
        with pytest.raises(Rejected, match="timestamp_unreadable"):
            microseconds(text)
