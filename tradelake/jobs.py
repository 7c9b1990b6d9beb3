"""The jobs on the cluster: submitted with their newest state, stopped with a savepoint."""

import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event

import click

from tradelake import savepoints
from tradelake.console import Failure, output, screen, step
from tradelake.flink import flink_command
from tradelake.home import Home
from tradelake.rest import FlinkJob, FlinkRest
from tradelake.stack.checks import alone

AT_ONCE = 2
"""Submissions at the same time; each is a JVM and a Python process that plan for some ten seconds."""

PATIENCE = 300
"""Seconds that a submitted job is given until all of its tasks run."""

CAUSE = re.compile(r"\s*(Caused by: |[\w.]*(Error|Exception): )")
"""Lines of a Java or Python traceback that say what went wrong."""


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option(
    "--fresh-state", is_flag=True, help="Start without state although the job's table has rows: everything is read, and written, again."
)
@click.pass_obj
def submit(home: Home, jobs: tuple[str, ...], fresh_state: bool) -> None:
    """Submit jobs to the cluster, each from its newest savepoint or checkpoint.

    JOB is bronze-binance, bronze-kraken, silver-binance, silver-kraken, gold, or ohlcv; without one, all that do not run yet but ohlcv,
    which starts only when it is named. Waits until every task of every job runs.
    """
    started, names = time.monotonic(), known(home, jobs) if jobs else home.pipeline().job_names()
    with changing(home):
        running = alive(home)
        for name in jobs:
            if name in running:
                raise Failure(f"{name} runs already as {running[name].id}; `tradelake stop {name}` stops it with a savepoint")
        wanted = [name for name in names if name not in running]
        submit_jobs(home, dict.fromkeys(wanted, Start(fresh=fresh_state)))
    for name in sorted(set(names) & set(running)):
        screen.print(f"  {name} runs already")
    output.print(f"{len(wanted)} submitted, all tasks RUNNING after {time.monotonic() - started:.1f} s · {rest_of(home).url}")


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.pass_obj
def stop(home: Home, jobs: tuple[str, ...]) -> None:
    """Stop jobs, each with a savepoint that the next `submit` resumes from. Without JOB, all that run.

    Flink's web UI shows a stopped job for an hour, among those that are completed.
    """
    started, names = time.monotonic(), known(home, jobs)
    running = alive(home)
    for name in jobs:
        if name not in running:
            raise Failure(f"{name} does not run; `tradelake status` shows what does")
    stopped = stop_jobs(home, [name for name in names if name in running])
    for name, state in stopped.items():
        page = rest_of(home).page(running[name].id, "checkpoints", ended=True)
        output.print(f"{name}: {state}\n  {page}", soft_wrap=True, markup=False)
    output.print(f"{len(stopped)} stopped with savepoints in {time.monotonic() - started:.1f} s")


@dataclass(frozen=True)
class Start:
    """How a job starts: from `state`, by default its newest one, or `fresh`; with the pipeline file's parallelism unless one is given."""

    state: str | None = None
    fresh: bool = False
    parallelism: int | None = None


@contextmanager
def changing(home: Home) -> Iterator[None]:
    """Between looking which jobs run and starting others nobody else may do the same: a job that runs twice writes every row twice.

    Commands on one home exclude each other so; on a cluster without a home, the job itself warns of its twin.
    """
    with alone(home.place) if home.place.exists() else nullcontext():
        yield


def submit_jobs(home: Home, starts: Mapping[str, Start]) -> None:
    """Submit these jobs, each as it is to start, and return once every task of each runs. Interrupted, submit no further one.

    Raises:
        Failure: a job was refused or failed; the others are submitted all the same.
    """
    failures, interrupted = [], Event()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for submission in [pool.submit(submit_job, home, name, start, interrupted) for name, start in starts.items()]:
                try:
                    submission.result()
                except Failure as failure:
                    failures.append(str(failure))
        except BaseException:
            interrupted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        raise Failure("\n".join(failures))


def stop_jobs(home: Home, names: Iterable[str]) -> dict[str, str]:
    """Stop `names` with savepoints, all at once; the savepoint's address by job.

    Raises:
        Failure: a savepoint failed, and that job goes on running; the others are stopped all the same.
    """
    rest, state = rest_of(home), home.environment().flink.state
    jobs = [job for name in names if (job := rest.alive(name))]
    with step(f"stop {', '.join(job.name for job in jobs) or 'nothing'} with savepoints"):
        triggers, stopped, failures = [], {}, []
        for job in jobs:
            try:
                triggers.append((job, rest.stop_with_savepoint(job.id, savepoints.folder(state, job.name))))
            except Failure as failure:
                failures.append(f"{job.name}: {failure}")
        for job, trigger in triggers:  # every one is waited for: what follows may end the processes that write the others
            try:
                stopped[job.name] = completed(rest, job, trigger)
                _wait_until_ended(rest, job)
            except Failure as failure:
                failures.append(f"{failure}; {job.name} goes on running")
    if failures:
        raise Failure("\n".join(failures))
    return stopped


