"""Savepoints tag the snapshots that they fit; jobs go back to them with their tables, and forward again, and every row is there once."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.chaos.run import await_growth, flow
from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import BRONZE, DLQ, GOLD, SILVER, TABLES

READ_FIRST = ("gold", "silver-binance", "silver-kraken", "bronze-binance", "bronze-kraken")
KRAKEN = ("gold", "silver-kraken", "bronze-kraken")
TRADES, REJECTS = 30, 5


def saved(stack: Stack, *command: str) -> dict[str, str]:
    """Job -> the address of the savepoint that a command has just made."""
    return dict(re.findall(r"^([a-z-]+): (file:\S+)$", stack.tradelake(*command).stdout, re.M))


def last(state: str) -> str:
    return state.rstrip("/").rpartition("/")[2]


def listed(stack: Stack) -> dict[str, dict[str, Any]]:
    """What `tradelake savepoints` says, by the states' last names."""
    return {last(row["state"]): row for row in stack.tradelake("savepoints", "--json").json}


def restored(stack: Stack, job: str) -> str:
    return last(stack.rest(f"/jobs/{stack.jobs()[job]['jid']}/checkpoints")["latest"]["restored"]["external_path"])


@pytest.fixture(scope="module")
def began() -> str:
    return datetime.now(UTC).isoformat()


@pytest.fixture(scope="module")
def books(stack: Stack) -> list[str]:
    """What is wrong by the tests' own books before anything is rolled back: they do not know of the replays of tests before."""
    stack.settle()
    return stack.discrepancies()


def balance(stack: Stack, books: list[str], since: str) -> None:
    stack.settle()
    found = stack.run_tradelake("audit", "--since", since, "--sample", "all", "--json").json["findings"]
    assert [one for one in found if not one["notice"]] == []
    assert stack.discrepancies() == books


def test_the_whole_pipeline_goes_back_to_savepoints_made_while_trades_flowed(pipeline: Stack, books: list[str], began: str) -> None:
    with flow(pipeline, "roll back"):
        await_growth(pipeline)
        running = {name: job["jid"] for name, job in pipeline.jobs().items()}
        states = saved(pipeline, "savepoint")
        await_growth(pipeline)
    pipeline.settle()
    numbers = {job: number_of(pipeline, running[job], state) for job, state in states.items()}
    pipeline.tradelake("stop")
    rows = listed(pipeline)
    assert list(states) == [job for layer in ("gold", "silver", "bronze") for job in pipeline.job_names if job.startswith(layer)]
    for job, state in states.items():
        assert (rows[last(state)]["complete"], rows[last(state)]["newest"]) == (True, False)
        fits_exactly(pipeline, rows[last(state)]["tables"], running[job], numbers[job])
    (fits,) = rows[last(states["bronze-binance"])]["tables"]
    assert mark(pipeline.lake.table(fits["table"]).snapshot_by_id(fits["snapshot"])) == (
        running["bronze-binance"],
        numbers["bronze-binance"],
    )

    total, gold = pipeline.lake.count(GOLD), rows[last(states["gold"])]["tables"][0]
    refused = pipeline.tradelake("restore", "gold", states["gold"], exit_code=1).stderr
    assert f"{states['gold']} is not the newest state of gold" in refused
    assert "--roll-back" in refused
    nowhere = f"{states['gold']}-not"
    assert f"{nowhere} is no complete savepoint" in pipeline.tradelake("restore", "gold", nowhere, "--roll-back", exit_code=1).stderr
    said = pipeline.tradelake("restore", "gold", states["gold"], "--roll-back", "--dry-run").stdout
    assert f"{GOLD}: to snapshot {gold['snapshot']} of " in said
    assert f"rows dropped: {total - gold['rows']:,}\n" in said
    assert pipeline.lake.count(GOLD) == total

    for job in READ_FIRST:
        pipeline.tradelake("restore", job, states[job], "--roll-back", "--no-start")
    wanted = {tag["table"]: tag["rows"] for state in states.values() for tag in rows[last(state)]["tables"]}
    there = pipeline.counts()
    assert {table: there[table] for table in TABLES if table != DLQ} == {table: wanted[table] for table in TABLES if table != DLQ}
    assert there[GOLD] < total
    rows = listed(pipeline)
    assert {row["job"]: row["state"] for row in rows.values() if row["newest"]}.keys() == set(pipeline.job_names)
    assert all(rows[last(state)]["newest"] for state in states.values())
    pipeline.tradelake("submit")
    assert {job: restored(pipeline, job) for job in states} == {job: last(state) for job, state in states.items()}
    balance(pipeline, books, began)


