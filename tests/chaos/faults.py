"""What can happen to a stack, and how it is done to it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import psutil

from tests.chaos.network import DEALS, LateCommit, Network
from tests.e2e.stack import Stack, pid_in

PARTS = ("zookeeper", "kafka", "s3", "catalog", "registry", "jobmanager", "taskmanager")
KILLED = (*PARTS, "python worker", "supervisor")
PAUSED = (*PARTS, "python worker")
JOBS = ("bronze-binance", "silver-binance", "gold")
LATE = ("late", "commit")
"""Gold's: of the doubled rows that may follow, those of gold have a repair."""
SHORTEST_PAUSE_S, SHORTEST_LOAD_S, SHORTEST_BAD_NETWORK_S = 1.0, 10.0, 5.0
BUSY = "while True: pass"
CALM_S = (0.5, 5.0)
"""How long nothing happens before a fault: every moment of a checkpoint must have its turn."""


@dataclass(frozen=True)
class Fault:
    """`kind`: kill, pause, load, cancel, or what the network does. `seconds`: how long it lasts. `calm`: seconds before it."""

    kind: str
    what: str
    seconds: float
    calm: float

    def __str__(self) -> str:
        return f"{self.kind} {self.what}" + (f" for {self.seconds:.1f} s" if self.seconds else "")


@dataclass(frozen=True)
class Done:
    """`back`: whether what was hit is back. `late`: the id of a snapshot whose commit landed when its writer no longer expected it."""

    back: Callable[[], bool] = lambda: True
    late: int | None = None


def plan(seed: object, count: int, longest_s: float) -> list[Fault]:
    """So many faults; every kind of every part comes before one comes again."""
    chance = random.Random(str(seed))
    every = [("kill", part) for part in KILLED] + [("pause", part) for part in PAUSED]
    every += [("cancel", job) for job in JOBS] + [("load", "both cores"), *DEALS, LATE]
    chosen: list[tuple[str, str]] = []
    while len(chosen) < count:
        chosen += chance.sample(every, len(every))
    lasting = {"pause": SHORTEST_PAUSE_S, "load": SHORTEST_LOAD_S} | dict.fromkeys((kind for kind, _ in DEALS), SHORTEST_BAD_NETWORK_S)
    faults = []
    for kind, what in chosen[:count]:
        shortest = lasting.get(kind)
        seconds = chance.uniform(min(shortest, longest_s), longest_s) if shortest else 0.0
        faults.append(Fault(kind, what, seconds, chance.uniform(*CALM_S)))
    return faults


def happen(network: Network, fault: Fault) -> Done:
    """Let it happen, to its end."""
    stack = network.stack
    if (fault.kind, fault.what) in DEALS:
        return disturb(network, fault)
    if (fault.kind, fault.what) == LATE:
        return delay_a_commit(network)
    if fault.kind == "load":
        with busy():
            time.sleep(fault.seconds)
        return Done()
    if fault.kind == "cancel":
        job = stack.jobs()[fault.what]["jid"]
        rest = stack.environment["flink"]["rest"]
        httpx.patch(f"{rest}/jobs/{job}?mode=cancel", trust_env=False, timeout=30).raise_for_status()
        stack.wait(f"{fault.what} has ended", lambda: fault.what not in stack.jobs())
        network.jobs.tradelake("submit", fault.what)  # cancelled is cancelled: this is the one fault that a person ends
        return Done()
    pid = pid_of(stack, fault.what)
    if fault.kind == "pause":
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(fault.seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        return Done()
    os.kill(pid, signal.SIGKILL)
    stack.wait("the process is gone", lambda: not psutil.pid_exists(pid))
    if fault.what == "supervisor":
        stack.tradelake("up")  # trades flow on without it, but nobody would start a dead part again
        return Done()
    return Done(lambda: fault.what not in PARTS or is_another(stack, fault.what, pid))


def disturb(network: Network, fault: Fault) -> Done:
    """A bad network, for as long as the fault lasts, and until it has met a request."""
    server, deal = DEALS[fault.kind, fault.what]
    dealing = deal(random.Random(str(fault)))
    with getattr(network, server).dealing(dealing):
        time.sleep(fault.seconds)
        network.stack.wait("a request has met the bad network", lambda: dealing.struck > 0)
    return Done()


def delay_a_commit(network: Network) -> Done:
    """A commit of gold is lost to gold, and lands when gold, restarted, is about to make it again."""
    late = LateCommit(random.Random())
    with network.catalog.dealing(late):
        network.stack.wait("a commit has landed late", lambda: late.landed is not None)
    return Done(late=late.landed)


def is_another(stack: Stack, part: str, killed: int) -> bool:
    """Whether a part that was killed runs again, as another process."""
    health = stack.health()
    return bool(health["running"]) and pid_in(health, part) != killed


def pid_of(stack: Stack, what: str) -> int:
    if what in PARTS:
        return stack.pid(what)
    mark = "beam_boot" if what == "python worker" else "supervisor.supervisord"
    return next(process.pid for process in stack.processes() if mark in " ".join(process.cmdline()))


@contextmanager
def busy() -> Iterator[None]:
    """Other work on both cores."""
    burners = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count() or 2)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
