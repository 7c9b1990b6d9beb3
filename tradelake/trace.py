"""`tradelake trace`: the whole life of one trade, or of one message, on one screen."""

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import click
import duckdb

import sql
from conf.settings import Settings
from tradelake.audit.pins import DLQ, GOLD, bronze, silver
from tradelake.audit.values import judge_of
from tradelake.console import Failure, output
from tradelake.home import Home
from tradelake.lake import catalog, catalog_failures, connect, lake_failures
from tradelake.query import message as reason_of
from tradelake.query import spill_folder
from tradelake.results import plain
from udfs.rejected import Rejected
from udfs.trade import Trade

BYTES_SHOWN = 64
EPOCH = datetime(1970, 1, 1)

Row = dict[str, Any]


@dataclass(frozen=True)
class Coordinate:
    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass
class Message:
    """One Kafka message, and the rows that each layer made of it.

    A row's `snapshot` is the one that brought it, `committed` when; None where that is not known any more.
    """

    at: Coordinate
    bronze: list[Row]
    silver: list[Row]
    dlq: list[Row]
    gold: list[Row] = field(default_factory=list)
    verdict: str = ""
    schema_id: int | None = None
    record: Row | None = None

    def rows(self) -> Iterator[tuple[str, Row]]:
        for layer in ("bronze", "silver", "dlq", "gold"):
            for row in getattr(self, layer):
                yield layer, row


class Traced(click.ParamType[Coordinate | uuid.UUID]):
    """A message_id, or topic:partition:offset."""

    name = "what"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Coordinate | uuid.UUID:
        if match := re.fullmatch(r"([A-Za-z0-9._-]+):([0-9]{1,9}):([0-9]{1,18})", value):
            return Coordinate(match[1], int(match[2]), int(match[3]))
        try:
            return uuid.UUID(value)
        except ValueError:
            self.fail(f"{value!r} is neither a message_id (0191346a-1dae-8000-8432-f9987a13c001) nor TOPIC:PARTITION:OFFSET", param, ctx)


@click.command()
@click.argument("what", type=Traced(), metavar="MESSAGE_ID|TOPIC:PARTITION:OFFSET")
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
@click.pass_obj
def trace(home: Home, what: Coordinate | uuid.UUID, as_json: bool) -> None:
    """Show the whole life of one trade: its bytes, the verdict on them, its row in every layer, its repeats, and how long each hop took.

    \b
    tradelake trace 0191346a-1dae-8000-8432-f9987a13c001
    tradelake trace binance-trades:3:17

    A message that was rejected is shown with the rule that it broke, then and now. A snapshot is the one that brought the row; it is not
    known any more once it has expired.
    """
    settings = home.settings()
    with connect(settings, spill_folder(home)) as connection, lake_failures(settings.environment):
        try:
            messages = follow(connection, settings, what)
        except duckdb.Error as error:
            raise Failure(reason_of(error)) from error
    note_snapshots(settings, messages)
    if as_json:
        click.echo(json.dumps({"messages": [_json(one) for one in messages]}))
        return
    for number, one in enumerate(messages):
        show(one, number, len(messages))


def follow(connection: duckdb.DuckDBPyConnection, settings: Settings, what: Coordinate | uuid.UUID) -> list[Message]:
    """The message, or every message of the trade, the first one first.

    Raises:
        Failure: nothing of it is in the lake.
    """
    exchanges = settings.pipeline.exchanges
    found: dict[Coordinate, Message] = {}
    ids = {str(what)} if isinstance(what, uuid.UUID) else set()
    if isinstance(what, Coordinate):
        exchange = next((name for name, exchange in exchanges.items() if exchange.topic == what.topic), None)
        if exchange is None:
            raise Failure(f"no exchange has a topic {what.topic}; there are {', '.join(exchange.topic for exchange in exchanges.values())}")
        found[what] = _message(connection, settings, exchange, what)
        ids = {row["message_id"] for row in found[what].silver}
    for message_id in sorted(ids):
        of_trade: dict[Coordinate, Message] = {}
        for exchange in exchanges:
            for at in _ask(connection, "messages", table=silver(exchange), message_id=message_id, date=date_of(message_id)):
                of_trade[Coordinate(*at)] = _message(connection, settings, exchange, Coordinate(*at))
        for row in _rows(connection, "gold", table=GOLD, message_id=message_id, date=date_of(message_id)):
            _owner(of_trade, row).gold.append(row)
        found = {**of_trade, **{at: one for at, one in found.items() if at not in of_trade}}
    if not any(list(one.rows()) for one in found.values()):
        raise Failure(f"the lake has no {what}; is it still on its way? `tradelake jobs` shows the jobs")
    return list(found.values())


