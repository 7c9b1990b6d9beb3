"""What silver and the dead-letter table say of a message, against what the pure core makes of its bytes now."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import conf
import sql
from conf.settings import Settings, microseconds
from tradelake.audit.checks import REBUILT, Books
from tradelake.audit.findings import Finding, run_of
from tradelake.audit.pins import DLQ, REPLAYS, bronze, silver
from tradelake.console import Failure
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
VALUE_SHOWN = 100
"""Characters of a value in a finding."""
AT_ONCE = 500
"""Rows held at a time: a message may be a megabyte."""
CHANGED = f"were the rules or their settings changed since? {REBUILT.format(layer='silver')}"
REGISTERED = "its schema was registered after it had been rejected: `tradelake dlq replay --reason unknown_schema_id`"


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
        for row in _rows(books, source, table, sample):
            check.rows += 1
            seen = Seen.of(row)
            for where, evidence, late in differences(seen, judge):
                check.add(Finding("altered", where or table, seen.coordinate, 1, evidence, REGISTERED if late else CHANGED, notice=late))


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
    while rows := cursor.fetchmany(AT_ONCE):
        yield from rows


def differences(seen: Seen, judge: Judge) -> Iterator[tuple[str, str, bool]]:
    """Where a row is not what its bytes say (the dead-letter table, or nothing for silver), how, and whether only its schema came late."""
    try:
        judged = judge.judge(seen.raw, seen.offset)
    except Rejected as why:
        if seen.trade is not None:
            yield "", f"is in silver, and its bytes are to be rejected: {why}", False
        if seen.rejection is not None:
            said = {"raw_record": seen.raw, "error_type": why.error_type, "error_reason": why.error_reason, "schema_id": why.schema_id}
            there = dict(zip(REJECTION, seen.rejection, strict=True))
            late = _unknown(seen) and why.error_reason != UNKNOWN and there["raw_record"] == seen.raw
            yield from ((DLQ, what, late) for what in _differing(said, there))
        return
    if seen.rejection is not None:
        evidence = f"is rejected as {seen.rejection[2]}, and its bytes are a good trade"
        yield DLQ, evidence, _unknown(seen) and seen.rejection[0] == seen.raw and seen.trade is None
    if seen.trade is not None:
        there = dict(zip(SILVER, (*seen.trade, *seen.silver), strict=True))
        wanted = dict(zip(SILVER, (*judged.trade, judged.schema_id, *seen.times), strict=True))
        yield from (("", what, False) for what in _differing(wanted, there))


SILVER = (*Trade._fields, "schema_id", "kafka_timestamp", "bronze_ingestion_timestamp")
REJECTION = ("raw_record", "error_type", "error_reason", "error_detail", "schema_id")
UNKNOWN = "unknown_schema_id"


def _unknown(seen: Seen) -> bool:
    """Whether it was rejected because nobody knew its schema."""
    return seen.rejection is not None and seen.rejection[2] == UNKNOWN


def _differing(wanted: dict[str, Any], there: dict[str, Any]) -> Iterator[str]:
    """What differs, in one line; nothing where all is equal."""
    if wrong := [f"{name} is {_short(there[name])}, not {_short(value)}" for name, value in wanted.items() if there[name] != value]:
        yield "; ".join(wrong)


def _short(value: Any) -> str:
    text = as_text(value)
    return text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}..."
