"""How each exchange writes what it says, from its documents alone: nothing here is shared with what reads it."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

from tests.simulator.market import Trade


class Speech(Protocol):
    """`exchange` and `path`; trades kept for who comes anew (`remembered`); fields of a record that its frame decides (`of_the_frame`)."""

    exchange: str
    path: str
    remembered: int
    of_the_frame: frozenset[str]

    def greeting(self) -> list[str]: ...

    def heartbeat(self) -> list[str]: ...

    def asked(self, text: str) -> list[str]:
        """The symbols that a request asks for."""

    def answer(self, text: str, known: Iterable[str]) -> list[str]: ...

    def busy(self) -> str: ...

    def ending(self) -> str: ...

    def frames(self, trades: Sequence[Trade], extra: dict[str, Any] | None = None, snapshot: bool = False) -> list[str]: ...

    def raw(self, trade: Trade) -> dict[str, Any]:
        """The contract's record of the trade, without what its frame decides."""


class Binance:
    exchange, path, remembered = "binance", "/stream", 0
    of_the_frame = frozenset({"ingestion_timestamp"})

    def greeting(self) -> list[str]:
        return []

    def heartbeat(self) -> list[str]:
        return []  # it pings, on the level of the protocol

    def asked(self, text: str) -> list[str]:
        request = json.loads(text)
        assert request["method"] == "SUBSCRIBE"
        assert all(stream == stream.lower() for stream in request["params"])
        return [stream.removesuffix("@trade").upper() for stream in request["params"]]

    def answer(self, text: str, known: Iterable[str]) -> list[str]:
        return [json.dumps({"result": None, "id": json.loads(text)["id"]})]  # of an unknown symbol too

    def busy(self) -> str:
        return json.dumps({"code": 2, "msg": "Invalid request: too many parameters", "id": 1})

    def ending(self) -> str:
        return json.dumps({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1770123456789}})

    def frames(self, trades: Sequence[Trade], extra: dict[str, Any] | None = None, snapshot: bool = False) -> list[str]:
        return [json.dumps({"stream": f"{t.symbol.lower()}@trade", "data": self._event(t) | (extra or {})}) for t in trades]

    def _event(self, trade: Trade) -> dict[str, Any]:
        return {
            "e": "trade",
            "E": trade.time_us // 1000 + 1,
            "s": trade.symbol,
            "t": trade.number,
            "p": trade.price,
            "q": trade.quantity,
            "T": trade.time_us // 1000,
            "m": trade.side == "sell",
            "M": True,
        }

    def raw(self, trade: Trade) -> dict[str, Any]:
        return {
            "event_type": "trade",
            "event_time_ms": trade.time_us // 1000 + 1,
            "symbol": trade.symbol,
            "trade_id": trade.number,
            "price": trade.price,
            "quantity": trade.quantity,
            "trade_time_ms": trade.time_us // 1000,
            "is_buyer_maker": trade.side == "sell",
            "is_best_match": True,
        }


