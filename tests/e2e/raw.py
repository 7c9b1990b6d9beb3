"""Raw trades that tests make up, each with ids that no other test uses."""

import time
from datetime import UTC, datetime
from itertools import count
from typing import Any

START_US = 1_722_470_400_000_000  # 2024-08-01 00:00 UTC
SECOND_US = 1_000_000
_numbers = count(1)


def begin_anew() -> None:
    """On a stack that earlier runs have used: numbers that they have most likely not used."""
    global _numbers
    _numbers = count(int(time.time()) % 10_000_000)


def number() -> int:
    """One that no other test has."""
    return next(_numbers)


def binance(symbol: str, **changes: Any) -> dict[str, Any]:
    """A trade of the reader's schema; each a second after the one before."""
    trade_id = number()
    time_us = START_US + trade_id * SECOND_US
    return {
        "event_type": "trade",
        "event_time_ms": time_us // 1000 + 1,
        "symbol": symbol,
        "trade_id": trade_id,
        "price": "123.45000000",
        "quantity": "0.00100000",
        "trade_time_ms": time_us // 1000,
        "is_buyer_maker": bool(trade_id % 2),
        "is_best_match": None,
        "ingestion_timestamp": time_us + 50_000,
    } | changes


def kraken(pair: str, **changes: Any) -> dict[str, Any]:
    """A trade of the reader's schema, as the v1 feed sends it; each a second after the one before."""
    nth = number()
    time_us = START_US + nth * SECOND_US + 123_456
    return {
        "channel_id": 321,
        "price": "58721.20000",
        "volume": "0.02798644",
        "timestamp": f"{time_us // SECOND_US}.{time_us % SECOND_US:06}",
        "side": "bs"[nth % 2],
        "order_type": "lm"[nth % 2],
        "misc": "",
        "pair": pair,
        "ingestion_timestamp": time_us + 50_000,
        "trade_id": None,
        "occurrence": 0,
    } | changes


def coinbase(product: str, **changes: Any) -> dict[str, Any]:
    """A trade of the reader's schema; each a second after the one before."""
    nth = number()
    moment = datetime.fromtimestamp((START_US + nth * SECOND_US) // SECOND_US, UTC)
    return {
        "trade_id": nth,
        "product_id": product,
        "price": "68900.50",
        "size": "0.00150000",
        "side": ("BUY", "SELL")[nth % 2],
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.123456Z",
        "event_type": "update",
        "sequence_num": nth,
        "frame_time": f"{moment:%Y-%m-%dT%H:%M:%S}.150000001Z",
        "ingestion_timestamp": START_US + nth * SECOND_US + 173_456,
    } | changes


def trade(exchange: str, symbol: str, **changes: Any) -> dict[str, Any]:
    make = {"binance": binance, "kraken": kraken, "coinbase": coinbase}[exchange]
    return make(symbol, **changes)
