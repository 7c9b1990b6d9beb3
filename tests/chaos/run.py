"""One fault after the other on a stack, with an audit after each."""

import json
import random
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.chaos.doubled import Doubled, Finding, doubled_by, rebuild_gold, unexplained
from tests.chaos.faults import Fault, happen
from tests.chaos.network import Network
from tests.e2e.stack import Stack
from tests.truth.lake import GOLD

RATE = 300
ENDLESS = 100_000_000


@dataclass(frozen=True)
class Outcome:
    """How a fault ended.

    Attributes:
        recovery_s: from its end until everything runs and a second's trades more are in gold.
        findings: what audits found that is not explained by `doubled`; nothing where all is well.
        doubled: what a commit that landed late doubled: the audit named it, gold was rebuilt, and the audit of that was clean.
        repair_s: how long this took.
    """

    fault: Fault
    recovery_s: float
    findings: list[Finding]
    doubled: Doubled | None = None
    repair_s: float = 0.0

    @property
    def clean(self) -> bool:
        return not self.findings


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
        recovery = recover(stack, done.back)
        assert producer.poll() is None, "the producer has ended"
        found = audit(stack, since)
        doubled = doubled_by(stack.lake, done.late) if done.late else None
        if doubled is None:
            say(f"    back after {recovery:.1f} s, {told(found)}")
            yield Outcome(fault, recovery, found)
            continue
        more = unexplained(found, doubled)
        say(f"    back after {recovery:.1f} s, DOUBLED {doubled.rows} rows by snapshots {doubled.snapshots}, beside them {told(more)}")
        began = time.monotonic()
        rebuild_gold(network.jobs)
        recover(stack)
        left, repair = audit(stack, since), time.monotonic() - began
        say(f"    gold rebuilt after {repair:.1f} s, {told(left)}")
        yield Outcome(fault, recovery, more + left, doubled, repair)


def told(found: list[Finding]) -> str:
    return f"NOT CLEAN: {found}" if found else "clean"


def recover(stack: Stack, back: Callable[[], bool] = lambda: True) -> float:
    """Wait until everything runs and trades flow again; for how many seconds."""
    began = time.monotonic()
    stack.wait("every part and job runs", lambda: back() and running(stack))
    await_growth(stack)
    return time.monotonic() - began


def audit(stack: Stack, since: str) -> list[Finding]:
    """What it finds: nothing where all is well."""
    ran = stack.run_tradelake("audit", "--json", "--since", since, "--wait", "120 s")
    report = ran.json if ran.stdout.startswith("{") else {"findings": [{"evidence": ran.stderr, "notice": False}]}
    found = [finding for finding in report["findings"] if not finding["notice"]]
    assert bool(found) == bool(ran.exit_code), ran.stdout + ran.stderr
    return found


def running(stack: Stack) -> bool:
    return stack.running() == sorted(stack.job_names) and bool(stack.health()["running"])


def await_growth(stack: Stack) -> None:
    stack.wait_for_counts(**{GOLD: stack.lake.count(GOLD) + RATE})


def report(seed: object, done: list[Outcome]) -> str:
    """A table of the kinds of faults, how often, and how long recovery took; Markdown. Then what was doubled."""
    lines = [f"{len(done)} faults, seed {seed}: {sum(not one.clean for one in done)} audits were not clean.", ""]
    lines += ["| fault | times | recovery: median | max | not clean | doubled, named, repaired |", "|---|---|---|---|---|---|"]
    for what in sorted({(one.fault.kind, one.fault.what) for one in done}):
        lines.append(_line(" ".join(what), [one for one in done if (one.fault.kind, one.fault.what) == what]))
    lines += [_line("all", done), ""]
    for one in done:
        if one.doubled:
            first, second = one.doubled.snapshots[0], ", ".join(map(str, one.doubled.snapshots[1:]))
            lines.append(
                f"{one.fault}: {one.doubled.rows} rows of gold's snapshot {first} came again with {second} (Iceberg #14425); "
                f"the audit named {'them' if one.clean else 'more than them, or less'}, gold was rebuilt in {one.repair_s:.1f} s."
            )
    return "\n".join(lines).rstrip()


def _line(what: str, some: list[Outcome]) -> str:
    times = [one.recovery_s for one in some]
    dirty, doubled = sum(not one.clean for one in some), sum(one.doubled is not None for one in some)
    return f"| {what} | {len(some)} | {statistics.median(times):.1f} s | {max(times):.1f} s | {dirty} | {doubled} |"
