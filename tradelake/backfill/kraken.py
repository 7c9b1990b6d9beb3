"""Kraken spot, `GET /0/public/Trades`: the trades of the v2 feed, by their times.

{"error": [], "result": {"XXBTZUSD": [["30243.40000", "0.34507674", 1688669597.8277369, "b", "m", "", 61044952], ...],
 "last": "1688671969993150842"}}
{"error": ["EQuery:Unknown asset pair"]}

Source: Kraken Spot REST API, "Get Recent Trades" and "REST Rate Limits": at most 1,000 trades an answer, those after `since` (nanoseconds),
`last` being the next one's `since`. About one request a second from one address; too many are answered with "EGeneral:Too many requests",
"EAPI:Rate limit exceeded" or "EService:Throttled".

The trades have numbers, and the numbers have holes: which trades are missing, nobody can tell from them.
"""

import re
from collections.abc import Mapping
from typing import Any

from tradelake.backfill.api import Again, Api, Asking, Found, Page, Refused, retry_after
from udfs.kraken import RENAMED, microseconds, rest_records

PAGE = 1_000
PAUSE_S = 1.0
BUSY = re.compile(r"too many requests|rate limit|throttled", re.IGNORECASE)
LATER = re.compile(r"EService:|EGeneral:Internal error", re.IGNORECASE)


def judge(status: int, headers: Mapping[str, str], content: Any) -> None:
    errors = content.get("error") if isinstance(content, dict) else None
    said = ", ".join(map(str, errors)) if isinstance(errors, list) else ""
    if status in (429, 418) or BUSY.search(said):
        raise Again(said or f"HTTP {status}", retry_after(headers))
    if status >= 500 or LATER.search(said):
        raise Again(said or f"HTTP {status}")
    if status != 200 or said:
        raise Refused(said or f"HTTP {status}")
    if content is None:
        raise Again("an answer that is no JSON")


def rest_s(headers: Mapping[str, str], now_s: float) -> float:
    return 0.0


def written(symbol: str) -> str | None:
    """REST's trades are numbered as those of v2: under v1's names they would be other trades."""
    for old, new in RENAMED.items():
        if old in symbol.split("/"):
            return f"write {new}, as the v2 feed does: {symbol} is a name of v1, whose trades have no numbers"
    return None


class Trades:
    def page(self, asking: Asking, symbol: str, since_ns: int) -> Page:
        answer = asking.get("/0/public/Trades", pair=symbol.replace("/", ""), since=since_ns, count=PAGE)
        result = answer.content.get("result") if isinstance(answer.content, dict) else None
        result = result if isinstance(result, dict) else {}
        pairs, last = [name for name in result if name != "last"], result.get("last")
        if len(pairs) != 1 or not isinstance(last, str | int) or not str(last).isdecimal():
            raise Refused("kraken answers with something else than the trades of one pair and where the next begin")
        try:
            records = rest_records(symbol, result[pairs[0]], answer.at_us)
        except ValueError as error:
            raise Refused(f"kraken answers with {error}") from error
        return Page([Found(record["trade_id"], microseconds(record["timestamp"]), record) for record in records], int(last))


API = Api(
    exchange="kraken",
    symbol=re.compile("[A-Z0-9.]+/[A-Z0-9.]+"),
    example="BTC/USD",
    page=PAGE,
    weight=1,
    pause_s=PAUSE_S,
    judge=judge,
    rest_s=rest_s,
    by_time=Trades(),
    written=written,
)
