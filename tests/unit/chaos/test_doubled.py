"""What an audit must say of a commit that landed twice, and how a report of faults says it."""

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.table.snapshots import Operation, Snapshot, Summary

from tests.chaos.doubled import Doubled, doubled_by, unexplained
from tests.chaos.faults import Fault
from tests.chaos.network import MARKS
from tests.chaos.run import Outcome, report
from tests.truth.lake import BRONZE, GOLD

TWICE = Doubled((11, 12), 2, frozenset({"a", "b"}))


def finding(check: str, key: str, rows: int = 1, table: str = GOLD, kind: str = "doubled") -> dict[str, Any]:
    return {"check": check, "kind": kind, "table": table, "key": key, "rows": rows, "evidence": "", "repair": "", "notice": False}


def snapshot(number: int, checkpoint: int | None, rows: int = 2) -> Snapshot:
    """Of a checkpoint of one job, or of another writer."""
    of = {} if checkpoint is None else dict(zip(MARKS, ("a-job", "an-operator", str(checkpoint)), strict=True))
    summary = Summary(Operation.APPEND, **of, **{"added-records": str(rows)})
    return Snapshot.model_validate({"snapshot-id": number, "timestamp-ms": 0, "manifest-list": "", "summary": summary.model_dump()})


class Gold:
    """A table of these snapshots and ids."""

    def __init__(self, snapshots: list[Snapshot], ids: str) -> None:
        self.snapshots, self.ids = snapshots, list(ids)

    def table(self, name: str) -> Any:
        assert name == GOLD
        return SimpleNamespace(metadata=SimpleNamespace(snapshots=self.snapshots))

    def rows(self, name: str, columns: tuple[str, ...]) -> pa.Table:
        assert (name, columns) == (GOLD, ("message_id",))
        return pa.table({"message_id": self.ids})


SNAPSHOTS = [snapshot(10, 6), snapshot(11, 7), snapshot(12, 7), snapshot(13, 8), snapshot(14, None), snapshot(15, None)]


def test_what_a_late_commit_doubled_is_read_from_the_table() -> None:
    assert doubled_by(Gold(SNAPSHOTS, "xabyabz"), 11) == TWICE  # type: ignore[arg-type]


def test_a_late_commit_that_stayed_alone_doubled_nothing() -> None:
    assert doubled_by(Gold(SNAPSHOTS, "xabyabz"), 10) is None  # type: ignore[arg-type]


NAMED = [finding("ids", "a"), finding("ids", "b"), finding("commits", "11, 12", 2)]


def test_the_pair_and_its_rows_are_explained() -> None:
    assert unexplained(NAMED, TWICE) == []


@pytest.mark.parametrize(
    "more",
    [
        finding("ids", "c"),
        finding("ids", "a", kind="absent"),
        finding("commits", "21, 22", 2),
        finding("commits", "11, 12", 2, table=BRONZE["binance"]),
    ],
)
def test_nothing_else_is(more: dict[str, Any]) -> None:
    assert unexplained([*NAMED, more], TWICE) == [more]


@pytest.mark.parametrize("absent", range(3))
def test_an_audit_that_does_not_name_all_of_it_has_failed(absent: int) -> None:
    (said,) = unexplained(NAMED[:absent] + NAMED[absent + 1 :], TWICE)
    assert "came twice" in said["evidence"] or "should name the snapshots 11, 12 with 2 rows" in said["evidence"]


def test_rows_that_are_doubled_by_something_else_are_not_passed_over() -> None:
    (said,) = unexplained(NAMED, Doubled((11, 12), 2, frozenset({"a", "b", "c"})))
    assert said["evidence"] == "2 rows came twice, gold has 3 ids twice, 2 are named"


def test_a_report_says_what_was_doubled() -> None:
    lost, late = Fault("lost", "answer", 5.0, 1.0), Fault("late", "commit", 0.0, 1.0)
    lines = report("a-seed", [Outcome(lost, 3.0, []), Outcome(late, 4.0, [], TWICE, 60.0)]).splitlines()
    assert lines[0] == "2 faults, seed a-seed: 0 audits were not clean."
    assert lines[4:7] == [
        "| late commit | 1 | 4.0 s | 4.0 s | 0 | 1 |",
        "| lost answer | 1 | 3.0 s | 3.0 s | 0 | 0 |",
        "| all | 2 | 3.5 s | 4.0 s | 0 | 1 |",
    ]
    assert lines[8:] == [
        "late commit: 2 rows of gold's snapshot 11 came again with 12 (Iceberg #14425); the audit named them, gold was rebuilt in 60.0 s."
    ]