class KrakenV2:
    exchange, path, remembered = "kraken", "/v2", 50
    of_the_frame = frozenset({"ingestion_timestamp"})

    def greeting(self) -> list[str]:
        return ['{"channel":"status","type":"update","data":[{"system":"online","api_version":"v2","connection_id":1,"version":"2.0.0"}]}']

    def heartbeat(self) -> list[str]:
        return ['{"channel":"heartbeat"}']

    def asked(self, text: str) -> list[str]:
        request = json.loads(text)
        assert request["method"] == "subscribe"
        assert request["params"]["channel"] == "trade"
        assert request["params"]["snapshot"] is True
        symbols: list[str] = request["params"]["symbol"]
        return symbols

    def answer(self, text: str, known: Iterable[str]) -> list[str]:
        times = {"time_in": "2023-09-25T09:04:31.742599Z", "time_out": "2023-09-25T09:04:31.742648Z"}
        return [json.dumps({"method": "subscribe", **self._verdict(symbol, symbol in known), **times}) for symbol in self.asked(text)]

    def _verdict(self, symbol: str, known: bool) -> dict[str, Any]:
        if known:
            return {"result": {"channel": "trade", "snapshot": True, "symbol": symbol}, "success": True}
        return {"error": f"Currency pair not supported {symbol}", "success": False, "symbol": symbol}

    def busy(self) -> str:
        return json.dumps({"method": "subscribe", "error": "Exceeded msg rate", "success": False})

    def ending(self) -> str:
        raise NotImplementedError("Kraken says nothing before it cuts")

    def frames(self, trades: Sequence[Trade], extra: dict[str, Any] | None = None, snapshot: bool = False) -> list[str]:
        """Numbers stand in the JSON text with the very digits of the trade."""
        more = "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in (extra or {}).items())
        data = ",".join(f"{{{self._trade(trade)}{more}}}" for trade in trades)
        return [f'{{"channel":"trade","type":"{"snapshot" if snapshot else "update"}","data":[{data}]}}']

    def _trade(self, trade: Trade) -> str:
        moment = datetime.fromtimestamp(trade.time_us // 10**6, UTC)
        return (
            f'"symbol":"{trade.symbol}","side":"{trade.side}","price":{trade.price},"qty":{trade.quantity},"ord_type":"{trade.order_type}",'
            f'"trade_id":{trade.number},"timestamp":"{moment:%Y-%m-%dT%H:%M:%S}.{trade.time_us % 10**6:06}Z"'
        )

    def raw(self, trade: Trade) -> dict[str, Any]:
        return kraken_raw(trade) | {"channel_id": 0, "trade_id": trade.number}


class KrakenV1:
    exchange, path, remembered = "kraken", "/", 50
    of_the_frame = frozenset({"ingestion_timestamp"})

    def greeting(self) -> list[str]:
        return ['{"connectionID":8628615390848610000,"event":"systemStatus","status":"online","version":"1.9.1"}']

    def heartbeat(self) -> list[str]:
        return ['{"event":"heartbeat"}']

    def asked(self, text: str) -> list[str]:
        request = json.loads(text)
        assert request["event"] == "subscribe"
        assert request["subscription"] == {"name": "trade"}
        symbols: list[str] = request["pair"]
        return symbols

    def answer(self, text: str, known: Iterable[str]) -> list[str]:
        return [json.dumps(self._verdict(symbol, symbol in known)) for symbol in self.asked(text)]

    def _verdict(self, symbol: str, known: bool) -> dict[str, Any]:
        common = {"event": "subscriptionStatus", "pair": symbol, "subscription": {"name": "trade"}}
        if known:
            return common | {"channelID": 337, "channelName": "trade", "status": "subscribed"}
        return common | {"errorMessage": f"Currency pair not supported {symbol}", "status": "error"}

    def busy(self) -> str:
        return json.dumps({"event": "subscriptionStatus", "errorMessage": "Exceeded msg rate", "status": "error"})

    def ending(self) -> str:
        raise NotImplementedError("Kraken says nothing before it cuts")

    def frames(self, trades: Sequence[Trade], extra: dict[str, Any] | None = None, snapshot: bool = False) -> list[str]:
        by_pair = {trade.symbol: [t for t in trades if t.symbol == trade.symbol] for trade in trades}
        return [json.dumps([337, [self._trade(trade) for trade in part], "trade", pair]) for pair, part in by_pair.items()]

    def _trade(self, trade: Trade) -> list[str]:
        raw = kraken_raw(trade)
        return [raw[field] for field in ("price", "volume", "timestamp", "side", "order_type", "misc")]

    def raw(self, trade: Trade) -> dict[str, Any]:
        return kraken_raw(trade) | {"channel_id": 337, "trade_id": None}


class Coinbase:
    exchange, path, remembered = "coinbase", "/", 100
    of_the_frame = frozenset({"ingestion_timestamp", "event_type", "sequence_num", "frame_time"})

    def __init__(self) -> None:
        self._number, self._beats = count(), count(3049)
        self._subscribed: dict[str, list[str]] = {}

    def greeting(self) -> list[str]:
        return []

    def heartbeat(self) -> list[str]:
        beat = {"current_time": "2023-06-23 20:31:56.121961769 +0000 UTC m=+91717.525857105", "heartbeat_counter": str(next(self._beats))}
        return [self._frame("heartbeats", [beat])]

    def asked(self, text: str) -> list[str]:
        request = json.loads(text)
        assert request["type"] == "subscribe"
        if request["channel"] == "heartbeats":
            return []
        assert request["channel"] == "market_trades"
        products: list[str] = request["product_ids"]
        return products

    def answer(self, text: str, known: Iterable[str]) -> list[str]:
        """All that is subscribed; a product that does not exist is not among it."""
        request = json.loads(text)
        if request["channel"] == "heartbeats":
            self._subscribed = {}  # the first request of a connection
        listed = [product for product in self.asked(text) if product in known] or ["heartbeats"]
        self._subscribed[request["channel"]] = listed
        return [self._frame("subscriptions", [{"subscriptions": self._subscribed}])]

    def busy(self) -> str:
        return json.dumps({"type": "error", "message": "rate limit exceeded"})

    def ending(self) -> str:
        raise NotImplementedError("Coinbase says nothing before it cuts")

    def frames(self, trades: Sequence[Trade], extra: dict[str, Any] | None = None, snapshot: bool = False) -> list[str]:
        """The newest first. An event for each product, as a snapshot is one product's."""
        by_product = {trade.symbol: [t for t in reversed(trades) if t.symbol == trade.symbol] for trade in trades}
        kind = "snapshot" if snapshot else "update"
        events = [{"type": kind, "trades": [self._trade(trade) | (extra or {}) for trade in part]} for part in by_product.values()]
        return [self._frame("market_trades", events)]

    def _frame(self, channel: str, events: list[dict[str, Any]]) -> str:
        at = {"timestamp": "2023-02-09T20:19:35.39625135Z", "sequence_num": next(self._number)}
        return json.dumps({"channel": channel, "client_id": "", **at, "events": events})

    def _trade(self, trade: Trade) -> dict[str, Any]:
        raw = self.raw(trade)
        return {name: raw[name] for name in ("product_id", "price", "size", "side", "time")} | {"trade_id": f"{trade.number:09}"}

    def raw(self, trade: Trade) -> dict[str, Any]:
        moment = datetime.fromtimestamp(trade.time_us // 10**6, UTC)
        return {
            "trade_id": trade.number,
            "product_id": trade.symbol,
            "price": trade.price,
            "size": trade.quantity,
            "side": {"buy": "SELL", "sell": "BUY"}[trade.side],  # the maker's
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{trade.time_us % 10**6:06}Z",
        }


def kraken_raw(trade: Trade) -> dict[str, Any]:
    return {
        "price": trade.price,
        "volume": trade.quantity,
        "timestamp": f"{trade.time_us // 10**6}.{trade.time_us % 10**6:06}",
        "side": trade.side[0],
        "order_type": trade.order_type[0],
        "misc": "",
        "pair": trade.symbol,
        "occurrence": 0,
    }
