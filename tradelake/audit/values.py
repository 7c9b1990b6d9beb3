"""What silver and the dead-letter table say of a message, against what the pure core makes of its bytes now."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import conf
import sql
from conf.settings import Settings, microseconds
from tradelake.audit.checks import ANEW, Books
from tradelake.audit.findings import SHOWN, Finding, run_of
from tradelake.audit.pins import DLQ, REPLAYS, bronze, silver
from tradelake.console import Failure
from tradelake.results import batches
from tradelake.results import shown as as_text
from udfs import exchange as exchanges
from udfs.judge import Judge
from udfs.rejected import Rejected
from udfs.rules import Limits
from udfs.schemas import Registry, SchemaCache
from udfs.trade import Trade

SEED = 1
OFFSETS_AT_ONCE = 200_000
CHOSEN = "sampled"
CHANGED = "were the rules or their settings changed since? If not: "


@dataclass(frozen=True)
class Seen:
    """One bronze row, and what became of it; `trade` and `rejection` are None where there is no such row."""

    coordinate: str
    offset: int
    raw: bytes | None
    times: tuple[Any, Any]
    trade: tuple[Any, ...] | None
    silver: tuple[Any, Any, Any]
    rejection: tuple[Any, ...] | None

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> "Seen":
        topic, partition, offset, raw, kafka_timestamp, ingestion_timestamp, in_silver = row[:7]
        after = 7 + len(Trade._fields)
        trade = tuple(tuple(value) if isinstance(value, list) else value for value in row[7:after])
        in_dlq, *rejection = row[after + 3 :]
        return cls(
            run_of(topic, partition, offset, offset),
            offset,
            raw,
            (kafka_timestamp, ingestion_timestamp),
            trade if in_silver else None,
            (row[after], row[after + 1], row[after + 2]),
            tuple(rejection) if in_dlq else None,
        )


def judge_of(settings: Settings, exchange: str) -> Judge:
    """The judge of an exchange's messages, with the settings of now."""
    pipeline = settings.pipeline
    limits = Limits(microseconds(pipeline.limits.future_tolerance), microseconds(pipeline.limits.max_age))
    quote_assets = pipeline.exchange(exchange).quote_assets
    return Judge(exchanges.exchange(exchange, conf.schema(exchange), limits, quote_assets), schemas_of(settings))


def schemas_of(settings: Settings) -> SchemaCache:
    """The registry's schemas; where it does not answer, a `Failure`, not a wait."""
    registry = settings.environment.registry

    def give_up(_seconds: float) -> None:
        raise Failure(f"the schema registry at {registry.url} does not answer; `tradelake status` shows whether it runs")

    return SchemaCache(Registry(registry.url, dict(registry.options)), sleep=give_up)


def values(books: Books, exchange: str, judge: Judge, sample: int | None) -> None:
    """Silver and dead-letter rows of an exchange, re-derived from the bytes in bronze: a sample of so many rows, or all."""
    source, table = bronze(exchange), silver(exchange)
    with books.check("values", table) as check:
        check.rows = 0
        shown = 0
        for row in _rows(books, source, table, sample):
            check.rows += 1
            seen = Seen.of(row)
            for where, evidence in differences(seen, judge):
                shown += 1
                late = seen.rejection is not None and seen.rejection[2] == "unknown_schema_id"
                repair = "its schema is registered by now" if late else CHANGED + ANEW.format(table=where or table, source=source)
                found = Finding("altered", where or table, seen.coordinate, 1, evidence, repair, notice=late)
                check.add(1, *([found] if shown <= SHOWN else []))


def _rows(books: Books, source: str, table: str, sample: int | None) -> Iterator[tuple[Any, ...]]:
    relations = {"bronze": books.relation(source), "silver": books.relation(table), "dlq": books.relation(DLQ), "bronze_name": source}
    relations |= {"replays": books.relation(REPLAYS)}
    columns = ", ".join(f's."{name}"' for name in Trade._fields)
    if sample is not None:
        books.ask("sample", bronze=relations["bronze"], floor=books.floor, rows=sample, seed=SEED)
        yield from _judged(books, CHOSEN, columns, relations)
        return
    for topic, partition, first, last, _ in books.ask("extent", bronze=relations["bronze"], floor=books.floor):
        for start in range(first, last + 1, OFFSETS_AT_ONCE):
            where = {
                "topic": topic.replace("'", "''"),
                "partition": partition,
                "first": start,
                "last": min(start + OFFSETS_AT_ONCE - 1, last),
            }
            books.ask("chosen", bronze=relations["bronze"], **where)
            yield from _judged(books, CHOSEN, columns, relations)


def _judged(books: Books, chosen: str, columns: str, relations: dict[str, str]) -> Iterator[tuple[Any, ...]]:
    cursor = books.connection.execute(sql.text("audit/values", chosen=chosen, columns=columns, **relations))
    for row in batches(cursor):
        yield tuple(row)


def differences(seen: Seen, judge: Judge) -> Iterator[tuple[str, str]]:
    """Where a row is not what its bytes say, and how: (the dead-letter table or nothing for silver, what differs)."""
    try:
        judged = judge.judge(seen.raw, seen.offset)
    except Rejected as why:
        if seen.trade is not None:
            yield "", f"is in silver, and its bytes are to be rejected: {why}"
        if seen.rejection is not None:
            said = {"raw_record": seen.raw, "error_type": why.error_type, "error_reason": why.error_reason}
            yield from _differing(DLQ, said | {"schema_id": why.schema_id}, dict(zip(REJECTION, seen.rejection, strict=True)))
        return
    if seen.rejection is not None:
        yield DLQ, f"is rejected as {seen.rejection[2]}, and its bytes are a good trade"
    if seen.trade is not None:
        there = dict(zip(SILVER, (*seen.trade, *seen.silver), strict=True))
        yield from _differing("", dict(zip(SILVER, (*judged.trade, judged.schema_id, *seen.times), strict=True)), there)


SILVER = (*Trade._fields, "schema_id", "kafka_timestamp", "bronze_ingestion_timestamp")
REJECTION = ("raw_record", "error_type", "error_reason", "error_detail", "schema_id")


def _differing(where: str, wanted: dict[str, Any], there: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if wrong := [f"{name} is {as_text(there[name])}, not {as_text(value)}" for name, value in wanted.items() if there[name] != value]:
        yield where, "; ".join(wrong)
