"""`tradelake dlq`: what was rejected, why, and what its bytes still tell."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click
import duckdb

import sql
from conf.settings import Settings
from tradelake.as_of import Moment
from tradelake.audit.pins import DLQ, bronze, silver
from tradelake.audit.values import schemas_of
from tradelake.console import Failure, output, step
from tradelake.dlq_replay import Report, new_id
from tradelake.dlq_replay import replay as replay_exchange
from tradelake.home import Home
from tradelake.lake import catalog, catalog_failures, connect, lake_failures
from tradelake.latency import moment
from tradelake.query import message, spill_folder
from tradelake.results import plain, print_rows
from tradelake.results import shown as as_text
from tradelake.trace import Coordinate, Traced
from udfs import partial, wire
from udfs.rejected import ERROR_TYPES, Rejected

BYTES_A_LINE = 16
BYTES_SHOWN = 4096
NUMBERS = ("messages", "partition", "offset")
REASONS = sorted({*ERROR_TYPES, *ERROR_TYPES.values()})
since_option = click.option(
    "--since", type=Moment(), help="Only messages rejected since: 2026-08-08T23:54:15Z, or how long ago: 5 min, 2 h."
)
reason_option = click.option("--reason", type=click.Choice(REASONS), metavar="REASON", help="A reason, or a type of reasons.")


@click.group()
def dlq() -> None:
    """The dead-letter table: every message that is no valid trade, with its bytes and its reason."""


@dlq.command("list")
@since_option
@reason_option
@click.option("--newest", type=click.IntRange(1, 10_000), help="List so many messages themselves, the newest first, not their counts.")
@click.option("--json", "as_json", is_flag=True, help="One array of objects, for programs.")
@click.pass_obj
def listed(home: Home, since: datetime | None, reason: str | None, newest: int | None, as_json: bool) -> None:
    """Count rejected messages by reason, or list them."""
    where, settings = condition(since, reason), home.settings()
    if newest:
        rows = _ask(home, settings, "newest", where=where, limit=newest)
        names = ["topic", "partition", "offset", "rejected", "type", "reason", "detail"]
    else:
        rows = _ask(home, settings, "reasons", where=where)
        names = ["from", "type", "reason", "messages", "first", "last"]
    if as_json:
        click.echo(json.dumps([dict(zip(names, map(plain, row), strict=True)) for row in rows]))
        return
    print_rows(names, [name in NUMBERS for name in names], iter(rows), output)
    if newest:
        output.print("`tradelake dlq show TOPIC:PARTITION:OFFSET` shows one")


@dlq.command()
@click.argument("what", type=Traced(), metavar="TOPIC:PARTITION:OFFSET")
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
@click.pass_obj
def show(home: Home, what: Any, as_json: bool) -> None:
    """Show one rejected message: its reason, its record as far as it can be read, and its bytes."""
    if not isinstance(what, Coordinate):
        raise click.UsageError(
            "a rejected message has no message_id: give TOPIC:PARTITION:OFFSET, `tradelake dlq list --newest 10` has some"
        )
    settings = home.settings()
    exchange = next((name for name, exchange in settings.pipeline.exchanges.items() if exchange.topic == what.topic), "")
    where: dict[str, str | int] = {"topic": what.topic, "partition": what.partition, "offset": what.offset}
    with connect(settings, spill_folder(home)) as connection, lake_failures(settings.environment):
        cursor = connection.execute(sql.text("trace/dlq", table=DLQ, bronze=bronze(exchange), **where))
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if not rows:
        raise Failure(f"the dead-letter table has no {what}; `tradelake trace {what}` shows what became of it")
    raw = rows[0]["raw_record"]
    said = {name: value for name, value in rows[0].items() if name not in ("raw_record", "filename")}
    told = _told(settings, raw)
    if as_json:
        click.echo(json.dumps({name: plain(value) for name, value in {**said, **told, "raw_record": raw}.items()}))
        return
    for name, value in {**said, **told}.items():
        if name != "fields":
            output.print(f"{name:<16}  {as_text(value) if value is not None else '-'}", soft_wrap=True, markup=False)
    for name, value in (told["fields"] or {}).items():
        output.print(f"  {name:<20}  {value!r}", soft_wrap=True, markup=False)
    for line in dump(raw):
        output.print(line, soft_wrap=True, markup=False)


@dlq.command()
@since_option
@reason_option
@click.option("--dry-run", is_flag=True, help="Judge, and say what would be replayed; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
@click.pass_obj
def replay(home: Home, since: datetime | None, reason: str | None, dry_run: bool, as_json: bool) -> None:
    """Judge rejected messages again, with the code, settings and schemas of now; append to silver what is valid by now.

    Exactly once, however often it is run, interrupted, or run beside another: a message that silver has is not replayed, and the commit
    fails, and is planned anew, when silver has changed since. The dead-letter table stays as it is; silver_dlq_replays records what was
    replayed. Gold takes the trades from silver as any others.
    """
    settings, done = home.settings(), Report(new_id())
    for exchange in settings.pipeline.exchanges:
        with (
            step(f"{silver(exchange)}"),
            connect(settings, spill_folder(home)) as connection,
            lake_failures(settings.environment),
            catalog_failures(settings.environment, again="run the replay again, nothing is doubled"),
        ):
            try:
                replay_exchange(connection, catalog(settings), settings, exchange, condition(since, reason), done, dry_run)
            except duckdb.Error as error:
                raise Failure(message(error)) from error
    still = [{"type": kind, "reason": why, "messages": times} for (kind, why), times in done.still.most_common()]
    if as_json:
        said = {"replay_id": None if dry_run else done.id, "chosen": done.chosen, "replayed": done.replayed, "still_rejected": still}
        click.echo(json.dumps(said | {"dry_run": dry_run, "snapshots": done.snapshots}))
        return
    output.print(f"{done.chosen:,} messages judged again: {done.replayed:,} {'would be replayed' if dry_run else 'replayed'}")
    for one in still:
        output.print(f"  {one['messages']:>9,} still rejected: {one['type']}/{one['reason']}")


def condition(since: datetime | None, reason: str | None) -> str:
    """Which rejected messages, in the words of SQL."""
    return f"error_timestamp >= TIMESTAMP '{moment(since)}'" + (f" AND '{reason}' IN (error_type, error_reason)" if reason else "")


def _ask(home: Home, settings: Settings, name: str, **parameters: str | int) -> list[tuple[Any, ...]]:
    with connect(settings, spill_folder(home)) as connection, lake_failures(settings.environment):
        try:
            return connection.execute(sql.text(f"dlq/{name}", **parameters)).fetchall()
        except duckdb.Error as error:
            raise Failure(message(error)) from error


def _told(settings: Settings, raw: bytes | None) -> dict[str, Any]:
    """What the bytes tell: the schema, the fields that can be read by it, and why not more."""
    try:
        schema_id, body = wire.split(raw)
        writer = schemas_of(settings).get(schema_id)
    except (Rejected, Failure) as why:
        return {"schema": None, "fields": None, "problem": str(why)}
    read = partial.decode(body, writer)
    return {"schema": writer.fullname, "fields": read.fields, "problem": read.problem}


def dump(raw: bytes | None) -> Iterator[str]:
    """Bytes as text: where they stand, in hexadecimal, and as ASCII."""
    if raw is None:
        yield "no value (a tombstone)"
        return
    for at in range(0, min(len(raw), BYTES_SHOWN), BYTES_A_LINE):
        line = raw[at : at + BYTES_A_LINE]
        ascii_text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        yield f"{at:08x}  {line.hex(' '):<{3 * BYTES_A_LINE - 1}}  {ascii_text}"
    if len(raw) > BYTES_SHOWN:
        yield f"... {len(raw) - BYTES_SHOWN:,} more bytes; --json has all of them"
