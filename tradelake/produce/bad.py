"""Bad messages: for every reason of the data contract that a Kafka message can cause, examples that must be rejected with exactly it."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from io import BytesIO
from typing import Any, NamedTuple

from confluent_kafka.schema_registry import Schema
from fastavro import schemaless_writer

import conf
from conf.settings import Limits, Settings
from tradelake.produce import KEY_FIELD
from tradelake.topics import reader_schema_id, register
from udfs import wire

UNKNOWN_ID = 2**31 - 1
FOREIGN = "Foreign"
NUMBERS = {
    "not_a_number": ("", "abc", "NaN", "1e5", "+1.0", "1,5", ".5", "1.", " 1.0", "1.0\n", "\u0661\u0662"),
    "not_positive": ("0", "0.00000000", "-1.5"),
    "out_of_range": ("12345678901", "0.123456789"),
}
"""Texts that are no price and no quantity."""


class Example(NamedTuple):
    """One bad message: what is wrong with it, and the Kafka value."""

    description: str
    value: bytes | None


class Market(NamedTuple):
    """A real trade of an exchange, what its fields are called, and what their rules refuse."""

    trade: dict[str, Any]
    quantity: str
    time: str
    at: Callable[[int], Any]
    """A moment, microseconds since the epoch, as the time field holds it."""
    unreadable_times: tuple[Any, ...]
    unreadable_symbols: tuple[str, ...]
    unknown_sides: tuple[str, ...] = ()


MARKETS = {
    "binance": Market(
        trade={
            "event_type": "trade",
            "event_time_ms": 1723161255343,
            "symbol": "BTCUSDT",
            "trade_id": 3735683259,
            "price": "61837.63000000",
            "quantity": "0.02000000",
            "trade_time_ms": 1723161255342,
            "is_buyer_maker": True,
            "is_best_match": True,
            "ingestion_timestamp": 1723161254087896,
        },
        quantity="quantity",
        time="trade_time_ms",
        at=lambda time_us: time_us,
        unreadable_times=(0, -1723161255342, 946684799999, 4102444800000, 2**63 - 1, -(2**63)),
        unreadable_symbols=("btcusdt", "BTC-USDT", "BTCUSDT ", "BTCXYZ", "USDT"),
    ),
    "kraken": Market(
        trade={
            "channel_id": 321,
            "price": "58721.20000",
            "volume": "0.02798644",
            "timestamp": "1617666461.465618",
            "side": "s",
            "order_type": "m",
            "misc": "",
            "pair": "XBT/USD",
            "ingestion_timestamp": 1617666461507299,
            "trade_id": None,
            "occurrence": 0,
        },
        quantity="volume",
        time="timestamp",
        at=lambda time_us: f"{time_us // 10**6}.{time_us % 10**6:06}",
        unreadable_times=(
            "",
            "abc",
            "1617666461.",
            "1617666461.4656180",
            "1617666461,465618",
            "1.6e9",
            "-1.5",
            "946684799.999999",
            "4102444800",
        ),
        unreadable_symbols=("XBTUSD", "XBT/", "/USD", "xbt/usd", "XBT/USD/EUR", "XBT/USD "),
        unknown_sides=("", "B", "buy", "x"),
    ),
}


def bad_messages(settings: Settings, exchange: str) -> dict[str, list[Example]]:
    """The examples for this registry: registers the foreign schema under `<topic>-foreign`.

    Raises:
        Failure: the registry cannot be reached, or lacks the exchange's schema.
    """
    foreign = Schema(json.dumps(foreign_schema(exchange)), "AVRO")
    foreign_id = register(settings.environment.registry, f"{settings.pipeline.exchange(exchange).topic}-foreign", foreign)
    return examples(exchange, reader_schema_id(settings, exchange), foreign_id, settings.pipeline.limits)


def key(exchange: str) -> bytes:
    """The Kafka key of the bad messages."""
    return str(MARKETS[exchange].trade[KEY_FIELD[exchange]]).encode()


def foreign_schema(exchange: str) -> dict[str, Any]:
    """The exchange's own fields in a record of another name: nothing but its name tells it apart."""
    schema: dict[str, Any] = json.loads(conf.schema(exchange))
    return schema | {"name": f"{schema['name']}{FOREIGN}", "doc": "Not a raw trade: an example of a schema that has no place here."}


