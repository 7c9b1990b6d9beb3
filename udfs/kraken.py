"""Kraken spot trades, WebSocket v1 and v2.

v1: [321, [["58721.20000", "0.02798644", "1617666461.465618", "s", "m", ""], ...], "trade", "XBT/USD"]

v2: {"channel": "trade", "type": "update", "data": [{"symbol": "MATIC/USD", "side": "sell", "price": 0.5117, "qty": 40.0,
 "ord_type": "market", "trade_id": 4665906, "timestamp": "2023-09-25T07:49:37.708706Z"}, ...]}

Source: Kraken WebSocket API v1, "Trade": channel id, trades of price, volume, time, side, order type, misc; channel name, pair.
Kraken WebSocket API v2, "Trades": `snapshot` and `update` look alike; side and order type are the taker's.

REST, `GET /0/public/Trades`:
{"error": [], "result": {"XXBTZUSD": [["30243.40000", "0.34507674", 1688669597.8277369, "b", "m", "", 61044952], ...],
 "last": "1688671969993150842"}}

Source: Kraken Spot REST API, "Get Recent Trades": price, volume, time, side, order type, misc, trade_id; `last` in nanoseconds.
All enter one record; all but v1 have a trade_id.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.column_rules import decimals, mask, per_distinct, times_fit
from udfs.columns import Column
from udfs.cursor import Bools, Longs
from udfs.identity import fingerprint, fingerprint_column, hash_column, message_id, message_id_column, natural_key
from udfs.rejected import Rejected
from udfs.rules import Limits, check_pair, check_price, check_quantity, check_side, check_time
from udfs.trade import Trade

NAME = "KRAKEN"
RECORD = "com.k2.marketdata.raw.KrakenRawTrade"
KEY = "pair"
DENSE = False

TRADE = ("price", "volume", "timestamp", "side", "order_type", "misc")
REST_TRADE: tuple[Any, ...] = (str, str, (int, Decimal), str, str, str, int)
"""The types of a trade's parts."""
UNNUMBERED_KEY = ("pair", "timestamp", "price", "volume", "side", "order_type", "misc", "occurrence")
PAIR = re.compile(r"([A-Z0-9]++)/([A-Z0-9]++)")
RENAMED = {"XBT": "BTC", "XDG": "DOGE"}
EPOCH = re.compile(r"(?:0*+([1-9][0-9]{0,9})|0++)(?:\.([0-9]{1,6}))?")
CERTAIN_EPOCH = r"^[0-9]{9,10}(\.[0-9]{1,6})?$"
MICROSECONDS = pa.decimal128(16, 6)
SIDES = {"b": "BUY", "s": "SELL"}
ORDER_TYPES = {"l": "limit", "m": "market"}

V2_TEXTS = ("symbol", "side", "ord_type", "timestamp")
V2_CODES = {"buy": "b", "sell": "s", "limit": "l", "market": "m"}
"""What v1 writes for it. Another word is kept as it is: silver judges it."""
RFC_3339 = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})")
PLACES = 6
LARGEST_EXPONENT = 64
"""Far beyond any price; without a bound a number of a few bytes has a text of gigabytes."""


def records(frame: Any, received_us: int) -> list[dict[str, Any]]:
    """The Avro records of one frame of either feed, none when it holds no trades.

    Args:
        frame: parsed so that numbers with a fraction are Decimals.
        received_us: when the frame was received, microseconds since the epoch.

    Raises:
        ValueError: a frame of trades that is not made like one of those above.
    """
    if isinstance(frame, dict):
        return _v2(frame.get("data"), received_us) if frame.get("channel") == "trade" else []
    if not isinstance(frame, list) or len(frame) != 4 or frame[2] != "trade":
        return []
    return _v1(frame, received_us)


def _v1(frame: list[Any], received_us: int) -> list[dict[str, Any]]:
    channel_id, trades, _, pair = frame
    if type(channel_id) is not int or not isinstance(trades, list) or not isinstance(pair, str):
        raise ValueError(f"a frame of trades with channel {channel_id!r}, pair {pair!r}")
    common = {"channel_id": channel_id, "pair": pair, "ingestion_timestamp": received_us, "trade_id": None}
    seen: Counter[tuple[str, ...]] = Counter()
    made = []
    for trade in map(_trade, trades):
        made.append({**common, **dict(zip(TRADE, trade, strict=True)), "occurrence": seen[trade]})
        seen[trade] += 1
    return made


def _v2(trades: Any, received_us: int) -> list[dict[str, Any]]:
    if not isinstance(trades, list):
        raise ValueError(f"a frame of trades with data {trades!r}")
    return [_v2_trade(trade, received_us) for trade in trades]


