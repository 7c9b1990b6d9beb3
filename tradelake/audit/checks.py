"""The checks, each a question in SQL (`sql/audit/`) whose answers are what is wrong."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb

import sql
from tradelake.audit.findings import SHOWN, Check, Finding, run_of
from tradelake.audit.pins import DLQ, GOLD, REPLAYS, Ends, Pins, bronze, silver
from tradelake.latency import EVER, moment
from udfs.trade import Trade

DENSE_IDS = ("binance",)
"""Exchanges whose own numbers of trades have no natural holes."""
POLL_S = 2.0
OUT_OF_SCOPE = 2**63 - 1
MARKS = ("flink.job-id", "flink.operator-id", "flink.max-committed-checkpoint-id")
BEHIND = "wait and audit again; `tradelake jobs` shows whether {job} runs"
ANEW = "make {table} anew from {source} (docs/audit.md, Repairs)"


@dataclass
class Books:
    """What all checks need.

    Attributes:
        connection: to the lake, with the tables by their plain names; a pinned relation names its snapshot.
        since: rows sent before are left alone; None for all.
        patience_s: how long to wait for rows that are on their way.
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
            self.ask("floors", bronze=self.relation(bronze(exchange)), since=moment(self.since))

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
        end = self.clock() + self.patience_s
        while left and self.clock() < end:
            self.waiting(left)
            self.sleep(min(POLL_S, self.patience_s))
            left = missing()
        return left


def offsets(books: Books, exchange: str, ends: Ends) -> None:
    """Bronze against Kafka: every offset that existed, once."""
    table = bronze(exchange)
    relation: dict[str, str | int] = {"bronze": books.relation(table), "floor": books.floor}
    with books.check("offsets", table) as check:
        for kind, topic, partition, first, last, total in books.ask("offsets", shown=SHOWN, **relation):
            where = run_of(topic, partition, first, last)
            known = [finding.kind for finding in check.findings]
            low = ends.get((topic, partition), (0, 0))[0]
            check.add(0 if kind in known else total, _offsets_within(kind, table, where, first, last, low))
        extent = {(topic, partition): (first, last) for topic, partition, first, last in books.ask("ends", bronze=books.relation(table))}
        for (topic, partition), (low, high) in sorted(ends.items()):
            if topic == books.exchanges[exchange]:
                _ends(books, check, topic, partition, (low, high), extent.get((topic, partition), (low, low - 1)))
        for (topic, partition), (_, last) in sorted(extent.items()):
            end = ends[topic, partition][1] if (topic, partition) in ends else last + 1
            if last >= end:
                where, evidence = run_of(topic, partition, end, last), f"Kafka's next offset is {end}: it has never given these"
                repair = "was the topic deleted and made anew? Its offsets begin again, and nothing can tell the two apart: use a new topic"
                check.add(last - end + 1, Finding("orphan", table, where, last - end + 1, evidence, repair))


def _offsets_within(kind: str, table: str, where: str, first: int, last: int, low: int) -> Finding:
    rows = last - first + 1
    if kind == "doubled":
        evidence = "more than one row has this offset"
        return Finding(
            kind, table, where, rows, evidence, "look for two commits of one checkpoint (check commits), and roll the second back"
        )
    if last < low:
        return Finding(
            kind,
            table,
            where,
            rows,
            f"offsets before and after are there; Kafka begins at {low}",
            "Kafka no longer has them: they are lost",
        )
    repair = f"Kafka still has them: start bronze with --fresh-state into a new table, or from a state of before offset {first}"
    return Finding(kind, table, where, rows, "offsets before and after are there", repair)


