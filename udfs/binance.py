"""Binance spot trades.

{"stream": "btcusdt@trade", "data": {"e": "trade", "E": 1723161255343, "s": "BTCUSDT", "t": 3735683259, "p": "61837.63000000",
 "q": "0.02000000", "T": 1723161255342, "m": true, "M": true}}

Source: Binance spot WebSocket streams, "Trade Streams"; a raw stream sends what stands in `data` alone.

REST, `GET /api/v3/historicalTrades`:
[{"id": 28457, "price": "4.00000100", "qty": "12.00000000", "quoteQty": "48.000012", "time": 1499865549590, "isBuyerMaker": true,
  "isBestMatch": true}, ...]
Source: Binance spot API, "Old trade lookup".
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.column_rules import decimals, mask, per_distinct, times_fit
from udfs.columns import Column
from udfs.cursor import Bools, Longs
from udfs.identity import hash_column, message_id, message_id_column, natural_key
from udfs.rejected import Rejected
from udfs.rules import Limits, check_price, check_quantity, check_time
from udfs.trade import Trade

NAME = "BINANCE"
RECORD = "com.k2.marketdata.raw.BinanceRawTrade"
KEY = "symbol"
DENSE = True

WIRE = (
    ("event_type", "e", str),
    ("event_time_ms", "E", int),
    ("symbol", "s", str),
    ("trade_id", "t", int),
    ("price", "p", str),
    ("quantity", "q", str),
    ("trade_time_ms", "T", int),
    ("is_buyer_maker", "m", bool),
)
REST = (
    ("trade_id", "id", int),
    ("price", "price", str),
    ("quantity", "qty", str),
    ("trade_time_ms", "time", int),
    ("is_buyer_maker", "isBuyerMaker", bool),
)
SYMBOL = re.compile(r"[A-Z0-9]++")
FIRST_MICROSECOND = 10**14
"""A trade time from here on is in microseconds: the stream was opened with `timeUnit=MICROSECOND`."""
FLAGS = ("false", "true", "null")


def records(frame: Any, received_us: int) -> list[dict[str, Any]]:
    """The Avro records of one frame, none when it is no trade.

    Args:
        received_us: when the frame was received, microseconds since the epoch.

    Raises:
        ValueError: a trade without one of its fields, or with one of another type.
    """
    event = frame.get("data", frame) if isinstance(frame, dict) else None
    if not isinstance(event, dict) or event.get("e") != "trade":
        return []
    for _, key, kind in WIRE:
        if type(event.get(key)) is not kind:
            raise ValueError(f"a trade with {key} = {event.get(key)!r}")
    best = event.get("M")
    record = {name: event[key] for name, key, _ in WIRE}
    return [record | {"is_best_match": best if isinstance(best, bool) else None, "ingestion_timestamp": received_us}]


def rest_records(symbol: str, answer: Any, received_us: int) -> list[dict[str, Any]]:
    """The Avro records of a REST answer. It tells no event time: the trade's own takes its place.

    Raises:
        ValueError: it is no list of trades, or a trade lacks one of its fields or has one of another type.
    """
    if not isinstance(answer, list):
        raise ValueError("an answer that is no list of trades")
    return [_rest_record(symbol, trade, received_us) for trade in answer]


def _rest_record(symbol: str, trade: Any, received_us: int) -> dict[str, Any]:
    if not isinstance(trade, dict):
        raise ValueError(f"a trade that is no object: {trade!r}")
    for _, key, kind in REST:
        if type(trade.get(key)) is not kind:
            raise ValueError(f"a trade with {key} = {trade.get(key)!r}")
    best = trade.get("isBestMatch")
    record = {name: trade[key] for name, key, _ in REST}
    return record | {
        "event_type": "trade",
        "event_time_ms": trade["time"],
        "symbol": symbol,
        "is_best_match": best if isinstance(best, bool) else None,
        "ingestion_timestamp": received_us,
    }


def to_trade(record: dict[str, Any], offset: int, limits: Limits, quote_assets: Sequence[str]) -> Trade:
    """The trade of a decoded record, or the first rule that it breaks.

    Raises:
        Rejected: in the order price, quantity, timestamp, symbol.
    """
    price, quantity = check_price(record["price"]), check_quantity(record["quantity"])
    timestamp = check_time(microseconds(record["trade_time_ms"]), record["ingestion_timestamp"], limits)
    symbol, trade_id = record["symbol"], record["trade_id"]
    currency = quote_asset(symbol, quote_assets)
    return Trade(
        message_id=message_id(timestamp, natural_key(NAME, symbol, trade_id), numbered=True),
        trade_id=f"{NAME}-{trade_id}",
        symbol=symbol,
        exchange=NAME,
        asset_class="crypto",
        timestamp=timestamp,
        price=price,
        quantity=quantity,
        currency=currency,
        side="SELL" if record["is_buyer_maker"] else "BUY",
        trade_conditions=(),
        source_sequence=trade_id,
        ingestion_timestamp=record["ingestion_timestamp"],
        platform_sequence=offset,
        vendor_data=json.dumps(
            {key: record[key] for key in ("event_time_ms", "event_type", "is_best_match")}, sort_keys=True, separators=(",", ":")
        ),
    )


def to_columns(columns: dict[str, Column], limits: Limits, quote_assets: Sequence[str]) -> tuple[dict[str, Any], Bools]:
    """`to_trade` for whole columns: the columns of `udfs.batch.BATCH_TYPE`, and the rows that are certain."""
    raw = {name: column.values for name, column in columns.items()}
    price, priced = decimals(raw["price"])
    quantity, measured = decimals(raw["quantity"])
    timestamp = _microseconds(raw["trade_time_ms"])
    currency = per_distinct(raw["symbol"], lambda symbol: quote_asset(symbol, quote_assets), pa.string())
    sure = priced & measured & times_fit(timestamp, raw["ingestion_timestamp"], limits) & mask(currency.is_valid())
    trade_id = pa.array(raw["trade_id"]).cast(pa.string())
    keys = pc.binary_join_element_wise(NAME, raw["symbol"], trade_id, "|")
    return {
        "message_id": message_id_column(np.where(sure, timestamp, 0), hash_column(keys), True),
        "trade_id": pc.binary_join_element_wise(NAME, trade_id, "-"),
        "symbol": raw["symbol"],
        "timestamp": timestamp,
        "price": price,
        "quantity": quantity,
        "currency": currency,
        "side": pa.array(["BUY", "SELL"]).take(pa.array(raw["is_buyer_maker"].astype(np.int8))),
        "trade_condition": pa.nulls(len(sure), pa.string()),
        "source_sequence": raw["trade_id"],
        "ingestion_timestamp": raw["ingestion_timestamp"],
        "vendor_data": _vendor_data(raw["event_time_ms"], raw["event_type"], columns["is_best_match"]),
    }, sure


def microseconds(trade_time: int) -> int:
    """The trade time in microseconds; milliseconds and microseconds are told apart by their size."""
    return trade_time if trade_time >= FIRST_MICROSECOND else trade_time * 1000


def quote_asset(symbol: str, quote_assets: Sequence[str]) -> str:
    """The longest of the quote assets that ends the symbol.

    Raises:
        Rejected: `symbol_missing` or `symbol_unreadable`.
    """
    if not symbol:
        raise Rejected("symbol_missing")
    endings = [asset for asset in quote_assets if symbol.endswith(asset)] if SYMBOL.fullmatch(symbol) else []
    longest = max(endings, key=len, default=symbol)
    if longest == symbol:
        raise Rejected("symbol_unreadable", symbol)
    return longest


def _microseconds(trade_time: Longs) -> Longs:
    """`microseconds` of each row; 0, which is no trade's time, where the product would not fit."""
    milliseconds = np.where((trade_time >= 0) & (trade_time < FIRST_MICROSECOND), trade_time, 0) * 1000
    return np.where(trade_time >= FIRST_MICROSECOND, trade_time, milliseconds)


def _vendor_data(event_time: Longs, event_type: pa.StringArray, best: Column) -> pa.StringArray:
    kinds = event_type.dictionary_encode()
    endings = [f',"event_type":{json.dumps(kind)},"is_best_match":{flag}}}' for kind in kinds.dictionary.to_pylist() for flag in FLAGS]
    ending = kinds.indices.to_numpy() * len(FLAGS) + np.where(best.null, 2, best.values)
    return pc.binary_join_element_wise(
        '{"event_time_ms":', pa.array(event_time).cast(pa.string()), pa.array(endings).take(pa.array(ending)), ""
    )
