"""Faults at random moments while trades flow, of one fixed seed and a fresh one. `make chaos` does more of it."""

from secrets import token_hex

import pytest

from tests.chaos.faults import plan
from tests.chaos.run import flow, outcomes, report
from tests.e2e.stack import Stack

COUNT = 3
LONGEST_S = 25.0
"""Longer than the heartbeats' timeout."""


@pytest.mark.processes_only
@pytest.mark.parametrize("kind", ["fixed", "fresh"])
def test_nothing_is_lost_or_doubled_whatever_happens(pipeline: Stack, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A seed that failed is in the report: `make chaos SEED=...` does the same again."""
    seed = "fixed" if kind == "fixed" else token_hex(4)
    faults = plan(seed, COUNT, LONGEST_S)
    with capsys.disabled():
        print(f"\nSEED={seed}")
    pipeline.settle()
    with flow(pipeline, seed) as producer:
        done = list(outcomes(pipeline, faults, producer))
    with capsys.disabled():
        print("\n" + report(seed, done))
    assert [(seed, str(one.fault), one.findings) for one in done if not one.clean] == []
    pipeline.settle()
    assert pipeline.discrepancies() == []


def test_a_plan_is_its_seeds() -> None:
    assert plan("fixed", 100, 60) == plan("fixed", 100, 60) != plan("other", 100, 60)
    assert len({str(fault).split(" for ")[0] for fault in plan("fixed", 21, 60)}) == 21
