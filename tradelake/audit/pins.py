"""One consistent set of snapshots, and where Kafka's partitions began and ended after it was taken."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, TopicPartition

import sql
from conf.settings import Settings
from tradelake.console import Failure
from tradelake.kafka_client import kafka_options
from tradelake.topics import TIMEOUT_S, kafka_failures

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

GOLD, DLQ = "gold_crypto_trades", "silver_dlq_trades"
REPLAYS = "silver_dlq_replays"
"""What `tradelake dlq replay` added to silver; there once it has added something."""

REBUILD = "tradelake.rebuild"
"""In the summary of a snapshot that a rebuild made: its id."""

Ends = dict[tuple[str, int], tuple[int, int]]
"""(topic, partition) -> the first offset that Kafka still has, and the one after its last."""


def bronze(exchange: str) -> str:
    return f"bronze_{exchange}_trades"


def silver(exchange: str) -> str:
    return f"silver_{exchange}_trades"


@dataclass(frozen=True)
class DataFile:
    """One data file by a table's metadata. `bounds`: the least and the greatest `timestamp` in it, as far as they are known."""

    path: str
    rows: int
    partition: dict[str, Any]
    bounds: tuple[int, ...]


@dataclass(frozen=True)
class Pins:
    """Tables as they were at one moment.

    Attributes:
        tables: name -> its metadata of that moment.
    """

    tables: Mapping[str, "Table"]

    def relation(self, name: str) -> str:
        """The pinned table in the words of DuckDB's SQL."""
        if name not in self.tables:
            return sql.text("audit/no_replays")
        snapshot = self.tables[name].current_snapshot()
        return f"(FROM {name} AT (VERSION => {snapshot.snapshot_id}))" if snapshot else f"(FROM {name} WHERE false)"

    def with_places(self, name: str) -> str:
        """The pinned table, with the virtual columns `filename` and `file_row_number`: where a row stands."""
        snapshot = self.tables[name].current_snapshot()
        return f"{name} AT (VERSION => {snapshot.snapshot_id})" if snapshot else sql.text("rebuild/no_rows", table=name)

    def files(self, name: str) -> Iterator[DataFile]:
        """Its data files, a manifest at a time."""
        from pyiceberg.conversions import from_bytes
        from pyiceberg.types import LongType

        table = self.tables[name]
        snapshot, spec, time = table.current_snapshot(), table.spec(), table.schema().find_field("timestamp").field_id
        for manifest in snapshot.manifests(table.io) if snapshot else ():
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                file = entry.data_file
                partition = {field.name: _plain(file.partition[at], table, field.source_id) for at, field in enumerate(spec.fields)}
                encoded = [bounds[time] for bounds in (file.lower_bounds, file.upper_bounds) if bounds and time in bounds]
                yield DataFile(file.file_path, file.record_count, partition, tuple(int(from_bytes(LongType(), bound)) for bound in encoded))

    def rows(self, name: str) -> int:
        snapshot = self.tables[name].current_snapshot()
        return int((snapshot.summary and snapshot.summary["total-records"]) or 0) if snapshot else 0

    def snapshots(self) -> dict[str, int | None]:
        """Table -> the id of its pinned snapshot, None where it is empty."""
        return {name: snapshot.snapshot_id if (snapshot := table.current_snapshot()) else None for name, table in self.tables.items()}


def _plain(value: Any, table: "Table", source_id: int) -> Any:
    """A partition's value as Python has it: Iceberg keeps dates as days."""
    from pyiceberg.types import DateType

    is_days = isinstance(table.schema().find_field(source_id).field_type, DateType) and isinstance(value, int)
    return date(1970, 1, 1) + timedelta(days=value) if is_days else value


def pin(catalog: "Catalog", database: str, exchanges: Iterable[str]) -> Pins:
    """Pin all tables, those first that others flow into.

    Raises:
        Failure: one does not exist.
    """
    from pyiceberg.exceptions import NoSuchTableError

    names = [GOLD, *map(silver, exchanges), DLQ]
    try:
        tables = {name: catalog.load_table((database, name)) for name in names}
        if catalog.table_exists((database, REPLAYS)):  # after silver: what silver has of a replay was recorded before
            tables[REPLAYS] = catalog.load_table((database, REPLAYS))
        return Pins(tables | {name: catalog.load_table((database, name)) for name in map(bronze, exchanges)})
    except NoSuchTableError as error:
        raise Failure(f"{error}; `tradelake tables create` makes what is missing") from error


def kafka_ends(settings: Settings, topics: Iterable[str]) -> Ends:
    """Where each partition begins and ends now.

    Raises:
        Failure: Kafka does not answer, or has no such topic.
    """
    kafka = settings.environment.kafka
    consumer = Consumer({**kafka_options(kafka), "group.id": "tradelake-audit", "enable.auto.commit": False})
    ends: Ends = {}
    try:
        with kafka_failures(kafka):
            for topic in topics:
                partitions = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
                if partitions.error is not None:
                    raise Failure(
                        f"Kafka at {kafka.bootstrap_servers} has no topic {topic}: {partitions.error}; `tradelake topics create` makes it"
                    )
                for number in partitions.partitions:
                    ends[topic, number] = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_S)
    finally:
        consumer.close()
    return ends
