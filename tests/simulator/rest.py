"""The REST APIs of the exchanges on this machine: what their documents say, from the trades of a market, and failing as told.

A script is a fault for each request that comes, in their order, None for none; a request beyond it is answered well.
"""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from tests.simulator.market import Trade

PAGE = 1_000


@dataclass(frozen=True)
class Fault:
    """What goes wrong with an answer.

    Attributes:
        status, retry_after, body: instead of the answer.
        cut: of the answer's trades only so many are there.
        half: of the answer's text only one half is there.
        extra: fields that nobody knows, in each trade (an element more, where a trade is a list).
        lost: trades with these numbers are not there.
        hang_up: no answer at all.
        before: done before it is answered.
    """

    status: int = 200
    retry_after: int | str | None = None
    body: str | None = None
    cut: int | None = None
    half: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    lost: frozenset[int] = frozenset()
    hang_up: bool = False
    before: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    parameters: dict[str, str]
    headers: dict[str, str]


class RestSpeech(Protocol):
    def answer(self, asked: Asked, trades: Sequence[Trade], fault: Fault) -> tuple[int, str]:
        """Status and JSON text."""


class BinanceRest:
    """`key`: that a request must carry, where it must."""

    weights = {"/api/v3/historicalTrades": 25, "/api/v3/aggTrades": 4}  # noqa: RUF012

    def __init__(self, symbols: Sequence[str], key: str | None = None) -> None:
        self.symbols, self.key = symbols, key

    def answer(self, asked: Asked, trades: Sequence[Trade], fault: Fault) -> tuple[int, str]:
        if self.key and asked.headers.get("x-mbx-apikey") != self.key:
            return 401, json.dumps({"code": -2014, "msg": f"API-key format invalid: {asked.headers.get('x-mbx-apikey', '')}"})
        symbol, limit = asked.parameters["symbol"], int(asked.parameters.get("limit", "500"))
        assert 1 <= limit <= PAGE
        if symbol not in self.symbols:
            return 400, '{"code":-1121,"msg":"Invalid symbol."}'
        known = [trade for trade in trades if trade.symbol == symbol and trade.number not in fault.lost]
        if asked.path == "/api/v3/aggTrades":
            return 200, json.dumps(self._aggregates(known, asked.parameters.get("startTime"), limit))
        assert asked.path == "/api/v3/historicalTrades", asked.path
        some = [trade for trade in known if trade.number >= int(asked.parameters["fromId"])][: min(limit, fault.cut or limit)]
        return 200, json.dumps([self._trade(trade) | fault.extra for trade in some])

    def _aggregates(self, trades: Sequence[Trade], start_ms: str | None, limit: int) -> list[dict[str, Any]]:
        """Each trade by itself, with an id that is not its own."""
        some = (
            list(enumerate(trades))[-limit:]
            if start_ms is None
            else [(at, trade) for at, trade in enumerate(trades) if trade.time_us // 1000 >= int(start_ms)][:limit]
        )
        return [
            {"a": at, "p": t.price, "q": t.quantity, "f": t.number, "l": t.number, "T": t.time_us // 1000, "m": t.side == "sell", "M": True}
            for at, t in some
        ]

    def _trade(self, trade: Trade) -> dict[str, Any]:
        return {
            "id": trade.number,
            "price": trade.price,
            "qty": trade.quantity,
            "quoteQty": "0.00000000",
            "time": trade.time_us // 1000,
            "isBuyerMaker": trade.side == "sell",
            "isBestMatch": True,
        }


class KrakenRest:
    """`inclusive`: whether a trade at `since` itself is told too, of which the documents say nothing."""

    def __init__(self, symbols: Sequence[str], inclusive: bool = False) -> None:
        self.symbols, self.inclusive = {symbol.replace("/", ""): symbol for symbol in symbols}, inclusive

    def answer(self, asked: Asked, trades: Sequence[Trade], fault: Fault) -> tuple[int, str]:
        assert asked.path == "/0/public/Trades", asked.path
        pair, since = asked.parameters["pair"], int(asked.parameters["since"])
        count = min(int(asked.parameters.get("count", PAGE)), fault.cut or PAGE)
        if pair not in self.symbols:
            return 200, '{"error":["EQuery:Unknown asset pair"]}'
        known = [trade for trade in trades if trade.symbol == self.symbols[pair] and trade.number not in fault.lost]
        some = [trade for trade in known if nanoseconds(trade) > since - self.inclusive][:count]
        last = nanoseconds(some[-1]) if some else since
        more = "".join(f",{json.dumps(value)}" for value in fault.extra.values())
        rows = ",".join(f"[{self._trade(trade)}{more}]" for trade in some)
        return 200, f'{{"error":[],"result":{{"X{pair}":[{rows}],"last":"{last}"}}}}'

    def _trade(self, trade: Trade) -> str:
        """The time is a number of JSON, with more digits than a float has."""
        ns = nanoseconds(trade)
        time = f"{ns // 10**9}.{ns % 10**9:09}"
        return f'"{trade.price}","{trade.quantity}",{time},"{trade.side[0]}","{trade.order_type[0]}","",{trade.number}'


def nanoseconds(trade: Trade) -> int:
    """What lies below a microsecond, the feed does not tell."""
    return trade.time_us * 1000 + trade.number * 389 % 1000


class RestExchange:
    """A context manager; `url` is its address.

    Attributes:
        trades: all that happened so far; more may come.
        asked: every request.
    """

    def __init__(self, speech: RestSpeech, trades: Sequence[Trade], script: Sequence[Fault | None] = ()) -> None:
        self.asked: list[Asked] = []
        exchange, faults = self, list(script)
        self.weight = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(parts.path, dict(parse_qsl(parts.query, strict_parsing=True)), headers)
                exchange.asked.append(asked)
                exchange.weight += getattr(speech, "weights", {}).get(parts.path, 0)
                fault = (faults.pop(0) if faults else None) or Fault()
                fault.before()
                if fault.hang_up:
                    self.close_connection = True
                    return
                status, text = speech.answer(asked, trades, fault) if fault.body is None and fault.status == 200 else (fault.status, "")
                text = fault.body if fault.body is not None else text
                self._reply(status, text[: len(text) // 2] if fault.half else text, fault.retry_after)

            def _reply(self, status: int, text: str, retry_after: int | str | None) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-MBX-USED-WEIGHT-1M", str(exchange.weight))
                if retry_after is not None:
                    self.send_header("Retry-After", str(retry_after))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> "RestExchange":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"
