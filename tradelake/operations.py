"""What people do with running jobs: look at them, save their state, start them again with other code, settings or parallelism.

Every command goes over Flink's REST API and names the page of Flink's web UI that shows what it did.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
from rich.table import Column, Table

from tradelake import savepoints
from tradelake.console import Failure, output, print_whole, step, warn
from tradelake.home import Home
from tradelake.jobs import Start, alive, await_commit, changing, completed, known, rest_of, resume, stop_jobs, submit_job, submit_jobs
from tradelake.rest import FlinkJob, FlinkRest

if TYPE_CHECKING:
    import pyiceberg.table

LAYERS = ("gold", "silver", "bronze")
"""Those that read before those that they read from."""


@dataclass(frozen=True)
class JobRow:
    """One job of the pipeline; what a job that does not run lacks is None. `checkpoint_age_s`: seconds since its last checkpoint."""

    job: str
    state: str
    id: str | None = None
    running_s: int | None = None
    checkpoint_age_s: int | None = None
    page: str | None = None


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One array of objects, for programs.")
@click.pass_obj
def jobs(home: Home, as_json: bool) -> None:
    """Show the pipeline's jobs: what runs, how old the last checkpoint is, and the page of each in Flink's web UI."""
    rest = rest_of(home)
    running = alive(home)
    rows = [_row(rest, name, running.get(name)) for name in home.pipeline().job_names()]
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows]))
        return
    table = Table("job", "state", "running for", "last checkpoint", Column("page", no_wrap=True), box=None)
    for row in rows:
        table.add_row(row.job, row.state, _age(row.running_s), _age(row.checkpoint_age_s), row.page or "")
    print_whole(table)


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["canonical", "native"]),
    default="canonical",
    show_default=True,
    help="Canonical moves between Flink versions and state backends; native is faster.",
)
@click.pass_obj
def savepoint(home: Home, jobs: tuple[str, ...], form: str) -> None:
    """Save the state of running jobs, which go on. Without JOB, of all that run.

    Flink's web UI lists savepoints under a job's checkpoints, but has no button that makes one.
    The snapshots of the job's tables that a savepoint fits are tagged: `tradelake restore JOB STATE --roll-back` goes back to both.
    """
    started, rest, failures = time.monotonic(), rest_of(home), list[str]()
    found = _running(home, jobs)
    for layer in LAYERS:  # those that read before those that they read from: what a savepoint has read, the next one has written
        for job, place, untagged in _savepoints(home, rest, [job for job in found if job.name.partition("-")[0] == layer], form):
            output.print(f"{job.name}: {place}\n  {rest.page(job.id, 'checkpoints')}", soft_wrap=True, markup=False)
            failures += [untagged] if untagged else []
    output.print(f"{len(found)} savepoints in {time.monotonic() - started:.1f} s")
    if failures:
        raise Failure("\n".join(failures))


def _savepoints(home: Home, rest: FlinkRest, jobs: Sequence[FlinkJob], form: str) -> Iterator[tuple[FlinkJob, str, str]]:
    """Savepoints of these jobs: address, and why its tables are not tagged, if they are not."""
    if not jobs:
        return
    from tradelake import tags  # with a catalog's client, which other commands need not wait for

    state, lake = home.environment().flink.state, tags.Lake(home.settings())
    with step(f"savepoint of {', '.join(job.name for job in jobs)}"):
        triggers = [(job, rest.savepoint(job.id, savepoints.folder(state, job.name), form.upper())) for job in jobs]
        places = [(job, completed(rest, job, trigger)) for job, trigger in triggers]
    for job, place in places:
        try:
            with step(f"tag what it fits in the tables of {job.name}"), tags.of_savepoint(job.name, place):
                read = lake.heads(tags.sources(home.pipeline(), job.name))
                number = _checkpoint_of(rest, job, place)
                await_commit(rest, job)
                lake.tag(tags.tag_name(job.name, place), lake.covered(job.name, job.id, number) | read)
        except Failure as failure:
            yield job, place, str(failure)
        else:
            yield job, place, ""


def _checkpoint_of(rest: FlinkRest, job: FlinkJob, place: str) -> int:
    """The number that a savepoint has among the job's checkpoints.

    Raises:
        Failure: Flink has forgotten it.
    """
    told = rest.checkpoints(job.id)
    for found in (told["latest"]["savepoint"], *told["history"]):
        if found and savepoints.same(found.get("external_path") or "", place):
            return int(found["id"])
    raise Failure(f"Flink does not list {place} among the checkpoints of {job.name} any more")


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
@click.pass_obj
def restore(home: Home, job: str, state: str | None, roll_back: bool, no_start: bool, dry_run: bool, older: bool) -> None:
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
        submit_job(home, name, Start(state or newest))
    _say_where(rest_of(home), [name])


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
    with step(f"what {state} fits"):
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
        output.print(
            f"  what there is now is tagged {tags.tag_name(job, former)}; to go forward again, when {job} is stopped:", markup=False
        )
        output.print(f"    tradelake restore {job} {former} --roll-back", soft_wrap=True, markup=False)
    savepoints.note_roll_back(where, job, environment.s3, state, done=False)
    with step(f"roll the tables of {job} back"):
        roll_back.perform(lake, settings, moves)
    savepoints.note_roll_back(where, job, environment.s3, state, done=True)
    if not start:
        output.print(f"{job} stays stopped; `tradelake submit {job}` starts it from {state}", soft_wrap=True, markup=False)
    return True


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.pass_obj
def upgrade(home: Home, jobs: tuple[str, ...]) -> None:
    """Start running jobs again with the code and the configuration of now: each is stopped with a savepoint and resumed from it.

    Without JOB, all that run. A job that does not start again stays stopped, its savepoint untouched: mend the cause, or go back to the
    code and configuration of before, then `tradelake submit`. The others go on.
    """
    started = time.monotonic()
    with changing(home):
        names = [job.name for job in _running(home, jobs)]
        try:
            states = stop_jobs(home, names)
        except Failure as failure:  # one goes on as it was; those that were stopped do too
            try:
                resume(home, names)
            except Failure as another:
                raise Failure(f"{failure}\n{another}") from failure
            raise
        submit_jobs(home, {name: Start(state) for name, state in states.items()})
    _say_where(rest_of(home), names)
    output.print(f"{len(names)} upgraded in {time.monotonic() - started:.1f} s")


@click.command()
@click.argument("job")
@click.argument("parallelism", type=click.IntRange(min=1))
@click.pass_obj
def rescale(home: Home, job: str, parallelism: int) -> None:
    """Run a job with PARALLELISM tasks of each operator: it is stopped with a savepoint and resumed from it.

    Until it is submitted again: jobs.LAYER.parallelism in the pipeline file makes it stay.
    """
    (name,) = known(home, (job,))
    layer, rest = name.partition("-")[0], rest_of(home)
    with changing(home):
        (running,) = _running(home, (name,))
        _refuse_what_does_not_fit(home, rest, running, parallelism)
        state = stop_jobs(home, [name])[name]
        submit_job(home, name, Start(state, parallelism=parallelism))
    _say_where(rest, [name])
    if parallelism != getattr(home.pipeline().jobs, layer).parallelism:
        output.print(f"{name} runs with parallelism {parallelism} until it is submitted again; to keep it, set jobs.{layer}.parallelism")


def _refuse_what_does_not_fit(home: Home, rest: FlinkRest, job: FlinkJob, parallelism: int) -> None:
    """Before the job is stopped: a job that waits for slots that never come would be stopped for nothing."""
    layer = job.name.partition("-")[0]
    most = getattr(home.pipeline().jobs, layer).max_parallelism
    if parallelism > most:
        raise Failure(f"{job.name} can have a parallelism of at most {most}: jobs.{layer}.max_parallelism, which its state is bound to")
    taken = max(vertex["parallelism"] for vertex in rest.get(f"/jobs/{job.id}")["vertices"])
    free = rest.get("/overview")["slots-available"]
    if parallelism > taken + free:
        raise Failure(f"{job.name} has {taken} of the cluster's task slots, {free} are free: too few for a parallelism of {parallelism}")


def _running(home: Home, jobs: Sequence[str]) -> list[FlinkJob]:
    """These jobs, or all of the pipeline; those that do not run are named if they were asked for."""
    names, running = known(home, tuple(jobs)), alive(home)
    if missing := [name for name in jobs if name not in running]:
        raise Failure(f"{', '.join(missing)} does not run; `tradelake jobs` shows what does")
    if not (found := [running[name] for name in names if name in running]):
        raise Failure("no job runs; `tradelake submit` starts them")
    return found


def _row(rest: FlinkRest, name: str, job: FlinkJob | None) -> JobRow:
    if job is None:
        return JobRow(name, "not running")
    now = datetime.now(UTC).timestamp()
    last = rest.checkpoints(job.id)["latest"]["completed"]
    return JobRow(
        name,
        job.state if job.running or job.state != "RUNNING" else "STARTING",
        job.id,
        round(now - rest.get(f"/jobs/{job.id}")["start-time"] / 1000),
        round(now - last["latest_ack_timestamp"] / 1000) if last else None,
        rest.page(job.id),
    )


def _age(seconds: int | None) -> str:
    return "" if seconds is None else str(timedelta(seconds=seconds))


def _say_where(rest: FlinkRest, names: Sequence[str]) -> None:
    for name in names:
        if job := rest.alive(name):
            output.print(f"{name}: {rest.page(job.id, 'checkpoints')}", soft_wrap=True, markup=False)
