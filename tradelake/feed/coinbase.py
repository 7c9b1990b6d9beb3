"""Coinbase spot, Advanced Trade, channel `market_trades`.

> {"type": "subscribe", "product_ids": ["ETH-USD", "BTC-USD"], "channel": "market_trades"}
> {"type": "subscribe", "channel": "heartbeats"}
< {"channel": "subscriptions", "client_id": "", "timestamp": "...", "sequence_num": 0, "events": [
   {"subscriptions": {"market_trades": ["ETH-USD", "BTC-USD"]}}]}
< {"channel": "heartbeats", ..., "events": [{"current_time": "2023-06-23 20:31:56.121961769 +0000 UTC", "heartbeat_counter": "3049"}]}
< {"type": "error", "message": "..."}

A message subscribes to one channel, and is answered with all that the connection has. Without heartbeats, which come every second, a
channel that is silent for 60 to 90 seconds is closed. The last trades of a product come first, as a `snapshot`. A product of -USDC is sent
as that of -USD, which it shares its book with.

Source: Coinbase, Advanced Trade API, "WebSocket Overview", "WebSocket Channels", "WebSocket Rate Limits"
(docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/): no login for these channels; 8 connections, and 8 messages to the
exchange, in a second from one address; cut after 5 seconds without a subscription. How many products a connection may have is not said, nor
what is answered for one that does not exist: it is missing among those that are listed.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from tradelake.feed.wire import Accepted, Busy, Control, Refused, Request, Wire

PRODUCTS_OF_A_REQUEST = 100
TOO_MANY = re.compile(r"rate limit|too many", re.IGNORECASE)
RATE_S = 0.25
"""Between two requests: half of what one address may send."""


def requests(symbols: Sequence[str]) -> list[Request]:
    parts = [tuple(symbols[at : at + PRODUCTS_OF_A_REQUEST]) for at in range(0, len(symbols), PRODUCTS_OF_A_REQUEST)]
    trades = [Request(_subscribe("market_trades", product_ids=part), part, 1) for part in parts]
    return [Request(_subscribe("heartbeats"), (), 1), *trades]


def _subscribe(channel: str, **products: Sequence[str]) -> str:
    return json.dumps({"type": "subscribe", **products, "channel": channel})


def control(frame: Any) -> Control:
    if not isinstance(frame, dict):
        return None
    if frame.get("type") == "error":
        reason = str(frame.get("message"))
        return Busy(reason) if TOO_MANY.search(reason) else Refused(reason)
    return Accepted() if frame.get("channel") == "subscriptions" else None


MARKET_TRADES = Wire(
    exchange="coinbase",
    path="",
    symbol=re.compile("[A-Z0-9]+-[A-Z0-9]+"),
    example="BTC-USD",
    most_symbols=500,
    attempts=8,
    attempts_s=1.0,
    pause_s=RATE_S,
    requests=requests,
    control=control,
)
