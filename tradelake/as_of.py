"""The lake as it was: every table by the snapshot that was its newest at one moment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import click
import duckdb

from conf.settings import duration
from tradelake.console import Failure

NEWEST = "newest"
"""What the catalog is called on a connection where `lake` is the past."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(click.ParamType[datetime]):
    """A moment of the past: ISO 8601 with its zone, or how long ago it is."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return moment(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def moment(text: str, now: datetime) -> datetime:
    """`2026-08-08T23:54:15Z`, `5 min` or `5 min ago` as a time in UTC.

    Raises:
        ValueError: it is no time, has no zone, or lies after `now`.
    """
    try:
        time = _ago(text, now) or datetime.fromisoformat(text.strip())
        if time.tzinfo is None:
            raise NoZone
        time = time.astimezone(UTC)
    except NoZone:
        raise ValueError(f"{text} has no time zone: add Z for UTC, or an offset such as +02:00") from None
    except OverflowError:
        raise ValueError(f"{text} is out of range") from None
    except ValueError:
        raise ValueError(f"{text!r} is no time: write 2026-08-08T23:54:15Z (with its zone), or how long ago: 90 s, 5 min, 2 h") from None
    if time > now:
        raise ValueError(f"{text} lies in the future: it is {shown(now)} now")
    return time


class NoZone(ValueError):
    """A time that means another moment in each zone."""


def _ago(text: str, now: datetime) -> datetime | None:
    try:
        past = duration(text.strip().removesuffix("ago").rstrip())
    except ValueError:
        return None
    return now - past


def shown(time: datetime) -> str:
    """The time in UTC as ISO 8601, to the millisecond, as Iceberg keeps it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class History:
    """Which snapshots were a table's newest, and since when.

    Attributes:
        snapshots: time (of the commit) and id of each that can still be read, oldest first.
        expired: whether there were older ones.
    """

    snapshots: tuple[tuple[datetime, int], ...]
    expired: bool

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "History":
        """The history that a table's metadata file tells. A snapshot that was rolled back was the newest for a while, and then no more."""
        kept = {snapshot["snapshot-id"]: snapshot for snapshot in metadata.get("snapshots", ())}
        log = metadata.get("snapshot-log", ())
        readable = list(takewhile(lambda entry: entry["snapshot-id"] in kept, reversed(log)))[::-1]
        entries = tuple((EPOCH + timedelta(milliseconds=entry["timestamp-ms"]), entry["snapshot-id"]) for entry in readable)
        cut = len(readable) < len(log)
        return cls(entries, cut or (bool(entries) and kept[entries[0][1]].get("parent-snapshot-id") is not None))

    def at(self, time: datetime) -> int | None:
        """The snapshot that was the newest at a moment; None before the first."""
        return next((snapshot for committed, snapshot in reversed(self.snapshots) if committed <= time), None)

    @property
    def oldest(self) -> datetime | None:
        """Since when the table can be read; None if always."""
        return self.snapshots[0][0] if self.expired and self.snapshots else None


def pin(connection: duckdb.DuckDBPyConnection, database: str, time: datetime) -> None:
    """Have the tables of the catalog, which is attached as `NEWEST`, answer as `lake`, as they were at a moment.

    Raises:
        Failure: a snapshot that this needs has expired.
    """
    tables = [name for (name,) in connection.execute(f"SHOW TABLES FROM {NEWEST}.{database}").fetchall()]
    histories = {table: _history(connection, f"{NEWEST}.{database}.{table}") for table in tables}
    refuse_expired(histories, time)
    connection.execute("ATTACH ':memory:' AS lake")
    connection.execute(f"CREATE SCHEMA lake.{database}")
    for table, history in histories.items():
        snapshot = history.at(time)
        state = f"AT (VERSION => {snapshot})" if snapshot is not None else "WHERE false"
        connection.execute(f'CREATE VIEW lake.{database}."{table}" AS FROM {NEWEST}.{database}."{table}" {state}')
    connection.execute(f"USE lake.{database}")


def refuse_expired(histories: Mapping[str, History], time: datetime) -> None:
    """Only a moment that all tables can be read at is one consistent state.

    Raises:
        Failure: names the oldest such moment.
    """
    oldest = {table: history.oldest for table, history in histories.items() if history.oldest is not None}
    gone = [table for table, since in oldest.items() if since > time]
    if gone:
        raise Failure(
            f"the lake cannot be read as of {shown(time)}: snapshots up to then have expired ({', '.join(sorted(gone))}). "
            f"The oldest time that can be read is {shown(max(oldest.values()))}; expiry.max_age in the pipeline file decides"
        )


def _history(connection: duckdb.DuckDBPyConnection, table: str) -> History:
    row = connection.execute(f"SELECT metadata::JSON FROM iceberg_load_table_response('{table}')").fetchone()  # noqa: S608
    return History.of(json.loads(row[0]) if row else {})
