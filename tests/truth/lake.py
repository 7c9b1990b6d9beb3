"""The lake's tables, read with pyiceberg from the catalog and the object store."""

import configparser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.table import Table

DLQ = "silver_dlq_trades"
GOLD = "gold_crypto_trades"


def bronze(exchange: str) -> str:
    return f"bronze_{exchange}_trades"


def silver(exchange: str) -> str:
    return f"silver_{exchange}_trades"


def tables(exchanges: Iterable[str]) -> tuple[str, ...]:
    """All tables of a pipeline with these exchanges."""
    names = list(exchanges)
    return (*map(bronze, names), *map(silver, names), DLQ, GOLD)


USUAL = ("binance", "kraken")
"""The exchanges of the usual pipeline."""
BRONZE = {exchange: bronze(exchange) for exchange in USUAL}
SILVER = {exchange: silver(exchange) for exchange in USUAL}
TABLES = tables(USUAL)

V2_COLUMNS = (
    "message_id", "trade_id", "symbol", "exchange", "asset_class", "timestamp", "price", "quantity", "currency", "side",
    "trade_conditions", "source_sequence", "ingestion_timestamp", "platform_sequence", "vendor_data",
)  # fmt: skip


class Lake:
    """The tables of one stack. Every call sees the newest snapshot."""

    def __init__(self, environment: Path, database: str) -> None:
        self._environment: dict[str, Any] = yaml.safe_load(environment.read_text(encoding="utf-8"))
        self._database = database

    def table(self, name: str) -> Table:
        return self.catalog().load_table((self._database, name))

    def catalog(self) -> Catalog:
        catalog, s3 = self._environment["catalog"], self._environment["s3"]
        identity, secret = _key(Path(s3["credentials_file"]))
        return load_catalog(
            "lake",
            **{
                "type": "rest",
                "uri": catalog["uri"],
                "warehouse": catalog["warehouse"],
                "s3.endpoint": s3["endpoint"],
                "s3.region": s3.get("region", "us-east-1"),
                "s3.access-key-id": identity,
                "s3.secret-access-key": secret,
                "s3.path-style-access": "true",
                "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
            },
        )

    def count(self, name: str) -> int:
        """Rows, by the summary of the newest snapshot: cheap enough to be asked again and again."""
        snapshot = self.table(name).current_snapshot()
        return int(snapshot.summary["total-records"] or 0) if snapshot and snapshot.summary else 0

    def counts(self, names: Iterable[str] = TABLES) -> dict[str, int]:
        return {name: self.count(name) for name in names}

    def rows(self, name: str, columns: Iterable[str] = ("*",), where: BooleanExpression | str | None = None) -> pa.Table:
        """The rows themselves."""
        return self.table(name).scan(row_filter=where or AlwaysTrue(), selected_fields=tuple(columns)).to_arrow()

    def files(self, name: str, where: BooleanExpression | str | None = None) -> list[str]:
        """The data files that a scan opens."""
        return [task.file.file_path for task in self.table(name).scan(row_filter=where or AlwaysTrue()).plan_files()]


def _key(file: Path) -> tuple[str, str]:
    parser = configparser.ConfigParser()
    parser.read(file, encoding="utf-8")
    return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]