def examples(exchange: str, schema_id: int, foreign_id: int, limits: Limits) -> dict[str, list[Example]]:
    """error_reason -> messages that must be rejected with it.

    Args:
        schema_id: of the exchange's reader schema.
        foreign_id: of `foreign_schema`.
        limits: of the pipeline; times are placed one microsecond beyond them.
    """
    market, fields = MARKETS[exchange], _fields(exchange)
    good = wire.join(schema_id, _body(fields, market.trade))

    def with_(changes: Mapping[str, Any]) -> bytes:
        return wire.join(schema_id, _body(fields, {**market.trade, **changes}))

    def each(field: str, values: tuple[Any, ...]) -> list[Example]:
        return [Example(f"{field} is {value!r}", with_({field: value})) for value in values]

    def at(distance: timedelta) -> list[Example]:
        moment = market.trade["ingestion_timestamp"] + distance // timedelta(microseconds=1)
        return each(market.time, (market.at(moment),))

    beyond = timedelta(microseconds=1)
    found = {
        "null_value": [Example("a tombstone", None)],
        "truncated": [Example("an empty value", b"")] + [Example(f"the first {n} bytes of a trade", good[:n]) for n in (1, 3, 4)],
        "bad_magic_byte": [Example("a first byte of 1", b"\x01" + good[1:]), Example("JSON text", json.dumps(market.trade).encode())],
        "unknown_schema_id": [Example(f"schema id {n}", wire.join(n, good[wire.HEADER.size :])) for n in (UNKNOWN_ID, 0, -1)],
        "incompatible_schema": [Example("a record of another name", wire.join(foreign_id, good[wire.HEADER.size :]))],
        "avro_decode_failed": _undecodable(good, with_),
        "trailing_bytes": [Example("a byte too many", good + b"\0"), Example("a record twice", good + good[wire.HEADER.size :])],
        **{f"price_{reason}": each("price", texts) for reason, texts in NUMBERS.items()},
        **{f"quantity_{reason}": each(market.quantity, texts) for reason, texts in NUMBERS.items()},
        "timestamp_unreadable": each(market.time, market.unreadable_times) + each("ingestion_timestamp", (0, -1, 2**63 - 1)),
        "timestamp_in_future": at(limits.future_tolerance + beyond),
        "timestamp_too_old": at(-limits.max_age - beyond),
        "symbol_missing": each(KEY_FIELD[exchange], ("",)),
        "symbol_unreadable": each(KEY_FIELD[exchange], market.unreadable_symbols),
        "side_unknown": each("side", market.unknown_sides),
    }
    return {reason: messages for reason, messages in found.items() if messages}


def _undecodable(good: bytes, with_: Callable[[Mapping[str, Any]], bytes]) -> list[Example]:
    price = {
        "text longer than the message": b"\xd0\x0f1",
        "text of a negative length": b"\x01",
        "text that is not UTF-8": b"\x04\xff\xfe",
        "a length that never ends": b"\xff" * 11,
    }
    return [
        Example("nothing after the header", good[: wire.HEADER.size]),
        Example("a record broken off in the middle", good[: len(good) // 2]),
        Example("a record without its last byte", good[:-1]),
        *(Example(f"price is {description}", with_({"price": raw})) for description, raw in price.items()),
        Example("ingestion_timestamp has more than 64 bits", with_({"ingestion_timestamp": b"\xff" * 9 + b"\x7f"})),
    ]


def _fields(exchange: str) -> dict[str, Any]:
    return {field["name"]: field["type"] for field in json.loads(conf.schema(exchange))["fields"]}


def _body(fields: Mapping[str, Any], record: Mapping[str, Any]) -> bytes:
    """The record field by field; a value that is bytes stands for itself, encoded already."""
    return b"".join(value if isinstance(value := record[name], bytes) else _encoded(kind, value) for name, kind in fields.items())


def _encoded(kind: Any, value: Any) -> bytes:
    out = BytesIO()
    schemaless_writer(out, kind, value)
    return out.getvalue()
