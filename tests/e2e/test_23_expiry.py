"""Old snapshots go, behind running readers that notice nothing. Last, because it changes how long the shared stack keeps them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import BRONZE, GOLD, SILVER

KEPT = 2
EAGER = {"enabled": True, "max_age": "10 s", "retain_last": KEPT, "every": "5 s"}
ROUNDS = 15
EXPIRED = (BRONZE["kraken"], SILVER["kraken"], GOLD)


@pytest.fixture
def eager(pipeline: Stack, tmp_path: Path) -> Iterator[Stack]:
    """The stack, its Kraken jobs and gold expiring whatever is older than ten seconds."""
    stack = with_expiry(pipeline, tmp_path, EAGER)
    stack.tradelake("upgrade", "bronze-kraken", "silver-kraken", "gold")
    yield stack
    pipeline.tradelake("upgrade", "bronze-kraken", "silver-kraken", "bronze-binance")  # gold is the next test's


def with_expiry(stack: Stack, folder: Path, expiry: dict[str, object]) -> Stack:
    file = folder / "expiry.yaml"
    file.write_text(yaml.safe_dump(stack.pipeline | {"expiry": expiry}), encoding="utf-8")
    return stack.with_pipeline(file)


def test_snapshots_expire_behind_running_readers_and_no_row_is_lost(eager: Stack) -> None:
    """Also after another job has ended: all jobs of a JobManager release their locks through one map."""
    eager.tradelake("upgrade", "bronze-binance")
    running = {name: job["jid"] for name, job in eager.jobs().items()}
    failed = eager.failures(running)  # of tests before this one, which kill parts
    before = eager.lake.count(GOLD)
    for number in range(ROUNDS):  # one commit after the other in each table
        eager.send_trades("kraken", [raw.kraken("EXPIRED/USD")])
        eager.wait_for_counts(**{GOLD: before + number + 1})
    once = {table: snapshots(eager, table) for table in EXPIRED}
    then = datetime.now(UTC).isoformat()
    eager.wait("old snapshots are gone", lambda: all(gone(eager, table, once[table]) for table in EXPIRED))
    eager.settle()
    assert {name: job["jid"] for name, job in eager.jobs().items()} == running
    assert eager.failures(running) == failed
    assert eager.discrepancies() == []
    the_lake_is_readable_from_the_oldest_time_on(eager, then)


def the_lake_is_readable_from_the_oldest_time_on(stack: Stack, then: str) -> None:
    """A time whose snapshots have expired is refused with the oldest that is left, which itself expires with the next commits."""
    question = f"SELECT (SELECT count(*) FROM {GOLD}) > 0 AND (SELECT count(*) FROM {SILVER['kraken']}) > 0 AS readable"
    refused = stack.tradelake("query", "--as-of", then, question, exit_code=1).stderr
    assert all(table in refused for table in EXPIRED)
    oldest = re.search(r"oldest time that can be read is (\S+Z)", refused)
    assert oldest
    assert datetime.fromisoformat(oldest[1]) > datetime.fromisoformat(then)
    assert stack.tradelake("query", "--as-of", datetime.now(UTC).isoformat(), question, "--json").json == [{"readable": True}]


def gone(stack: Stack, table: str, once: set[int]) -> bool:
    """All of these snapshots but those that are kept whatever their age; every tenth checkpoint without rows makes a new one, too."""
    left = snapshots(stack, table)
    return not left & once and len(left) <= KEPT + 2


def test_a_job_keeps_its_state_when_expiry_is_switched_off(pipeline: Stack, tmp_path: Path) -> None:
    stack = with_expiry(pipeline, tmp_path, EAGER | {"enabled": False})
    stack.tradelake("upgrade", "gold")
    assert stack.rest(f"/jobs/{stack.jobs()['gold']['jid']}/checkpoints")["latest"]["restored"]["is_savepoint"]
    kept = snapshots(stack, GOLD)
    stack.settle()
    assert snapshots(stack, GOLD) > kept
    assert stack.discrepancies() == []
    pipeline.tradelake("upgrade", "gold")


def snapshots(stack: Stack, table: str) -> set[int]:
    return {snapshot.snapshot_id for snapshot in stack.lake.table(table).snapshots()}
