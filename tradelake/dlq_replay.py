"""Rejected messages judged again, with the code, the settings and the schemas of now; what is valid by now goes to silver, once.

Not a Flink job (docs/decisions/0014): Iceberg's Flink sink commits on whatever snapshot it finds, and this must commit on the very snapshot
that it was planned on, or not at all. So a replay that runs twice, or beside another, or dies half-way, adds no row twice.
"""

import logging
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import duckdb

import sql
from conf.settings import Settings
from tradelake.arrow import schema_of
from tradelake.audit.pins import REPLAYS, bronze, silver
from tradelake.audit.values import judge_of
from tradelake.console import Failure
from tradelake.results import batches
from udfs.judge import Judge
from udfs.rejected import Rejected

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

AT_ONCE = 20_000
ATTEMPTS = 20
EPOCH = datetime(1970, 1, 1)
PROPERTIES = {"format-version": "2", "write.parquet.compression-codec": "zstd"}

MARK = "tradelake.dlq-replay"
"""In the summary of a snapshot that a replay made: its id."""

Candidate = tuple[str, int, int, bytes | None, datetime, datetime]


@dataclass
class Report:
    """What a replay did, or would do.

    Attributes:
        chosen: messages that were judged again.
        still: (error_type, error_reason) of now -> messages.
        snapshots: table -> those that it made.
    """

    id: str
    chosen: int = 0
    replayed: int = 0
    still: Counter[tuple[str, str]] = field(default_factory=Counter)
    snapshots: dict[str, list[int]] = field(default_factory=dict)


def replay(
    connection: duckdb.DuckDBPyConnection, lake: "Catalog", settings: Settings, exchange: str, where: str, report: Report, dry_run: bool
) -> None:
    """Judge an exchange's rejected messages of a condition again.

    Raises:
        Failure: the live job commits so often that no attempt came through.
    """
    judge, name, before = judge_of(settings, exchange), silver(exchange), report.replayed
    for _ in range(ATTEMPTS):
        target = lake.load_table((settings.pipeline.database, name))  # before the question: a commit after this makes ours fail
        tried, added = Report(report.id), report.replayed - before
        valid = _valid(_candidates(connection, target, exchange, where), judge, tried)
        done = True
        while done and (rows := list(islice(valid, AT_ONCE))):
            done = dry_run or _append(lake, settings, target, rows, report)
            if done:
                report.replayed += len(rows)
        if done:
            report.chosen += added + tried.chosen  # those of attempts that were cut short are not among the candidates any more
            report.still += tried.still
            return
    raise Failure(f"{ATTEMPTS} other replays of {name} came in between; try again when they have ended")


def _candidates(connection: duckdb.DuckDBPyConnection, target: "Table", exchange: str, where: str) -> Iterator[Candidate]:
    snapshot = target.current_snapshot()
    pinned = f"(FROM {silver(exchange)} AT (VERSION => {snapshot.snapshot_id}))" if snapshot else f"(FROM {silver(exchange)} WHERE false)"
    cursor = connection.execute(sql.text("dlq/candidates", bronze=bronze(exchange), silver=pinned, where=where))
    for row in batches(cursor):
        yield row[0], row[1], row[2], row[3], row[4], row[5]


def _valid(candidates: Iterator[Candidate], judge: Judge, report: Report) -> Iterator[dict[str, Any]]:
    """Rows of silver, for those that are valid by now."""
    now = datetime.now(UTC).replace(tzinfo=None)
    for topic, partition, offset, raw, kafka_timestamp, ingestion_timestamp in candidates:
        report.chosen += 1
        try:
            trade, schema_id = judge.judge(raw, offset)
        except Rejected as why:
            report.still[why.error_type, why.error_reason] += 1
            continue
        yield trade._asdict() | {
            "trade_conditions": list(trade.trade_conditions),
            "schema_id": schema_id,
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "kafka_timestamp": kafka_timestamp,
            "bronze_ingestion_timestamp": ingestion_timestamp,
            "validation_timestamp": now,
            "exchange_date": _day(trade.timestamp),
        }


def _day(microseconds: int) -> date:
    return (EPOCH + timedelta(microseconds=microseconds)).date()


def _append(lake: "Catalog", settings: Settings, target: "Table", rows: list[dict[str, Any]], report: Report) -> bool:
    """Record the rows, then add them to silver; False when another replay came first, and everything is to be planned anew.

    The record comes first: a row of silver without one would be a fault to the audit. A commit is on the snapshot that was planned on, or
    on a later one when only Flink jobs have committed in between, which never add what they have rejected.

    Raises:
        Failure: the job commits so often that no attempt came through.
    """
    import pyarrow as pa
    from pyiceberg.exceptions import CommitFailedException

    logging.getLogger("pyiceberg").setLevel(logging.ERROR)  # it warns of old metadata files that the catalog has deleted already
    _record(lake, settings, rows, report.id)
    table, known = pa.Table.from_pylist(rows, schema=schema_of(target)), {snapshot.snapshot_id for snapshot in target.snapshots()}
    for _ in range(ATTEMPTS):
        target.metadata.properties["commit.retry.num-retries"] = "0"  # of this copy: a retry looks at nothing
        try:
            target.append(table, snapshot_properties={MARK: report.id})
        except CommitFailedException:
            target.refresh()
            if any(_is_a_replay(snapshot) for snapshot in target.snapshots() if snapshot.snapshot_id not in known):
                return False
        else:
            report.snapshots.setdefault(target.name()[-1], []).append(_newest(target))
            return True
    name = target.name()[-1]
    raise Failure(f"{name} was committed to {ATTEMPTS} times in between; try again, or stop its job for the replay (`tradelake stop`)")


def _is_a_replay(snapshot: "Snapshot") -> bool:
    return snapshot.summary is not None and MARK in snapshot.summary.additional_properties


def _record(lake: "Catalog", settings: Settings, rows: list[dict[str, Any]], replay_id: str) -> None:
    import pyarrow as pa

    schema = pa.schema(
        [
            ("kafka_topic", pa.string()),
            ("kafka_partition", pa.int32()),
            ("kafka_offset", pa.int64()),
            ("replay_id", pa.string()),
            ("replayed_at", pa.timestamp("us")),
        ]
    )
    table = lake.create_table_if_not_exists((settings.pipeline.database, REPLAYS), schema, properties=PROPERTIES)
    entries = [
        {
            "kafka_topic": row["topic"],
            "kafka_partition": row["partition"],
            "kafka_offset": row["offset"],
            "replay_id": replay_id,
            "replayed_at": row["validation_timestamp"],
        }
        for row in rows
    ]
    table.append(pa.Table.from_pylist(entries, schema=schema))


def _newest(table: "Table") -> int:
    snapshot = table.current_snapshot()
    assert snapshot
    return snapshot.snapshot_id


def new_id() -> str:
    return str(uuid.uuid4())
