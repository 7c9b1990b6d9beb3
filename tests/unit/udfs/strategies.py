"""Trades as the exchanges send them, the bytes that carry them, and what is expected of both."""

import json
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import fastavro
import pyarrow as pa
from hypothesis import strategies as st

from conf import schema, settings
from udfs import wire
from udfs.batch import BATCH_TYPE, BatchDecoder
from udfs.exchange import Exchange, exchange
from udfs.judge import Judge
from udfs.rejected import Rejected
from udfs.rules import Limits
from udfs.schemas import SchemaCache
from udfs.trade import Trade

MINUTE, DAY = 60_000_000, 86_400_000_000
LIMITS = Limits(future_tolerance_us=5 * MINUTE, max_age_us=365 * DAY)
QUOTE_ASSETS = settings.load_pipeline().exchanges["binance"].quote_assets
EXTRA_FIELDS = [
    {"name": "venue", "type": "string", "default": ""},
    {"name": "weight", "type": "double", "default": 0},
    {"name": "rank", "type": ["null", "int"], "default": None},
    {"name": "grade", "type": {"type": "enum", "name": "Grade", "symbols": ["A", "B"]}, "default": "A"},
    {"name": "blob", "type": {"type": "string", "avro.java.string": "String"}, "default": ""},
]
EXTRA = {"venue": "spot", "weight": 0.5, "rank": 7, "grade": "B", "blob": "x" * 70}


def evolved(text: str, extra: list[dict[str, Any]] = EXTRA_FIELDS) -> str:
    """The schema of a later writer: the extra fields stand in the middle."""
    parsed = json.loads(text)
    parsed["fields"] = parsed["fields"][:3] + extra + parsed["fields"][3:]
    return json.dumps(parsed)


def with_type(text: str, name: str, type: Any) -> str:
    """The schema with another type for one field."""
    parsed = json.loads(text)
    parsed["fields"] = [field | {"type": type} if field["name"] == name else field for field in parsed["fields"]]
    return json.dumps(parsed)


WRITERS = {
    1: schema("binance"),
    2: evolved(schema("binance")),
    3: schema("kraken"),
    4: schema("kraken", "v1"),
    5: evolved(schema("kraken")),
    6: schema("coinbase"),
    7: evolved(schema("coinbase")),
}
WRITERS_OF = {"binance": (1, 2), "kraken": (3, 4, 5), "coinbase": (6, 7)}
"""The writers' schemas of each exchange, the reader's first."""
PARSED = {schema_id: fastavro.parse_schema(json.loads(text)) for schema_id, text in WRITERS.items()}
SCHEMAS = SchemaCache(WRITERS.get)
EXCHANGES: dict[str, Exchange] = {name: exchange(name, schema(name), LIMITS, QUOTE_ASSETS) for name in WRITERS_OF}
JUDGES = {name: Judge(EXCHANGES[name], SCHEMAS) for name in EXCHANGES}
DECODERS = {name: BatchDecoder(EXCHANGES[name], SCHEMAS) for name in EXCHANGES}

BINANCE = {
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
}
KRAKEN = {
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
}
COINBASE = {
    "trade_id": 995098700,
    "product_id": "BTC-USD",
    "price": "68900.50",
    "size": "0.00150000",
    "side": "BUY",
    "time": "2023-02-09T20:19:35.351234Z",
    "event_type": "update",
    "sequence_num": 5,
    "frame_time": "2023-02-09T20:19:35.39625135Z",
    "ingestion_timestamp": 1675973975402113,
}
SAMPLES = {"binance": BINANCE, "kraken": KRAKEN, "coinbase": COINBASE}

longs = st.integers(-(2**55), 2**55 - 1)
"""What fits in the eight bytes of a varint that the batch path reads."""
ascii_text = st.text(st.characters(min_codepoint=0, max_codepoint=127), max_size=12)
assets = st.text("ABCXYZ0189", min_size=1, max_size=5)


@st.composite
def amounts(draw: st.DrawFn) -> str:
    """Texts of positive numbers that DECIMAL(18, 8) holds."""
    whole, fraction = draw(st.integers(0, 10**10 - 1)), draw(st.text("0123456789", max_size=8))
    if whole == 0 and not fraction.strip("0"):
        fraction = "00000001"
    beyond = draw(st.sampled_from(["", "0", "0000"])) if len(fraction) == 8 else ""
    return f"{whole}.{fraction}{beyond}" if fraction else str(whole)


