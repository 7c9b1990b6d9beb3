"""One fault after the other on a stack, with an audit after each."""

import json
import random
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.chaos.faults import Done, Fault, happen
from tests.chaos.network import MARKS, Network
from tests.e2e.stack import Stack
from tests.truth.lake import GOLD, TABLES

RATE = 300
ENDLESS = 100_000_000


@dataclass(frozen=True)
class Outcome:
    """How a fault ended.

    Attributes:
        recovery_s: from its end until everything runs and a second's trades more are in gold.
        clean: the audit has found nothing; after the repair, where there was one.
        findings: what it found that nothing explains.
        doubled: the two snapshots of a commit that landed late, which the audit named, and nothing else but their rows.
        repair_s: how long gold was made anew for them.
    """

    fault: Fault
    recovery_s: float
    clean: bool
    findings: list[dict[str, Any]]
    doubled: tuple[int, ...] = ()
    repair_s: float = 0.0


@contextmanager
def flow(stack: Stack, seed: object) -> Iterator[subprocess.Popen[str]]:
    """Trades, repeats and bad messages, until the end; that none of them failed."""
    symbols = ",".join(f"CHAOS{asset}USDT" for asset in "ABCD")
    numbered = random.Random(str(seed)).randrange(2**31)
    arguments = ("--rate", RATE, "--seed", numbered, "--symbols", symbols, "--duplicates", 0.2, "--bad", 0.02)
    producer = stack.start("produce", "--generate", ENDLESS, *arguments, "--json")
    try:
        yield producer
        producer.send_signal(signal.SIGINT)
        printed, _ = producer.communicate()
        assert json.loads(printed)["failed"] == 0, printed
    finally:
        if producer.poll() is None:
            producer.kill()
            producer.wait()


def outcomes(
    network: Network, faults: list[Fault], producer: subprocess.Popen[str], say: Callable[[str], None] = print
) -> Iterator[Outcome]:
    """Each fault, done and recovered from; audited over everything that was sent since the first."""
    stack, since = network.stack, datetime.now(UTC).isoformat()
    await_growth(stack)
    for number, fault in enumerate(faults, 1):
        time.sleep(fault.calm)
        say(f"{number}/{len(faults)} {fault}")
        done = happen(network, fault)
        recovery = recover(stack, done)
        assert producer.poll() is None, "the producer has ended"
        found = audit(stack, since)
        doubled = doubled_commits(stack)
        if done.late is None or not doubled:
            say(f"    back after {recovery:.1f} s, {told(found)}")
            yield Outcome(fault, recovery, not found, found)
            continue
        unexplained = found if [done.late in pair for pair in doubled.values()] != [True] else beside(found, doubled)
        say(f"    back after {recovery:.1f} s, a commit doubled as {doubled}, {told(unexplained)} beside it: gold is made anew")
        began = time.monotonic()
        make_gold_anew(network)
        recover(stack, Done())
        left, repair = audit(stack, since), time.monotonic() - began
        say(f"    made anew after {repair:.1f} s, {told(left)}")
        (pair,) = doubled.values() if len(doubled) == 1 else [()]
        yield Outcome(fault, recovery, not unexplained and not left, unexplained + left, pair, repair)


def told(found: list[dict[str, Any]]) -> str:
    return f"NOT CLEAN: {found}" if found else "clean"


def recover(stack: Stack, done: Done) -> float:
    """Wait until everything runs and trades flow again; for how many seconds."""
    began = time.monotonic()
    stack.wait("every part and job runs", lambda: done.back() and running(stack))
    await_growth(stack)
    return time.monotonic() - began


def audit(stack: Stack, since: str) -> list[dict[str, Any]]:
    """What it finds: nothing where all is well."""
    ran = stack.run_tradelake("audit", "--json", "--since", since, "--wait", "120 s")
    report = ran.json if ran.stdout.startswith("{") else {"findings": [{"evidence": ran.stderr, "notice": False}]}
    found = [finding for finding in report["findings"] if not finding["notice"]]
    assert bool(found) == bool(ran.exit_code), ran.stdout + ran.stderr
    return found


def doubled_commits(stack: Stack) -> dict[str, tuple[int, ...]]:
    """Table -> the snapshots that carry the marks of one checkpoint, by the tests' own reading of its metadata."""
    found: dict[str, tuple[int, ...]] = {}
    for table in TABLES:
        marked: dict[tuple[str | None, ...], list[int]] = {}
        for snapshot in stack.lake.table(table).metadata.snapshots:
            summary = snapshot.summary
            if summary and summary.get(MARKS[0]):
                marked.setdefault(tuple(summary.get(mark) for mark in MARKS), []).append(snapshot.snapshot_id)
        if twice := [snapshots for snapshots in marked.values() if len(snapshots) > 1]:
            found[table] = tuple(snapshot for snapshots in twice for snapshot in snapshots)
    return found


def beside(found: list[dict[str, Any]], doubled: dict[str, tuple[int, ...]]) -> list[dict[str, Any]]:
    """What is found beside doubled commits of gold, each named as what it is, and the rows that they brought twice."""
    named = {(GOLD, "commits", "doubled", ", ".join(map(str, doubled[GOLD])))} if GOLD in doubled else set()
    missing = named - {(one["table"], one["check"], one["kind"], one["key"]) for one in found}
    more = [
        one
        for one in found
        if (one["table"], one["check"], one["kind"], one["key"]) not in named
        and (one["table"], one["check"], one["kind"]) != (GOLD, "ids", "doubled")
    ]
    return more + [{"evidence": f"the audit does not name {one}"} for one in missing]


def make_gold_anew(network: Network) -> None:
    """As docs/audit.md has it."""
    jobs = network.jobs
    jobs.tradelake("stop", "gold")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as drop:
        drop.write("DROP TABLE gold_crypto_trades;")
        drop.flush()
        jobs.tradelake("sql", "-f", drop.name)
    jobs.tradelake("tables", "create")
    jobs.tradelake("submit", "--fresh-state", "gold")


def running(stack: Stack) -> bool:
    return stack.running() == sorted(stack.job_names) and bool(stack.health()["running"])


def await_growth(stack: Stack) -> None:
    stack.wait_for_counts(**{GOLD: stack.lake.count(GOLD) + RATE})


def report(seed: object, done: list[Outcome]) -> str:
    """A table of the kinds of faults, how often, and how long recovery took; Markdown."""
    lines = [f"{len(done)} faults, seed {seed}: {sum(not one.clean for one in done)} audits were not clean.", ""]
    lines += ["| fault | times | recovery: median | max | not clean |", "|---|---|---|---|---|"]
    for what in sorted({(one.fault.kind, one.fault.what) for one in done}):
        some = [one for one in done if (one.fault.kind, one.fault.what) == what]
        times = [one.recovery_s for one in some]
        dirty = sum(not one.clean for one in some)
        lines.append(f"| {' '.join(what)} | {len(some)} | {statistics.median(times):.1f} s | {max(times):.1f} s | {dirty} |")
    every = [one.recovery_s for one in done]
    lines.append(f"| all | {len(done)} | {statistics.median(every):.1f} s | {max(every):.1f} s | {sum(not one.clean for one in done)} |")
    return "\n".join(lines)
