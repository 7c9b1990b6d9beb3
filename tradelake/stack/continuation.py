"""The pipeline's jobs over a `down` and an `up`: stopped with savepoints, resumed from them.

Both under the home's lock, `checks.alone`, which the caller holds: two that resume at once would submit every job twice.
"""

import json
import time
from pathlib import Path

from rich.markup import escape

from conf.settings import SettingsError
from tradelake import jobs
from tradelake.console import Failure, screen, step
from tradelake.home import Home
from tradelake.stack.ports import DEFAULT_BASE, Ports, read_ports

TO_RESUME = "jobs-to-resume.json"
PATIENCE = 180.0
"""Seconds that jobs which high availability brings back may take until all of their tasks run."""


def refuse_another_cluster(home: Home, path: Path, base: int | None = None) -> None:
    """A stack goes up and down with its own jobs, whatever environment the shell still names.

    Args:
        base: first of the ports that the stack is about to have; by default those that it remembers.

    Raises:
        Failure: `$TRADELAKE_ENVIRONMENT` names a file with another cluster.
    """
    if home.environment_file == home.path / "environment.yaml":
        return  # `up` writes it
    ports = Ports(base) if base else read_ports(path) or Ports(DEFAULT_BASE)
    try:
        rest = home.environment().flink.rest
    except SettingsError:
        return  # `stop_jobs` says it, and lets the stack go down
    if rest.rstrip("/") != ports.url("flink"):
        raise Failure(
            f"{home.environment_file} names the cluster at {rest}, which is not the stack of {path} ({ports.url('flink')}): "
            "unset $TRADELAKE_ENVIRONMENT, or name that stack's --home"
        )


def stop_jobs(home: Home, path: Path) -> None:
    """Stop the pipeline's jobs with savepoints, and remember them; a job that will not stop is named, and left to high availability."""
    try:
        if names := list(jobs.alive(home)):
            # Written before the first is stopped: whatever happens on the way, `up` brings all of them back.
            remembered = {"jobs": names, "database": home.pipeline().database}
            (path / TO_RESUME).write_text(json.dumps(remembered), encoding="utf-8")
            jobs.stop_all(home)
    except (Failure, SettingsError) as failure:
        screen.print(f"  [yellow]![/] {escape(str(failure))}; the stack goes down all the same", soft_wrap=True)


def resume_jobs(home: Home, path: Path) -> list[str]:
    """Submit again what `stop_jobs` stopped, and wait until all jobs run; their names."""
    file = path / TO_RESUME
    if file.exists():
        remembered = json.loads(file.read_text(encoding="utf-8"))
        refuse_another_database(home, remembered["database"])
        jobs.resume(home, remembered["jobs"])
        file.unlink(missing_ok=True)
    if not all(job.running for job in jobs.alive(home).values()):
        with step("jobs running again"):
            wait_until_running(home)
    return list(jobs.alive(home))


def refuse_another_database(home: Home, before: str) -> None:
    """The state of a job belongs to the tables that it wrote.

    Raises:
        Failure: the pipeline file names another database than that in which the jobs were stopped.
    """
    if (now := home.pipeline().database) != before:
        raise Failure(
            f"the jobs were stopped in database {before}, and would go on with its state in {now}, by {home.pipeline_file}: "
            "name the pipeline file that they ran with, --conf or $TRADELAKE_CONF"
        )


def wait_until_running(home: Home) -> None:
    deadline = time.monotonic() + PATIENCE
    while waiting := [job.name for job in jobs.alive(home).values() if not job.running]:
        if time.monotonic() > deadline:
            raise Failure(f"the stack is up, but {', '.join(waiting)} still restarts; `tradelake logs jobmanager` says why")
        time.sleep(0.5)
