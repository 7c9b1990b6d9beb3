"""Faults while trades flow: three of the network, of a fixed seed, and those of a fresh one. `make chaos` does more of it."""

from collections.abc import Iterator
from secrets import token_hex

import pytest

from tests.chaos.faults import JOBS, LATE, Fault, plan
from tests.chaos.network import Network, between
from tests.chaos.run import Outcome, flow, outcomes, report
from tests.e2e.stack import Stack

FIXED = "network-16632"
COUNT = 3
pytestmark = pytest.mark.processes_only
LONGEST_S = 25.0
"""Longer than the heartbeats' timeout."""


@pytest.fixture(scope="module")
def network(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """The jobs that trades flow through reach the lake through proxies; afterwards without."""
    with between(stack, tmp_path_factory.mktemp("network")) as network:
        network.jobs.tradelake("upgrade", *JOBS)
        yield network
        stack.tradelake("upgrade", *JOBS)


def happened(network: Network, seed: str, faults: list[Fault], capsys: pytest.CaptureFixture[str]) -> list[Outcome]:
    """A seed that failed is in the report: `make chaos SEED=...` does the same again."""
    stack = network.stack
    with capsys.disabled():
        print(f"\nSEED={seed}")
    stack.settle()
    with flow(stack, seed) as producer:
        done = list(outcomes(network, faults, producer))
    with capsys.disabled():
        print("\n" + report(seed, done))
    assert [(seed, str(one.fault), one.findings) for one in done if not one.clean] == []
    stack.settle()
    assert stack.discrepancies() == []
    return done


def test_a_bad_network_loses_nothing_and_what_it_doubles_is_named_and_repaired(
    pipeline: Stack, network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    faults = plan(FIXED, COUNT, LONGEST_S)
    assert sorted((fault.kind, fault.what) for fault in faults) == [("full", "s3"), LATE, ("lost", "answer")]
    done = happened(network, FIXED, faults, capsys)
    assert network.catalog.counted["POST"] > 0
    assert network.s3.counted["PUT"] > 0
    doubled = {(one.fault.kind, one.fault.what): len(one.doubled.snapshots) if one.doubled else 0 for one in done}
    assert doubled == {("full", "s3"): 0, LATE: 2, ("lost", "answer"): 0}


def test_nothing_is_lost_or_doubled_whatever_happens(pipeline: Stack, network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    seed = token_hex(4)
    happened(network, seed, plan(seed, COUNT, LONGEST_S), capsys)
