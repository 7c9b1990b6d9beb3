"""The V2 columns of a raw trade (without the offset), read from the data contract alone.

A raw trade is a dict with the fields of the exchange's Avro record. Numbers are ints and Decimals.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from tests.truth.identity import message_id, natural_key, sha256

Raw = dict[str, Any]
Trade = dict[str, Any]

MICROSECONDS_FROM = 10**14
UNNUMBERED = ("pair", "timestamp", "price", "volume", "side", "order_type", "misc", "occurrence")
RENAMED = {"XBT": "BTC", "XDG": "DOGE"}
SIDES = {"b": "BUY", "s": "SELL"}
CONDITIONS = {"l": "limit", "m": "market"}


def binance(raw: Raw, quote_assets: Iterable[str]) -> Trade:
    time = raw["trade_time_ms"]
    time_us = time if time >= MICROSECONDS_FROM else time * 1000
    symbol, trade_id = raw["symbol"], raw["trade_id"]
    return {
        "message_id": message_id(time_us, natural_key(("BINANCE", symbol, trade_id)), has_trade_id=True),
        "trade_id": f"BINANCE-{trade_id}",
        "symbol": symbol,
        "exchange": "BINANCE",
        "asset_class": "crypto",
        "timestamp": time_us,
        "price": Decimal(raw["price"]),
        "quantity": Decimal(raw["quantity"]),
        "currency": quote_asset(symbol, quote_assets),
        "side": "SELL" if raw["is_buyer_maker"] else "BUY",
        "trade_conditions": [],
        "source_sequence": trade_id,
        "ingestion_timestamp": raw["ingestion_timestamp"],
        "vendor_data": compact_json(raw, ("event_time_ms", "event_type", "is_best_match")),
    }


def kraken(raw: Raw) -> Trade:
    raw = {"trade_id": None, "occurrence": 0} | raw  # a writer of the first version knows neither
    time_us = epoch_microseconds(raw["timestamp"])
    base, quote = (RENAMED.get(asset, asset) for asset in raw["pair"].split("/"))
    number = raw["trade_id"]
    parts = ("pair", "trade_id") if number is not None else UNNUMBERED
    key = natural_key(("KRAKEN", *(raw[part] for part in parts)))
    return {
        "message_id": message_id(time_us, key, has_trade_id=number is not None),
        "trade_id": f"KRAKEN-{raw['timestamp']}-{sha256(key)[:12]}" if number is None else f"KRAKEN-{number}",
        "symbol": base + quote,
        "exchange": "KRAKEN",
        "asset_class": "crypto",
        "timestamp": time_us,
        "price": Decimal(raw["price"]),
        "quantity": Decimal(raw["volume"]),
        "currency": quote,
        "side": SIDES[raw["side"]],
        "trade_conditions": [CONDITIONS[raw["order_type"]]] if raw["order_type"] in CONDITIONS else [],
        "source_sequence": number,
        "ingestion_timestamp": raw["ingestion_timestamp"],
        "vendor_data": compact_json(raw, ("channel_id", "misc", "occurrence", "pair")),
    }


def coinbase(raw: Raw) -> Trade:
    """The raw trade has the side of the maker."""
    time_us = rfc_3339_microseconds(raw["time"])
    base, quote = raw["product_id"].split("-")
    number = raw["trade_id"]
    return {
        "message_id": message_id(time_us, natural_key(("COINBASE", raw["product_id"], number)), has_trade_id=True),
        "trade_id": f"COINBASE-{number}",
        "symbol": base + quote,
        "exchange": "COINBASE",
        "asset_class": "crypto",
        "timestamp": time_us,
        "price": Decimal(raw["price"]),
        "quantity": Decimal(raw["size"]),
        "currency": quote,
        "side": "BUY" if raw["side"] == "SELL" else "SELL",
        "trade_conditions": [],
        "source_sequence": number,
        "ingestion_timestamp": raw["ingestion_timestamp"],
        "vendor_data": compact_json(raw, ("product_id", "time")),
    }


def trade(exchange: str, raw: Raw, quote_assets: Sequence[str] = ()) -> Trade:
    if exchange == "binance":
        return binance(raw, quote_assets)
    return kraken(raw) if exchange == "kraken" else coinbase(raw)


def rfc_3339_microseconds(time: str) -> int:
    """Whole microseconds since the epoch of a UTC time, floored."""
    day, _, clock = time.removesuffix("Z").partition("T")
    hours, minutes, seconds = clock.split(":")
    days = (date.fromisoformat(day) - date(1970, 1, 1)).days
    return ((days * 24 + int(hours)) * 60 + int(minutes)) * 60 * 10**6 + epoch_microseconds(seconds)


def epoch_microseconds(seconds: str) -> int:
    """Whole microseconds of `seconds.fraction`, floored."""
    return int(Decimal(seconds) * 10**6)


def quote_asset(symbol: str, quote_assets: Iterable[str]) -> str:
    return max((asset for asset in quote_assets if symbol.endswith(asset) and symbol != asset), key=len)


def compact_json(raw: Raw, keys: Iterable[str]) -> str:
    return "{" + ",".join(f"{json.dumps(key)}:{json.dumps(raw[key])}" for key in sorted(keys)) + "}"
