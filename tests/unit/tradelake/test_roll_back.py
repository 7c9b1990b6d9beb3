"""What a roll back does to a table, and what it refuses, by the table's metadata alone."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyiceberg.table.snapshots import Operation, Snapshot, Summary

from tradelake.console import Failure
from tradelake.home import Home
from tradelake.restoring import restore
from tradelake.roll_back import _set, holds, lacking, owner

SOURCES = ["bronze_binance_trades", "bronze_kraken_trades"]
COLUMN = 6


class Metadata:
    """A table's snapshots: those that have not expired."""

    def __init__(self, *snapshots: Snapshot, head: int) -> None:
        self.known, self.current_snapshot_id = {snapshot.snapshot_id: snapshot for snapshot in snapshots}, head

    def snapshot_by_id(self, snapshot_id: int) -> Snapshot | None:
        return self.known.get(snapshot_id)

    def current_snapshot(self) -> Snapshot | None:
        return self.snapshot_by_id(self.current_snapshot_id)


def snapshot(
    number: int, parent: int | None, added: int = 0, total: int = 0, operation: Operation = Operation.APPEND, **marks: str
) -> Snapshot:
    summary = Summary(operation, **{"added-records": str(added), "total-records": str(total)} | marks)
    return Snapshot(snapshot_id=number, parent_snapshot_id=parent, sequence_number=number, manifest_list="", summary=summary)


FLINK = {"flink.job-id": "a"}
REPLAY = {"tradelake.dlq-replay": "id"}


def table(*snapshots: Snapshot, head: int) -> Any:
    metadata = Metadata(*snapshots, head=head)
    return SimpleNamespace(metadata=metadata, name=lambda: ("market_data", "gold"), current_snapshot=metadata.current_snapshot)


def test_the_rows_that_go_are_counted_by_the_summaries() -> None:
    there = table(snapshot(1, None, 5, 5, **FLINK), snapshot(2, 1, 7, 12, **FLINK), snapshot(3, 2, 1, 13, **FLINK), head=3)
    move = _set(there, there.metadata.snapshot_by_id(1))
    assert move
    assert (move.to.snapshot_id, move.dropped, move.returned, move.replayed) == (1, 8, 0, 0)
    assert "rows dropped: 8" in str(move)


def test_a_table_that_holds_the_very_rows_stays_as_it_is() -> None:
    there = table(snapshot(1, None, 5, 5, **FLINK), snapshot(2, 1, 0, 5, **FLINK), head=2)
    assert _set(there, there.metadata.snapshot_by_id(1)) is None
    assert _set(there, there.metadata.snapshot_by_id(2)) is None


def test_replayed_rows_go_and_are_named() -> None:
    there = table(snapshot(1, None, 5, 5, **FLINK), snapshot(2, 1, 3, 8, **REPLAY), head=2)
    move = _set(there, there.metadata.snapshot_by_id(1))
    assert move
    assert (move.dropped, move.replayed) == (3, 3)


@pytest.mark.parametrize(
    ("other", "refused"),
    [
        (snapshot(2, 1, 3, 8), True),
        (snapshot(2, 1, 0, 8), False),
        (snapshot(2, 1, 5, 5, Operation.REPLACE), False),
        (snapshot(2, 1, 3, 8, **FLINK), False),
    ],
)
def test_rows_of_others_are_not_dropped(other: Snapshot, refused: bool) -> None:
    there = table(snapshot(1, None, 5, 5, **FLINK), other, head=2)
    if refused:
        with pytest.raises(Failure, match=r"others have written since, and their rows would be lost \(snapshots 2\)"):
            _set(there, there.metadata.snapshot_by_id(1))
    else:
        _set(there, there.metadata.snapshot_by_id(1))


def test_forward_again_brings_rows_back() -> None:
    """Snapshot 3 was left behind by a roll back to 1, after which 4 was made."""
    there = table(snapshot(1, None, 5, 5, **FLINK), snapshot(3, 1, 9, 14, **FLINK), snapshot(4, 1, 2, 7, **FLINK), head=4)
    move = _set(there, there.metadata.snapshot_by_id(3))
    assert move
    assert (move.to.snapshot_id, move.dropped, move.returned) == (3, 0, 7)


@pytest.mark.parametrize(
    ("known", "head", "ancestor", "held"),
    [
        ([(1, None), (2, 1), (3, 2)], 2, 2, True),
        ([(1, None), (2, 1), (3, 2)], 2, 1, True),
        ([(1, None), (2, 1), (3, 2)], 2, 3, False),
        ([(1, None), (2, 1), (3, 1)], 2, 3, False),
        ([(1, None), (5, 4), (6, 5)], 6, 1, True),  # 2 to 4 have expired, 1 is tagged
        ([(1, None), (5, 4), (6, 5)], 5, 6, False),
        ([(2, 1), (3, 2)], 3, 1, False),  # the ancestor itself has expired: nobody knows
    ],
)
def test_whether_a_snapshot_holds_another(known: list[tuple[int, int | None]], head: int, ancestor: int, held: bool) -> None:
    metadata: Any = Metadata(*(snapshot(number, parent) for number, parent in known), head=head)
    assert holds(metadata, head, ancestor) == held


@pytest.mark.parametrize(
    ("low", "high", "whose"),
    [
        (b"bronze_kraken_trades", b"bronze_kraken_trades", "bronze_kraken_trades"),
        (b"bronze_kraken_tr", b"bronze_kraken_ts", "bronze_kraken_trades"),  # as Iceberg cuts them short
        (b"bronze_binance_t", b"bronze_binance_u", "bronze_binance_trades"),
        (b"bronze_binance_t", b"bronze_kraken_ts", None),  # rows of both
        (b"elsewhere", b"elsewhere", None),
        (None, None, None),
    ],
)
def test_a_file_of_a_shared_table_is_known_by_its_bounds(low: bytes | None, high: bytes | None, whose: str | None) -> None:
    file: Any = SimpleNamespace(
        file_path="s3://x/y.parquet", lower_bounds={COLUMN: low} if low else None, upper_bounds={COLUMN: high} if high else None
    )
    if whose is None:
        with pytest.raises(Failure, match=r"nobody can tell whose rows s3://x/y\.parquet holds"):
            owner(file, COLUMN, SOURCES)
    else:
        assert owner(file, COLUMN, SOURCES) == whose


def test_rows_that_kafka_does_not_have_are_counted() -> None:
    """Removed by retention, of a topic that was made anew, of another topic, of a partition that is no more."""
    ends = {("t", 0): (10, 20), ("t", 1): (0, 5)}
    rows = [("t", 0, 9), ("t", 0, 10), ("t", 0, 19), ("t", 0, 20), ("t", 1, 0), ("t", 1, 5), ("u", 0, 15), ("t", 2, 1)]
    table = pa.table(dict(zip(("topic", "partition", "offset"), zip(*rows, strict=True), strict=True)))
    assert lacking(table, ends) == 5
    assert lacking(table.slice(1, 2), ends) == 0
    assert lacking(table.slice(0, 0), ends) == 0


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["STATE", "--no-start"], "--no-start and --dry-run go with --roll-back"),
        (["STATE", "--dry-run"], "--no-start and --dry-run go with --roll-back"),
        (["--roll-back"], "--roll-back goes with a STATE"),
        (["STATE", "--roll-back", "--older"], "--roll-back and --older exclude each other"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(given: list[str], why: str, tmp_path: Path) -> None:
    ran = CliRunner().invoke(restore, ["gold", *given], obj=Home(tmp_path))
    assert (ran.exit_code, why in ran.output) == (2, True)
