"""Binance spot, combined stream of `<symbol>@trade`.

> {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "ethusdt@trade"], "id": 1}
< {"result": null, "id": 1}
< {"code": 2, "msg": "Invalid request: too many parameters", "id": 1}
< {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1770123456789}}

Source: Binance spot API, "WebSocket Streams" (web-socket-streams.md): symbols in lower case; at most 1024 streams on a connection; 5
messages a second to the exchange, pongs among them; 300 connections in 5 minutes from one address; a connection is cut after 24 hours,
`serverShutdown` comes before an earlier one. A ping every 20 seconds, which the WebSocket library answers.

A stream of a symbol that does not exist is accepted all the same: only its silence tells.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from tradelake.feed.wire import Accepted, Control, Ending, Refused, Request, Wire

STREAMS_OF_A_REQUEST = 200
RATE_S = 0.5
"""Between two requests: two a second, with room for pongs below the five."""


def requests(symbols: Sequence[str]) -> list[Request]:
    parts = [tuple(symbols[at : at + STREAMS_OF_A_REQUEST]) for at in range(0, len(symbols), STREAMS_OF_A_REQUEST)]
    return [Request(_subscribe(part, number), part, 1) for number, part in enumerate(parts, 1)]


def _subscribe(symbols: Sequence[str], number: int) -> str:
    return json.dumps({"method": "SUBSCRIBE", "params": [f"{symbol.lower()}@trade" for symbol in symbols], "id": number})


def control(frame: Any) -> Control:
    if not isinstance(frame, dict):
        return None
    event = frame.get("data", frame)
    if isinstance(event, dict) and event.get("e") == "serverShutdown":
        return Ending()
    if "data" in frame or "e" in frame:
        return None
    error = frame.get("error", frame)
    if isinstance(error, dict) and "msg" in error:
        return Refused(str(error["msg"]))
    return Accepted() if "id" in frame and frame.get("result", frame) is None else None


STREAM = Wire(
    exchange="binance",
    path="/stream",
    symbol=re.compile("[A-Z0-9]+"),
    example="BTCUSDT",
    most_symbols=1024,
    attempts=300,
    attempts_s=300.0,
    pause_s=RATE_S,
    requests=requests,
    control=control,
    dense="trade_id",
)
