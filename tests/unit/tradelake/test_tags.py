"""Which snapshot a savepoint fits, by the marks of commits alone."""

from typing import Any

import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.snapshots import Operation, Snapshot, Summary

from conf.settings import PIPELINE, load_pipeline
from tradelake.audit.pins import DLQ, GOLD
from tradelake.console import Failure
from tradelake.tags import covering, of_savepoint, readers, sources, tag_name, targets, writer


def snapshot(number: int, mark: tuple[str, int] | None = None, **summary: Any) -> Snapshot:
    """One whose number is its id; `mark`: job id and checkpoint."""
    if mark:
        summary |= {"flink.job-id": mark[0], "flink.operator-id": "o", "flink.max-committed-checkpoint-id": str(mark[1])}
    return Snapshot(
        snapshot_id=number,
        parent_snapshot_id=number - 1 or None,
        sequence_number=number,
        manifest_list="",
        summary=Summary(Operation.APPEND, **summary),
    )


def line(*marks: tuple[str, int] | None) -> list[Snapshot]:
    """A table's history, the newest first, of these marks, the oldest first; ids count from 1."""
    return [snapshot(number, mark) for number, mark in enumerate(marks, 1)][::-1]


HISTORIES = {
    "the job has stopped with it": (line(("a", 3), ("a", 4)), 4, 2),
    "its own checkpoint had rows": (line(("a", 3), ("a", 4), ("a", 5)), 4, 2),
    "its own had none, the one before had": (line(("a", 3), ("a", 5)), 4, 1),
    "neither had rows for long": (line(("a", 3), ("a", 9)), 8, 1),
    "nothing came after it": (line(("a", 3)), 7, 1),
    "many came after it": (line(("a", 3), ("a", 5), ("a", 6), ("a", 7)), 4, 1),
    "the job has committed nothing yet": (line(("before", 9), ("before", 10)), 12, 2),
    "the job committed first after it": (line(("before", 9), ("before", 10), ("a", 13)), 12, 2),
    "numbers of another job are greater": (line(("before", 90), ("a", 3), ("a", 5)), 4, 2),
    "another job of the table goes on before it": (line(("a", 3), ("b", 70), ("a", 5)), 4, 2),
    "another job of the table goes on after it": (line(("a", 4), ("b", 70), ("b", 71)), 4, 3),
    "another job between two later commits": (line(("a", 4), ("a", 5), ("b", 70), ("a", 6)), 4, 1),
    "a replay before it": (line(("a", 3), None, ("a", 5)), 4, 2),
    "a replay after it": (line(("a", 3), ("a", 5), None), 4, 1),
    "what it fits has expired": (line(("a", 5), ("a", 6)), 4, None),
    "the table is empty": ([], 4, None),
}


@pytest.mark.parametrize("case", HISTORIES)
def test_a_savepoint_fits_the_newest_snapshot_without_a_later_commit_of_its_job(case: str) -> None:
    snapshots, checkpoint, fits = HISTORIES[case]
    assert covering(snapshots, "a", checkpoint) == fits


def test_a_snapshot_without_a_summary_is_nobodys() -> None:
    bare = Snapshot(snapshot_id=8, parent_snapshot_id=7, sequence_number=8, manifest_list="", summary=None)
    assert covering([bare, snapshot(7, ("a", 3))], "a", 2) is None
    assert covering([bare, snapshot(7, ("a", 3))], "a", 3) == 8


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ("file:/x/savepoints/gold/savepoint-1a2b3c-0123456789ab", "gold-savepoint-1a2b3c-0123456789ab"),
        ("s3://b/savepoints/gold/savepoint-1a2b3c-0123456789ab/", "gold-savepoint-1a2b3c-0123456789ab"),
        ("file:///x/checkpoints/gold/1a2b3c4d5e6f/chk-17", "gold-chk-17-1a2b3c"),
    ],
)
def test_a_state_has_one_tag_name_however_its_address_is_written(state: str, name: str) -> None:
    assert tag_name("gold", state) == name


def test_which_tables_a_job_reads_and_writes() -> None:
    pipeline = load_pipeline(PIPELINE)
    flow = {job: (sources(pipeline, job), targets(job)) for job in pipeline.job_names()}
    assert flow == {
        "bronze-binance": ([], ["bronze_binance_trades"]),
        "bronze-kraken": ([], ["bronze_kraken_trades"]),
        "silver-binance": (["bronze_binance_trades"], ["silver_binance_trades", DLQ]),
        "silver-kraken": (["bronze_kraken_trades"], ["silver_kraken_trades", DLQ]),
        "gold": (["silver_binance_trades", "silver_kraken_trades"], [GOLD]),
    }
    assert [readers(pipeline, table) for table in ("bronze_kraken_trades", "silver_kraken_trades", DLQ, GOLD)] == [
        ["silver-kraken"],
        ["gold"],
        [],
        [],
    ]
    assert [writer(pipeline, table) for table in ("bronze_kraken_trades", "silver_kraken_trades")] == ["bronze-kraken", "silver-kraken"]


@pytest.mark.parametrize("error", [Failure("no catalog"), OSError("no store"), CommitFailedException("others came first")])
def test_whatever_hinders_the_tags_the_savepoint_is_said_to_stand(error: Exception) -> None:
    said = rf"^the savepoint of gold is complete \(file:/s\), but its tables are not tagged, .*: {error}$"
    with pytest.raises(Failure, match=said), of_savepoint("gold", "file:/s"):
        raise error
