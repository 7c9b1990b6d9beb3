"""A table beside what it must be: how many of its rows are right, which are to go, and which are to be added."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

import sql
from tradelake.audit.checks import POLL_S
from tradelake.audit.pins import Pins
from tradelake.latency import moment
from udfs.trade import Trade

if TYPE_CHECKING:
    from tradelake.rebuild.swap import Staged

ROWS_AT_ONCE = 200_000
"""Rows that are added as one file."""
COLUMNS = ", ".join(f'"{name}"' for name in Trade._fields)
RIGHT = "right"
ABSENT = "absent"


@dataclass
class Verdict:
    """What came of comparing one table.

    Attributes:
        right: rows that are as they must be.
        wrong: absent, doubled, orphan, altered, misplaced -> how many rows.
        examples: the same -> one of them.
        waiting: rows that the job has not come to yet, and that are left to it.
        added, dropped: rows that a swap adds, and takes away.
    """

    right: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    waiting: int = 0
    added: int = 0
    dropped: int = 0

    @property
    def equal(self) -> bool:
        return not self.wrong

    def count(self, kind: str, rows: int, example: str) -> None:
        if kind == RIGHT:
            self.right += rows
            return
        self.wrong[kind] += rows
        self.dropped += rows if kind != ABSENT else 0
        self.examples.setdefault(kind, example)


@dataclass(frozen=True)
class Rest:
    """Tables, and when they were looked at. `rows`: how many each has; `at_ms`: since the epoch."""

    rows: tuple[int, ...]
    at_ms: float


@dataclass
class Comparison:
    """One layer, compared piece by piece; a connection's temporary tables hold the piece, and the places of all rows that are to go.

    Attributes:
        staged: target table -> where its new rows are written; empty where nothing is to be swapped.
        patience_s: how long to wait, in all, for rows that are on their way.
        at_rest: asked before a wait, and again with its answer afterwards: None unless the jobs run, and, the second time, have ended a
            checkpoint that they began since, without a row for their tables. Then nothing is on its way.
        waiting: told how many rows are waited for.
    """

    connection: duckdb.DuckDBPyConnection
    pins: Pins
    staged: Mapping[str, "Staged"]
    patience_s: float
    at_rest: Callable[[Rest | None], Rest | None]
    pause: Callable[[float], None]
    waiting: Callable[[int], None]
    verdicts: dict[str, Verdict] = field(default_factory=lambda: defaultdict(Verdict))
    now: str = field(default_factory=lambda: moment(datetime.now(UTC)))
    _before: Rest | None = None

    def __post_init__(self) -> None:
        self._waits = self.patience_s > 0
        self.ask("no_drops")

    def ask(self, name: str, /, **parameters: str | int) -> list[tuple[object, ...]]:
        """The answers to `sql/rebuild/<name>.sql`."""
        return self.connection.execute(sql.text(f"rebuild/{name}", **parameters)).fetchall()

    def stored(self) -> None:
        """Count the rows of a piece, and note those that are to go."""
        for target, kind, rows, example in self.ask("kinds"):
            self.verdicts[str(target)].count(str(kind), int(str(rows)), str(example))
        self.ask("drop")

    def arrive(self, strike: Callable[[], object], on_their_way: Callable[[], object], left_alone: str) -> int:
        """Wait for the rows of a piece that its table has none of; those that may still come are left to the job. How many those are."""

        def missing() -> int:
            ((rows,),) = self.ask("waiting")
            return int(str(rows))

        if (left := missing()) == 0:
            return 0
        if not self._waits:
            self.ask("unknown_left_alone")
            return left
        if self.patience_s > 0:
            self._before = self.at_rest(None)
        strike()  # also where the patience was spent on others: what has come meanwhile is not lost
        while (left := missing()) and self.patience_s > 0:
            self.waiting(left)
            self.pause(min(POLL_S, self.patience_s))
            self.patience_s -= POLL_S
            strike()
        if left == 0 or (self._before is not None and self.at_rest(self._before) is not None):
            return 0
        on_their_way()
        self.ask(left_alone)
        return left - missing()

    def add(self, target: str, statement: str) -> None:
        """Write the rows that a statement gives, where they are to be swapped in; count them in any case."""
        verdict = self.verdicts[target]
        for rows in self._batches(statement):
            verdict.added += rows.num_rows
            if target in self.staged:
                self.staged[target].add(rows)

    def _batches(self, statement: str) -> Iterator[pa.Table]:
        reader = self.connection.execute(statement).to_arrow_reader(ROWS_AT_ONCE)
        for batch in reader:
            if batch.num_rows:
                yield pa.Table.from_batches([batch])

    def drops(self, target: str) -> Iterator[tuple[str, list[int]]]:
        """Each of a table's files with rows that are to go, and their numbers in it."""
        for name, numbers in self.ask("drops", target=target):
            assert isinstance(numbers, list)
            yield str(name), numbers
