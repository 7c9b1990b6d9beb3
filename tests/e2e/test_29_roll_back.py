"""Savepoints tag the snapshots that they fit; a job, and a whole path, goes back to one of them with its tables, and forward again."""

import re
from typing import Any

import pytest

from tests.chaos.run import await_growth, flow
from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import BRONZE, DLQ, GOLD, SILVER

WRITES = {
    "bronze-kraken": (BRONZE["kraken"],),
    "silver-kraken": (SILVER["kraken"], DLQ),
    "gold": (GOLD,),
}
READ_FIRST = ("gold", "silver-kraken", "bronze-kraken")
"""Kraken's path, those that read before those that they read from."""
TRADES, REJECTS = 30, 5


def saved(stack: Stack, *command: str) -> dict[str, str]:
    """Job -> the address of the savepoint that a command has just made."""
    return dict(re.findall(r"^([a-z-]+): (file:\S+)$", stack.tradelake(*command).stdout, re.M))


def listed(stack: Stack, job: str) -> dict[str, dict[str, Any]]:
    """What `tradelake savepoints` says of a job's states, by their last names."""
    return {row["state"].rpartition("/")[2]: row for row in stack.tradelake("savepoints", job, "--json").json}


def last(state: str) -> str:
    return state.rstrip("/").rpartition("/")[2]


def send(stack: Stack, symbol: str) -> None:
    """Trades, and messages that nobody can read, of both exchanges."""
    rejected = stack.lake.count(DLQ)
    stack.send_trades("kraken", [raw.kraken(f"{symbol}/USD") for _ in range(TRADES)])
    stack.send_trades("binance", [raw.binance(f"{symbol}USDT") for _ in range(TRADES)])
    for exchange in ("kraken", "binance"):
        stack.send(exchange, [(b"k", b"\x01") for _ in range(REJECTS)])
    stack.settle()
    stack.wait_for_counts(**{DLQ: rejected + 2 * REJECTS})


@pytest.fixture(scope="module")
def books(stack: Stack) -> list[str]:
    """What is wrong by the tests' own books before anything is rolled back: they do not know of replays, which tests before may have made."""
    stack.settle()
    return stack.discrepancies()


def test_a_savepoint_tags_what_it_fits_while_trades_flow(pipeline: Stack, books: list[str]) -> None:
    """All that was committed for its checkpoint or before, and nothing of later ones, though the jobs go on."""
    with flow(pipeline, "tags"):
        await_growth(pipeline)
        running = {name: job["jid"] for name, job in pipeline.jobs().items()}
        states = saved(pipeline, "savepoint")
        await_growth(pipeline)
    pipeline.settle()
    assert set(states) == set(pipeline.job_names)
    for job, state in states.items():
        row = listed(pipeline, job)[last(state)]
        number = next(one["id"] for one in checkpoints(pipeline, running[job]) if one["is_savepoint"] and one["external_path"] == state)
        assert row["complete"], row
        for tag in row["tables"]:
            table = pipeline.lake.table(tag["table"])
            snapshots = {snapshot.snapshot_id: snapshot for snapshot in table.snapshots()}
            marks = [mark(snapshots[one]) for one in ancestors(snapshots, tag["snapshot"])]
            own = [number for job_id, number in marks if job_id == running[job]]
            later = [number for job_id, number in map(mark, snapshots.values()) if job_id == running[job] and number not in own]
            assert max(own, default=0) <= number < min(later, default=number + 1), (job, number, own, later)


def checkpoints(stack: Stack, job_id: str) -> list[dict[str, Any]]:
    told = stack.rest(f"/jobs/{job_id}/checkpoints")
    return [*told["history"], *(one for one in (told["latest"]["savepoint"],) if one)]


def mark(snapshot: Any) -> tuple[str | None, int]:
    summary = snapshot.summary.additional_properties
    return summary.get("flink.job-id"), int(summary.get("flink.max-committed-checkpoint-id", 0))


def ancestors(snapshots: dict[int, Any], snapshot: int | None) -> list[int]:
    line = []
    while snapshot in snapshots:
        line.append(snapshot)
        snapshot = snapshots[snapshot].parent_snapshot_id
    return line


