"""Binance spot, `GET /api/v3/historicalTrades`: the trades of `<symbol>@trade`, by their ids.

[{"id": 28457, "price": "4.00000100", "qty": "12.00000000", "quoteQty": "48.000012", "time": 1499865549590, "isBuyerMaker": true,
  "isBestMatch": true}, ...]
{"code": -1121, "msg": "Invalid symbol."}

Which ids a time has, `GET /api/v3/aggTrades` tells: an aggregate has an id of its own (`a`), and the first and the last id of its trades
(`f`, `l`). `GET /api/v3/trades` has the same ids as `historicalTrades`, but of the last 1,000 trades alone.

Source: Binance spot API, "Old trade lookup", "Compressed/Aggregate trades list", "Limits", "HTTP Return Codes", and the change log: at most
1,000 trades an answer, of weight 25; an answer of aggregates has weight 4; 6,000 in a minute from one address, used so far in
`X-MBX-USED-WEIGHT-1M`; then HTTP 429, and for who goes on 418, both with `Retry-After` in seconds. No key is asked for since 2023; earlier
versions of the API, and sister exchanges, want one in `X-MBX-APIKEY`.
"""

import re
from collections.abc import Mapping
from typing import Any

from tradelake.backfill.api import Again, Api, Asking, Found, Refused, ascending, retry_after
from tradelake.feed.gaps import Hole
from udfs.binance import microseconds, rest_records

PAGE = 1_000
WEIGHT = 25
PAUSE_S = 0.5
"""Half of what the limit allows: feeds and others on the same address have the rest."""
USED, ENOUGH = "X-MBX-USED-WEIGHT-1M", 4_800
"""Of 6,000: from here on the rest of the minute is left to others."""
MINUTE_S = 60.0
BUSY = (429, 418)
OF_THE_KEY = (-2014, -2015)
KEY_VARIABLE = "TRADELAKE_BINANCE_API_KEY"


def judge(status: int, headers: Mapping[str, str], content: Any) -> None:
    said = content.get("msg", "") if isinstance(content, dict) else ""
    code = content.get("code") if isinstance(content, dict) else None
    why = f": {said}" if said else ""
    if status in BUSY:
        raise Again(f"HTTP {status}{why}", retry_after(headers))
    if status == 401 or code in OF_THE_KEY:
        told = f" ({said})" if said else ""
        where = f"put it into ${KEY_VARIABLE}, or into a file and name that with --api-key-file"
        raise Refused(f"binance wants an API key that it knows{told}: {where}")
    if status >= 500:
        raise Again(f"HTTP {status}{why}")
    if status != 200:
        raise Refused(f"HTTP {status}{why}")
    if content is None:
        raise Again("an answer that is no JSON")


def rest_s(headers: Mapping[str, str], now_s: float) -> float:
    used = headers.get(USED, "")
    return MINUTE_S - now_s % MINUTE_S if used.isdecimal() and int(used) >= ENOUGH else 0.0


class Trades:
    def trades(self, asking: Asking, symbol: str, first: int, count: int) -> list[Found]:
        answer = asking.get("/api/v3/historicalTrades", symbol=symbol, fromId=first, limit=count)
        try:
            records = rest_records(symbol, answer.content, answer.at_us)
        except ValueError as error:
            raise Refused(f"binance answers with {error}") from error
        found = [Found(record["trade_id"], microseconds(record["trade_time_ms"]), record) for record in records]
        return [trade for trade in ascending(found) if trade.number >= first]

    def ids(self, asking: Asking, symbol: str, since_us: int, until_us: int) -> Hole | None:
        first = self._first(asking, symbol, since_us)
        beyond = self._first(asking, symbol, until_us)
        last = beyond - 1 if beyond is not None else self._newest(asking, symbol)
        return Hole(first, last) if first is not None and last is not None and first <= last else None

    def _first(self, asking: Asking, symbol: str, time_us: int) -> int | None:
        """The id of the first trade at this time or later."""
        return _of_aggregate(asking.get("/api/v3/aggTrades", symbol=symbol, startTime=-(-time_us // 1000), limit=1), "f")

    def _newest(self, asking: Asking, symbol: str) -> int | None:
        return _of_aggregate(asking.get("/api/v3/aggTrades", symbol=symbol, limit=1), "l")


def _of_aggregate(answer: Any, key: str) -> int | None:
    aggregates = answer.content
    if aggregates == []:
        return None
    number = aggregates[0].get(key) if isinstance(aggregates, list) and isinstance(aggregates[0], dict) else None
    if type(number) is not int or number < 0:
        raise Refused(f"binance answers with an aggregate that has {key} = {number!r}")
    return number


API = Api(
    exchange="binance",
    symbol=re.compile("[A-Z0-9]+"),
    example="BTCUSDT",
    page=PAGE,
    weight=WEIGHT,
    pause_s=PAUSE_S,
    judge=judge,
    rest_s=rest_s,
    by_id=Trades(),
    key_header="X-MBX-APIKEY",
    key_variable=KEY_VARIABLE,
)
