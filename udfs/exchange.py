"""The exchanges. A new one is a module like `udfs.binance` and its line in `MODULES`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fastavro import parse_schema

from udfs import binance, coinbase, kraken
from udfs.columns import Column
from udfs.cursor import Bools
from udfs.extent import Schema
from udfs.rules import Limits
from udfs.trade import Trade


class Module(Protocol):
    """What an exchange's module holds.

    Attributes:
        NAME: in capital letters, as it stands in the tables.
        RECORD: the full name of its Avro record.
        KEY: the field of a raw trade that is its Kafka key.
        DENSE: whether the exchange's numbers of a symbol's trades have no holes.
    """

    NAME: str
    RECORD: str
    KEY: str
    DENSE: bool

    def records(self, frame: Any, received_us: int) -> list[dict[str, Any]]: ...

    def to_trade(self, record: dict[str, Any], offset: int, limits: Limits, quote_assets: Sequence[str]) -> Trade: ...

    def to_columns(self, columns: dict[str, Column], limits: Limits, quote_assets: Sequence[str]) -> tuple[dict[str, Any], Bools]: ...


MODULES: dict[str, Module] = {
    "binance": binance,
    "kraken": kraken,
    "coinbase": coinbase,
}


@dataclass(frozen=True)
class Exchange:
    """One exchange, with what its trades are judged by.

    Attributes:
        reader_schema: parsed by fastavro; records are resolved to it.
        quote_assets: what a symbol can end with, where it has no separator.
    """

    name: str
    reader_schema: Schema
    limits: Limits
    quote_assets: tuple[str, ...]

    @property
    def record(self) -> str:
        """The full name of the Avro record."""
        return MODULES[self.name].RECORD

    def records(self, frame: Any, received_us: int) -> list[dict[str, Any]]:
        """The Avro records of one frame of the feed, none when it holds no trades; ValueError when it is broken."""
        return MODULES[self.name].records(frame, received_us)

    def to_trade(self, record: dict[str, Any], offset: int) -> Trade:
        """The trade of a decoded record; Rejected names the first rule that it breaks."""
        return MODULES[self.name].to_trade(record, offset, self.limits, self.quote_assets)

    def to_columns(self, columns: dict[str, Column]) -> tuple[dict[str, Any], Bools]:
        """`to_trade` for whole columns: the columns of `udfs.batch.BATCH_TYPE`, and the rows that are certain."""
        return MODULES[self.name].to_columns(columns, self.limits, self.quote_assets)


def exchange(name: str, reader_schema: dict[str, Any] | str, limits: Limits, quote_assets: Sequence[str]) -> Exchange:
    """The exchange of this name, in lower case.

    Args:
        reader_schema: the Avro schema of its raw trade, as JSON text or what that holds.

    Raises:
        ValueError: there is no such exchange, or the schema is another record.
    """
    if name not in MODULES:
        raise ValueError(f"no such exchange: {name}; there are {', '.join(MODULES)}")
    parsed = parse_schema(json.loads(reader_schema) if isinstance(reader_schema, str) else reader_schema)
    if parsed["name"] != MODULES[name].RECORD:
        raise ValueError(f"the schema of {name} is {parsed['name']}, not {MODULES[name].RECORD}")
    return Exchange(name, parsed, limits, tuple(quote_assets))