def number_of(stack: Stack, job_id: str, state: str) -> int:
    """A savepoint's number among the checkpoints of its job."""
    told = stack.rest(f"/jobs/{job_id}/checkpoints")
    return next(int(one["id"]) for one in [told["latest"]["savepoint"], *told["history"]] if one["external_path"] == state)


def fits_exactly(stack: Stack, tags: list[dict[str, Any]], job_id: str, number: int) -> None:
    """All that the job committed up to this checkpoint, and nothing of later ones."""
    for tag in tags:
        snapshots = {snapshot.snapshot_id: snapshot for snapshot in stack.lake.table(tag["table"]).snapshots()}
        own = {one: checkpoint for one, (job, checkpoint) in ((one, mark(snapshots[one])) for one in snapshots) if job == job_id}
        covered = ancestors(snapshots, tag["snapshot"])
        assert [one for one in covered if own.get(one, 0) > number] == []
        assert [one for one, checkpoint in own.items() if checkpoint <= number and one not in covered] == []


def mark(snapshot: Any) -> tuple[str | None, int]:
    summary = snapshot.summary.additional_properties
    return summary.get("flink.job-id"), int(summary.get("flink.max-committed-checkpoint-id", 0))


def ancestors(snapshots: dict[int, Any], snapshot: int | None) -> list[int]:
    line = []
    while snapshot in snapshots:
        line.append(snapshot)
        snapshot = snapshots[snapshot].parent_snapshot_id
    return line


def send(stack: Stack, symbol: str) -> None:
    """Trades, and messages that nobody can read, of both exchanges."""
    rejected = stack.lake.count(DLQ)
    stack.send_trades("kraken", [raw.kraken(f"{symbol}/USD") for _ in range(TRADES)])
    stack.send_trades("binance", [raw.binance(f"{symbol}USDT") for _ in range(TRADES)])
    for exchange in ("kraken", "binance"):
        stack.send(exchange, [(b"k", b"\x01") for _ in range(REJECTS)])
    stack.settle()
    stack.wait_for_counts(**{DLQ: rejected + 2 * REJECTS})


def test_one_exchange_goes_back_and_forward_while_the_other_runs(pipeline: Stack, books: list[str], began: str) -> None:
    """Both write into the dead-letter table; in another order than that of the readers it is refused."""
    send(pipeline, "SAVED")
    states, before = saved(pipeline, "savepoint", *KRAKEN), pipeline.counts()
    send(pipeline, "GONE")
    newest = saved(pipeline, "stop", "silver-kraken", "bronze-kraken")
    refused = refusal(pipeline, "silver-kraken", states)
    assert f"gold runs, and reads {SILVER['kraken']}" in refused
    newest |= saved(pipeline, "stop", "gold")
    refused = refusal(pipeline, "silver-kraken", states)
    assert f"gold has read {SILVER['kraken']} beyond" in refused
    assert "tradelake restore gold SAVEPOINT --roll-back --no-start" in refused
    assert f"silver-kraken has read {BRONZE['kraken']} beyond" in refusal(pipeline, "bronze-kraken", states)
    full = pipeline.counts()

    printed = {job: pipeline.tradelake("restore", job, states[job], "--roll-back", "--no-start").stdout for job in KRAKEN}
    after = pipeline.counts()
    assert {table: after[table] - before[table] for table in TABLES} == {
        BRONZE["kraken"]: 0,
        SILVER["kraken"]: 0,
        GOLD: 0,
        DLQ: REJECTS,  # Binance's stay
        BRONZE["binance"]: TRADES + REJECTS + 1,  # a fence
        SILVER["binance"]: TRADES + 1,
    }
    refused = pipeline.tradelake("restore", "gold", newest["gold"], "--roll-back", exit_code=1).stderr
    assert f"{SILVER['kraken']} has been rolled back behind what" in refused
    for job in reversed(KRAKEN):
        assert f"tradelake restore {job} {newest[job].replace('file:', 'file://')} --roll-back" in printed[job]
        pipeline.tradelake("restore", job, newest[job], "--roll-back", "--no-start")
    assert pipeline.counts() == full
    for job in KRAKEN:
        pipeline.tradelake("restore", job, states[job], "--roll-back", "--no-start")
    assert pipeline.counts() == after

    pipeline.tradelake("submit")
    assert {job: restored(pipeline, job) for job in KRAKEN} == {job: last(states[job]) for job in KRAKEN}
    pipeline.wait_for_counts(**{DLQ: full[DLQ]})
    balance(pipeline, books, began)
    assert pipeline.lake.count(DLQ) == full[DLQ]


def refusal(stack: Stack, job: str, states: dict[str, str]) -> str:
    return stack.tradelake("restore", job, states[job], "--roll-back", exit_code=1).stderr
