"""What runs: the parts as the supervisor and their own answers have it, and Flink's jobs."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.table import Table

from tradelake.jars import Jars, cache_folder, load_lock
from tradelake.stack.part import Part, Site, client
from tradelake.stack.parts import parts
from tradelake.stack.ports import Ports
from tradelake.stack.processes import PART, of_home
from tradelake.stack.supervision import Supervisor

GOOD_ENDS = ("FINISHED", "CANCELED")


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
    name: str
    state: str


@dataclass(frozen=True)
class Status:
    parts: list[PartStatus]
    jobs: list[JobStatus]

    @property
    def healthy(self) -> bool:
        return all(part.state == "RUNNING" for part in self.parts) and all(job.state == "RUNNING" for job in self.jobs)

    def json(self) -> dict[str, Any]:
        return {"running": self.healthy, **asdict(self)}


def read_status(home: Path, ports: Ports) -> Status:
    states, memory = Supervisor(home).states(), memory_by_part(home)
    every = parts(Site(home, ports, Jars(load_lock(), cache_folder())))
    with ThreadPoolExecutor(len(every)) as threads:
        found = list(threads.map(lambda part: part_status(part, states.get(part.name), memory.get(part.name, 0)), every))
    return Status(found, read_jobs(ports.url("flink")))


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


def read_jobs(rest: str) -> list[JobStatus]:
    """The newest run of each job, but for those that ended as they should."""
    try:
        jobs = client().get(f"{rest}/jobs/overview").json()["jobs"]
    except (httpx.HTTPError, ValueError, KeyError):
        return []
    newest = {job["name"]: job["state"] for job in sorted(jobs, key=lambda job: job["start-time"])}
    return [JobStatus(name, state) for name, state in sorted(newest.items()) if state not in GOOD_ENDS]


def tables(status: Status) -> list[Table]:
    parts_table = Table("part", "state", "pid", "uptime", "memory", "address", box=None)
    for part in status.parts:
        cells = (str(part.pid or ""), str(timedelta(seconds=part.uptime_s)), f"{part.memory / 1e6:.0f} MB", part.address)
        parts_table.add_row(part.name, coloured(part.state), *cells)
    parts_table.add_row("", "", "", "", f"{sum(part.memory for part in status.parts) / 1e6:.0f} MB", "")
    jobs_table = Table("job", "state", box=None)
    for job in status.jobs:
        jobs_table.add_row(job.name, coloured(job.state))
    return [parts_table, jobs_table] if status.jobs else [parts_table]


def coloured(state: str) -> str:
    return f"[{'green' if state == 'RUNNING' else 'red'}]{state}[/]"