def _v2_trade(trade: Any, received_us: int) -> dict[str, Any]:
    if not isinstance(trade, dict):
        raise ValueError(f"a trade that is no object: {trade!r}")
    for name in V2_TEXTS:
        if not isinstance(trade.get(name), str):
            raise ValueError(f"a trade with {name} = {trade.get(name)!r}")
    if type(trade.get("trade_id")) is not int:
        raise ValueError(f"a trade with trade_id = {trade.get('trade_id')!r}")
    return {
        "channel_id": 0,
        "price": _plain("price", trade.get("price")),
        "volume": _plain("qty", trade.get("qty")),
        "timestamp": _epoch(trade["timestamp"]),
        "side": V2_CODES.get(trade["side"], trade["side"]),
        "order_type": V2_CODES.get(trade["ord_type"], trade["ord_type"]),
        "misc": "",
        "pair": trade["symbol"],
        "ingestion_timestamp": received_us,
        "trade_id": trade["trade_id"],
        "occurrence": 0,
    }


def rest_records(pair: str, trades: Any, received_us: int) -> list[dict[str, Any]]:
    """The Avro records of the trades of one pair in a REST answer; times are floored to microseconds.

    Args:
        pair: as the v2 feed writes it (`BTC/USD`): it is part of a trade's identity.

    Raises:
        ValueError: it is no list of trades, or a trade is not made like one of those above.
    """
    if not isinstance(trades, list):
        raise ValueError("an answer that is no list of trades")
    return [_rest_record(pair, trade, received_us) for trade in trades]


def _rest_record(pair: str, trade: Any, received_us: int) -> dict[str, Any]:
    made_so = isinstance(trade, list) and len(trade) >= len(REST_TRADE)
    if not made_so or not all(isinstance(part, kind) and not isinstance(part, bool) for part, kind in zip(trade, REST_TRADE, strict=False)):
        raise ValueError(f"a trade that is not price, volume, time, side, order type, misc, trade_id: {trade!r}")
    price, volume, time, side, order_type, misc, trade_id = trade[: len(REST_TRADE)]
    seconds, _, fraction = _plain("time", time).partition(".")
    if not seconds.isdecimal():
        raise ValueError(f"a trade with time = {time!r}")
    return {
        "channel_id": 0,
        "price": price,
        "volume": volume,
        "timestamp": f"{seconds}.{fraction[:PLACES].ljust(PLACES, '0')}",
        "side": side,
        "order_type": order_type,
        "misc": misc,
        "pair": pair,
        "ingestion_timestamp": received_us,
        "trade_id": trade_id,
        "occurrence": 0,
    }


def _plain(name: str, number: Any) -> str:
    """A number's decimal text, digit for digit, without an exponent."""
    if type(number) is int:
        return str(number)
    if not isinstance(number, Decimal) or not number.is_finite() or abs(int(number.as_tuple().exponent)) > LARGEST_EXPONENT:
        raise ValueError(f"a trade with {name} = {number!r}")
    return f"{number:f}"


def _epoch(timestamp: str) -> str:
    """`seconds.microseconds` since the epoch, floored, of an RFC 3339 time."""
    match = RFC_3339.fullmatch(timestamp)
    seconds = int(datetime.fromisoformat(match[1] + match[3]).timestamp()) if match else -1
    if not match or seconds < 0:
        raise ValueError(f"a trade with timestamp = {timestamp!r}")
    return f"{seconds}.{(match[2] or '')[:PLACES].ljust(PLACES, '0')}"


def to_trade(record: dict[str, Any], offset: int, limits: Limits, quote_assets: Sequence[str]) -> Trade:
    """The trade of a decoded record, or the first rule that it breaks. The pair names its quote asset: `quote_assets` is not read.

    An order type that is neither `l` nor `m` is no reason to refuse a trade: it has no condition.

    Raises:
        Rejected: in the order price, quantity, timestamp, symbol, side.
    """
    price, quantity = check_price(record["price"]), check_quantity(record["volume"])
    timestamp = check_time(microseconds(record["timestamp"]), record["ingestion_timestamp"], limits)
    symbol, currency = split_pair(record["pair"])
    side = taker_side(record["side"])
    number = record["trade_id"]
    key = _key(record)
    return Trade(
        message_id=message_id(timestamp, key, numbered=number is not None),
        trade_id=f"{NAME}-{record['timestamp']}-{fingerprint(key)}" if number is None else f"{NAME}-{number}",
        symbol=symbol,
        exchange=NAME,
        asset_class="crypto",
        timestamp=timestamp,
        price=price,
        quantity=quantity,
        currency=currency,
        side=side,
        trade_conditions=tuple(ORDER_TYPES[known] for known in [record["order_type"]] if known in ORDER_TYPES),
        source_sequence=number,
        ingestion_timestamp=record["ingestion_timestamp"],
        platform_sequence=offset,
        vendor_data=json.dumps(
            {key: record[key] for key in ("channel_id", "misc", "occurrence", "pair")}, sort_keys=True, separators=(",", ":")
        ),
    )


