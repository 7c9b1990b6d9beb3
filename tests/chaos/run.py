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
from typing import Any

from tests.chaos.faults import Fault, happen
from tests.e2e.stack import Stack
from tests.truth.lake import GOLD

RATE = 300
ENDLESS = 100_000_000


@dataclass(frozen=True)
class Outcome:
    """`recovery_s`: from the end of the fault until everything runs and a second's trades more are in gold."""

    fault: Fault
    recovery_s: float
    clean: bool
    findings: list[dict[str, Any]]


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


def outcomes(stack: Stack, faults: list[Fault], producer: subprocess.Popen[str], say: Callable[[str], None] = print) -> Iterator[Outcome]:
    """Each fault, done and recovered from; audited over everything that was sent since the first."""
    since = datetime.now(UTC).isoformat()
    await_growth(stack)
    for number, fault in enumerate(faults, 1):
        time.sleep(fault.calm)
        say(f"{number}/{len(faults)} {fault}")
        back = happen(stack, fault)
        ended = time.monotonic()
        stack.wait("every part and job runs", lambda back=back: back() and running(stack))
        await_growth(stack)
        recovery = time.monotonic() - ended
        assert producer.poll() is None, "the producer has ended"
        ran = stack.run_tradelake("audit", "--json", "--since", since, "--wait", "120 s")
        report = ran.json if ran.stdout.startswith("{") else {"findings": [{"evidence": ran.stderr, "notice": False}]}
        found = [finding for finding in report["findings"] if not finding["notice"]]
        say(f"    back after {recovery:.1f} s, {'clean' if ran.exit_code == 0 else f'NOT CLEAN: {found}'}")
        yield Outcome(fault, recovery, ran.exit_code == 0, found)


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
