"""What runs: the parts as the supervisor and their own answers have it, and Flink's jobs."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.markup import escape
from rich.table import Table

from tradelake.jars import Jars, cache_folder, load_lock
from tradelake.stack.part import Part, Site, client
from tradelake.stack.parts import parts
from tradelake.stack.ports import Ports
from tradelake.stack.processes import PART, of_home
from tradelake.stack.supervision import Supervisor

STOPPED = "STOPPED"
"""Of a job: it was stopped with a savepoint, as `tradelake stop` does. Flink calls this FINISHED, like the end of what it has read."""


@dataclass(frozen=True)
class PartStatus:
    """`state` is supervisord's, or NOT READY; `memory` in bytes, a part's child processes included."""

    name: str
    state: str
    pid: int | None
    uptime_s: int
    memory: int
    address: str


@dataclass(frozen=True)
class JobStatus:
    """`state` is Flink's, or STOPPED."""

    name: str
    state: str


@dataclass(frozen=True)
class Status:
    """`jobs` are the pipeline's that were submitted; none of them is known unless `jobs_known`: Flink did not answer."""

    parts: list[PartStatus]
    jobs: list[JobStatus]
    jobs_known: bool = True

    @property
    def healthy(self) -> bool:
        parts_run = all(part.state == "RUNNING" for part in self.parts)
        return parts_run and self.jobs_known and all(job.state in ("RUNNING", STOPPED) for job in self.jobs)

    def json(self) -> dict[str, Any]:
        return {"running": self.healthy, **asdict(self)}


def read_status(home: Path, ports: Ports, names: Iterable[str]) -> Status:
    """What runs, and what has become of the jobs of these names."""
    states, memory = Supervisor(home).states(), memory_by_part(home)
    every = parts(Site(home, ports, Jars(load_lock(), cache_folder())))
    with ThreadPoolExecutor(len(every)) as threads:
        found = list(threads.map(lambda part: part_status(part, states.get(part.name), memory.get(part.name, 0)), every))
    jobs = read_jobs(ports.url("flink"), names)
    return Status(found, jobs or [], jobs is not None)


def part_status(part: Part, info: dict[str, Any] | None, memory: int) -> PartStatus:
    state = info["statename"] if info else "STOPPED"
    if info is None or state != "RUNNING":
        return PartStatus(part.name, state, None, 0, memory, part.address)
    return PartStatus(part.name, state if part.ready() else "NOT READY", info["pid"], info["now"] - info["start"], memory, part.address)


def memory_by_part(home: Path) -> dict[str, int]:
    """Resident bytes; Flink's Python workers count for the TaskManager that started them."""
    memory: dict[str, int] = {}
    for process in of_home(home):
        try:
            part = process.environ()[PART]
            memory[part] = memory.get(part, 0) + process.memory_info().rss
        except (psutil.Error, OSError):
            continue
    return memory


def read_jobs(rest: str, names: Iterable[str]) -> list[JobStatus] | None:
    """The newest run of each job of these names, others being somebody's queries; None when Flink does not answer."""
    try:
        jobs = client().get(f"{rest}/jobs/overview").json()["jobs"]
        newest = {job["name"]: job for job in sorted(jobs, key=lambda job: job["start-time"])}
        return [JobStatus(name, end(rest, newest[name])) for name in sorted(set(names) & set(newest))]
    except (httpx.HTTPError, ValueError, KeyError):
        return None


def end(rest: str, job: dict[str, Any]) -> str:
    """The job's state, where a stop with a savepoint is told from another end."""
    if job["state"] != "FINISHED":
        return str(job["state"])
    latest = client().get(f"{rest}/jobs/{job['jid']}/checkpoints").json().get("latest") or {}
    savepoint = latest.get("savepoint")
    stopped = savepoint and (savepoint["checkpoint_type"], savepoint["status"]) == ("SYNC_SAVEPOINT", "COMPLETED")
    return STOPPED if stopped else "FINISHED"


def tables(status: Status) -> list[Table]:
    parts_table = Table("part", "state", "pid", "uptime", "memory", "address", box=None)
    for part in status.parts:
        cells = (str(part.pid or ""), str(timedelta(seconds=part.uptime_s)), f"{part.memory / 1e6:.0f} MB", part.address)
        parts_table.add_row(part.name, coloured(part.state), *cells)
    parts_table.add_row("", "", "", "", f"{sum(part.memory for part in status.parts) / 1e6:.0f} MB", "")
    jobs_table = Table("job", "state", box=None)
    for job in status.jobs:
        jobs_table.add_row(escape(job.name), "[yellow]STOPPED[/] with a savepoint" if job.state == STOPPED else coloured(job.state))
    if not status.jobs_known:
        jobs_table.add_row("", "[red]not known: Flink does not answer[/]")
    return [parts_table, jobs_table] if jobs_table.row_count else [parts_table]


def coloured(state: str) -> str:
    return f"[{'green' if state == 'RUNNING' else 'red'}]{escape(state)}[/]"