def date_of(message_id: str) -> str:
    """The day of a trade, from its id: silver's and gold's partition."""
    milliseconds = uuid.UUID(message_id).int >> 80
    try:
        return (EPOCH + timedelta(milliseconds=milliseconds)).date().isoformat()
    except OverflowError:
        raise Failure(f"{message_id} is no id of a trade: its first 48 bits are no time") from None


def _owner(messages: dict[Coordinate, Message], gold: Row) -> Message:
    """The message that gold's row is a copy of; the first one where it is altered."""
    if not messages:
        nowhere = Coordinate("?", -1, gold["platform_sequence"])
        messages[nowhere] = Message(nowhere, [], [], [])
    same = (one for one in messages.values() for row in one.silver if all(row[name] == gold[name] for name in Trade._fields))
    return next(same, next(iter(messages.values())))


def _message(connection: duckdb.DuckDBPyConnection, settings: Settings, exchange: str, at: Coordinate) -> Message:
    where: dict[str, str | int] = {"topic": at.topic, "partition": at.partition, "offset": at.offset}
    one = Message(
        at,
        _rows(connection, "bronze", table=bronze(exchange), **where),
        _rows(connection, "silver", table=silver(exchange), **where),
        _rows(connection, "dlq", table=DLQ, bronze=bronze(exchange), **where),
    )
    if one.bronze:
        judge, raw = judge_of(settings, exchange), one.bronze[0]["raw_bytes"]
        try:
            one.schema_id, one.record = judge.decode(raw)
            judge.judge(raw, at.offset)
            one.verdict = "valid"
        except Rejected as why:
            one.schema_id = why.schema_id
            one.verdict = f"rejected: {why.error_type}/{why}"
        except Failure as unreachable:
            one.verdict = f"unknown: {unreachable}"
    return one


def _ask(connection: duckdb.DuckDBPyConnection, name: str, **parameters: str | int) -> list[tuple[Any, ...]]:
    return connection.execute(sql.text(f"trace/{name}", **parameters)).fetchall()


def _rows(connection: duckdb.DuckDBPyConnection, name: str, **parameters: str | int) -> list[Row]:
    cursor = connection.execute(sql.text(f"trace/{name}", **parameters))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def note_snapshots(settings: Settings, messages: Iterable[Message]) -> None:
    """Give every row the snapshot that brought it, and when that was committed."""
    lake, database = catalog(settings), settings.pipeline.database
    tables: dict[str, list[Row]] = {}
    for one in messages:
        exchange = next((name for name, exchange in settings.pipeline.exchanges.items() if exchange.topic == one.at.topic), "")
        names = {"bronze": bronze(exchange), "silver": silver(exchange), "dlq": DLQ, "gold": GOLD}
        for layer, row in one.rows():
            tables.setdefault(names[layer], []).append(row)
    for name, rows in tables.items():
        with catalog_failures(settings.environment):
            table = lake.load_table((database, name))
        brought = snapshots_of(table, {row["filename"] for row in rows})
        for row in rows:
            row["snapshot"], row["committed"] = brought.get(row["filename"], (None, None))


