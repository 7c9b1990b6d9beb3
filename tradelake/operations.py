"""What people do with running jobs: look at them, save their state, start them again with other code, settings or parallelism.

Every command goes over Flink's REST API and names the page of Flink's web UI that shows what it did.
"""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import click
from rich.table import Column, Table

from tradelake import savepoints
from tradelake.console import Failure, output, print_whole, step
from tradelake.home import Home
from tradelake.jobs import Start, alive, changing, completed, known, rest_of, resume, stop_jobs, submit_jobs
from tradelake.rest import FlinkJob, FlinkRest

READ = re.compile(r"Source: silver_([a-z][a-z0-9_]*)_trades")
"""What gold reads, in the names of a job's vertices."""
WITHOUT = click.option(
    "--without",
    multiple=True,
    metavar="EXCHANGE",
    help="Leave behind what the state has of an exchange that the pipeline file has no more.",
)


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
    Resuming one after its job has gone on writes rows twice, or loses some: `submit` takes the newest state, whatever it is.
    """
    started, rest = time.monotonic(), rest_of(home)
    found = _running(home, jobs)
    state = home.environment().flink.state
    with step(f"savepoint of {', '.join(job.name for job in found)}"):
        triggers = [(job, rest.savepoint(job.id, savepoints.folder(state, job.name), form.upper())) for job in found]
        places = [(job, completed(rest, job, trigger)) for job, trigger in triggers]
    for job, place in places:
        output.print(f"{job.name}: {place}\n  {rest.page(job.id, 'checkpoints')}", soft_wrap=True, markup=False)
    output.print(f"{len(places)} savepoints in {time.monotonic() - started:.1f} s")


@click.command()
@click.argument("job")
@click.argument("state", required=False)
@click.option("--older", is_flag=True, help="Take STATE although a newer one exists: rows may be lost or written twice.")
@WITHOUT
@click.pass_obj
def restore(home: Home, job: str, state: str | None, older: bool, without: tuple[str, ...]) -> None:
    """Start a stopped job from STATE, the address of a savepoint or checkpoint; by default from its newest.

    Only the newest state fits the tables: from an older one rows are written again, or lost. `restore` refuses it unless you insist.
    Where flink.state has moved, and has nothing of the job yet, name the savepoint that `stop` printed.
    """
    (name,) = known(home, (job,))
    refuse_present(home, without)
    refuse_running(home, without)
    environment = home.environment()
    with changing(home):
        if found := rest_of(home).alive(name):
            raise Failure(f"{name} runs already as {found.id}; `tradelake stop {name}` stops it with a savepoint")
        newest = savepoints.newest(environment.flink.state, name, environment.s3)
        if state is None and newest is None:
            raise Failure(f"{name} has no savepoint and no checkpoint below {environment.flink.state}; `tradelake submit {name}` starts it")
        if state and newest and _plain(state) != _plain(newest) and not older:
            raise Failure(
                f"{state} is not the newest state of {name}, which is {newest}: rows would be lost or written twice. Or insist: --older"
            )
        submit_jobs(home, {name: Start(state or newest, leaving=bool(without))})
    _say_where(rest_of(home), [name])


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@WITHOUT
@click.pass_obj
def upgrade(home: Home, jobs: tuple[str, ...], without: tuple[str, ...]) -> None:
    """Start running jobs again with the code and the configuration of now: each is stopped with a savepoint and resumed from it.

    Without JOB, all that run. A job that does not start again stays stopped, its savepoint untouched: mend the cause, or go back to the
    code and configuration of before, then `tradelake submit`. The others go on.

    An exchange that the pipeline file has no more keeps gold from starting again, unless you leave it with --without.
    """
    started = time.monotonic()
    refuse_present(home, without)
    refuse_running(home, without)
    with changing(home):
        running = _running(home, jobs)
        names = [job.name for job in running]
        leaving = leavers(home, running, without)
        try:
            states = stop_jobs(home, names)
        except Failure as failure:  # one goes on as it was; those that were stopped do too
            try:
                resume(home, names)
            except Failure as another:
                raise Failure(f"{failure}\n{another}") from failure
            raise
        submit_jobs(home, {name: Start(state, leaving=name in leaving) for name, state in states.items()})
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
        submit_jobs(home, {name: Start(state, parallelism=parallelism)})
    _say_where(rest, [name])
    if parallelism != getattr(home.pipeline().jobs, layer).parallelism:
        output.print(f"{name} runs with parallelism {parallelism} until it is submitted again; to keep it, set jobs.{layer}.parallelism")


def refuse_present(home: Home, without: Sequence[str]) -> None:
    """An exchange that is left must be out of the pipeline file."""
    for exchange in without:
        if exchange in home.pipeline().exchanges:
            raise click.BadParameter(f"{home.pipeline_file} has {exchange} still: take its block out first", param_hint="--without")


def refuse_running(home: Home, without: Sequence[str]) -> None:
    """Its own jobs must have stopped: the pipeline file without it does not know them, and no command would find them any more."""
    of_it = {f"{layer}-{exchange}" for layer in ("bronze", "silver") for exchange in without}
    if of_it and (still := sorted(job.name for job in rest_of(home).jobs() if job.alive and job.name in of_it)):
        raise Failure(f"{', '.join(still)} runs still: `tradelake stop {' '.join(still)}` first, with the file that has the exchange")


def leavers(home: Home, running: Sequence[FlinkJob], without: Sequence[str]) -> set[str]:
    """The jobs that read of an exchange which is left; refuses, before anything is stopped, where one is gone that was not named.

    It refuses too where one comes whose trades gold has already: gold would not know them, and take them all again.
    """
    rest, exchanges = rest_of(home), home.pipeline().exchanges
    found: dict[str, set[str]] = {}
    for job in running:
        names = " ".join(str(vertex["name"]) for vertex in rest.get(f"/jobs/{job.id}")["vertices"])
        read = set(READ.findall(names))
        found[job.name] = read - set(exchanges)
        for exchange in exchanges if read else ():
            if exchange not in read and _in_gold(home, exchange):
                raise Failure(
                    f"{job.name} would take all trades of {exchange} again, of which the table has some: it does not remember them. "
                    f"Take them out first, with a pipeline file that lacks {exchange}: `tradelake rebuild gold --swap`; nothing was stopped"
                )
    for name, gone in found.items():
        if unnamed := sorted(gone - set(without)):
            raise Failure(
                f"{name} reads silver_{unnamed[0]}_trades, and {home.pipeline_file} has no exchange {unnamed[0]}: put its block back, or "
                f"leave it for good with `tradelake upgrade --without {unnamed[0]} {name}`; nothing was stopped"
            )
    if unread := sorted(set(without) - set().union(*found.values())):
        raise Failure(f"no job that is upgraded reads of {', '.join(unread)}; nothing was stopped")
    return {name for name, gone in found.items() if gone}


def _in_gold(home: Home, exchange: str) -> bool:
    from tradelake.audit.pins import GOLD  # seconds of imports that most upgrades need not wait for
    from tradelake.lake import catalog, catalog_failures

    settings = home.settings()
    with catalog_failures(settings.environment):
        gold = catalog(settings).load_table((settings.pipeline.database, GOLD))
        return bool(gold.scan(f"exchange == '{exchange.upper()}'", selected_fields=("exchange",), limit=1).to_arrow().num_rows)


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


def _plain(address: str) -> str:
    """Flink writes file:/x, file:///x and /x of one folder."""
    return address.removeprefix("file:").strip("/")
