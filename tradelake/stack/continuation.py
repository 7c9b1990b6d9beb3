"""The pipeline's jobs over a `down` and an `up`: stopped with savepoints, resumed from them.

Both under the home's lock, `checks.alone`, which the caller holds: two that resume at once would submit every job twice.
"""

import json
import time
from pathlib import Path

from rich.markup import escape

from tradelake import jobs
from tradelake.console import Failure, screen, step
from tradelake.home import Home

TO_RESUME = "jobs-to-resume.json"
PATIENCE = 180.0
"""Seconds that jobs which high availability brings back may take until all of their tasks run."""


def stop_jobs(home: Home, path: Path) -> None:
    """Stop the pipeline's jobs with savepoints, and remember them; a job that will not stop is named, and left to high availability."""
    try:
        if names := list(jobs.alive(home)):
            # Written before the first is stopped: whatever happens on the way, `up` brings all of them back.
            (path / TO_RESUME).write_text(json.dumps(names), encoding="utf-8")
            jobs.stop_all(home)
    except Failure as failure:
        screen.print(f"  [yellow]![/] {escape(str(failure))}; the stack goes down all the same", soft_wrap=True)


def resume_jobs(home: Home, path: Path) -> list[str]:
    """Submit again what `stop_jobs` stopped, and wait until all jobs run; their names."""
    file = path / TO_RESUME
    if file.exists():
        jobs.resume(home, json.loads(file.read_text(encoding="utf-8")))
        file.unlink(missing_ok=True)
    if not all(job.running for job in jobs.alive(home).values()):
        with step("jobs running again"):
            wait_until_running(home)
    return list(jobs.alive(home))


def wait_until_running(home: Home) -> None:
    deadline = time.monotonic() + PATIENCE
    while waiting := [job.name for job in jobs.alive(home).values() if not job.running]:
        if time.monotonic() > deadline:
            raise Failure(f"the stack is up, but {', '.join(waiting)} still restarts; `tradelake logs jobmanager` says why")
        time.sleep(0.5)