def snapshots_of(table: Any, files: set[str]) -> Mapping[str, tuple[int, datetime | None]]:
    """Data file -> the snapshot that added it, and when that was committed, None once it has expired. Newest manifests first."""
    newest = table.current_snapshot()
    times = {snapshot.snapshot_id: datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC) for snapshot in table.snapshots()}
    found: dict[str, tuple[int, datetime | None]] = {}
    manifests = newest.manifests(table.io) if newest else []
    for manifest in sorted(manifests, key=lambda manifest: -manifest.sequence_number):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            if entry.data_file.file_path in files:
                found[entry.data_file.file_path] = (entry.snapshot_id, times.get(entry.snapshot_id))
        if len(found) == len(files):
            break
    return found


def hops(one: Message) -> dict[str, float | None]:
    """Seconds of each hop, from Kafka's time to the commit that made the row visible, and from commit to commit."""
    sent = one.bronze[0]["kafka_timestamp"].replace(tzinfo=UTC) if one.bronze else None
    moments: list[tuple[str, datetime | None]] = [("kafka", sent)]
    layers = (("bronze", one.bronze), ("silver", one.silver or one.dlq), ("gold", one.gold))
    moments += [(layer, rows[0].get("committed")) for layer, rows in layers if rows]
    pairs = list(pairwise(moments))
    took = {f"{a}_to_{b}": (after - before).total_seconds() if before and after else None for (a, before), (b, after) in pairs}
    last = moments[-1][1]
    return took | ({"end_to_end": (last - sent).total_seconds() if last and sent else None} if one.gold else {})


def _json(one: Message) -> Row:
    return {
        "topic": one.at.topic,
        "partition": one.at.partition,
        "offset": one.at.offset,
        "verdict": one.verdict,
        "schema_id": one.schema_id,
        "record": plain(one.record),
        "hops_s": hops(one),
        **{layer: [plain(row) for row in getattr(one, layer)] for layer in ("bronze", "silver", "dlq", "gold")},
    }


def show(one: Message, number: int, of: int) -> None:
    """One message, a line a fact."""
    title = "the message" if of == 1 else "the first message" if number == 0 else f"repeat {number} of {of - 1}"
    _line(f"{one.at}  ({title})")
    for row in one.bronze:
        key = row["message_key"]
        _line(f"  sent      {row['kafka_timestamp']} UTC, key {key.decode('utf-8', 'backslashreplace') if key is not None else 'none'}")
        _line(f"  bytes     {_hex(row['raw_bytes'])}")
    if one.schema_id is not None:
        _line(f"  schema    {one.schema_id}")
    if one.record is not None:
        _line(f"  record    {json.dumps(plain(one.record), ensure_ascii=False)}")
    _line(f"  verdict   {one.verdict or 'unknown: bronze has no such row'}")
    for layer, row in one.rows():
        _line(f"  {layer:<8}  {_brought(row)}{_said(layer, row)}")
    took = ", ".join(f"{name.replace('_', ' ')} {seconds:.3f} s" for name, seconds in hops(one).items() if seconds is not None)
    _line(f"  hops      {took or 'unknown: the snapshots have expired'}")


def _line(text: str) -> None:
    output.print(text, soft_wrap=True, markup=False)


def _hex(raw: bytes | None) -> str:
    if raw is None:
        return "none (a tombstone)"
    shown = raw[:BYTES_SHOWN].hex(" ")
    return f"{len(raw)}: {shown}{' ...' if len(raw) > BYTES_SHOWN else ''}"


def _brought(row: Row) -> str:
    if row.get("snapshot") is None:
        return "by a snapshot that is not known"
    when = row["committed"]
    return f"snapshot {row['snapshot']}, " + (f"committed {when:%Y-%m-%d %H:%M:%S.%f} UTC" if when else "which has expired")


def _said(layer: str, row: Row) -> str:
    if layer == "dlq":
        return f": {row['error_type']}/{row['error_reason']}: {row['error_detail']}"
    if layer in ("silver", "gold"):
        time = EPOCH + timedelta(microseconds=row["timestamp"])
        return f": {row['message_id']} {row['exchange']} {row['symbol']} {row['side']} {row['quantity']:f} at {row['price']:f}, {time} UTC"
    return ""