def to_columns(columns: dict[str, Column], limits: Limits, quote_assets: Sequence[str]) -> tuple[dict[str, Any], Bools]:
    """`to_trade` for whole columns: the columns of `udfs.batch.BATCH_TYPE`, and the rows that are certain."""
    raw = {name: column.values for name, column in columns.items()}
    price, priced = decimals(raw["price"])
    quantity, measured = decimals(raw["volume"])
    timestamp = _microseconds(raw["timestamp"])
    symbol = per_distinct(raw["pair"], lambda pair: split_pair(pair)[0], pa.string())
    currency = per_distinct(raw["pair"], lambda pair: split_pair(pair)[1], pa.string())
    side = per_distinct(raw["side"], taker_side, pa.string())
    condition = per_distinct(raw["order_type"], ORDER_TYPES.get, pa.string())
    sure = priced & measured & times_fit(timestamp, raw["ingestion_timestamp"], limits)
    for known in (symbol, side, condition):
        sure &= mask(known.is_valid())
    numbered = ~columns["trade_id"].null
    number = pa.array(raw["trade_id"], mask=~numbered)
    hashes = hash_column(_keys(raw, number))
    return {
        "message_id": message_id_column(np.where(sure, timestamp, 0), hashes, numbered),
        "trade_id": _trade_ids(raw["timestamp"], number, hashes),
        "symbol": symbol,
        "timestamp": timestamp,
        "price": price,
        "quantity": quantity,
        "currency": currency,
        "side": side,
        "trade_condition": condition,
        "source_sequence": number,
        "ingestion_timestamp": raw["ingestion_timestamp"],
        "vendor_data": _vendor_data(raw),
    }, sure


def microseconds(timestamp: str) -> int:
    """`seconds.microseconds` as microseconds; missing digits are zeros on the right.

    Raises:
        Rejected: `timestamp_unreadable`.
    """
    match = EPOCH.fullmatch(timestamp)
    if not match:
        raise Rejected("timestamp_unreadable", timestamp)
    return int(match[1] or "0") * 1_000_000 + int((match[2] or "").ljust(6, "0"))


def split_pair(pair: str) -> tuple[str, str]:
    """Symbol and currency: `XBT/USD` is `BTCUSD`, `USD`.

    Raises:
        Rejected: `symbol_missing` or `symbol_unreadable`.
    """
    base, quote = (RENAMED.get(asset, asset) for asset in check_pair(pair, PAIR))
    return base + quote, quote


def taker_side(side: str) -> str:
    """BUY or SELL.

    Raises:
        Rejected: `side_unknown`.
    """
    return check_side(side, SIDES)


def _trade(element: Any) -> tuple[str, ...]:
    if not isinstance(element, list) or len(element) != len(TRADE) or not all(isinstance(part, str) for part in element):
        raise ValueError(f"a trade that is not six texts: {element!r}")
    return tuple(element)


def _key(record: dict[str, Any]) -> str:
    if record["trade_id"] is not None:
        return natural_key(NAME, record["pair"], record["trade_id"])
    return natural_key(NAME, *(record[name] for name in UNNUMBERED_KEY))


def _keys(raw: dict[str, Any], number: pa.Int64Array) -> pa.StringArray:
    """`_key` of each row."""
    texts = [_text(raw[name]) for name in UNNUMBERED_KEY]
    unnumbered = pc.binary_join_element_wise(NAME, *texts, "|")
    if number.null_count == len(number):
        return unnumbered
    return pc.coalesce(pc.binary_join_element_wise(NAME, raw["pair"], _text(number), "|"), unnumbered)


def _trade_ids(timestamp: pa.StringArray, number: pa.Int64Array, hashes: Any) -> pa.StringArray:
    unnumbered = pc.binary_join_element_wise(NAME, timestamp, fingerprint_column(hashes), "-")
    if number.null_count == len(number):
        return unnumbered
    return pc.coalesce(pc.binary_join_element_wise(NAME, _text(number), "-"), unnumbered)


def _vendor_data(raw: dict[str, Any]) -> pa.StringArray:
    misc, pair = (per_distinct(raw[name], json.dumps, pa.string()) for name in ("misc", "pair"))
    parts = (
        '{"channel_id":',
        _text(raw["channel_id"]),
        ',"misc":',
        misc,
        ',"occurrence":',
        _text(raw["occurrence"]),
        ',"pair":',
        pair,
        "}",
    )
    return pc.binary_join_element_wise(*parts, "")


def _microseconds(timestamp: pa.StringArray) -> Longs:
    """`microseconds` of each row; 0, which is no trade's time, where it is not written plainly."""
    certain = pc.match_substring_regex(timestamp, CERTAIN_EPOCH)
    seconds = pc.if_else(certain, timestamp, "0").cast(MICROSECONDS)
    low_words: Longs = np.frombuffer(seconds.buffers()[1], np.int64)[::2][: len(seconds)]
    return low_words


def _text(values: Any) -> pa.StringArray:
    return (values if isinstance(values, pa.Array) else pa.array(values)).cast(pa.string())