def _ends(books: Books, check: Check, topic: str, partition: int, kafka: tuple[int, int], bronze_has: tuple[int, int]) -> None:
    """What lies before bronze's first offset, and after its last."""
    (low, high), (first, last) = kafka, bronze_has
    table, job = check.table, check.table.removesuffix("_trades").replace("_", "-")
    if not books.since and first > low and last >= first:
        where, rows = run_of(topic, partition, low, first - 1), first - low
        repair = f"Kafka still has them: start {job} with --fresh-state into a new table"
        check.add(rows, Finding("absent", table, where, rows, f"bronze begins at {first}, Kafka at {low}", repair))
    if not books.since and min(first, low) > 0:
        before = min(first, low)
        where, evidence = run_of(topic, partition, 0, before - 1), "neither bronze nor Kafka has them: removed before bronze read them"
        check.findings.append(
            Finding("absent", table, where, before, evidence, "none; keep retention longer than bronze's longest stop", notice=True)
        )
    if last + 1 < high:
        reached = max(last + 1, low)
        rows = books.arrive(lambda: max(0, high - max(_reached(books, table, topic, partition), reached)))  # it may be far beyond by now
        check.in_flight += high - reached - rows
        if rows:
            evidence = f"bronze has come to {high - rows - 1}, and Kafka to {high - 1}"
            check.add(
                rows, Finding("absent", table, run_of(topic, partition, high - rows, high - 1), rows, evidence, BEHIND.format(job=job))
            )


def _reached(books: Books, table: str, topic: str, partition: int) -> int:
    """The offset after bronze's last, as it is now."""
    return next((last + 1 for t, p, _, last in books.ask("ends", bronze=table) if (t, p) == (topic, partition)), 0)


def coordinates(books: Books, exchange: str) -> None:
    """Silver and the dead-letter table against bronze: every row once, in one of the two."""
    source, table = bronze(exchange), silver(exchange)
    now = {"silver": table, "dlq": DLQ, "bronze_name": source}
    pinned = now | {"silver": books.relation(table), "dlq": books.relation(DLQ)}
    with books.check("coordinates", table) as check:
        check.rows = books.pins.rows(source) + books.pins.rows(table)
        books.ask("coordinates", bronze=books.relation(source), floor=books.floor, replays=books.relation(REPLAYS), **pinned)

        def missing() -> int:
            if _count(books, "wrong_coordinates"):
                books.ask("coordinates_arrived", **now)
            return _count(books, "wrong_coordinates")

        check.in_flight = _before_and_after(books, "wrong_coordinates", missing)
        totals: dict[str, int] = {}
        for kind, topic, partition, first, last, in_bronze, in_silver, in_dlq, reached, total in books.ask(
            "coordinate_runs", shown=SHOWN, **now
        ):
            totals[kind] = total
            evidence = f"rows in bronze {in_bronze}, in silver {in_silver}, in the dead-letter table {in_dlq}"
            repair = ANEW.format(table=table, source=source)
            if kind == "absent" and first > reached:
                evidence += f"; silver has come to {reached}"
                repair = BEHIND.format(job=f"silver-{exchange}")
            elif kind == "orphan":
                repair = f"the row comes from nowhere in {source}: {repair}"
            check.findings.append(Finding(kind, table, run_of(topic, partition, first, last), last - first + 1, evidence, repair))
        check.wrong += sum(totals.values())


def _count(books: Books, found: str) -> int:
    """How many absent rows of a table of findings there are."""
    ((rows,),) = books.ask("absent", found=found)
    return int(rows)


def _before_and_after(books: Books, found: str, missing: Callable[[], int]) -> int:
    before = _count(books, found)
    books.arrive(missing)
    return before - _count(books, found)


def ids(books: Books) -> None:
    """Gold against silver: every trade once, as one of its rows in silver."""
    columns = ", ".join(f'"{name}"' for name in Trade._fields)
    since = moment(books.since)
    every = "UNION ALL\n".join(
        sql.text("audit/silver_ids", columns=columns, silver=books.relation(silver(exchange)), since=since) for exchange in books.exchanges
    )
    with books.check("ids", GOLD) as check:
        check.rows = books.pins.rows(GOLD) + sum(books.pins.rows(silver(exchange)) for exchange in books.exchanges)
        books.ask("ids", columns=columns, gold=books.relation(GOLD), silver=every, since=since)

        def missing() -> int:
            if _count(books, "wrong_ids"):
                books.ask("ids_arrived", gold=GOLD)
            return _count(books, "wrong_ids")

        check.in_flight = _before_and_after(books, "wrong_ids", missing)
        totals: dict[str, int] = {}
        for kind, message_id, in_gold, in_silver, total in books.ask("wrong_ids", shown=SHOWN):
            totals[kind] = total
            check.findings.append(Finding(kind, GOLD, str(message_id), 1, *_id(kind, in_gold, in_silver)))
        check.wrong += sum(totals.values())


