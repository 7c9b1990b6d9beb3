"""Sending the demo's messages, and watching them until every one is in its place."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import duckdb

from conf.settings import Settings
from tradelake.console import Failure, screen
from tradelake.demo.progress import Watch, read_progress, read_rejects, read_totals, running_jobs, settled
from tradelake.demo.report import Outcome
from tradelake.demo.screen import Lines, View, live
from tradelake.demo.traffic import Traffic
from tradelake.latency import measure
from tradelake.rest import FlinkRest

LOOK_EVERY_S = 2.0
MEASURE_EVERY_S = 5.0
WAITING = {
    "bronze": "bronze, to commit what Kafka holds",
    "silver": "silver, to check what bronze holds",
    "gold": "gold, to take what is new in silver",
    "end": "gold, to commit once more: no trade may stand in it twice",
}


@contextmanager
def sending(traffic: Traffic) -> Iterator[Future[None]]:
    """Send in a thread of its own; leaving early ends the sending."""
    with ThreadPoolExecutor(1) as thread:
        try:
            yield thread.submit(traffic.send)
        finally:
            traffic.sending.stopped.set()


def watch(settings: Settings, connection: duckdb.DuckDBPyConnection, rate: float) -> Outcome:
    """Send, and watch until every message is in its place.

    Raises:
        Failure: Kafka does not take the messages, a layer stands still, or gold holds a trade twice.
    """
    rest = FlinkRest(settings.environment.flink.rest, patience=2)
    guard, lines = Watch(rest.url), Lines(screen)
    before = read_totals(connection, settings.pipeline)
    with Traffic(settings, rate) as traffic, sending(traffic) as sent, live(view := View(traffic.sending), screen):
        look = Look(settings, connection, view, rest)
        while not look.complete():
            if sent.done():
                sent.result()
            lines.show(view)
            guard.see((view.sending.sent, view.progress), look.layer, running_jobs(rest, settings.pipeline.job_names()))
            time.sleep(LOOK_EVERY_S)
    return Outcome(view.sending, view.progress, before, read_totals(connection, settings.pipeline), look.seconds)


class Look:
    """Reads the lake into a view, look by look."""

    def __init__(self, settings: Settings, connection: duckdb.DuckDBPyConnection, view: View, rest: FlinkRest) -> None:
        self._settings, self._connection, self._view, self._rest = settings, connection, view, rest
        self.layer = "bronze"
        """The first that lacks something; gold when none does and it has yet to commit."""
        self._decided: datetime | None = None
        self._measured = 0.0
        self.seconds = 0.0
        """From the last message sent to all in their places."""

    def complete(self) -> bool:
        """Look once; whether all that was sent is in its place.

        Raises:
            Failure: gold holds a trade twice.
        """
        try:
            self._read()
        except (duckdb.Error, Failure):
            return False  # a part of the stack is being restarted: `Watch` says so if that lasts
        sent, progress = self._view.sending, self._view.progress
        layer = progress.unfinished(sent.total)
        self.layer = layer or "gold"
        self._view.waiting_for = WAITING[layer or "end"]
        if layer or not sent.until:
            return False
        if self._decided is None:
            self._decided = datetime.now(UTC)
            self.seconds = (self._decided - sent.until).total_seconds()
        if progress.gold > progress.trades:
            raise Failure(
                f"gold holds {progress.gold - progress.trades} rows too many; `tradelake query --name duplicates_in_gold` shows them"
            )
        return settled(self._rest, self._settings, self._decided)

    def _read(self) -> None:
        view, connection, pipeline = self._view, self._connection, self._settings.pipeline
        before = view.progress
        view.progress = read_progress(connection, pipeline.exchanges, view.sending.since, view.sending.until)
        view.tables = read_totals(connection, pipeline)
        if view.progress.rejected != before.rejected:
            view.rejects = read_rejects(connection, view.sending.since)
        if view.progress != before and time.monotonic() - self._measured > MEASURE_EVERY_S:
            view.hops = measure(self._settings, view.sending.since)
            self._measured = time.monotonic()
