"""Kraken spot, channel `trade`, WebSocket v2 and v1.

v2
> {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD", "ABC/USD"], "snapshot": true}}
< {"method": "subscribe", "result": {"channel": "trade", "snapshot": true, "symbol": "BTC/USD"}, "success": true, ...}
< {"method": "subscribe", "error": "Currency pair not supported ABC/USD", "success": false, "symbol": "ABC/USD", ...}
< {"channel": "status", ...}, {"channel": "heartbeat"}

v1
> {"event": "subscribe", "pair": ["XBT/USD", "ABC/USD"], "subscription": {"name": "trade"}}
< {"event": "subscriptionStatus", "status": "subscribed", "pair": "XBT/USD", "channelID": 321, "channelName": "trade", ...}
< {"event": "subscriptionStatus", "status": "error", "errorMessage": "Currency pair not supported ABC/USD", "pair": "ABC/USD", ...}
< {"event": "systemStatus", ...}, {"event": "heartbeat"}

Both send the last 50 trades of a symbol when it is subscribed (v2: when `snapshot` is asked for), an answer for each symbol, and a
heartbeat about every second in which nothing else comes.

Source: Kraken, "Spot WebSocket Introduction", "Trades" (v2), "Trade" and "Subscription Status" (v1): about 150 connections in 10 minutes
from one address, then none for 10 minutes; at once again after a drop, up to a handful of times, later not oftener than every 5 seconds.
How many requests a connection may make is not said; too many are answered with "Exceeded msg rate".
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from tradelake.feed.wire import Accepted, Busy, Control, Refused, Request, Wire

SYMBOLS_OF_A_REQUEST = 50
TOO_MANY = re.compile(r"msg rate|rate limit|too many", re.IGNORECASE)


def _parts(symbols: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(symbols[at : at + SYMBOLS_OF_A_REQUEST]) for at in range(0, len(symbols), SYMBOLS_OF_A_REQUEST)]


def requests_v2(symbols: Sequence[str]) -> list[Request]:
    return [Request(json.dumps(_subscribe_v2(part)), part, len(part)) for part in _parts(symbols)]


def _subscribe_v2(symbols: Sequence[str]) -> dict[str, Any]:
    return {"method": "subscribe", "params": {"channel": "trade", "symbol": symbols, "snapshot": True}}


def control_v2(frame: Any) -> Control:
    if not isinstance(frame, dict):
        return None
    if "error" in frame or "Error" in frame:
        return _refusal(frame.get("error", frame.get("Error")), frame.get("symbol"))
    return Accepted() if frame.get("method") == "subscribe" and frame.get("success") is True else None


def requests_v1(symbols: Sequence[str]) -> list[Request]:
    return [Request(json.dumps(_subscribe_v1(part)), part, len(part)) for part in _parts(symbols)]


def _subscribe_v1(symbols: Sequence[str]) -> dict[str, Any]:
    return {"event": "subscribe", "pair": symbols, "subscription": {"name": "trade"}}


def control_v1(frame: Any) -> Control:
    if not isinstance(frame, dict):
        return None
    if "errorMessage" in frame or "Error" in frame:
        return _refusal(frame.get("errorMessage", frame.get("Error")), frame.get("pair"))
    return Accepted() if frame.get("event") == "subscriptionStatus" and frame.get("status") == "subscribed" else None


def _refusal(reason: Any, symbol: Any) -> Control:
    if TOO_MANY.search(str(reason)):
        return Busy(str(reason))
    return Refused(str(reason), symbol if isinstance(symbol, str) else None)


_KRAKEN: dict[str, Any] = {
    "exchange": "kraken",
    "path": "",
    "symbol": re.compile("[A-Z0-9.]+/[A-Z0-9.]+"),
    "most_symbols": 1000,
    "attempts": 150,
    "attempts_s": 600.0,
    "pause_s": 1.0,
}
V2 = Wire(**_KRAKEN, example="BTC/USD", requests=requests_v2, control=control_v2)
V1 = Wire(**_KRAKEN, example="XBT/USD", requests=requests_v1, control=control_v1)
