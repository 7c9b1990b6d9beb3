from decimal import Decimal

import pytest

from tests.unit.udfs.strategies import BINANCE, EXCHANGES, LIMITS, QUOTE_ASSETS
from udfs.binance import microseconds, quote_asset, records, to_trade
from udfs.rejected import Rejected
from udfs.trade import Trade

EVENT = {
    "e": "trade", "E": 1723161255343, "s": "BTCUSDT", "t": 3735683259, "p": "61837.63000000", "q": "0.02000000",
    "T": 1723161255342, "m": True, "M": True,
}  # fmt: skip
FRAME = {"stream": "btcusdt@trade", "data": EVENT}
RECEIVED = 1723161254087896
TRADE = Trade(
    message_id="0191346a-1dae-8000-8432-f9987a13c001",
    trade_id="BINANCE-3735683259",
    symbol="BTCUSDT",
    exchange="BINANCE",
    asset_class="crypto",
    timestamp=1723161255342000,
    price=Decimal("61837.63"),
    quantity=Decimal("0.02"),
    currency="USDT",
    side="SELL",
    trade_conditions=(),
    source_sequence=3735683259,
    ingestion_timestamp=RECEIVED,
    platform_sequence=42,
    vendor_data='{"event_time_ms":1723161255343,"event_type":"trade","is_best_match":true}',
)


def trade(**changes):
    return to_trade(BINANCE | changes, 42, LIMITS, QUOTE_ASSETS)


def test_a_combined_and_a_raw_frame_are_one_record():
    assert records(FRAME, RECEIVED) == records(EVENT, RECEIVED) == [BINANCE]


def test_a_record_has_every_field_of_the_schema():
    assert list(records(FRAME, RECEIVED)[0]) == [field["name"] for field in EXCHANGES["binance"].reader_schema["fields"]]


def test_a_frame_without_best_match_has_none():
    without = {key: value for key, value in EVENT.items() if key != "M"}
    assert records(without, RECEIVED)[0]["is_best_match"] is None


@pytest.mark.parametrize(
    "frame", [{}, [], None, 7, "trade", {"result": None, "id": 1}, {"data": []}, {"e": "aggTrade"}, {"data": {"e": "kline"}}]
)
def test_frames_that_are_not_trades(frame):
    assert records(frame, RECEIVED) == []


@pytest.mark.parametrize("change", [{"p": 1.5}, {"t": "1"}, {"m": 1}, {"T": True}, {"q": None}])
def test_a_broken_trade_is_no_record(change):
    with pytest.raises(ValueError, match=f"a trade with {next(iter(change))} = "):
        records(EVENT | change, RECEIVED)


def test_the_real_frame_as_a_trade():
    assert to_trade(records(FRAME, RECEIVED)[0], 42, LIMITS, QUOTE_ASSETS) == TRADE


def test_the_buyer_is_the_taker_when_the_maker_sold():
    assert trade(is_buyer_maker=False).side == "BUY"


def test_microseconds_are_known_by_their_size_and_change_no_id():
    fine = trade(trade_time_ms=1723161255342999)
    assert (fine.timestamp, fine.message_id) == (1723161255342999, TRADE.message_id)


@pytest.mark.parametrize(("wire", "expected"), [(10**14, 10**14), (10**14 - 1, 10**17 - 1000), (0, 0), (-1, -1000)])
def test_a_value_of_10_to_the_14_or_more_is_microseconds(wire, expected):
    assert microseconds(wire) == expected


@pytest.mark.parametrize(("best", "written"), [(None, "null"), (False, "false"), (True, "true")])
def test_vendor_data_is_ascii_json_with_sorted_keys(best, written):
    assert trade(is_best_match=best, event_type='é"\0').vendor_data == (
        f'{{"event_time_ms":1723161255343,"event_type":"\\u00e9\\"\\u0000","is_best_match":{written}}}'
    )


@pytest.mark.parametrize(
    ("symbol", "currency"),
    [
        ("BTCUSDT", "USDT"),
        ("BTCFDUSD", "FDUSD"),
        ("ETHBTC", "BTC"),
        ("BTCEURI", "EURI"),
        ("XAEUR", "AEUR"),
        ("1000SATSU", "U"),
        ("UUSDT", "USDT"),
    ],
)
def test_the_longest_quote_asset_that_ends_the_symbol(symbol, currency):
    assert quote_asset(symbol, QUOTE_ASSETS) == currency


@pytest.mark.parametrize("symbol", ["USDT", "FDUSD", "BTCXYZ", "btcusdt", "BTC-USDT", "BTCUSDT\n", " BTCUSDT", "BTCÜUSDT", "B\uff11USDT"])
def test_a_symbol_that_cannot_be_read(symbol):
    with pytest.raises(Rejected, match="symbol_unreadable"):
        quote_asset(symbol, QUOTE_ASSETS)


def test_without_quote_assets_no_symbol_can_be_read():
    with pytest.raises(Rejected, match="symbol_unreadable"):
        quote_asset("BTCUSDT", [])
