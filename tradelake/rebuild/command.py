"""`tradelake rebuild`: a layer compared with the one before it, row by row; swapped only when told."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

import click
import duckdb
from rich.table import Column, Table

from conf.settings import Settings
from tradelake.audit.command import Patience
from tradelake.audit.pins import DLQ, GOLD, Pins, bronze, pin, silver
from tradelake.audit.values import judge_of
from tradelake.console import Failure, output, print_whole, screen, step
from tradelake.home import Home
from tradelake.jobs import Start, alive, changing, stop_jobs, submit_jobs
from tradelake.lake import catalog, catalog_failures, connect, lake_failures
from tradelake.query import message, spill_folder
from tradelake.rebuild.comparison import Comparison, Verdict
from tradelake.rebuild.layers import Days, compare_bronze, compare_gold, compare_silver
from tradelake.rebuild.swap import Crowded, Staged
from tradelake.rest import FlinkRest

DIFFERS = 1
CONTEXT_OPTIONS: list[Callable[[Any], Any]] = [
    click.option("--exchange", help="Only this exchange's rows. [default: all]"),
    click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The first day (UTC)."),
    click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The last day (UTC), itself included."),
    click.option("--swap", is_flag=True, help="Replace what is wrong. Without it, nothing is changed."),
    click.option(
        "--wait", "patience", type=Patience(), default="60 s", show_default=True, help="For rows that are on their way; 0 does not wait."
    ),
    click.option("--json", "as_json", is_flag=True, help="One object, for programs."),
]


def options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(CONTEXT_OPTIONS):
        command = option(command)
    return click.pass_obj(command)


@click.group()
def rebuild() -> None:
    """Make a layer anew from the layer before it: compare every row, and swap what is wrong only when told.

    Runs beside the jobs, on one set of snapshots. Rows that are right stay where they are; --swap puts new files into the place of those
    that hold wrong rows, and adds what is absent, in one commit a table. Readers see the table as it was, or as it must be. Repair the
    layers in their order: bronze, silver, gold. Exit code 0: nothing differs, or it was swapped; 1: something differs.
    """


@rebuild.command("bronze")
@options
def bronze_command(home: Home, **given: Any) -> None:
    """Offsets that bronze has more than once: the first row stays. What it lacks, only Kafka has (docs/audit.md).

    --from and --to are days on which Kafka got the messages.
    """
    run(home, "bronze", **given)


@rebuild.command("silver")
@options
def silver_command(home: Home, **given: Any) -> None:
    """Every message of bronze judged anew, with the code, settings and schemas of now: its row in silver or in the dead-letter table.

    A row that is right keeps its validation_timestamp. Gold does not read what a swap adds to silver: `tradelake rebuild gold --swap`
    afterwards. For messages that were rejected and are valid by now `tradelake dlq replay` is the gentler way, which gold does read.
    --from and --to are days on which Kafka got the messages.
    """
    run(home, "silver", **given)


@rebuild.command("gold")
@options
def gold_command(home: Home, **given: Any) -> None:
    """Every trade of silver: one row in gold, equal to a row that silver has of it, in the partition of its time.

    A row that is right keeps its gold_ingestion_timestamp. --from and --to are days of trade.
    """
    run(home, "gold", **given)


def run(
    home: Home, layer: str, exchange: str | None, first: datetime | None, last: datetime | None, swap: bool, patience: float, as_json: bool
) -> None:
    settings, started, rebuild_id = home.settings(), time.monotonic(), str(uuid.uuid4())
    every = list(settings.pipeline.exchanges)
    if exchange is not None and exchange not in every:
        raise click.BadParameter(f"no exchange is called {exchange}; there are {', '.join(every)}", param_hint="--exchange")
    if first and last and first > last:
        raise click.UsageError("--from is after --to")
    exchanges = [exchange] if exchange else every
    days = Days(first.date() if first else None, last.date() if last else None)
    with (
        catalog_failures(settings.environment, again="run the rebuild again, which compares first"),
        connect(settings, spill_folder(home)) as connection,
        lake_failures(settings.environment),
    ):
        pins = pin(catalog(settings), settings.pipeline.database, every)
        staged = {name: Staged(pins.tables[name]) for name in targets(layer, exchanges)} if swap else {}
        resting = partial(at_rest, settings, jobs_of(layer, exchanges), targets(layer, exchanges))
        try:
            with screen.status("rebuild") as status:
                waiting: Callable[[int], None] = lambda rows: status.update(f"waiting for {rows:,} rows on their way")  # noqa: E731
                comparison = Comparison(connection, pins, staged, patience, resting, time.sleep, waiting)
                compare(comparison, settings, layer, exchanges, days, status.update)
            snapshots = swapped(home, comparison, jobs_of(layer, every), rebuild_id)
        except duckdb.Error as error:
            raise Failure(message(error)) from error
        finally:
            for files in staged.values():
                files.discard()
    show(comparison.verdicts, snapshots, swap, as_json, rebuild_id, time.monotonic() - started)
    if not swap and not all(verdict.equal for verdict in comparison.verdicts.values()):
        click.get_current_context().exit(DIFFERS)


def targets(layer: str, exchanges: list[str]) -> list[str]:
    """The tables of a layer, in the order of their commits."""
    if layer == "gold":
        return [GOLD]
    return [*map(silver, exchanges), DLQ] if layer == "silver" else [*map(bronze, exchanges)]


def compare(
    comparison: Comparison, settings: Settings, layer: str, exchanges: list[str], days: Days, progress: Callable[[str], None]
) -> None:
    if layer == "gold":
        compare_gold(comparison, settings, exchanges, days, progress)
        return
    for exchange in exchanges:
        if layer == "bronze":
            compare_bronze(comparison, exchange, days, progress)
        else:
            compare_silver(comparison, exchange, judge_of(settings, exchange), days, progress)


def swapped(home: Home, comparison: Comparison, jobs: Sequence[str], rebuild_id: str) -> dict[str, int]:
    """Swap what is staged; table -> the snapshot that did it. Where jobs commit too often for it, they are stopped for that moment."""
    snapshots: dict[str, int] = {}
    for name, files in comparison.staged.items():
        with step(f"{name}: new files"):
            files.replace(comparison.drops(name))
        try:
            snapshot = files.commit(rebuild_id)
        except Crowded:
            with paused(home, jobs):
                snapshot = files.commit(rebuild_id)
        if snapshot is not None:
            snapshots[name] = snapshot
    return snapshots


@contextmanager
def paused(home: Home, jobs: Sequence[str]) -> Iterator[None]:
    """Stop those of these jobs that run, with savepoints, and resume them from these afterwards, whatever happened."""
    with changing(home):
        stopped = stop_jobs(home, [name for name in jobs if name in alive(home)])
        try:
            yield
        finally:
            submit_jobs(home, {name: Start(state) for name, state in stopped.items()})


def jobs_of(layer: str, exchanges: Sequence[str]) -> list[str]:
    return ["gold"] if layer == "gold" else [f"{layer}-{exchange}" for exchange in exchanges]


def at_rest(settings: Settings, jobs: Sequence[str], tables: Sequence[str]) -> list[int] | None:
    """How many rows the tables have; None while not every task of the jobs that write them runs."""
    try:
        running = {job.name for job in FlinkRest(settings.environment.flink.rest, patience=0).jobs() if job.running}
    except Failure:
        return None
    if not running.issuperset(jobs):
        return None
    lake = catalog(settings)
    return [Pins({name: lake.load_table((settings.pipeline.database, name))}).rows(name) for name in tables]


def show(verdicts: dict[str, Verdict], snapshots: dict[str, int], swap: bool, as_json: bool, rebuild_id: str, seconds: float) -> None:
    if as_json:
        tables = {name: vars(verdict) | {"snapshot": snapshots.get(name)} for name, verdict in verdicts.items()}
        click.echo(json.dumps({"rebuild_id": rebuild_id if swap else None, "seconds": round(seconds, 3), "tables": tables}))
        return
    table = Table("table", *(Column(name, justify="right") for name in ("right", "wrong", "on their way", "to add", "to drop")), box=None)
    for name, verdict in verdicts.items():
        figures = (verdict.right, verdict.wrong.total(), verdict.waiting, verdict.added, verdict.dropped)
        table.add_row(name, *(f"{figure:,}" for figure in figures))
    print_whole(table)
    for name, verdict in verdicts.items():
        for kind, rows in sorted(verdict.wrong.items()):
            output.print(f"{name}: {rows:,} {kind}, such as {verdict.examples[kind]}", soft_wrap=True, markup=False)
    for name, snapshot in snapshots.items():
        output.print(f"{name}: swapped in snapshot {snapshot}", soft_wrap=True, markup=False)
    if all(verdict.equal for verdict in verdicts.values()):
        output.print(f"[green]equal[/], after {seconds:.1f} s")
    elif swap:
        output.print(
            f"[green]swapped[/], after {seconds:.1f} s; `tradelake audit` proves it, `tradelake query --as-of` shows what was before"
        )
    else:
        output.print(f"[red]differs[/], after {seconds:.1f} s; --swap replaces it")
