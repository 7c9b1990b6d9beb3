"""Real trades: the judge, the batch path and a reading of the recording that knows neither agree on every value."""

import gzip
import hashlib
import json
import uuid
from decimal import Decimal

import pyarrow as pa
import pytest

from tests.unit.udfs.strategies import DECODERS, EXCHANGES, JUDGES, message
from udfs.batch import BATCH_TYPE

MICROSECOND = Decimal("0.000001")


def identity(key, time_us, numbered):
    digest = hashlib.sha256("|".join(key).encode()).hexdigest()
    bits = f"{time_us // 1000:048b}" + "1000" + f"{0 if numbered else time_us % 1000:012b}" + "10" + f"{int(digest[:16], 16):064b}"[2:]
    return str(uuid.UUID(int=int(bits, 2))), digest[:12]


def binance_trades(line):
    event, received = line["frame"]["data"], line["recv_ns"] // 1000
    time_us = event["T"] * 1000
    best = {True: "true", False: "false"}[event["M"]]
    yield {
        "message_id": identity(["BINANCE", event["s"], str(event["t"])], time_us, numbered=True)[0],
        "trade_id": f"BINANCE-{event['t']}",
        "symbol": event["s"],
        "exchange": "BINANCE",
        "asset_class": "crypto",
        "timestamp": time_us,
        "price": Decimal(event["p"]),
        "quantity": Decimal(event["q"]),
        "currency": "USDT",
        "side": "SELL" if event["m"] else "BUY",
        "trade_conditions": (),
        "source_sequence": event["t"],
        "ingestion_timestamp": received,
        "vendor_data": f'{{"event_time_ms":{event["E"]},"event_type":"trade","is_best_match":{best}}}',
    }


def kraken_trades(line):
    channel, trades, _, pair = line["frame"]
    base, quote = pair.replace("XBT", "BTC").split("/")
    for at, fill in enumerate(trades):
        price, volume, time, side, order_type, misc = fill
        time_us, occurrence = int(Decimal(time) / MICROSECOND), trades[:at].count(fill)
        message_id, digits = identity(
            ["KRAKEN", pair, time, price, volume, side, order_type, misc, str(occurrence)], time_us, numbered=False
        )
        yield {
            "message_id": message_id,
            "trade_id": f"KRAKEN-{time}-{digits}",
            "symbol": base + quote,
            "exchange": "KRAKEN",
            "asset_class": "crypto",
            "timestamp": time_us,
            "price": Decimal(price),
            "quantity": Decimal(volume),
            "currency": quote,
            "side": {"b": "BUY", "s": "SELL"}[side],
            "trade_conditions": ({"l": "limit", "m": "market"}[order_type],),
            "source_sequence": None,
            "ingestion_timestamp": received_us(line),
            "vendor_data": f'{{"channel_id":{channel},"misc":"{misc}","occurrence":{occurrence},"pair":"{pair}"}}',
        }


def received_us(line):
    return line["recv_ns"] // 1000 if "recv_ns" in line else int(Decimal(line["recv_s"]) / MICROSECOND)


RECORDINGS = [
    ("binance", "binance/btcusdt_20240808.ndjson.gz", 9757, binance_trades, 1),
    ("binance", "binance/btcusdt_20240809.ndjson.gz", 10147, binance_trades, 2),
    ("binance", "binance/ethusdt_20240808.ndjson.gz", 6106, binance_trades, 1),
    ("kraken", "kraken/kraken_v1_2021.ndjson", 38, kraken_trades, 3),
    ("kraken", "kraken/kraken_v1_2021.ndjson", 38, kraken_trades, 4),
]
JUDGED = 500
"""Trades of a recording that the judge sees: it is the slow path."""
BATCH_COLUMNS = frozenset(BATCH_TYPE.names)


@pytest.mark.parametrize(("name", "file", "count", "reading", "schema_id"), RECORDINGS, ids=[f"{row[1]}-{row[4]}" for row in RECORDINGS])
def test_every_real_trade_is_read_exactly(captures, name, file, count, reading, schema_id):
    with (gzip.open if file.endswith("gz") else open)(captures / file, "rt", encoding="utf-8") as recording:
        lines = [json.loads(line) for line in recording]
    expected = [trade for line in lines for trade in reading(line)]
    messages = [message(schema_id, record) for line in lines for record in EXCHANGES[name].records(line["frame"], received_us(line))]
    assert len(expected) == len({trade["message_id"] for trade in expected}) == count
    assert DECODERS[name].decode(pa.array(messages)).equals(pa.array([batch_row(trade, schema_id) for trade in expected], BATCH_TYPE))
    for offset in range(0, count, 1 + count // JUDGED):
        assert JUDGES[name].judge(messages[offset], offset).trade._asdict() == expected[offset] | {"platform_sequence": offset}


def batch_row(trade, schema_id):
    conditions = trade["trade_conditions"]
    row = {name: value for name, value in trade.items() if name in BATCH_COLUMNS}
    return row | {"trade_condition": conditions[0] if conditions else None, "schema_id": schema_id}
