"""`tradelake audit`: the checks one after another, and what a person or a program reads of them."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click
import duckdb
from rich.table import Column, Table

from conf.settings import Settings, duration
from tradelake.as_of import Moment
from tradelake.audit import checks
from tradelake.audit.checks import Books
from tradelake.audit.findings import Check, Finding
from tradelake.audit.pins import DLQ, GOLD, Ends, bronze, kafka_ends, pin, silver
from tradelake.audit.values import judge_of, values
from tradelake.console import Failure, output, print_whole, screen
from tradelake.home import Home
from tradelake.lake import catalog, catalog_failures, connect, lake_failures
from tradelake.query import message, spill_folder
from udfs.exchange import MODULES

ALL = "all"
EXPIRED = "Could not find snapshot"
"""What DuckDB says of a snapshot that is not there."""
AGAIN = ": has a snapshot expired while the audit read it (expiry.max_age of the pipeline file)? Audit again"
NOTICES_SHOWN = 10
Step = tuple[str, Callable[[], None]]


class Sample(click.ParamType[int | None]):
    """How many rows of each exchange, or all."""

    name = "rows"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value == ALL:
            return None
        try:
            if (rows := int(value)) >= 0:
                return rows
        except ValueError:
            pass
        self.fail(f"{value!r} is neither a number of rows nor {ALL}", param, ctx)


class Patience(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if value in ("0", 0):
            return 0.0
        try:
            return duration(value).total_seconds()
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option(
    "--since", type=Moment(), help="Only rows sent since: 2026-08-08T23:54:15Z, or how long ago: 5 min, 2 h, 7 d. All by default."
)
@click.option(
    "--sample", type=Sample(), default="1000", show_default=True, help="Rows of each exchange to derive anew from their bytes, or all."
)
@click.option(
    "--wait", "patience", type=Patience(), default="60 s", show_default=True, help="For rows that are on their way; 0 does not wait."
)
@click.option("--strict", is_flag=True, help="Let notices fail the audit too: trades that nobody sent, offsets that Kafka removed unread.")
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
@click.pass_obj
def audit(home: Home, since: datetime | None, sample: int | None, patience: float, strict: bool, as_json: bool) -> None:
    """Prove that nothing is lost and nothing is doubled; exit code 0 only if so.

    \b
    offsets      every offset of Kafka is in bronze once
    coordinates  every row of bronze is in silver or in the dead-letter table once
    values       rows derived anew from their bytes are equal in silver, or rejected for the same reason
    ids          every trade of silver is in gold once, with the values of one of its rows in silver
    partitions   every row stands in the partition of its trade's time
    files        and so does every data file, by the metadata that queries are planned from
    commits      no checkpoint was committed twice
    source gaps  trades that the exchange numbered and nobody sent (a notice)

    Runs beside the jobs, on one set of snapshots, in bounded memory. Rows that were on their way when it began are waited for.
    """
    settings, started = home.settings(), time.monotonic()
    exchanges = {name: exchange.topic for name, exchange in settings.pipeline.exchanges.items()}
    with catalog_failures(settings.environment):
        pins = pin(catalog(settings), settings.pipeline.database, exchanges)
    ends = kafka_ends(settings, exchanges.values())
    with connect(settings, spill_folder(home)) as connection, screen.status("audit") as status:
        waiting: Callable[[int], None] = lambda rows: status.update(f"waiting for {rows:,} rows on their way")  # noqa: E731
        try:
            books = Books(connection, pins, exchanges, since, patience, waiting)
            for what, check in plan(books, ends, sample, settings):
                status.update(what)
                with lake_failures(settings.environment):
                    check()
        except duckdb.Error as error:
            raise Failure(message(error) + (AGAIN if EXPIRED in str(error) else "")) from error
        except OSError as error:  # of pyiceberg: a manifest that has expired
            raise Failure(f"{error}{AGAIN}") from error
    report = report_of(books, time.monotonic() - started, strict)
    if as_json:
        click.echo(json.dumps(report, default=str))
    else:
        show(books.checks, report, not report["clean"])
    sys.exit(0 if report["clean"] else 1)


def report_of(books: Books, seconds: float, strict: bool) -> dict[str, Any]:
    """What `--json` prints; with `strict` notices count as faults."""
    pins = books.pins
    return {
        "clean": all(check.clean and not (strict and check.findings) for check in books.checks),
        "since": books.since.isoformat() if books.since else None,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": sum(pins.rows(name) for name in pins.tables),
        "seconds": round(seconds, 3),
        "snapshots": pins.snapshots(),
        "checks": [_of(check) for check in books.checks],
        "findings": [{"check": check.name, **asdict(finding)} for check in books.checks for finding in check.findings],
    }


def plan(books: Books, ends: Ends, sample: int | None, settings: Settings) -> list[Step]:
    """Every check with what it is called while it runs, in the order of the data."""
    steps: list[Step] = []
    for exchange in books.exchanges:
        steps.append((f"{bronze(exchange)} against Kafka", partial(checks.offsets, books, exchange, ends)))
    for exchange in books.exchanges:
        steps.append((f"{silver(exchange)} and dead letters against bronze", partial(checks.coordinates, books, exchange)))
        if sample != 0:
            steps.append((f"{silver(exchange)} derived anew", partial(values, books, exchange, judge_of(settings, exchange), sample)))
        steps += places(books, "silver", silver(exchange))
    steps.append((f"{GOLD} against silver", partial(checks.ids, books)))
    steps += places(books, "gold", GOLD)
    for table in (*map(bronze, books.exchanges), *map(silver, books.exchanges), DLQ, GOLD):
        steps.append((f"commits of {table}", partial(checks.commits, books, table)))
    for exchange in books.exchanges:
        if MODULES[exchange].DENSE:
            steps.append((f"gaps of {exchange}", partial(checks.gaps, books, exchange)))
    return steps


def places(books: Books, layer: str, table: str) -> list[Step]:
    where = partial(checks.places, books, layer, table), partial(checks.files, books, layer, table)
    return [(f"{what} of {table}", check) for what, check in zip(("partitions", "files"), where, strict=True)]


def _of(check: Check) -> dict[str, Any]:
    return {name: value for name, value in asdict(check).items() if name != "findings"} | {"clean": check.clean}


def show(done: list[Check], report: dict[str, Any], failed: bool) -> None:
    """A line a check, what was found, and the verdict."""
    table = Table(
        "check",
        "table",
        Column("rows", justify="right"),
        Column("arrived late", justify="right"),
        Column("wrong", justify="right"),
        Column("notices", justify="right"),
        box=None,
    )
    for check in done:
        colour = "green" if not check.findings else "yellow" if check.clean else "red"
        wrong = f"[{colour}]{check.wrong:,}[/]"
        table.add_row(check.name, check.table, f"{check.rows:,}", f"{check.in_flight:,}", wrong, f"{check.noticed:,}")
    print_whole(table)
    for check in done:
        faults, notices = ([finding for finding in check.findings if finding.notice is notice] for notice in (False, True))
        for finding in [*faults, *notices[:NOTICES_SHOWN]]:
            _print(check, finding)
        if (more := check.wrong - sum(finding.rows for finding in faults)) > 0:
            output.print(f"{check.name}: {more:,} more rows are wrong than are named here")
        if len(notices) > NOTICES_SHOWN:
            output.print(f"{check.name}: {len(notices) - NOTICES_SHOWN} more notices or many more; --json names a hundred")
    verdict = "[red]not clean[/]" if failed else "[green]clean[/]"
    rate = report["rows"] / report["seconds"]
    output.print(f"{verdict}: {report['rows']:,} rows in {report['seconds']:.1f} s ({rate:,.0f} rows/s)")


def _print(check: Check, finding: Finding) -> None:
    what = "notice" if finding.notice else "wrong"
    output.print(f"{what}: {check.name}: {finding.table} {finding.key}: {finding.kind}", soft_wrap=True, markup=False)
    output.print(f"    {finding.evidence}\n    repair: {finding.repair}", soft_wrap=True, markup=False)
