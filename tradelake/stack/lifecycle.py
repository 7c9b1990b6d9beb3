"""Bringing a stack up, and taking it down. Whoever calls `up`, `down` or `purge` holds the home's lock, `checks.alone`."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from rich.markup import escape

from tradelake.console import Failure, screen, step
from tradelake.home import Home
from tradelake.jar_placement import misplaced
from tradelake.jars import Jars, cache_folder, load_lock, verified_jars
from tradelake.stack import flink_configuration, registry
from tradelake.stack.catalog import WAREHOUSE
from tradelake.stack.checks import LOCK, check_resources, writing
from tradelake.stack.continuation import stop_jobs
from tradelake.stack.credentials import REGION, credentials_file
from tradelake.stack.part import Part, Site
from tradelake.stack.parts import STOP_ORDER, parts
from tradelake.stack.ports import DEFAULT_BASE, Ports, check_free, ports_file, read_ports, write_ports
from tradelake.stack.processes import sweep
from tradelake.stack.starting import Start
from tradelake.stack.supervision import Supervisor


def up(home: Path, base: int | None) -> bool:
    """Bring the stack up; False when it was up already.

    Raises:
        Failure: it cannot be brought up; all that was started for it is stopped again.
    """
    with writing(home):
        home.mkdir(parents=True, exist_ok=True)
        refuse_what_is_no_home(home)
        supervisor, remembered = Supervisor(home), read_ports(home)
        if supervisor.running() and remembered:
            return complete(supervisor, remembered, base)
        start_anew(supervisor, Ports(base) if base else remembered or Ports(DEFAULT_BASE))
        return True


def refuse_what_is_no_home(folder: Path) -> None:
    """`down --purge` deletes everything in a home: a folder with other things in it must not become one."""
    if read_ports(folder) is None and (others := sorted(child.name for child in folder.iterdir() if child.name != LOCK)):
        raise Failure(f"{folder} is not the home of a stack, and not empty ({others[0]}): name another folder, `--home` or $TRADELAKE_HOME")


def complete(supervisor: Supervisor, ports: Ports, base: int | None) -> bool:
    """A supervisor runs: start what somebody stopped, wait for what it has started again; False when nothing was to be done."""
    if base and base != ports.base:
        raise Failure(f"the stack of {supervisor.home} is up, at port base {ports.base}; `tradelake down` it before you move it to {base}")
    every = parts(Site(supervisor.home, ports, Jars(load_lock(), cache_folder())))
    states = supervisor.states()
    if all(states.get(part.name, {}).get("statename") == "RUNNING" and part.ready() for part in every):
        return False
    Start(supervisor, every).run()
    return True


def start_anew(supervisor: Supervisor, ports: Ports) -> None:
    home = supervisor.home
    if swept := sweep(home):
        screen.print(f"  [yellow]![/] ended {swept} processes of an earlier run")
    check_resources(home)
    jars = verified_jars()
    if wrong := misplaced(jars):
        raise Failure(f"{wrong[0]}; run `tradelake jars`")
    check_free(ports)
    try:
        write_ports(home, ports)
        site = Site(home, ports, jars)
        every = parts(site)
        with step("configuration"):
            commands = prepare(site, every)
        supervisor.launch(commands)
        Start(supervisor, every).run()
    except BaseException:
        stop_processes(supervisor)
        raise


def prepare(site: Site, every: list[Part]) -> dict[Part, list[str]]:
    """Write all configuration; the command of each part."""
    site.folder("logs")
    flink_configuration.configure(site)
    write_environment(site)
    with ThreadPoolExecutor() as threads:
        return dict(zip(every, threads.map(lambda part: part.prepare(), every), strict=True))


def write_environment(site: Site) -> None:
    """`environment.yaml`: where the pipeline finds this stack."""
    content = {
        "kafka": {"bootstrap_servers": site.ports.address("kafka")},
        "registry": {"url": site.ports.url("registry") + registry.API},
        "catalog": {"name": "iceberg", "uri": site.ports.url("catalog"), "warehouse": WAREHOUSE},
        "s3": {
            "endpoint": site.ports.url("s3"),
            "region": REGION,
            "path_style_access": True,
            "credentials_file": str(credentials_file(site.home)),
        },
        "flink": {
            "rest": site.ports.url("flink"),
            "state": flink_configuration.state(site),
            "zookeeper": site.ports.address("zookeeper"),
        },
    }
    (site.home / "environment.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def down(home: Home, path: Path) -> None:
    """Stop the jobs, then every part, those that use others first, and leave no process of this home."""
    with writing(path):
        supervisor = Supervisor(path)
        if supervisor.running():
            stop_jobs(home, path)
        with step("parts stopped"):
            stop_processes(supervisor)


def stop_processes(supervisor: Supervisor) -> None:
    if supervisor.running():
        for group in STOP_ORDER:
            with ThreadPoolExecutor() as threads:
                list(threads.map(supervisor.stop, group))
        supervisor.shutdown()
        while supervisor.running():
            time.sleep(0.1)
    sweep(supervisor.home)


def purge(path: Path) -> None:
    """Delete the home. The lock goes last: an `up` that finds it gone makes a home of its own, which is none of ours to delete."""
    with writing(path), step(f"deleted {escape(str(path))}"):
        for child in path.iterdir():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            elif child.name not in (LOCK, ports_file(path).name):
                child.unlink()
        ports_file(path).unlink(missing_ok=True)  # until here it is a home, and can be purged again
        (path / LOCK).unlink(missing_ok=True)
        try:
            path.rmdir()
        except OSError:
            if not (path / LOCK).exists():
                raise
