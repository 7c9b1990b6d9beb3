"""The checks, each a question in SQL (`sql/audit/`) whose answers are what is wrong."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb

import sql
from tradelake.audit.findings import SHOWN, Check, Finding, run_of
from tradelake.audit.pins import DLQ, GOLD, REBUILD, REPLAYS, Ends, Pins, bronze, silver
from tradelake.latency import moment
from udfs.trade import Trade

POLL_S = 2.0
OUT_OF_SCOPE = 2**63 - 1
EPOCH = datetime(1970, 1, 1)
MARKS = ("flink.job-id", "flink.operator-id", "flink.max-committed-checkpoint-id")
REPAIRS = "docs/audit.md, Repairs"
REBUILT = "`tradelake rebuild {layer}` compares every row, --swap mends it"
FILLED = "`tradelake backfill {exchange} --gaps --symbols {symbol}` asks the exchange for them"
BEHIND = "wait and audit again; `tradelake jobs` shows whether {job} runs"
LOST = "Kafka no longer has them, and none can be had again"
EVER = "-infinity"


@dataclass
class Books:
    """What all checks need.

    Attributes:
        connection: to the lake, with the tables by their plain names; a pinned relation names its snapshot.
        since: rows sent before are left alone; None for all.
        patience_s: how long to wait, in all, for rows that are on their way.
        waiting: told how many rows are waited for.
    """

    connection: duckdb.DuckDBPyConnection
    pins: Pins
    exchanges: dict[str, str]
    since: datetime | None = None
    patience_s: float = 60.0
    waiting: Callable[[int], None] = lambda rows: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    checks: list[Check] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Where the rows since a moment begin in each partition."""
        self.ask("no_floors")
        for exchange in self.exchanges if self.since else ():
            self.ask("floors", bronze=self.relation(bronze(exchange)), since=self.moment)

    @property
    def moment(self) -> str:
        """`since` in the words of SQL."""
        return moment(self.since) if self.since else EVER

    @property
    def floor(self) -> int:
        """Where a partition without a row of its own in `floors` begins."""
        return OUT_OF_SCOPE if self.since else 0

    def relation(self, table: str) -> str:
        return self.pins.relation(table)

    def ask(self, name: str, **parameters: str | int) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql.text(f"audit/{name}", **parameters)).fetchall()

    @contextmanager
    def check(self, name: str, table: str) -> Iterator[Check]:
        """A new check of a table; timed."""
        check = Check(name, table, self.pins.rows(table))
        started = self.clock()
        yield check
        check.seconds = self.clock() - started
        self.checks.append(check)

    def arrive(self, missing: Callable[[], int]) -> int:
        """Wait until nothing is missing any more or the patience is over; how many rows still are."""
        left = missing()
        while left and self.patience_s > 0:
            self.waiting(left)
            began = self.clock()
            self.sleep(min(POLL_S, self.patience_s))
            left = missing()
            self.patience_s -= self.clock() - began
        return left


def offsets(books: Books, exchange: str, ends: Ends) -> None:
    """Bronze against Kafka: every offset that existed, once."""
    table, topic = bronze(exchange), books.exchanges[exchange]
    with books.check("offsets", table) as check:
        shown: Counter[str] = Counter()
        totals: dict[str, int] = {}
        for kind, of, partition, first, last, total in books.ask("offsets", shown=SHOWN, bronze=books.relation(table), floor=books.floor):
            totals[kind] = total
            for finding in _within(kind, table, of, partition, first, last, ends.get((of, partition), (0, 0))[0]):
                shown[kind] += finding.rows
                check.add(finding)
        for kind, total in totals.items():
            check.count(total - shown[kind])
        extent = {(of, partition): (first, last) for of, partition, first, last in books.ask("ends", bronze=books.relation(table))}
        tails: dict[int, tuple[int, int]] = {}
        for (of, partition), (low, high) in sorted(ends.items()):
            if of == topic:
                first, last = extent.get((topic, partition), (low, low - 1))
                for finding in _before(books, table, topic, partition, low, first, last):
                    check.add(finding)
                if last + 1 < high:
                    tails[partition] = (max(last + 1, low), high)
                for finding in _beyond(table, topic, partition, high, last):
                    check.add(finding)
        _tails(books, check, topic, tails)


def _within(kind: str, table: str, topic: str, partition: int, first: int, last: int, low: int) -> Iterator[Finding]:
    """A run of offsets that bronze lacks or has twice; what Kafka still has of it, and what it has no more."""
    if kind == "doubled":
        evidence, repair = "more than one row has this offset", f"look at check commits; {REBUILT.format(layer='bronze')}"
        yield Finding(kind, table, run_of(topic, partition, first, last), last - first + 1, evidence, repair)
        return
    for a, b, repair in ((first, min(last, low - 1), LOST), (max(first, low), last, f"Kafka still has them: {REPAIRS}")):
        if a <= b:
            evidence = f"offsets before and after are there; Kafka begins at {low}"
            yield Finding(kind, table, run_of(topic, partition, a, b), b - a + 1, evidence, repair)


