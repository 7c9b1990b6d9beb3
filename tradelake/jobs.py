"""The pipeline's jobs on the cluster: submitted with their newest state, stopped with a savepoint."""

import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

import click

from tradelake import savepoints
from tradelake.console import Failure, output, screen, step
from tradelake.flink import flink_command
from tradelake.home import Home
from tradelake.rest import FlinkJob, FlinkRest
from tradelake.stack.checks import alone

PATIENCE = 300
"""Seconds that a submitted job is given until all of its tasks run."""

ABOUT = re.compile(r"several: (?P<what>begin|submitted|failed) (?P<job>\S+)")
"""What flink_jobs/several.py says of a job."""

UNMAPPED = "Cannot map checkpoint/savepoint state"
"""What Flink says of state that no operator of the job takes."""
LEFT_OVER = (
    "its state has a part that the job has no more. Was an exchange taken out of the pipeline file, or put before the others? Put its "
    "block back (at the end, if it is new), and submit again. To leave an exchange for good: `tradelake restore JOB --without EXCHANGE`"
)

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

    JOB is bronze-EXCHANGE, silver-EXCHANGE (binance, kraken, ... of the pipeline file) or gold; without one, all jobs that do not run yet.
    Waits until every task of every job runs.
    """
    started, names = time.monotonic(), known(home, jobs)
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
    """How a job starts: from `state`, by default its newest one, or `fresh`; with the pipeline file's parallelism unless one is given.

    `leaving`: state of operators that the job has no more is left behind; otherwise Flink refuses it.
    """

    state: str | None = None
    fresh: bool = False
    parallelism: int | None = None
    leaving: bool = False


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
    if not starts:
        return
    states, failures, submitted = {name: _state(home, name, start) for name, start in starts.items()}, [], []
    began = time.monotonic()
    with _planning(home, [_job(name, start, states[name]) for name, start in starts.items()]) as printed, screen.status("") as status:
        for name, why in outcomes(printed, starts, lambda name: status.update(f"plan {name}")):
            if why is not None:
                failures.append(f"{name}: {why}")
                continue
            submitted.append(name)
            state = states[name]
            screen.print(f"  [green]✓[/] {name}{f' from {Path(state).name}' if state else ''} [dim]({time.monotonic() - began:.1f} s)[/]")
    rest = rest_of(home)
    if submitted:
        with step("every task of every job runs" if len(submitted) > 1 else f"every task of {submitted[0]} runs"):
            for name in submitted:
                try:
                    _wait_until_running(rest, name)
                except Failure as failure:
                    failures.append(str(failure))
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


def _state(home: Home, name: str, start: Start) -> str | None:
    environment = home.environment()
    return None if start.fresh else start.state or savepoints.newest(environment.flink.state, name, environment.s3)


def _job(name: str, start: Start, state: str | None) -> str:
    """What flink_jobs/several.py is told of a job."""
    return shlex.join(
        [
            name,
            *(["--from-state", state] if state else []),
            *(["--leave-state"] if start.leaving else []),
            *(["--fresh-state"] if start.fresh else []),
            *(["--parallelism", str(start.parallelism)] if start.parallelism else []),
        ]
    )


@contextmanager
def _planning(home: Home, jobs: list[str]) -> Iterator[Iterator[str]]:
    """One process that plans and submits these jobs, one after the other; the lines that it prints. It ends with the block."""
    found = find_spec("flink_jobs")
    assert found is not None
    assert found.submodule_search_locations
    script = Path(found.submodule_search_locations[0]) / "several.py"
    flink, variables = flink_command(home)
    given = ["--conf", str(home.pipeline_file), "--environment", str(home.environment_file)]
    command = [*flink, "run", "--detached", "--python", str(script), *(part for job in jobs for part in ("--submit", job)), *given]
    with Popen(command, stdout=PIPE, stderr=STDOUT, env=variables, text=True, errors="replace") as process:
        assert process.stdout
        try:
            yield process.stdout
        except BaseException:
            process.terminate()
            raise


def outcomes(printed: Iterable[str], names: Iterable[str], begun: Callable[[str], None]) -> Iterator[tuple[str, str | None]]:
    """Each job that was submitted, with None, and each that was not, with the reason; in the order in which that was known.

    Args:
        printed: lines of flink_jobs/several.py.
        begun: is told of each job before it is planned.
    """
    left, lines = list(names), list[str]()
    for line in printed:
        if not (about := ABOUT.fullmatch(line.rstrip("\n"))):
            lines.append(line)
        elif about["what"] == "begin":
            lines.clear()
            begun(about["job"])
        else:
            left.remove(about["job"])
            yield about["job"], None if about["what"] == "submitted" else _reason("".join(lines))
    for name in left:
        yield name, _reason("".join(lines))


def _reason(printed: str) -> str:
    """What the job itself said when it refused, or the innermost cause that it printed."""
    lines = printed.splitlines()
    refusals = [i for i, line in enumerate(lines) if line.startswith("refused: ")]
    if refusals:
        start = refusals[0]
        return "\n".join([lines[start].removeprefix("refused: "), *lines[start + 1 : start + 3]])
    if UNMAPPED in printed:
        return LEFT_OVER
    # That the Python process ended is what Flink's command line says of every failure; why it ended, stands before.
    causes = [line.strip() for line in lines if CAUSE.match(line) and "Python process exits with code" not in line]
    return causes[-1] if causes else (lines[-1] if lines else "flink run failed without a word")


def _wait_until_running(rest: FlinkRest, name: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
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
    names = home.pipeline().job_names()
    for job in jobs:
        if job not in names:
            raise click.BadParameter(f"no job is called {job}; there are {', '.join(names)}", param_hint="JOB")
    return [name for name in names if name in jobs or not jobs]


def alive(home: Home) -> dict[str, FlinkJob]:
    """The pipeline's jobs on the cluster that have not ended, by name."""
    names = home.pipeline().job_names()
    return {job.name: job for job in rest_of(home).jobs() if job.alive and job.name in names}


def rest_of(home: Home) -> FlinkRest:
    return FlinkRest(home.environment().flink.rest)
