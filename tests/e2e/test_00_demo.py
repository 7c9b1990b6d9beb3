"""From nothing to gold in one command, with the settings that everybody gets; and once more. On a stack of its own, gone afterwards."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from conf.settings import PIPELINE
from tests.conftest import SAMPLE
from tests.e2e.stack import Stack, free_port_base
from tests.truth.lake import BRONZE, DLQ, GOLD, SILVER, V2_COLUMNS
from tests.truth.recordings import Recordings

pytestmark = pytest.mark.processes_only

RATE = 2_000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A home in which nothing has been started; its stack is gone when this module's tests are over."""
    stack = Stack(tmp_path_factory.mktemp("demo") / "home", free_port_base(), PIPELINE)
    yield stack
    stack.tradelake("down", "--purge")
    assert stack.processes() == []


@pytest.fixture(scope="module")
def first(stack: Stack) -> dict[str, Any]:
    """What the first demo says."""
    result: dict[str, Any] = stack.tradelake("demo", "--json", "--rate", RATE, "--port-base", stack.port_base).json
    return result


def by_layer(stack: Stack) -> dict[str, int]:
    counts = stack.counts()
    bronze, silver = (sum(counts[table] for table in layer.values()) for layer in (BRONZE, SILVER))
    return {"bronze": bronze, "silver": silver, "dlq": counts[DLQ], "gold": counts[GOLD]}


def test_the_demo_says_what_the_tables_hold(stack: Stack, first: dict[str, Any]) -> None:
    assert {layer: first[layer] for layer in ("bronze", "silver", "dlq", "gold")} == by_layer(stack)
    assert first["duplicates"] == first["silver"] - first["gold"] > 0
    assert first["bronze"] == first["silver"] + first["dlq"] == first["sent"]
    assert 0 < first["p50_s"] <= first["p99_s"]


def test_the_demo_leaves_every_shipped_trade_in_gold_exactly(stack: Stack, first: dict[str, Any]) -> None:
    sample = Recordings.sample(SAMPLE)
    columns = tuple(column for column in V2_COLUMNS if column != "platform_sequence")
    wanted = [trade for exchange in sample.counts for trade in stack.truth(exchange, sample.trades(exchange))]
    found = stack.lake.rows(GOLD, columns).to_pylist()
    assert first["gold"] == sample.total == len(found)
    assert sorted(found, key=lambda trade: trade["message_id"]) == sorted(wanted, key=lambda trade: trade["message_id"])


def test_the_demo_shows_rejects_by_reason(stack: Stack, first: dict[str, Any]) -> None:
    assert first["rejects"] == Counter(stack.lake.rows(DLQ, ("error_reason",))["error_reason"].to_pylist())
    assert len(first["rejects"]) >= 8


def test_the_demo_leaves_balanced_books_and_a_running_stack(stack: Stack, first: dict[str, Any]) -> None:
    assert stack.discrepancies() == []
    assert stack.status()["running"] is True
    assert stack.running() == sorted(stack.job_names)


def test_after_every_process_was_killed_up_finds_data_and_jobs_again(stack: Stack, first: dict[str, Any]) -> None:
    """As after a reboot: nothing was told to end, and nothing but `up` is said."""
    before, jobs = stack.counts(), {name: job["jid"] for name, job in stack.jobs().items()}
    killed = stack.processes()
    for process in killed:
        process.kill()
    psutil.wait_procs(killed)
    assert stack.processes() == []
    stack.tradelake("status", exit_code=1)
    stack.tradelake("up")
    stack.wait_until_running()
    assert {name: job["jid"] for name, job in stack.jobs().items()} == jobs
    assert stack.counts() == before
    assert stack.discrepancies() == []


def test_a_second_demo_works_and_adds_no_row_to_gold(stack: Stack, first: dict[str, Any]) -> None:
    printed = stack.tradelake("demo", "--rate", RATE).stdout
    assert by_layer(stack) == {layer: first[layer] * 2 for layer in ("bronze", "silver", "dlq")} | {"gold": first["gold"]}
    assert "did not grow" in printed
    assert all(reason in printed for reason in first["rejects"])
    assert stack.environment["flink"]["rest"] in printed
    assert stack.discrepancies() == []