def _id(kind: str, in_gold: int, in_silver: int) -> tuple[str, str]:
    anew = ANEW.format(table=GOLD, source="silver")
    evidence = f"rows in gold {in_gold}, in silver {in_silver}"
    if kind == "doubled":
        return evidence, f"a repeat later than the TTL, or a commit that landed twice (check commits): {anew}"
    if kind == "absent":
        return evidence, f"{BEHIND.format(job='gold')}; if gold is not behind: {anew}"
    return (evidence if kind == "orphan" else f"{evidence}, none of them with gold's values"), anew


def places(books: Books, layer: str, table: str) -> None:
    """Every row in the partition of its trade's time: by its columns, and by the files' partitions."""
    with books.check("partitions", table) as check:
        rows = books.ask(f"misplaced_{layer}", table=books.relation(table), since=moment(books.since), shown=SHOWN)
        for message_id, at, place, _ in rows:
            evidence = f"traded at {at} UTC, and stands in {place}"
            check.findings.append(
                Finding("misplaced", table, str(message_id), 1, evidence, ANEW.format(table=table, source="the layer before"))
            )
        check.wrong = rows[0][-1] if rows else 0


def files(books: Books, layer: str, table: str) -> None:
    """A data file whose times reach out of the partition that the metadata gives it would be passed over by a query of its hour."""
    with books.check("files", table) as check:
        data_files = books.pins.tables[table].inspect.data_files().to_pylist() if books.pins.rows(table) else []
        check.rows = len(data_files)
        for file in data_files:
            bounds, partition, rows = file["readable_metrics"]["timestamp"], file["partition"], file["record_count"]
            for bound in filter(None, (bounds["lower_bound"], bounds["upper_bound"])):
                wanted = _partition_of(layer, bound)
                if wanted != {key: partition.get(key) for key in wanted}:
                    stands = ", ".join(f"{key}={value}" for key, value in partition.items())
                    evidence = f"holds a trade of {moment_of(bound):%Y-%m-%d %H:%M:%S.%f} UTC, and stands in the partition {stands}"
                    check.add(
                        rows,
                        Finding("misplaced", table, file["file_path"], rows, evidence, ANEW.format(table=table, source="the layer before")),
                    )
                    break


def moment_of(microseconds: int) -> datetime:
    return EVER + timedelta(microseconds=microseconds)


def _partition_of(layer: str, microseconds: int) -> dict[str, Any]:
    time = moment_of(microseconds)
    return {"exchange_date": time.date()} | ({"exchange_hour": time.hour} if layer == "gold" else {})


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
        for mark, twice in marked.items():
            if len(twice) > 1 and len(mark) == len(MARKS):
                rows = sum(int((s.summary or {}).get("added-records") or 0) for s in twice[1:])
                evidence = "; ".join(f"{name}={value}" for name, value in zip(MARKS, mark, strict=True))
                key = ", ".join(str(s.snapshot_id) for s in twice)
                repair = "roll back the later one (Iceberg #14425; docs/audit.md, Repairs)"
                check.add(rows, Finding("doubled", table, key, rows, evidence, repair))


def gaps(books: Books, exchange: str) -> None:
    """Trades that the exchange numbered and nobody sent."""
    with books.check("source gaps", GOLD) as check:
        for symbol, first, last, total in books.ask(
            "gaps", gold=books.relation(GOLD), exchange=exchange.upper(), since=moment(books.since), shown=SHOWN
        ):
            check.wrong = total
            evidence = f"{exchange}'s ids of a symbol are dense, and these never came"
            check.findings.append(
                Finding("gap", GOLD, f"{symbol} {first}-{last}", last - first + 1, evidence, "ask the exchange for them again", True)
            )