def stop_all(home: Home) -> list[str]:
    """Stop every job of the pipeline that runs, with savepoints; their names."""
    return list(stop_jobs(home, alive(home)))


def resume(home: Home, names: Iterable[str]) -> None:
    """Submit again what `stop_all` stopped."""
    running = alive(home)
    submit_jobs(home, {name: Start() for name in names if name not in running})


def submit_job(home: Home, name: str, start: Start, interrupted: Event | None = None) -> None:
    """Submit one job and wait until its tasks run, or until nobody wants to know any more."""
    layer, _, exchange = name.partition("-")
    environment = home.environment()
    state = None if start.fresh else start.state or savepoints.newest(environment.flink.state, name, environment.s3)
    command = [
        *_flink_run(home, layer, state),
        *(["--exchange", exchange] if exchange else []),
        *(["--fresh-state"] if start.fresh else []),
        *(["--parallelism", str(start.parallelism)] if start.parallelism else []),
    ]
    with step(f"{name}{' from ' + Path(state).name if state else ''}"):
        ran = subprocess.run(command, capture_output=True, text=True, env=flink_command(home)[1], check=False)
        if ran.returncode:
            raise Failure(f"{name}: {_reason(ran.stdout + ran.stderr)}")
        _wait_until_running(rest_of(home), name, interrupted)


def _flink_run(home: Home, layer: str, state: str | None) -> list[str]:
    jobs = find_spec("flink_jobs")
    assert jobs is not None
    assert jobs.submodule_search_locations
    script = Path(jobs.submodule_search_locations[0]) / f"{layer}.py"
    return [
        *flink_command(home)[0],
        "run",
        "--detached",
        *(["--fromSavepoint", state] if state else []),
        "--python",
        str(script),
        "--conf",
        str(home.pipeline_file),
        "--environment",
        str(home.environment_file),
    ]


def _reason(printed: str) -> str:
    """What the job itself said when it refused, or the innermost cause that it printed."""
    lines = printed.splitlines()
    refusals = [i for i, line in enumerate(lines) if line.startswith("refused: ")]
    if refusals:
        start = refusals[0]
        return "\n".join([lines[start].removeprefix("refused: "), *lines[start + 1 : start + 3]])
    # That the Python process ended is what Flink's command line says of every failure; why it ended, stands before.
    causes = [line.strip() for line in lines if CAUSE.match(line) and "Python process exits with code" not in line]
    return causes[-1] if causes else (lines[-1] if lines else "flink run failed without a word")


def _wait_until_running(rest: FlinkRest, name: str, interrupted: Event | None) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not (interrupted and interrupted.is_set()):
        job = rest.alive(name)
        if job is None:
            raise Failure(f"{name}: ended right after its submission; `tradelake logs jobmanager` says why")
        if job.running:
            return
        time.sleep(0.3)
    raise Failure(f"{name}: submitted, but not all of its tasks run after {PATIENCE} s; {rest.url} shows what it waits for (free slots?)")


def completed(rest: FlinkRest, job: FlinkJob, trigger: str) -> str:
    """Wait for a savepoint; its address.

    Raises:
        Failure: it failed.
    """
    while (status := rest.savepoint_status(job.id, trigger))["status"]["id"] != "COMPLETED":
        time.sleep(0.3)
    operation = status["operation"]
    if "location" not in operation:
        cause = str(operation.get("failure-cause", {}).get("stack-trace", "no cause given")).splitlines()[0]
        raise Failure(f"the savepoint of {job.name} failed: {cause}")
    return str(operation["location"])


def _wait_until_ended(rest: FlinkRest, job: FlinkJob) -> None:
    while any(other.id == job.id and other.alive for other in rest.jobs()):
        time.sleep(0.2)


def known(home: Home, jobs: tuple[str, ...]) -> list[str]:
    """These jobs, or without any all that there are, in the order of the data; wrong usage if there is no such job."""
    names = every(home)
    for job in jobs:
        if job not in names:
            raise click.BadParameter(f"no job is called {job}; there are {', '.join(names)}", param_hint="JOB")
    return [name for name in names if name in jobs or not jobs]


def alive(home: Home) -> dict[str, FlinkJob]:
    """The pipeline's jobs on the cluster that have not ended, by name."""
    names = every(home)
    return {job.name: job for job in rest_of(home).jobs() if job.alive and job.name in names}


def every(home: Home) -> list[str]:
    """The names of all jobs, those that start only when they are named among them."""
    pipeline = home.pipeline()
    return [*pipeline.job_names(), *pipeline.optional_job_names()]


def rest_of(home: Home) -> FlinkRest:
    return FlinkRest(home.environment().flink.rest)
