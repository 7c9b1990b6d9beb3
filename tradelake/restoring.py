"""Savepoints and checkpoints: which there are, what they fit, and jobs started again from one, with their tables or without."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import TYPE_CHECKING

import click
from rich.table import Column, Table

from tradelake import savepoints
from tradelake.console import Failure, output, print_whole, step, warn
from tradelake.home import Home
from tradelake.jobs import Start, changing, known, rest_of, submit_jobs
from tradelake.operations import WITHOUT, refuse_present, refuse_running, say_where

if TYPE_CHECKING:
    import pyiceberg.table


@dataclass(frozen=True)
class TagRow:
    """What a state fits in one table. `rows`: of the whole table in that snapshot."""

    table: str
    snapshot: int
    rows: int


@dataclass(frozen=True)
class StateRow:
    """One savepoint or checkpoint. `made`: ISO 8601, UTC. `complete`: whether it has a tag in all the tables of its job."""

    job: str
    state: str
    kind: str
    made: str
    newest: bool
    tag: str
    complete: bool
    tables: list[TagRow]


@click.command("savepoints")
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option("--json", "as_json", is_flag=True, help="One array of objects, for programs.")
@click.pass_obj
def list_savepoints(home: Home, jobs: tuple[str, ...], as_json: bool) -> None:
    """List the savepoints and checkpoints that are there, the newest first, and the snapshots that they fit. Without JOB, of all jobs.

    The state that fits the tables as they are is marked; after a roll back that is not the last one made. One that has tags in all the
    tables of its job can be gone back to: `tradelake restore JOB STATE --roll-back`.
    """
    from tradelake import tags

    lake, environment = tags.Lake(home.settings()), home.environment()
    listed = []
    for job in known(home, jobs):
        found = savepoints.states(environment.flink.state, job, environment.s3)
        last = savepoints.last_roll_back(environment.flink.state, job, environment.s3)
        newest = savepoints.newest_of(found, last)
        tables = {name: lake.table(name) for name in tags.targets(job)} if found else {}
        listed += [_state_row(job, state, newest, tables) for state in found]
    if as_json:
        click.echo(json.dumps([asdict(row) for row in listed]))
        return
    table = Table("job", "made", "kind", "newest", "tagged snapshots (rows)", Column("state", no_wrap=True), box=None)
    for row in listed:
        tagged = ", ".join(f"{tag.table} {tag.snapshot} ({tag.rows:,})" for tag in row.tables) if row.complete else "none"
        table.add_row(row.job, row.made[:19].replace("T", " "), row.kind, "yes" if row.newest else "", tagged, row.state)
    print_whole(table)


def _state_row(job: str, state: savepoints.State, newest: str | None, tables: "Mapping[str, pyiceberg.table.Table]") -> StateRow:
    from tradelake import tags

    tag = tags.tag_name(job, state.address)
    tagged = [(name, ref.snapshot_id, table) for name, table in tables.items() if (ref := table.refs().get(tag))]
    rows = [TagRow(name, snapshot, tags.total(table.snapshot_by_id(snapshot))) for name, snapshot, table in tagged]
    made, fits = state.time.astimezone(UTC).isoformat(timespec="seconds"), newest is not None and savepoints.same(newest, state.address)
    return StateRow(job, state.address, state.kind, made, fits, tag, bool(tables) and len(rows) == len(tables), rows)


@click.command()
@click.argument("job")
@click.argument("state", required=False)
@click.option("--roll-back", is_flag=True, help="Take the job's tables to the snapshots that STATE fits before it starts.")
@click.option("--no-start", is_flag=True, help="With --roll-back: leave the job stopped; `submit` will start it from STATE.")
@click.option("--dry-run", is_flag=True, help="With --roll-back: say what would be done, and do nothing.")
@click.option(
    "--older", is_flag=True, help="Take STATE although a newer one exists, tables as they are: rows may be lost or written twice."
)
@WITHOUT
@click.pass_obj
def restore(
    home: Home, job: str, state: str | None, roll_back: bool, no_start: bool, dry_run: bool, older: bool, without: tuple[str, ...]
) -> None:
    """Start a stopped job from STATE, the address of a savepoint or checkpoint; by default from its newest.

    Only the newest state fits the tables: from an older one rows are written again, or lost. `restore` refuses it unless the tables are
    taken back with it (--roll-back), or you insist (--older). `tradelake savepoints JOB` lists what there is.

    \b
    The whole pipeline, back to savepoints of one time, those that read first:
        tradelake stop
        tradelake restore gold STATE --roll-back --no-start
        tradelake restore silver-binance STATE --roll-back --no-start     ... and so on, up to the bronze jobs
        tradelake submit

    Where flink.state has moved, and has nothing of the job yet, name the savepoint that `stop` printed.
    """
    (name,) = known(home, (job,))
    if (no_start or dry_run) and not roll_back:
        raise click.UsageError("--no-start and --dry-run go with --roll-back")
    if roll_back and (older or state is None):
        raise click.UsageError("--roll-back goes with a STATE" if state is None else "--roll-back and --older exclude each other")
    refuse_present(home, without)
    refuse_running(home, without)
    environment = home.environment()
    with changing(home):
        if found := rest_of(home).alive(name):
            raise Failure(f"{name} runs already as {found.id}; `tradelake stop {name}` stops it with a savepoint")
        if roll_back and state and (not _roll_back(home, name, state, dry_run, not no_start) or no_start):
            return
        newest = savepoints.newest(environment.flink.state, name, environment.s3)
        if state is None and newest is None:
            raise Failure(f"{name} has no savepoint and no checkpoint below {environment.flink.state}; `tradelake submit {name}` starts it")
        if state and newest and not savepoints.same(state, newest):
            if not older:
                raise Failure(_why_not(home, name, state, newest))
            warn(
                f"{state} is not the newest state of {name}, which is {newest}: rows will be lost or doubled; `tradelake audit` names them"
            )
        submit_jobs(home, {name: Start(state or newest, leaving=bool(without))})
    say_where(rest_of(home), [name])


def _why_not(home: Home, job: str, state: str, newest: str) -> str:
    """Why an older state is refused, and what can be done."""
    from tradelake import roll_back, tags

    why = f"{state} is not the newest state of {job}, which is {newest}: rows would be lost or written twice"
    if missing := roll_back.missing_tags(tags.Lake(home.settings()), job, state):
        return f"{why}. Its tables cannot be rolled back to it: {roll_back.untagged(job, state, missing)}. Or insist: --older"
    return f"{why}. Take the tables back with it: --roll-back (and --dry-run says what that drops). Or insist: --older"


def _roll_back(home: Home, job: str, state: str, dry_run: bool, start: bool) -> bool:
    """Take the tables of a stopped job to the snapshots that a state fits; whether that was done."""
    from tradelake import roll_back, tags

    settings, environment = home.settings(), home.environment()
    lake, rest, where = tags.Lake(settings), rest_of(home), environment.flink.state
    if not savepoints.is_complete(state, environment.s3):
        raise Failure(f"{state} is no complete savepoint or checkpoint; `tradelake savepoints {job}` lists those that are")
    with step(f"find the snapshots tagged {tags.tag_name(job, state)}"):
        moves = roll_back.plan(lake, settings, job, state, lambda name: rest.alive(name) is not None, start)
    for move in moves:
        output.print(f"  {move}", soft_wrap=True, markup=False)
    if not moves:
        output.print(f"  the tables of {job} hold the very rows that {state} covers")
    if dry_run:
        return False
    last = savepoints.last_roll_back(where, job, environment.s3)
    former = last.state if last and not last.done else savepoints.newest_of(savepoints.states(where, job, environment.s3), last)
    if former and moves and not (last and not last.done):
        # So that one can go forward again: what the newest state fits is what there is now.
        if roll_back.missing_tags(lake, job, former):
            lake.tag_now(job, former)
        output.print(f"  the snapshots tagged {tags.tag_name(job, former)} stay; to come back to them:", soft_wrap=True, markup=False)
        output.print(f"    tradelake restore {job} {former} --roll-back", soft_wrap=True, markup=False)
    savepoints.note_roll_back(where, job, environment.s3, state, done=False)
    with step(f"roll the tables of {job} back"):
        roll_back.perform(lake, settings, moves)
    savepoints.note_roll_back(where, job, environment.s3, state, done=True)
    if not start:
        output.print(f"{job} stays stopped; `tradelake submit {job}` starts it from {state}", soft_wrap=True, markup=False)
    return True
