"""What an audit must say of a commit that landed twice, and how a report of faults says it."""

from typing import Any

import pytest

from tests.chaos.doubled import Doubled, unexplained
from tests.chaos.faults import Fault
from tests.chaos.run import Outcome, report
from tests.truth.lake import BRONZE, GOLD

TWICE = Doubled((11, 12), 2, frozenset({"a", "b"}))


def finding(check: str, key: str, rows: int = 1, table: str = GOLD, kind: str = "doubled") -> dict[str, Any]:
    return {"check": check, "kind": kind, "table": table, "key": key, "rows": rows, "evidence": "", "repair": "", "notice": False}


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
        "late commit: 2 rows of gold's snapshot 11 came again with 12 (Iceberg #14425); the audit named them, gold was made anew in 60.0 s."
    ]
