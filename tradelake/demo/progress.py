"""How far the demo's messages have come, and whether anything still moves."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import duckdb

import sql
from conf.settings import Pipeline, Settings
from tradelake.console import Failure
from tradelake.latency import layer_rows, moment
from tradelake.rest import FlinkRest
from tradelake.tables import table_kinds

PATIENCE_S = 120
"""How long nothing may move, or a job not run, before the demo gives up."""
END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class Progress:
    """Messages of one time span: rows in bronze, those of them in silver or rejected, distinct trades in silver, rows of those in gold."""

    bronze: int = 0
    judged: int = 0
    silver: int = 0
    rejected: int = 0
    trades: int = 0
    gold: int = 0

    @property
    def repeats(self) -> int:
        """Rows of silver that repeat a trade of the same time span."""
        return self.silver - self.trades

    def unfinished(self, sent: int) -> str | None:
        """The first layer that still lacks something, or None."""
        if self.bronze < sent:
            return "bronze"
        if self.judged < self.bronze:
            return "silver"
        return "gold" if self.gold < self.trades else None


class Reject(NamedTuple):
    type: str
    reason: str
    messages: int
    example: str | None


def read_progress(connection: duckdb.DuckDBPyConnection, exchanges: Iterable[str], since: datetime, until: datetime | None) -> Progress:
    """Count what was sent from `since` on, and before `until`."""
    names = list(exchanges)
    layers = {layer: layer_rows(layer, names, since) for layer in ("bronze", "silver")}
    text = sql.text("demo_progress", since=moment(since), until=moment(until or END_OF_TIME), **layers)
    row = connection.execute(text).fetchone()
    assert row
    return Progress(*row)


def read_totals(connection: duckdb.DuckDBPyConnection, pipeline: Pipeline) -> dict[str, int]:
    """Rows in the tables, by layer: `bronze`, `silver`, `dlq`, `gold`."""
    totals: dict[str, int] = {}
    for table, layer in table_kinds(pipeline).items():
        row = connection.execute(sql.text("demo_count", table=table)).fetchone()
        totals[layer] = totals.get(layer, 0) + (row[0] if row else 0)
    return totals


def read_rejects(connection: duckdb.DuckDBPyConnection, since: datetime | None = None) -> list[Reject]:
    """Rejected messages by reason, the most frequent first; all of the table, or those rejected at or after `since`."""
    return [Reject(*row) for row in connection.execute(sql.text("demo_rejects", since=moment(since))).fetchall()]


@dataclass
class Watch:
    """Notices what stands still. `clock` gives seconds.

    Raises (by `see`):
        Failure: nothing has moved, or a job has not run, for `PATIENCE_S`.
    """

    web_ui: str
    clock: Callable[[], float] = time.monotonic
    _moved: float = field(init=False)
    _last: object = None
    _ran: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._moved = self.clock()

    def see(self, state: object, layer: str, jobs: dict[str, bool]) -> None:
        """Look at what has moved: any change of `state` counts, `layer` is what is being waited for, `jobs` says which of them run."""
        now = self.clock()
        if state != self._last:
            self._last, self._moved = state, now
        for job, running in jobs.items():
            if running or job not in self._ran:
                self._ran[job] = now
            if now - self._ran[job] >= PATIENCE_S:
                raise Failure(
                    f"the job {job} has not been running for {PATIENCE_S} s, so {layer} stands still; its exceptions are at {self.web_ui}, "
                    "the processes' words in `tradelake logs taskmanager`; `tradelake submit` starts a job that has ended"
                )
        if now - self._moved >= PATIENCE_S:
            raise Failure(
                f"{layer} stands still: nothing has moved for {PATIENCE_S} s; look at `tradelake status`, at `tradelake logs taskmanager` "
                f"and at the job's checkpoints and exceptions in {self.web_ui}"
            )


def running_jobs(rest: FlinkRest, names: Iterable[str]) -> dict[str, bool]:
    """Which of the pipeline's jobs run; none of them while Flink does not answer."""
    try:
        running = {job.name for job in rest.jobs() if job.running}
    except Failure:
        running = set()
    return {name: name in running for name in names}


def settled(rest: FlinkRest, settings: Settings, decided: datetime) -> bool:
    """Whether gold has completed a checkpoint that began after it must have read all that silver held at `decided`."""
    try:
        job = rest.alive("gold")
        completed: Any = rest.checkpoints(job.id)["latest"]["completed"] if job else None
    except Failure:
        return False
    read = decided + 2 * settings.pipeline.jobs.gold.monitor_interval
    return completed is not None and completed["trigger_timestamp"] >= (read - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1)
