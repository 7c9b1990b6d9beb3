"""The recordings as raw trades: what an exchange sent, and when it was received."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.truth.trades import Raw, epoch_microseconds

KRAKEN_FIELDS = ("price", "volume", "timestamp", "side", "order_type", "misc")


@dataclass(frozen=True)
class Recordings:
    """Files of one origin, and how many trades each exchange has in them."""

    binance: tuple[Path, ...]
    kraken: tuple[Path, ...]
    counts: dict[str, int]

    @classmethod
    def sample(cls, folder: Path) -> "Recordings":
        """The trades that ship with the project: the fields of the Avro records, as columns of Parquet files."""
        return cls((folder / "binance.parquet",), (folder / "kraken.parquet",), {"binance": 8_000, "kraken": 38})

    def files(self, exchange: str) -> tuple[Path, ...]:
        return self.binance if exchange == "binance" else self.kraken

    def trades(self, exchange: str) -> list[Raw]:
        """All raw trades of one exchange, in the order of the files."""
        read = binance if exchange == "binance" else kraken
        return [raw for file in self.files(exchange) for raw in (_columns(file) if _is_sample(file) else _frames(file, read))]

    def commands(self) -> list[list[str]]:
        """What `tradelake produce` is told, one after the other, to send them all."""
        if _is_sample(self.binance[0]):
            return [["sample"]]
        return [[exchange, *map(str, self.files(exchange))] for exchange in self.counts]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def binance(line: dict[str, Any]) -> Iterator[Raw]:
    event = line["frame"]["data"]
    assert event["e"] == "trade"
    yield {
        "event_type": event["e"],
        "event_time_ms": event["E"],
        "symbol": event["s"],
        "trade_id": event["t"],
        "price": event["p"],
        "quantity": event["q"],
        "trade_time_ms": event["T"],
        "is_buyer_maker": event["m"],
        "is_best_match": event["M"],
        "ingestion_timestamp": line["recv_ns"] // 1000,
    }


def kraken(line: dict[str, Any]) -> Iterator[Raw]:
    channel_id, trades, name, pair = line["frame"]
    assert name == "trade"
    before: Counter[tuple[str, ...]] = Counter()
    for values in map(tuple, trades):
        yield {
            **dict(zip(KRAKEN_FIELDS, values, strict=True)),
            "channel_id": channel_id,
            "pair": pair,
            "ingestion_timestamp": epoch_microseconds(line["recv_s"]),
            "trade_id": None,
            "occurrence": before[values],
        }
        before[values] += 1


def _is_sample(file: Path) -> bool:
    return file.suffix == ".parquet"


def _columns(file: Path) -> list[Raw]:
    raws: list[Raw] = pq.read_table(file).to_pylist()
    return raws


def _frames(file: Path, read: Callable[[dict[str, Any]], Iterator[Raw]]) -> Iterator[Raw]:
    content = file.read_bytes()
    text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode("utf-8")
    for line in text.splitlines():
        yield from read(json.loads(line, parse_float=Decimal))