def test_an_older_savepoint_is_refused_and_its_tables_rolled_back_to_it(pipeline: Stack, books: list[str]) -> None:
    """Gold alone: what silver has after the savepoint is read, and written, again."""
    send(pipeline, "BEFORE")
    rows = pipeline.lake.count(GOLD)
    older = saved(pipeline, "savepoint", "gold")["gold"]
    send(pipeline, "AFTER")
    newest = saved(pipeline, "stop", "gold")["gold"]
    total = pipeline.lake.count(GOLD)
    refused = pipeline.tradelake("restore", "gold", older, exit_code=1).stderr
    assert f"{older} is not the newest state of gold" in refused
    assert "--roll-back" in refused
    row = listed(pipeline, "gold")[last(older)]
    assert (row["newest"], row["complete"], row["tables"][0]["rows"]) == (False, True, rows)

    said = f"gold_crypto_trades: to snapshot {row['tables'][0]['snapshot']} of "
    dry = pipeline.tradelake("restore", "gold", older, "--roll-back", "--dry-run").stdout
    assert said in dry
    assert f"{total - rows} rows are dropped" in dry
    assert pipeline.lake.count(GOLD) == total
    printed = pipeline.tradelake("restore", "gold", older, "--roll-back", "--no-start").stdout
    assert said in printed
    assert f"tradelake restore gold {newest}" in printed.replace("file:///", "file:/")
    assert pipeline.lake.count(GOLD) == rows
    assert listed(pipeline, "gold")[last(older)]["newest"]

    pipeline.tradelake("submit", "gold")
    restored = pipeline.rest(f"/jobs/{pipeline.jobs()['gold']['jid']}/checkpoints")["latest"]["restored"]
    assert last(restored["external_path"]) == last(older)
    pipeline.settle()
    assert pipeline.lake.count(GOLD) == total + 2  # the fences
    assert pipeline.discrepancies() == books
    forward_again(pipeline, newest, total)
    assert pipeline.discrepancies() == books


def forward_again(stack: Stack, newest: str, total: int) -> None:
    """The state that was left behind, and its table, are there still."""
    stack.tradelake("stop", "gold")
    printed = stack.tradelake("restore", "gold", newest, "--roll-back").stdout
    assert listed(stack, "gold")[last(newest)]["tables"][0]["rows"] == total
    assert "gold_crypto_trades: to snapshot" in printed
    stack.settle()


def test_the_whole_path_of_an_exchange_goes_back_those_that_read_first(pipeline: Stack, books: list[str]) -> None:
    """While the other exchange's jobs run, and write into the dead-letter table that they share."""
    send(pipeline, "SAVED")
    states = saved(pipeline, "savepoint", *READ_FIRST)
    then = {job: listed(pipeline, job)[last(states[job])] for job in READ_FIRST}
    assert [row["complete"] for row in then.values()] == [True] * len(READ_FIRST)
    before = pipeline.counts()
    send(pipeline, "GONE")
    pipeline.tradelake("stop", "silver-kraken", "bronze-kraken")

    refused = pipeline.tradelake("restore", "silver-kraken", states["silver-kraken"], "--roll-back", exit_code=1).stderr
    assert f"gold runs, and reads {SILVER['kraken']}" in refused
    pipeline.tradelake("stop", "gold")
    refused = pipeline.tradelake("restore", "silver-kraken", states["silver-kraken"], "--roll-back", exit_code=1).stderr
    assert f"gold has read {SILVER['kraken']} beyond" in refused
    assert "tradelake restore gold SAVEPOINT --roll-back --no-start" in refused
    refused = pipeline.tradelake("restore", "bronze-kraken", states["bronze-kraken"], "--roll-back", exit_code=1).stderr
    assert f"silver-kraken has read {BRONZE['kraken']} beyond" in refused

    for job in READ_FIRST:
        pipeline.tradelake("restore", job, states[job], "--roll-back", "--no-start")
    after = pipeline.counts()
    for table in (BRONZE["kraken"], SILVER["kraken"], GOLD):
        assert after[table] == before[table]
    assert after[DLQ] == before[DLQ] + REJECTS  # Binance's stay
    assert after[BRONZE["binance"]] == before[BRONZE["binance"]] + TRADES + REJECTS + 1  # a fence

    pipeline.tradelake("submit")
    for job in READ_FIRST:
        restored = pipeline.rest(f"/jobs/{pipeline.jobs()[job]['jid']}/checkpoints")["latest"]["restored"]
        assert last(restored["external_path"]) == last(states[job])
    pipeline.settle()
    assert pipeline.discrepancies() == books
    found = pipeline.run_tradelake("audit", "--since", "10 min", "--json").json["findings"]
    assert [one for one in found if not one["notice"]] == []
