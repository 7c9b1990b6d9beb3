"""Coinbase spot trades, Advanced Trade WebSocket.

{"channel": "market_trades", "client_id": "", "timestamp": "2023-02-09T20:19:35.39625135Z", "sequence_num": 0, "events": [
 {"type": "snapshot", "trades": [{"trade_id": "000000000", "product_id": "ETH-USD", "price": "1260.01", "size": "0.3", "side": "BUY",
 "time": "2019-08-14T20:42:27.265Z"}, ...]}, ...]}

Source: Coinbase, Advanced Trade API, "WebSocket Channels", "Market Trades Channel"
(docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels): `snapshot` and `update` look alike; an update holds
what was traded within 250 ms; **the side is the maker's** ("which refers to the makers side"), so the taker's is the other one.

Nothing is documented of the order of trades within a frame; published snapshots have the newest first. Nor that numbers have no holes.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.column_rules import decimals, mask, per_distinct, times_fit
from udfs.columns import Column
from udfs.cursor import Bools, Longs
from udfs.identity import hash_column, message_id, message_id_column, natural_key
from udfs.rejected import Rejected
from udfs.rules import Limits, check_pair, check_price, check_quantity, check_side, check_time
from udfs.trade import Trade

NAME = "COINBASE"
RECORD = "com.k2.marketdata.raw.CoinbaseRawTrade"
KEY = "product_id"
DENSE = False

TEXTS = ("product_id", "price", "size", "side", "time")
TRADE_ID = re.compile(r"[0-9]{1,18}")
PRODUCT = re.compile(r"([A-Z0-9]++)-([A-Z0-9]++)")
TAKERS = {"BUY": "SELL", "SELL": "BUY"}
"""The taker's side by the maker's."""
RFC_3339 = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})")
PLACES = 6
EPOCH, SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)
DAYS = (
    r"20[0-9]{2}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)",
    r"20(?:[02468][048]|[13579][26])-02-29",
)
CERTAIN_TIME = rf"^(?:{'|'.join(DAYS)})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{{1,9}})?Z$"
"""Days and hours that there are, of this century: a cast fails of one that is not, and all rows with it."""
LONG = 2**63


def records(frame: Any, received_us: int) -> list[dict[str, Any]]:
    """The Avro records of one frame, in the order of the exchange's numbers; none when it holds no trades.

    Args:
        received_us: when the frame was received, microseconds since the epoch.

    Raises:
        ValueError: a frame of trades that is not made like the one above.
    """
    if not isinstance(frame, dict) or frame.get("channel") != "market_trades":
        return []
    events, number, sent = frame.get("events"), frame.get("sequence_num"), frame.get("timestamp")
    if not isinstance(events, list):
        raise ValueError(f"a frame of trades with events {events!r}")
    common = {
        "sequence_num": number if type(number) is int and 0 <= number < LONG else None,
        "frame_time": sent if isinstance(sent, str) else "",
        "ingestion_timestamp": received_us,
    }
    return sorted((trade | common for event in events for trade in _trades(event)), key=lambda record: record["trade_id"])


def _trades(event: Any) -> list[dict[str, Any]]:
    trades = event.get("trades") if isinstance(event, dict) else None
    if not isinstance(trades, list):
        raise ValueError(f"a frame of trades with event {event!r}")
    kind = event.get("type")
    return [_trade(trade) | {"event_type": kind if isinstance(kind, str) else ""} for trade in trades]


def _trade(trade: Any) -> dict[str, Any]:
    if not isinstance(trade, dict):
        raise ValueError(f"a trade that is no object: {trade!r}")
    for name in TEXTS:
        if not isinstance(trade.get(name), str):
            raise ValueError(f"a trade with {name} = {trade.get(name)!r}")
    number = trade.get("trade_id")
    if not isinstance(number, str) or not TRADE_ID.fullmatch(number):
        raise ValueError(f"a trade with trade_id = {number!r}")
    return {"trade_id": int(number), **{name: trade[name] for name in TEXTS}}


def to_trade(record: dict[str, Any], offset: int, limits: Limits, quote_assets: Sequence[str]) -> Trade:
    """The trade of a decoded record, or the first rule that it breaks. The product names its quote asset: `quote_assets` is not read.

    Raises:
        Rejected: in the order price, quantity, timestamp, symbol, side.
    """
    price, quantity = check_price(record["price"]), check_quantity(record["size"])
    timestamp = check_time(microseconds(record["time"]), record["ingestion_timestamp"], limits)
    symbol, currency = split_product(record["product_id"])
    side = taker_side(record["side"])
    number = record["trade_id"]
    return Trade(
        message_id=message_id(timestamp, natural_key(NAME, record["product_id"], number), numbered=True),
        trade_id=f"{NAME}-{number}",
        symbol=symbol,
        exchange=NAME,
        asset_class="crypto",
        timestamp=timestamp,
        price=price,
        quantity=quantity,
        currency=currency,
        side=side,
        trade_conditions=(),
        source_sequence=number,
        ingestion_timestamp=record["ingestion_timestamp"],
        platform_sequence=offset,
        vendor_data=json.dumps({key: record[key] for key in ("product_id", "time")}, sort_keys=True, separators=(",", ":")),
    )


def to_columns(columns: dict[str, Column], limits: Limits, quote_assets: Sequence[str]) -> tuple[dict[str, Any], Bools]:
    """`to_trade` for whole columns: the columns of `udfs.batch.BATCH_TYPE`, and the rows that are certain."""
    raw = {name: column.values for name, column in columns.items()}
    price, priced = decimals(raw["price"])
    quantity, measured = decimals(raw["size"])
    timestamp = _microseconds(raw["time"])
    symbol = per_distinct(raw["product_id"], lambda product: split_product(product)[0], pa.string())
    currency = per_distinct(raw["product_id"], lambda product: split_product(product)[1], pa.string())
    side = per_distinct(raw["side"], taker_side, pa.string())
    sure = priced & measured & times_fit(timestamp, raw["ingestion_timestamp"], limits) & mask(symbol.is_valid()) & mask(side.is_valid())
    number = pa.array(raw["trade_id"]).cast(pa.string())
    keys = pc.binary_join_element_wise(NAME, raw["product_id"], number, "|")
    return {
        "message_id": message_id_column(np.where(sure, timestamp, 0), hash_column(keys), True),
        "trade_id": pc.binary_join_element_wise(NAME, number, "-"),
        "symbol": symbol,
        "timestamp": timestamp,
        "price": price,
        "quantity": quantity,
        "currency": currency,
        "side": side,
        "trade_condition": pa.nulls(len(sure), pa.string()),
        "source_sequence": raw["trade_id"],
        "ingestion_timestamp": raw["ingestion_timestamp"],
        "vendor_data": _vendor_data(raw["product_id"], raw["time"]),
    }, sure


def microseconds(time: str) -> int:
    """An RFC 3339 time as microseconds since the epoch, floored; it may tell nanoseconds.

    Raises:
        Rejected: `timestamp_unreadable`.
    """
    match = RFC_3339.fullmatch(time)
    if not match:
        raise Rejected("timestamp_unreadable", time)
    try:
        seconds = (datetime.fromisoformat(match[1] + match[3]) - EPOCH) // SECOND
    except ValueError:  # a day or an hour that there is not
        raise Rejected("timestamp_unreadable", time) from None
    return seconds * 1_000_000 + int((match[2] or "")[:PLACES].ljust(PLACES, "0"))


def split_product(product: str) -> tuple[str, str]:
    """Symbol and currency: `BTC-USD` is `BTCUSD`, `USD`.

    Raises:
        Rejected: `symbol_missing` or `symbol_unreadable`.
    """
    base, quote = check_pair(product, PRODUCT)
    return base + quote, quote


def taker_side(maker: str) -> str:
    """The taker's BUY or SELL; it took the other side of the maker's.

    Raises:
        Rejected: `side_unknown`.
    """
    return check_side(maker, TAKERS)


def _microseconds(time: pa.StringArray) -> Longs:
    """`microseconds` of each row; 0, which is no trade's time, where it is not written plainly."""
    certain = pc.match_substring_regex(time, CERTAIN_TIME)
    nanoseconds = pc.if_else(certain, time, "1970-01-01T00:00:00Z").cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    floored: Longs = nanoseconds.to_numpy() // 1000
    return floored


def _vendor_data(product: pa.StringArray, time: pa.StringArray) -> pa.StringArray:
    """Of rows that are certain: their time is written plainly."""
    parts = ('{"product_id":', per_distinct(product, json.dumps, pa.string()), ',"time":"', time, '"}')
    return pc.binary_join_element_wise(*parts, "")
