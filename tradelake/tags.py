"""Savepoints and the tables: which snapshot of a table a savepoint fits, and the tags that keep it.

Every state of a job has one tag name. In a table that the job writes, the tag stands on the snapshot that holds exactly what the state
covers; in a table that it reads, on one that it had certainly not read beyond. Expiry in the sinks keeps what is tagged, and drops tags
that are older than `expiry.savepoint_tags`.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from conf.settings import Pipeline, Settings, milliseconds
from tradelake.audit.pins import DLQ, GOLD, bronze, silver
from tradelake.console import Failure
from tradelake.lake import catalog, catalog_failures

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

JOB, CHECKPOINT = "flink.job-id", "flink.max-committed-checkpoint-id"
"""Marks of the Iceberg sink in the summary of a snapshot."""
ATTEMPTS = 10


def targets(job: str) -> list[str]:
    """The tables that a job writes."""
    layer, _, exchange = job.partition("-")
    return {"bronze": [bronze(exchange)], "silver": [silver(exchange), DLQ], "gold": [GOLD]}[layer]


def sources(pipeline: Pipeline, job: str) -> list[str]:
    """The tables that a job reads."""
    layer, _, exchange = job.partition("-")
    return {"bronze": [], "silver": [bronze(exchange)], "gold": [silver(name) for name in pipeline.exchanges]}[layer]


def readers(pipeline: Pipeline, table: str) -> list[str]:
    """The jobs that read a table."""
    return [job for job in pipeline.job_names() if table in sources(pipeline, job)]


def writer(pipeline: Pipeline, table: str) -> str:
    """The job that alone writes a table, but for replays."""
    return next(job for job in pipeline.job_names() if targets(job)[0] == table)


def tag_name(job: str, state: str) -> str:
    """The name of a state's tags: `gold-savepoint-1a2b3c-0123456789ab`, `gold-chk-17-1a2b3c`."""
    folder, _, name = state.rstrip("/").rpartition("/")
    return f"{job}-{name}-{folder.rpartition('/')[2][:6]}" if name.startswith("chk-") else f"{job}-{name}"


def history(metadata: "TableMetadata", snapshot_id: int | None = None) -> "list[Snapshot]":
    """A snapshot, by default the table's newest, and its ancestors, as far back as they have not expired."""
    from pyiceberg.table.snapshots import ancestors_of

    newest = metadata.current_snapshot() if snapshot_id is None else metadata.snapshot_by_id(snapshot_id)
    return list(ancestors_of(newest, metadata))


def covering(snapshots: "Sequence[Snapshot]", job_id: str, checkpoint: int) -> int | None:
    """The newest snapshot with all rows of a job's checkpoint, and none of a later one; None where it has expired, or was never made.

    Args:
        snapshots: the newest first. Those of others are taken as they come: what stands between two commits of the job belongs to both.
        checkpoint: all that the job has before it is committed.
    """
    later = [at for at, snapshot in enumerate(snapshots) if (mark := _mark(snapshot, job_id)) is not None and mark > checkpoint]
    covered = later[-1] + 1 if later else 0
    return snapshots[covered].snapshot_id if covered < len(snapshots) else None


def _mark(snapshot: "Snapshot", job_id: str) -> int | None:
    """The checkpoint of a job that a snapshot commits."""
    summary = snapshot.summary
    return int(summary[CHECKPOINT] or 0) if summary and summary[JOB] == job_id else None


def total(snapshot: "Snapshot | None", key: str = "total-records") -> int:
    """A number of a snapshot's summary."""
    return int(snapshot.summary[key] or 0) if snapshot and snapshot.summary else 0


class Lake:
    """The tables of a pipeline and their tags."""

    def __init__(self, settings: Settings) -> None:
        logging.getLogger("pyiceberg").setLevel(logging.ERROR)  # it warns of old metadata files that the catalog has deleted already
        self._settings = settings
        self._catalog: Catalog = catalog(settings)

    def table(self, name: str) -> "Table":
        """A table as it is now.

        Raises:
            Failure: it does not exist, or the catalog does not answer.
        """
        from pyiceberg.exceptions import NoSuchTableError

        with catalog_failures(self._settings.environment):
            try:
                return self._catalog.load_table((self._settings.pipeline.database, name))
            except NoSuchTableError as error:
                raise Failure(f"{error}; `tradelake tables create` makes it") from error

    def heads(self, names: Sequence[str]) -> dict[str, int | None]:
        """The newest snapshot of each table; None where there is none."""
        newest = {name: self.table(name).metadata.current_snapshot_id for name in names}
        return {name: None if snapshot == -1 else snapshot for name, snapshot in newest.items()}

    def covered(self, job: str, job_id: str | None = None, checkpoint: int = 0) -> dict[str, int | None]:
        """What a savepoint covers in each table that the job writes: up to a checkpoint, or all there is once the job has ended."""
        tables = {name: self._with_a_snapshot(name) for name in targets(job)}
        if job_id is None:
            return {name: table.metadata.current_snapshot_id for name, table in tables.items()}
        return {name: covering(history(table.metadata), job_id, checkpoint) for name, table in tables.items()}

    def _with_a_snapshot(self, name: str) -> "Table":
        """A table to which nothing was ever committed has no snapshot to tag: an empty one is."""
        table = self.table(name)
        if table.current_snapshot() is None:
            with catalog_failures(self._settings.environment), table.transaction() as change:
                change.update_snapshot().fast_append().commit()
        return table

    def tag_now(self, job: str, state: str) -> None:
        """Tag what a state of a stopped job fits: all that there is."""
        self.tag(tag_name(job, state), self.covered(job) | self.heads(sources(self._settings.pipeline, job)))

    def tag(self, name: str, snapshots: Mapping[str, int | None]) -> None:
        """Tag a snapshot in each table, where there is one.

        Raises:
            Failure: names a table in which that cannot be done; those before it are tagged.
        """
        for table, snapshot in snapshots.items():
            if snapshot is not None:
                self._tag(self.table(table), name, snapshot)

    def _tag(self, table: "Table", name: str, snapshot: int) -> None:
        from pyiceberg.exceptions import CommitFailedException

        made = table.snapshot_by_id(snapshot)
        if made is None:
            raise Failure(f"snapshot {snapshot} of {table.name()[-1]} has expired")
        # Iceberg counts a tag's age from its snapshot, which is old where nothing came for long.
        age = int(datetime.now(UTC).timestamp() * 1000) - made.timestamp_ms
        keep = milliseconds(self._settings.pipeline.expiry.savepoint_tags) + max(age, 0)
        for left in reversed(range(ATTEMPTS)):
            try:
                with catalog_failures(self._settings.environment):
                    table.manage_snapshots().create_tag(snapshot, name, keep).commit()
            except CommitFailedException as error:  # the job committed at the same time
                if not left:
                    raise Failure(f"{table.name()[-1]} cannot be tagged: {error}") from error
                table.refresh()
            else:
                return


@contextmanager
def of_savepoint(job: str, state: str) -> Iterator[None]:
    """Say of a failure, of the object store's too, that the savepoint stands, and what its tables lack."""
    from pyiceberg.exceptions import CommitFailedException

    try:
        yield
    except (Failure, OSError, CommitFailedException) as failure:
        raise Failure(
            f"the savepoint of {job} is complete ({state}), but its tables are not tagged, and cannot be rolled back to it: {failure}"
        ) from failure