@st.composite
def times(draw: st.DrawFn) -> tuple[int, int]:
    """A trade's and its ingestion's time in microseconds, as far apart as the limits allow."""
    ingestion = draw(st.integers(946_684_800_000_000 + 366 * DAY, 4_102_444_800_000_000 - DAY))
    age = draw(st.integers(-LIMITS.future_tolerance_us, 10 * MINUTE) | st.integers(0, LIMITS.max_age_us))
    return ingestion - age, ingestion


@st.composite
def binance_records(draw: st.DrawFn) -> dict[str, Any]:
    trade_us, ingestion = draw(times())
    if draw(st.booleans()):
        trade_time = trade_us
    else:
        trade_time = trade_us // 1000 + 1 if ingestion - trade_us > LIMITS.max_age_us - 1000 else trade_us // 1000
    return {
        "event_type": draw(st.just("trade") | ascii_text),
        "event_time_ms": draw(longs),
        "symbol": draw(assets) + draw(st.sampled_from(QUOTE_ASSETS)),
        "trade_id": draw(longs),
        "price": draw(amounts()),
        "quantity": draw(amounts()),
        "trade_time_ms": trade_time,
        "is_buyer_maker": draw(st.booleans()),
        "is_best_match": draw(st.none() | st.booleans()),
        "ingestion_timestamp": ingestion,
    }


@st.composite
def kraken_records(draw: st.DrawFn) -> dict[str, Any]:
    trade_us, ingestion = draw(times())
    seconds, fraction = divmod(trade_us, 1_000_000)
    written = f"{seconds}.{fraction:06d}"
    asset = assets | st.sampled_from(["XBT", "XDG"])
    return {
        "channel_id": draw(longs),
        "price": draw(amounts()),
        "volume": draw(amounts()),
        "timestamp": written.rstrip("0").rstrip(".") if draw(st.booleans()) else written,
        "side": draw(st.sampled_from("bs")),
        "order_type": draw(st.sampled_from("lm")),
        "misc": draw(st.just("") | ascii_text),
        "pair": f"{draw(asset)}/{draw(asset)}",
        "ingestion_timestamp": ingestion,
        "trade_id": draw(st.none() | longs),
        "occurrence": draw(st.integers(0, 2**31 - 1)),
    }


@st.composite
def coinbase_records(draw: st.DrawFn) -> dict[str, Any]:
    trade_us, ingestion = draw(times())
    moment = datetime(1970, 1, 1) + timedelta(microseconds=trade_us)
    nanoseconds = draw(st.text("0123456789", max_size=3))
    fraction = f"{moment:%f}" + nanoseconds
    written = "." + (fraction if nanoseconds else fraction.rstrip("0"))
    return {
        "trade_id": draw(longs),
        "product_id": f"{draw(assets)}-{draw(assets)}",
        "price": draw(amounts()),
        "size": draw(amounts()),
        "side": draw(st.sampled_from(["BUY", "SELL"])),
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}{written.rstrip('.')}Z",
        "event_type": draw(st.sampled_from(["snapshot", "update"]) | ascii_text),
        "sequence_num": draw(st.none() | longs),
        "frame_time": draw(ascii_text),
        "ingestion_timestamp": ingestion,
    }


RECORDS = {"binance": binance_records(), "kraken": kraken_records(), "coinbase": coinbase_records()}


def avro(schema_id: int, record: dict[str, Any]) -> bytes:
    body = BytesIO()
    fastavro.schemaless_writer(body, PARSED[schema_id], record | EXTRA)
    return body.getvalue()


def message(schema_id: int, record: dict[str, Any]) -> bytes:
    return wire.join(schema_id, avro(schema_id, record))


def verdict(name: str, raw: bytes | None, offset: int = 0) -> Trade | str:
    """The judge's trade, or its reason. Anything but Rejected goes through."""
    try:
        return JUDGES[name].judge(raw, offset).trade
    except Rejected as rejected:
        return rejected.error_reason


def batch(name: str, messages: list[bytes | None]) -> list[dict[str, Any] | None]:
    decoded = DECODERS[name].decode(pa.array(messages, pa.binary()), pa.array(range(len(messages))))
    decoded.validate(full=True)
    assert decoded.type == BATCH_TYPE
    rows: list[dict[str, Any] | None] = decoded.to_pylist()
    return rows


def as_batch_row(trade: Trade, schema_id: int) -> dict[str, Any]:
    """A judged trade as the batch path says it."""
    row = {name: value for name, value in trade._asdict().items() if name in BATCH_TYPE.names}
    return row | {"trade_condition": trade.trade_conditions[0] if trade.trade_conditions else None, "schema_id": schema_id}