def _before(books: Books, table: str, topic: str, partition: int, low: int, first: int, last: int) -> Iterator[Finding]:
    """What lies before bronze's first offset, and what Kafka has removed after its last."""
    evidence = f"bronze has {first} to {last}, and Kafka begins at {low}"
    if not books.since and last >= first > low:
        where, rows = run_of(topic, partition, low, first - 1), first - low
        yield Finding("absent", table, where, rows, evidence, f"Kafka still has them: {REPAIRS}")
    if not books.since and (unread := min(first, low)) > 0:
        where, repair = run_of(topic, partition, 0, unread - 1), "none; keep retention longer than bronze's longest stop"
        yield Finding("absent", table, where, unread, f"removed from Kafka before bronze began: {evidence}", repair, notice=True)
    if last >= first and last + 1 < low:
        yield Finding("absent", table, run_of(topic, partition, last + 1, low - 1), low - last - 1, evidence, LOST)


def _beyond(table: str, topic: str, partition: int, high: int, last: int) -> Iterator[Finding]:
    if last >= high:
        where, evidence = run_of(topic, partition, high, last), f"Kafka's next offset is {high}: it has never given these"
        repair = "was the topic deleted and made anew? Its offsets begin again, and nothing can tell the two apart: use a new topic"
        yield Finding("orphan", table, where, last - high + 1, evidence, repair)


def _tails(books: Books, check: Check, topic: str, tails: dict[int, tuple[int, int]]) -> None:
    """Wait for what Kafka has after bronze's last offsets: partition -> the first of them, and the one after the last."""

    def left() -> dict[int, int]:
        """Partition -> where what is still missing begins."""
        now = {partition: last + 1 for of, partition, _, last in books.ask("ends", bronze=check.table) if of == topic}
        return {partition: max(first, now.get(partition, 0)) for partition, (first, _) in tails.items()}

    def missing() -> int:
        return sum(max(0, tails[partition][1] - first) for partition, first in left().items())  # bronze may be far beyond by now

    if tails and books.arrive(missing) == 0:
        check.in_flight += sum(high - first for first, high in tails.values())
        return
    job = check.table.removesuffix("_trades").replace("_", "-")
    for partition, begins in left().items() if tails else ():
        first, high = tails[partition]
        check.in_flight += min(begins, high) - first
        if begins < high:
            evidence = f"bronze has come to {begins - 1}, and Kafka to {high - 1}; a topic with transactions has offsets without a message"
            where = run_of(topic, partition, begins, high - 1)
            check.add(Finding("absent", check.table, where, high - begins, evidence, BEHIND.format(job=job)))


def coordinates(books: Books, exchange: str) -> None:
    """Silver and the dead-letter table against bronze: every row once, in one of the two."""
    source, table = bronze(exchange), silver(exchange)
    now = {"silver": table, "dlq": DLQ, "bronze_name": source}
    pinned = now | {"silver": books.relation(table), "dlq": books.relation(DLQ)}
    with books.check("coordinates", table) as check:
        check.rows = books.pins.rows(source) + books.pins.rows(table)
        books.ask("coordinates", bronze=books.relation(source), floor=books.floor, replays=books.relation(REPLAYS), **pinned)
        check.in_flight = _arrived(books, "wrong_coordinates", lambda: books.ask("coordinates_arrived", **now))
        shown: Counter[str] = Counter()
        totals: dict[str, int] = {}
        for kind, topic, partition, first, last, in_bronze, in_silver, in_dlq, reached, total in books.ask(
            "coordinate_runs", shown=SHOWN, **now
        ):
            totals[kind] = total
            shown[kind] += last - first + 1
            evidence = f"rows in bronze {in_bronze}, in silver {in_silver}, in the dead-letter table {in_dlq}"
            repair = REBUILT.format(layer="silver")
            if kind == "absent" and first > reached:
                evidence += f"; silver has come to {reached}"
                repair = BEHIND.format(job=f"silver-{exchange}")
            check.add(Finding(kind, table, run_of(topic, partition, first, last), last - first + 1, evidence, repair))
        for kind, total in totals.items():
            check.count(total - shown[kind])


def _arrived(books: Books, found: str, strike: Callable[[], object]) -> int:
    """Wait for the absent rows of a table of findings, which `strike` takes those out of that have come; how many came."""

    def absent() -> int:
        ((rows,),) = books.ask("absent", found=found)
        return int(rows)

    def missing() -> int:
        if absent():
            strike()
        return absent()

    return absent() - books.arrive(missing)


