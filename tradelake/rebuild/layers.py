"""Each layer beside what the layer before makes it: bronze and silver by stretches of offsets, gold by days."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pyarrow as pa

import sql
from conf.settings import Settings
from tradelake.audit.pins import DLQ, GOLD, REPLAYS, bronze, silver
from tradelake.audit.values import AT_ONCE
from tradelake.latency import commits
from tradelake.rebuild.comparison import ABSENT, COLUMNS, Comparison
from udfs.judge import Judge
from udfs.rejected import Rejected

OFFSETS_AT_ONCE = 50_000
DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVERY = "true"

TRADES = pa.schema(
    [
        ("offset", pa.int64()),
        *((name, pa.string()) for name in ("message_id", "trade_id", "symbol", "exchange", "asset_class")),
        ("timestamp", pa.int64()),
        ("price", pa.decimal128(18, 8)),
        ("quantity", pa.decimal128(18, 8)),
        ("currency", pa.string()),
        ("side", pa.string()),
        ("trade_conditions", pa.list_(pa.string())),
        *((name, pa.int64()) for name in ("source_sequence", "ingestion_timestamp", "platform_sequence")),
        ("vendor_data", pa.string()),
        ("schema_id", pa.int32()),
        ("kafka_timestamp", pa.timestamp("us")),
        ("bronze_ingestion_timestamp", pa.timestamp("us")),
    ]
)
REJECTIONS = pa.schema(
    [
        ("offset", pa.int64()),
        ("error_type", pa.string()),
        ("error_reason", pa.string()),
        ("error_detail", pa.string()),
        ("schema_id", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Days:
    """Days of which the rows are compared, both included; None is open. For gold days of trade, otherwise days on which Kafka got them."""

    first: date | None = None
    last: date | None = None

    def __contains__(self, day: date | None) -> bool:
        if day is None:  # a row without a day is nobody's, unless all are looked at
            return self.first is None and self.last is None
        return (self.first or date.min) <= day <= (self.last or date.max)

    @property
    def sent(self) -> str:
        """Which messages, in the words of SQL."""
        after = [f"kafka_timestamp >= TIMESTAMP '{self.first}'"] if self.first else []
        before = [f"kafka_timestamp < TIMESTAMP '{self.last + DAY}'"] if self.last else []
        return " AND ".join(after + before) or EVERY


@dataclass(frozen=True)
class Stretch:
    """Offsets of one partition."""

    topic: str
    partition: int
    first: int
    last: int

    @property
    def parameters(self) -> dict[str, str | int]:
        return {"topic": self.topic.replace("'", "''"), "partition": self.partition, "first": self.first, "last": self.last}

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}, offsets {self.first:,} to {self.last:,}"


def compare_bronze(comparison: Comparison, exchange: str, days: Days, progress: Callable[[str], None]) -> None:
    """Offsets that bronze has more than once; what it lacks, only Kafka has."""
    name, pins = bronze(exchange), comparison.pins
    for stretch in stretches(comparison, exchange, days):
        progress(f"{name}: {stretch}")
        comparison.ask("bronze", name=name, bronze=pins.with_places(name), **stretch.parameters)
        comparison.stored()
    comparison.verdicts[name]  # of an empty table too


def compare_silver(comparison: Comparison, exchange: str, judge: Judge, days: Days, progress: Callable[[str], None]) -> None:
    """Every message of bronze judged anew: its row in silver, or in the dead-letter table."""
    pins, names = comparison.pins, {"silver_name": silver(exchange), "dlq_name": DLQ, "bronze_name": bronze(exchange)}
    relations = {"silver": pins.with_places(silver(exchange)), "dlq": pins.with_places(DLQ), "replays": pins.relation(REPLAYS)}
    for stretch in stretches(comparison, exchange, days):
        progress(f"{silver(exchange)}: {stretch}")
        where = stretch.parameters | names
        messages = sql.text("rebuild/messages", bronze=pins.relation(bronze(exchange)), **stretch.parameters)
        derive(comparison, judge, messages)
        comparison.ask("silver", columns=COLUMNS, messages=messages, **relations, **where)
        comparison.stored()
        comparison.ask("silver_lacking", **names)
        waiting = comparison.arrive(
            partial(comparison.ask, "silver_arrived", **where),
            partial(comparison.ask, "silver_on_their_way", **relations, **where),
            "silver_left_alone",
        )
        comparison.verdicts[silver(exchange)].waiting += waiting
        example = f"'{stretch.topic}:{stretch.partition}:' || \"offset\""
        for target, absent, key in comparison.ask("counted", target="target", key=example):
            _count_absent(comparison, target, absent, key)
        added = where | {"now": comparison.now}
        comparison.add(silver(exchange), sql.text("rebuild/silver_added", columns=COLUMNS, **added))
        comparison.add(DLQ, sql.text("rebuild/dlq_added", messages=messages, **added))
    for name in (silver(exchange), DLQ):
        comparison.verdicts[name]


def derive(comparison: Comparison, judge: Judge, messages: str) -> None:
    """Judge messages into the temporary tables `trades` and `rejections`."""
    trades: list[dict[str, Any]] = []
    rejections: list[dict[str, Any]] = []
    cursor = comparison.connection.execute(messages)
    while rows := cursor.fetchmany(AT_ONCE):
        for _, _, offset, raw, kafka_timestamp, ingestion_timestamp in rows:
            try:
                trade, schema_id = judge.judge(raw, offset)
            except Rejected as why:
                said = {"error_type": why.error_type, "error_reason": why.error_reason, "error_detail": why.error_detail}
                rejections.append({"offset": offset, **said, "schema_id": why.schema_id})
                continue
            times = {"kafka_timestamp": kafka_timestamp, "bronze_ingestion_timestamp": ingestion_timestamp}
            trades.append({"offset": offset, **trade._asdict(), "schema_id": schema_id, **times})
    for name, found, schema in (("trades", trades, TRADES), ("rejections", rejections, REJECTIONS)):
        comparison.connection.register("piece", pa.Table.from_pylist(found, schema=schema))
        comparison.ask("derived", name=name)
        comparison.connection.unregister("piece")


def compare_gold(comparison: Comparison, settings: Settings, exchanges: list[str], days: Days, progress: Callable[[str], None]) -> None:
    """Every trade of silver: its one row in gold."""
    pins, of_all = comparison.pins, len(exchanges) == len(settings.pipeline.exchanges)
    gold = pins.with_places(GOLD)
    rows_of_silver = "(" + "\nUNION ALL\n".join(f"FROM {pins.relation(silver(exchange))}" for exchange in exchanges) + ")"
    exchange = EVERY if of_all else "exchange IN (" + ", ".join(f"'{name.upper()}'" for name in exchanges) + ")"

    def in_files(table: Callable[[str], str]) -> str:
        return "\nUNION ALL\n".join(sql.text("rebuild/silver_in_files", silver=table(silver(exchange))) for exchange in exchanges)

    for (day,) in comparison.ask("days", gold=gold, silver=rows_of_silver):
        assert day is None or isinstance(day, date)
        if day not in days:
            continue
        progress(f"{GOLD}: {day or 'rows without a day'}")
        traded, which = _traded(day), f"DATE '{day}'" if day else "NULL"
        comparison.ask("gold", columns=COLUMNS, gold=gold, silver=rows_of_silver, day=which, traded=traded, exchange=exchange)
        comparison.stored()
        comparison.ask("gold_lacking", traded=traded, silver_in_files=in_files(pins.with_places))
        comparison.verdicts[GOLD].waiting += comparison.arrive(
            partial(comparison.ask, "gold_arrived", day=which),
            partial(_on_their_way, comparison, settings, gold, in_files(pins.with_places)),
            "gold_left_alone",
        )
        for target, absent, key in comparison.ask("counted", target=f"'{GOLD}'", key="message_id"):
            _count_absent(comparison, target, absent, key)
        comparison.add(GOLD, sql.text("rebuild/gold_added", columns=COLUMNS, silver=rows_of_silver, traded=traded, now=comparison.now))
    comparison.verdicts[GOLD]


def _on_their_way(comparison: Comparison, settings: Settings, gold: str, silver_in_files: str) -> None:
    comparison.connection.register("commits", commits(settings))
    comparison.ask("gold_on_their_way", gold=gold, silver_in_files=silver_in_files)


def _traded(day: date | None) -> str:
    """Trades of a day, in the words of SQL; one without a time that there is cannot be in silver."""
    if day is None:
        return "false"
    first = datetime(day.year, day.month, day.day, tzinfo=UTC) - EPOCH
    microseconds = first // timedelta(microseconds=1)
    return f'"timestamp" >= {microseconds} AND "timestamp" < {microseconds + DAY // timedelta(microseconds=1)}'


def _count_absent(comparison: Comparison, target: object, rows: object, example: object) -> None:
    if rows:
        comparison.verdicts[str(target)].count(ABSENT, int(str(rows)), str(example))


def stretches(comparison: Comparison, exchange: str, days: Days) -> Iterator[Stretch]:
    """Offsets of which bronze has a row, or something was made, a bounded number at a time."""
    pins = comparison.pins
    extent = comparison.ask(
        "extent",
        name=bronze(exchange),
        bronze=pins.relation(bronze(exchange)),
        silver=pins.relation(silver(exchange)),
        dlq=pins.relation(DLQ),
        sent=days.sent,
        every_day=days.sent if days.sent == EVERY else "false",
    )
    for topic, partition, first, last in extent:
        for start in range(int(str(first)), int(str(last)) + 1, OFFSETS_AT_ONCE):
            yield Stretch(str(topic), int(str(partition)), start, min(start + OFFSETS_AT_ONCE - 1, int(str(last))))
