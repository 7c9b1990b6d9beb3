"""The tables of a job, taken to the snapshots that one of its states fits (docs/decisions/0020).

A table of one writer is taken there by its current snapshot. Streams read those tables on, snapshot by snapshot, so nobody may have read
what would be dropped. The dead-letter table has a writer for each exchange and no stream that reads it: in one commit the files of one job
are exchanged, and those of others stay.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from conf.settings import Settings
from tradelake import savepoints
from tradelake.audit.pins import DLQ, Ends, bronze, kafka_ends
from tradelake.console import Failure
from tradelake.dlq_replay import MARK
from tradelake.lake import catalog_failures
from tradelake.tags import ATTEMPTS, JOB, Lake, history, readers, sources, tag_name, targets, total, writer

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

SOURCE = "bronze_source"
"""The column of the dead-letter table that says whose row it is."""


@dataclass(frozen=True)
class Move:
    """What is to happen to one table.

    Attributes:
        to: the tagged snapshot.
        dropped: rows that go.
        returned: rows that come: it goes forward again.
        replayed: of those that go, how many `tradelake dlq replay` had added.
        remove, add: files, where the table has other writers.
    """

    table: "Table"
    to: "Snapshot"
    dropped: int
    returned: int = 0
    replayed: int = 0
    remove: "tuple[DataFile, ...]" = ()
    add: "tuple[DataFile, ...]" = ()

    @property
    def name(self) -> str:
        return self.table.name()[-1]

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.to.timestamp_ms / 1000, UTC)
        rows = [f"rows dropped: {self.dropped:,}"] if self.dropped or not self.returned else []
        rows += [f"rows back: {self.returned:,}"] if self.returned else []
        rows += [f"of those dropped, {self.replayed:,} were replayed: `tradelake dlq replay` judges them again"] if self.replayed else []
        return f"{self.name}: to snapshot {self.to.snapshot_id} of {when:%Y-%m-%d %H:%M:%S} UTC, {', '.join(rows)}"


def missing_tags(lake: Lake, job: str, state: str) -> list[str]:
    """The tables of a job that a state has no tag in."""
    return [name for name in targets(job) if tag_name(job, state) not in lake.table(name).refs()]


def plan(lake: Lake, settings: Settings, job: str, state: str, runs: Callable[[str], bool], start: bool) -> list[Move]:
    """What a roll back to a state does to each table of a stopped job; nothing for those that fit it already.

    Args:
        runs: whether a job runs.
        start: whether the job is to be started from it at once.

    Raises:
        Failure: it would lose rows of others, or rows that Kafka has no more, or break a job that reads on; with the order that does not.
    """
    if missing := missing_tags(lake, job, state):
        raise Failure(untagged(job, state, missing))
    if start:
        _refuse_lost_sources(lake, settings, job, state)
    moves = [move for name in targets(job) if (move := _move(lake.table(name), settings, job, tag_name(job, state)))]
    for move in moves:
        for reader in readers(settings.pipeline, move.name):
            _refuse_a_reader_beyond(settings, move, job, state, reader, runs(reader))
        if job.startswith("bronze-") and move.dropped:
            _refuse_what_kafka_lacks(settings, move, job)
    return moves


def untagged(job: str, state: str, missing: Iterable[str]) -> str:
    """Why tables cannot be taken to a state."""
    return (
        f"no snapshot of {', '.join(missing)} is tagged {tag_name(job, state)}: {state} was not made by `tradelake savepoint` or `stop`, "
        f"or its tags have gone (expiry.savepoint_tags); `tradelake savepoints {job}` shows what has tags"
    )


def _refuse_lost_sources(lake: Lake, settings: Settings, job: str, state: str) -> None:
    """What the state has read must be there to be read on from."""
    for name in sources(settings.pipeline, job):
        table, upstream = lake.table(name), writer(settings.pipeline, name)
        read = table.refs().get(tag_name(job, state))
        there = history(table.metadata)
        if read and read.snapshot_id not in [snapshot.snapshot_id for snapshot in there]:
            if there and holds(table.metadata, there[0].snapshot_id, read.snapshot_id):
                why = f"snapshots of {name} since {state} have expired (expiry.max_age), so that {job} could not read on from it"
            else:
                why = f"{name} has been rolled back behind what {state} has read of it"
            raise Failure(
                f"{why}. Take {upstream} to a savepoint of the same time first: "
                f"`tradelake restore {upstream} SAVEPOINT --roll-back --no-start`"
            )


def _refuse_a_reader_beyond(settings: Settings, move: Move, job: str, state: str, reader: str, runs: bool) -> None:
    if runs:
        raise Failure(f"{reader} runs, and reads {move.name}, which would be rolled back under it: `tradelake stop {reader}` first")
    flink = settings.environment.flink
    its_state = savepoints.newest(flink.state, reader, settings.environment.s3)
    if its_state is None:
        return
    read = move.table.refs().get(tag_name(reader, its_state))
    if read is None or not holds(move.table.metadata, move.to.snapshot_id, read.snapshot_id):
        beyond = "may have read" if read is None else "has read"
        raise Failure(
            f"{reader} {beyond} {move.name} beyond {state}, and would write those rows again. Take it back first, without a start, "
            f"to a savepoint no newer than this one: `tradelake restore {reader} SAVEPOINT --roll-back --no-start` "
            f"(`tradelake savepoints {reader}` lists them); then `tradelake restore {job} {state} --roll-back --no-start`; "
            "and when all are back, `tradelake submit`"
        )


def _refuse_what_kafka_lacks(settings: Settings, move: Move, job: str) -> None:
    """What bronze drops is read again from Kafka, or is nowhere."""
    import pyarrow.parquet as parquet

    ends, now = kafka_ends(settings, [settings.pipeline.exchange(job.partition("-")[2]).topic]), move.table.current_snapshot()
    gone, stays = 0, _files(move.table, move.to)
    for path in _files(move.table, now) if now else ():
        if path not in stays:
            with move.table.io.new_input(path).open() as file:
                gone += lacking(parquet.read_table(file, columns=["topic", "partition", "offset"]), ends)
    if gone:
        raise Failure(
            f"Kafka does not have {gone:,} of the rows any more that {move.name} would drop: they would be lost, for nothing else has them"
        )


def lacking(rows: "pa.Table", ends: Ends) -> int:
    """How many of these rows (topic, partition, offset) Kafka does not have."""
    import pyarrow.compute as pc

    there = 0
    for (topic, partition), (first, after) in ends.items():
        of_it = pc.and_(pc.equal(rows["topic"], topic), pc.equal(rows["partition"], partition))
        within = pc.and_(pc.greater_equal(rows["offset"], first), pc.less(rows["offset"], after))
        there += pc.sum(pc.and_(of_it, within)).as_py() or 0
    return int(rows.num_rows) - there


def holds(metadata: "TableMetadata", snapshot_id: int, ancestor: int) -> bool:
    """Whether a snapshot is `ancestor`, or comes after it. Where those between have expired, the older is taken for an ancestor."""
    line = history(metadata, snapshot_id)
    if ancestor in [snapshot.snapshot_id for snapshot in line]:
        return True
    known = metadata.snapshot_by_id(ancestor)
    oldest = line[-1] if line else None
    if known is None or oldest is None or oldest.parent_snapshot_id is None:
        return False
    return (known.sequence_number or 0) < (oldest.sequence_number or 0)


def _move(table: "Table", settings: Settings, job: str, tag: str) -> Move | None:
    to = table.snapshot_by_id(table.refs()[tag].snapshot_id)
    assert to
    return _exchange(table, to, settings, job) if table.name()[-1] == DLQ else _set(table, to)


def _set(table: "Table", to: "Snapshot") -> Move | None:
    now, then = history(table.metadata), history(table.metadata, to.snapshot_id)
    dropped, gained = _beyond(now, then), _beyond(then, now)
    if foreign := [snapshot for snapshot in dropped if _is_foreign(snapshot)]:
        raise Failure(
            f"{table.name()[-1]} cannot be rolled back: others have written since, and their rows would be lost "
            f"(snapshots {', '.join(str(one.snapshot_id) for one in foreign)})"
        )
    if not gained and all(total(snapshot, "added-records") == 0 for snapshot in dropped):
        return None  # it has the very rows; who has read on to a snapshot without rows need not be stopped
    rows = total(table.current_snapshot()) - total(to)
    replayed = sum(total(snapshot, "added-records") for snapshot in dropped if snapshot.summary and snapshot.summary[MARK])
    return Move(table, to, max(rows, 0), max(-rows, 0), replayed)


def _beyond(line: "Sequence[Snapshot]", other: "Sequence[Snapshot]") -> "list[Snapshot]":
    common = {snapshot.snapshot_id for snapshot in other}
    return [snapshot for snapshot in line if snapshot.snapshot_id not in common]


def _is_foreign(snapshot: "Snapshot") -> bool:
    """Whether neither the job nor a replay has added the rows; a compaction adds none."""
    summary = snapshot.summary
    if summary is None or summary.operation.value == "replace" or total(snapshot, "added-records") == 0:
        return False
    return not summary[JOB] and not summary[MARK]


def _exchange(table: "Table", to: "Snapshot", settings: Settings, job: str) -> Move | None:
    now, then = table.current_snapshot(), _files(table, to)
    has, every = _files(table, now) if now else {}, [bronze(exchange) for exchange in settings.pipeline.exchanges]
    column, own = table.schema().find_field(SOURCE).field_id, bronze(job.partition("-")[2])
    remove = tuple(file for path, file in has.items() if path not in then and owner(file, column, every) == own)
    add = tuple(file for path, file in then.items() if path not in has and owner(file, column, every) == own)
    if not remove and not add:
        return None
    return Move(table, to, sum(file.record_count for file in remove), sum(file.record_count for file in add), remove=remove, add=add)


def _files(table: "Table", snapshot: "Snapshot") -> "dict[str, DataFile]":
    entries = (
        entry for manifest in snapshot.manifests(table.io) for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    )
    return {entry.data_file.file_path: entry.data_file for entry in entries}


def owner(file: "DataFile", column: int, every: Sequence[str]) -> str:
    """Which of the sources a file's rows come from, by the bounds of the column, which Iceberg may have cut short.

    Raises:
        Failure: they leave more than one, or none.
    """
    low = (file.lower_bounds or {}).get(column, b"").decode()
    high = (file.upper_bounds or {}).get(column, b"\x7f").decode()
    possible = [source for source in every if low <= source[: len(low)] and source[: len(high)] <= high]
    if len(possible) != 1:
        raise Failure(f"nobody can tell whose rows {file.file_path} holds: {', '.join(possible) or 'no exchange'} of the pipeline file")
    return possible[0]


def perform(lake: Lake, settings: Settings, moves: Iterable[Move]) -> None:
    """Take the tables there. A table that somebody has committed to since it was planned stays as it is.

    Raises:
        Failure: names it; those before it are there.
    """
    from pyiceberg.exceptions import CommitFailedException

    for move in moves:
        try:
            with catalog_failures(settings.environment):
                if move.remove or move.add:
                    _exchange_files(move)
                else:
                    move.table.metadata.properties["commit.retry.num-retries"] = "0"  # of this copy: a retry looks at nothing
                    move.table.manage_snapshots().set_current_snapshot(snapshot_id=move.to.snapshot_id).commit()
        except CommitFailedException as error:
            raise Failure(f"{move.name} was committed to in between; the same command again plans anew") from error


def _exchange_files(move: Move) -> None:
    """Tried again when another job has committed: its files are not touched. pyiceberg's own retries would refuse for those."""
    from pyiceberg.exceptions import CommitFailedException

    for left in reversed(range(ATTEMPTS)):
        move.table.metadata.properties["commit.retry.num-retries"] = "0"  # of this copy
        try:
            with move.table.transaction() as change, change.update_snapshot().overwrite() as files:
                for file in move.remove:
                    files.delete_data_file(file)
                for file in move.add:
                    files.append_data_file(file)
        except CommitFailedException:
            if not left:
                raise
            move.table.refresh()
        else:
            return