def ids(books: Books) -> None:
    """Gold against silver: every trade once, as one of its rows in silver."""
    columns = ", ".join(f'"{name}"' for name in Trade._fields)
    every = "UNION ALL\n".join(
        sql.text("audit/silver_ids", columns=columns, silver=books.relation(silver(exchange)), since=books.moment)
        for exchange in books.exchanges
    )
    with books.check("ids", GOLD) as check:
        check.rows = books.pins.rows(GOLD) + sum(books.pins.rows(silver(exchange)) for exchange in books.exchanges)
        books.ask("ids", columns=columns, gold=books.relation(GOLD), silver=every, since=books.moment)
        check.in_flight = _arrived(books, "wrong_ids", lambda: books.ask("ids_arrived", gold=GOLD))
        shown: Counter[str] = Counter()
        totals: dict[str, int] = {}
        for kind, message_id, in_gold, in_silver, total in books.ask("wrong_ids", shown=SHOWN):
            totals[kind] = total
            shown[kind] += 1
            check.add(Finding(kind, GOLD, str(message_id), 1, *_id(kind, in_gold, in_silver)))
        for kind, total in totals.items():
            check.count(total - shown[kind])


def _id(kind: str, in_gold: int, in_silver: int) -> tuple[str, str]:
    anew = REBUILT.format(layer="gold")
    evidence = f"rows in gold {in_gold}, in silver {in_silver}"
    if kind == "doubled":
        return evidence, f"a repeat later than the TTL, or a commit that landed twice (check commits): {anew}"
    if kind == "absent":
        return evidence, f"{BEHIND.format(job='gold')}; if gold is not behind: {anew}"
    return (evidence if kind == "orphan" else f"{evidence}, none of them with gold's values"), anew


def places(books: Books, layer: str, table: str) -> None:
    """Every row in the partition of its trade's time, by its columns."""
    with books.check("partitions", table) as check:
        rows = books.ask(f"misplaced_{layer}", table=books.relation(table), since=books.moment, shown=SHOWN)
        for message_id, at, place, _ in rows:
            evidence = f"traded at {at or 'no time that there is'} UTC, and stands in {place}"
            check.add(Finding("misplaced", table, str(message_id), 1, evidence, REBUILT.format(layer=layer)))
        check.count(rows[0][-1] - len(rows) if rows else 0)


def files(books: Books, layer: str, table: str) -> None:
    """A data file whose times reach out of the partition that the metadata gives it would be passed over by a query of its hour."""
    with books.check("files", table) as check:
        check.rows = 0
        for file in books.pins.files(table):
            check.rows += 1
            for bound in file.bounds:
                wanted = _partition_of(layer, bound)
                if wanted != {key: file.partition.get(key) for key in wanted}:
                    stands = ", ".join(f"{key}={value}" for key, value in file.partition.items())
                    evidence = f"holds a trade of {_time(bound) or 'no time that there is'} UTC, and stands in the partition {stands}"
                    check.add(Finding("misplaced", table, file.path, file.rows, evidence, REBUILT.format(layer=layer)))
                    break


def _time(microseconds: int) -> datetime | None:
    """None where it is out of the calendar."""
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


def _partition_of(layer: str, microseconds: int) -> dict[str, Any]:
    time = _time(microseconds)
    return {"exchange_date": time and time.date()} | ({"exchange_hour": time and time.hour} if layer == "gold" else {})


def commits(books: Books, table: str) -> None:
    """No two snapshots of one checkpoint of one writer: the second holds the first one's rows again."""
    with books.check("commits", table) as check:
        marked: dict[tuple[str, ...], list[Any]] = defaultdict(list)
        snapshots = books.pins.tables[table].metadata.snapshots
        check.rows = len(snapshots)
        for snapshot in snapshots:
            summary = snapshot.summary.additional_properties if snapshot.summary else {}
            if mark := tuple(summary[name] for name in MARKS if name in summary):
                marked[mark].append(snapshot)
        rebuilt = max((s.sequence_number or 0 for s in snapshots if s.summary and REBUILD in s.summary.additional_properties), default=0)
        for mark, twice in marked.items():
            if len(twice) > 1 and len(mark) == len(MARKS):
                rows = sum(int((s.summary or {}).get("added-records") or 0) for s in twice[1:])
                evidence = "; ".join(f"{name}={value}" for name, value in zip(MARKS, mark, strict=True))
                key = ", ".join(str(snapshot.snapshot_id) for snapshot in twice)
                # The snapshots stay, whatever became of their rows, which the other checks look at.
                mended = all((snapshot.sequence_number or 0) < rebuilt for snapshot in twice)
                repair = "none: the table was rebuilt since" if mended else f"Iceberg #14425; {REBUILT.format(layer=layer_of(table))}"
                check.add(Finding("doubled", table, key, rows, evidence, repair, notice=mended))


def layer_of(table: str) -> str:
    return table.partition("_")[0]


def gaps(books: Books, exchange: str) -> None:
    """Trades that the exchange numbered and nobody sent."""
    with books.check("source gaps", GOLD) as check:
        rows = books.ask("gaps", gold=books.relation(GOLD), exchange=exchange.upper(), since=books.moment, shown=SHOWN)
        for symbol, first, last, _ in rows:
            evidence = f"{exchange}'s ids of a symbol are dense, and these never came"
            check.add(
                Finding(
                    "gap",
                    GOLD,
                    f"{symbol} {first}-{last}",
                    last - first + 1,
                    evidence,
                    FILLED.format(exchange=exchange, symbol=symbol),
                    True,
                )
            )
        check.count((rows[0][-1] if rows else 0) - check.noticed, notice=True)
