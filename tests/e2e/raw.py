"""Raw trades that tests make up, each with ids that no other test uses."""

from itertools import count
from typing import Any

START_US = 1_722_470_400_000_000  # 2024-08-01 00:00 UTC
SECOND_US = 1_000_000
_trade_ids = count(1)


def binance(symbol: str, **changes: Any) -> dict[str, Any]:
    """A trade of the reader's schema; each a second after the one before."""
    trade_id = next(_trade_ids)
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
    number = next(_trade_ids)
    time_us = START_US + number * SECOND_US + 123_456
    return {
        "channel_id": 321,
        "price": "58721.20000",
        "volume": "0.02798644",
        "timestamp": f"{time_us // SECOND_US}.{time_us % SECOND_US:06}",
        "side": "bs"[number % 2],
        "order_type": "lm"[number % 2],
        "misc": "",
        "pair": pair,
        "ingestion_timestamp": time_us + 50_000,
        "trade_id": None,
        "occurrence": 0,
    } | changes


def trade(exchange: str, symbol: str, **changes: Any) -> dict[str, Any]:
    return binance(symbol, **changes) if exchange == "binance" else kraken(symbol, **changes)
