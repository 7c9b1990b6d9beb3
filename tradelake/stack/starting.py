"""Starting parts side by side, each as soon as what it needs is ready."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from tradelake.console import Failure, screen
from tradelake.stack.part import Part
from tradelake.stack.supervision import Supervisor

PATIENCE = 300.0
"""Seconds that a part may take to become ready."""
DYING = {"BACKOFF", "EXITED", "FATAL"}


class Abandoned(Exception):
    """Another part failed."""


@dataclass
class Start:
    """One start of a stack. A part that fails ends the waiting of all others."""

    supervisor: Supervisor
    parts: list[Part]
    abandoned: Event = field(default_factory=Event)
    began: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Start the parts and wait until all are ready.

        Raises:
            Failure: one does not become ready.
        """
        self.ready = {part.name: Event() for part in self.parts}
        with screen.status("starting the parts"), ThreadPoolExecutor(len(self.parts)) as threads:
            futures = [threads.submit(self.bring_up, part) for part in self.parts]
            try:
                errors = [error for future in futures if (error := future.exception())]
            except BaseException:  # Ctrl-C
                self.abandoned.set()
                raise
        for error in sorted(errors, key=lambda error: isinstance(error, Abandoned)):
            raise error

    def bring_up(self, part: Part) -> None:
        try:
            for need in part.needs:
                self.wait_until(self.ready[need].is_set, part)
            self.supervisor.start(part.name)
            self.wait_until(part.ready, part)
            self.wait_until(part.initialise, part)
        except BaseException:
            self.abandoned.set()
            raise
        self.ready[part.name].set()
        screen.print(f"  [green]✓[/] {part.name} {part.address} [dim]({time.monotonic() - self.began:.1f} s)[/]")

    def wait_until(self, true: Callable[[], bool], part: Part) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            if self.supervisor.states().get(part.name, {}).get("statename") in DYING:
                raise Failure(f"{part.name} does not stay up: {last_words(self.log(part))} (`tradelake logs {part.name}` shows more)")
            if time.monotonic() > deadline:
                raise Failure(
                    f"{part.name} is not ready after {PATIENCE:.0f} s: {last_words(self.log(part))} (`tradelake logs {part.name}`)"
                )
            if self.abandoned.wait(0.25):
                raise Abandoned

    def log(self, part: Part) -> Path:
        return self.supervisor.home / "logs" / f"{part.name}.log"


def last_words(log: Path) -> str:
    """The line of a log that tells most of why a process ended: its last exception, else its last line."""
    if not log.exists():
        return "it printed nothing"
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    causes = [line for line in lines if re.match(r"(Caused by|Exception in|Error|[\w.$]+(Exception|Error)\b)", line)]
    return (causes or lines or ["it printed nothing"])[-1][:300]
