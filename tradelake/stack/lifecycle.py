"""Bringing a stack up, and taking it down."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import psutil
import yaml

from tradelake.console import Failure, screen
from tradelake.jar_placement import misplaced
from tradelake.jars import verified_jars
from tradelake.stack import flink_cluster
from tradelake.stack.catalog import WAREHOUSE
from tradelake.stack.credentials import REGION, credentials_file
from tradelake.stack.part import Part, Site
from tradelake.stack.parts import STOP_ORDER, parts
from tradelake.stack.ports import DEFAULT_BASE, Ports, check_free, read_ports, write_ports
from tradelake.stack.processes import sweep
from tradelake.stack.registry import API
from tradelake.stack.supervision import Supervisor

MEMORY_NEEDED = 3 * 1024**3
DISK_NEEDED = 2 * 1024**3
PATIENCE = 180.0
"""Seconds that a part may take to become ready."""
DYING = {"BACKOFF", "EXITED", "FATAL"}


def up(home: Path, base: int | None) -> bool:
    """Bring the stack up; False when it was up already.

    Raises:
        Failure: it cannot be brought up; all that was started for it is stopped again.
    """
    with writable(home), lock(home):
        remembered = read_ports(home)
        supervisor = Supervisor(home)
        if supervisor.running() and remembered:
            return resume_parts(home, supervisor, remembered, base)
        start_fresh(home, supervisor, Ports(base) if base else remembered or Ports(DEFAULT_BASE))
        return True


def resume_parts(home: Path, supervisor: Supervisor, remembered: Ports, base: int | None) -> bool:
    """A supervisor runs: wait for what it runs, and start what somebody stopped."""
    if base and base != remembered.base:
        raise Failure(f"the stack of {home} is up, at port base {remembered.base}; `tradelake down` it before you move it to {base}")
    site = Site(home, remembered, verified_jars())
    every = parts(site)
    states = supervisor.states()
    if all(states.get(part.name, {}).get("statename") == "RUNNING" and part.ready() for part in every):
        return False
    start_parts(supervisor, every)
    return True


def start_fresh(home: Path, supervisor: Supervisor, ports: Ports) -> None:
    if swept := sweep(home):
        screen.print(f"  [yellow]![/] ended {swept} processes that an earlier run had left")
    check_resources(home)
    jars = verified_jars()
    if wrong := misplaced(jars):
        raise Failure(f"{wrong[0]}; run `tradelake jars`")
    check_free(ports)
    write_ports(home, ports)
    site = Site(home, ports, jars)
    try:
        site.folder("logs")
        flink_cluster.configure(site)
        write_environment(site)
        every = parts(site)
        with ThreadPoolExecutor() as threads:
            commands = dict(zip(every, threads.map(lambda part: part.prepare(), every), strict=True))
        supervisor.launch(commands)
        start_parts(supervisor, every)
    except BaseException:
        stop_everything(home, supervisor)
        raise


def check_resources(home: Path) -> None:
    """Raises:
    Failure: too little memory or disk.
    """
    memory, disk = psutil.virtual_memory().available, shutil.disk_usage(home).free
    if memory < MEMORY_NEEDED:
        raise Failure(f"{memory / 1e9:.1f} GB of memory are free and the stack needs {MEMORY_NEEDED / 1e9:.1f}; close what uses it")
    if disk < DISK_NEEDED:
        raise Failure(
            f"{disk / 1e9:.1f} GB of disk are free at {home} and the stack needs {DISK_NEEDED / 1e9:.1f}; make room, or set TRADELAKE_HOME"
        )


def start_parts(supervisor: Supervisor, every: list[Part]) -> None:
    """Start each part as soon as those that it needs are ready, and wait until all are."""
    ready = {part.name: Event() for part in every}
    abandoned = Event()
    started = time.monotonic()

    def run(part: Part) -> None:
        try:
            for need in part.needs:
                wait_until(ready[need].is_set, abandoned, lambda: None, f"{part.name} waits for {need} in vain")
            supervisor.start(part.name)
            wait_until(part.ready, abandoned, lambda: check_alive(supervisor, part), f"{part.name} is not ready after {PATIENCE:.0f} s")
            ready[part.name].set()
            screen.print(f"  [green]✓[/] {part.name} {part.address} [dim]({time.monotonic() - started:.1f} s)[/]")
        except BaseException:
            abandoned.set()
            raise

    with screen.status("starting the parts"), ThreadPoolExecutor(len(every)) as threads:
        errors = [future.exception() for future in [threads.submit(run, part) for part in every]]
    for error in sorted(filter(None, errors), key=lambda e: isinstance(e, Abandoned)):
        raise error


class Abandoned(Exception):
    """Another part failed."""


def wait_until(true: Callable[[], bool], abandoned: Event, check: Callable[[], None], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        check()
        if abandoned.wait(0.25):
            raise Abandoned
        if time.monotonic() > deadline:
            raise Failure(f"{otherwise}; `tradelake logs` shows why")


def check_alive(supervisor: Supervisor, part: Part) -> None:
    state = supervisor.states().get(part.name, {})
    if state.get("statename") in DYING:
        raise Failure(f"{part.name} does not stay up: {last_words(supervisor.home / 'logs' / f'{part.name}.log')}")


def last_words(log: Path) -> str:
    """The last line of a log that says something, shortened."""
    lines = (
        [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()] if log.exists() else []
    )
    telling = [line for line in lines if not line.startswith("at ")]
    return (telling[-1][:300] if telling else "it printed nothing") + f" (see {log})"


def write_environment(site: Site) -> None:
    """`environment.yaml`: where the pipeline finds this stack."""
    content = {
        "kafka": {"bootstrap_servers": site.ports.address("kafka")},
        "registry": {"url": site.ports.url("registry") + API},
        "catalog": {"name": "iceberg", "uri": site.ports.url("catalog"), "warehouse": WAREHOUSE},
        "s3": {
            "endpoint": site.ports.url("s3"),
            "region": REGION,
            "path_style_access": True,
            "credentials_file": str(credentials_file(site.home)),
        },
        "flink": {"rest": site.ports.url("flink"), "state": (site.home / "flink" / "state").as_uri()},
    }
    (site.home / "environment.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def down(home: Path) -> None:
    """Stop every part, those that use others first, and leave no process of this home."""
    with lock(home):
        stop_everything(home, Supervisor(home))


def stop_everything(home: Path, supervisor: Supervisor) -> None:
    if supervisor.running():
        for group in STOP_ORDER:
            with ThreadPoolExecutor() as threads:
                list(threads.map(supervisor.stop, group))
        supervisor.shutdown()
        while supervisor.running():
            time.sleep(0.1)
    sweep(home)


@contextmanager
def writable(home: Path) -> Iterator[None]:
    """Turns the refusals of the file system into a line that a person can act on."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise Failure(
            f"{error.filename or home} cannot be written: {error.strerror}; free it, or set TRADELAKE_HOME to another folder"
        ) from error


@contextmanager
def lock(home: Path) -> Iterator[None]:
    """One `up` or `down` of a home at a time."""
    with (home / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"another `tradelake up` or `down` works on {home}; wait for it") from None
        yield
