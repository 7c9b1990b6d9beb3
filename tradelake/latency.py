"""How long rows took through the layers, measured over all rows.

A row becomes visible with the commit of the snapshot that added its data file. Each hop is the time between two such moments; the first
and the whole begin with the Kafka timestamp, the producer's clock when it sent. Nothing is sampled and nothing estimated: a row whose
snapshot has expired, or whose file came from a compaction, counts as unmeasured.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

import sql
from conf.settings import Settings
from tradelake.lake import catalog, connect

if TYPE_CHECKING:
    from pyiceberg.table import Table

HOPS = ("kafka_to_bronze", "bronze_to_silver", "silver_to_gold", "end_to_end")
COMMITS = pa.schema([("filename", pa.string()), ("committed", pa.timestamp("us"))])
EVER = datetime(1970, 1, 1, tzinfo=UTC)

Commit = tuple[str, datetime]
"""A data file, and when the snapshot that added it was committed."""


@dataclass(frozen=True)
class Hop:
    """Seconds that rows took, as percentiles over all `rows` measured; None where there are none."""

    rows: int
    unmeasured: int
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    max_s: float | None = None


def measure(settings: Settings, since: datetime | None = None) -> dict[str, Hop]:
    """Each hop of `HOPS` for the rows that were sent at or after `since` (with its time zone); all rows by default.

    In gold these are the rows that it took at or after `since`, on its own clock.

    Raises:
        Failure: the catalog or the object store does not answer.
    """
    with connect(settings) as connection:
        connection.register("commits", commits(settings, since))
        return hops(connection, settings.pipeline.exchanges, since)


def hops(connection: duckdb.DuckDBPyConnection, exchanges: Iterable[str], since: datetime | None = None) -> dict[str, Hop]:
    """`measure` on a connection that has the tables, and a table `commits` of `COMMITS`."""
    names = list(exchanges)
    layers = {layer: layer_rows(layer, names, since) for layer in ("bronze", "silver")}
    rows = connection.execute(sql.text("latency", since=moment(since), **layers)).fetchall()
    measured = {name: Hop(*figures) for name, *figures in rows}
    return {name: measured.get(name, Hop(0, 0)) for name in HOPS}


def moment(time: datetime | None) -> str:
    """A time in the words of SQL, in UTC; None is before everything."""
    return (time or EVER).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def layer_rows(layer: str, exchanges: Iterable[str], since: datetime | None = None) -> str:
    """SQL of the rows of bronze or of silver that were sent at or after `since`, of all exchanges, each with its data file."""
    message_id = "message_id" if layer == "silver" else "NULL"
    return "UNION ALL\n".join(
        sql.text("latency_layer", table=f"{layer}_{exchange}_trades", message_id=message_id, since=moment(since)) for exchange in exchanges
    )


def commits(settings: Settings, since: datetime | None = None) -> pa.Table:
    """Every data file of the tables that an append committed at or after `since`: `COMMITS`."""
    lake, pipeline = catalog(settings), settings.pipeline
    names = [f"{layer}_{exchange}_trades" for layer in ("bronze", "silver") for exchange in pipeline.exchanges] + ["gold_crypto_trades"]
    found = [commit for name in names for commit in _appended(lake.load_table((pipeline.database, name)), since or EVER)]
    columns = [[file for file, _ in found], [moment.replace(tzinfo=None) for _, moment in found]]
    return pa.table(columns, schema=COMMITS)


def _appended(table: "Table", since: datetime) -> Iterator[Commit]:
    """Manifests that were written before `since` hold no younger file and are not read."""
    from pyiceberg.manifest import ManifestEntryStatus
    from pyiceberg.table.snapshots import Operation

    newest = table.current_snapshot()
    times = {s.snapshot_id: EVER + timedelta(milliseconds=s.timestamp_ms) for s in table.snapshots()}
    appended = {s.snapshot_id for s in table.snapshots() if s.summary and s.summary.operation == Operation.APPEND}
    for manifest in newest.manifests(table.io) if newest else ():
        if times.get(manifest.added_snapshot_id or 0, since) < since:
            continue
        for entry in manifest.fetch_manifest_entry(table.io):
            if entry.status != ManifestEntryStatus.DELETED and entry.snapshot_id in appended and times[entry.snapshot_id] >= since:
                yield entry.data_file.file_path, times[entry.snapshot_id]
