"""The local stack's files and refusals, without a server."""

import configparser
import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import TextIO
from uuid import UUID

import pytest
import yaml
from click.testing import CliRunner
from supervisor.options import ServerOptions

from conf.settings import load_environment
from tests.e2e.stack import free_port_base
from tradelake.cli import tradelake
from tradelake.console import Failure
from tradelake.jars import Jars, Lock, load_lock
from tradelake.stack import (
    checks,
    commands,
    credentials,
    flink_cluster,
    flink_configuration,
    kafka,
    lifecycle,
    ports,
    registry,
    s3,
    supervision,
    zookeeper,
)
from tradelake.stack.part import Part, Site
from tradelake.stack.parts import NAMES, STOP_ORDER, parts
from tradelake.stack.ports import Ports

ODD = "a home, 100 % odd; ünicode"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / ODD, Ports(20000), Jars(load_lock(), tmp_path / "cache"))


def part(name: str) -> Part:
    return Part(name, "", "", lambda: [], lambda: True)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with all jars in place."""
    monkeypatch.setattr(lifecycle, "verified_jars", lambda: Jars(Lock({}), Path()))
    monkeypatch.setattr(lifecycle, "misplaced", lambda jars: [])


def test_the_base_is_the_web_uis_port_and_all_ports_differ() -> None:
    numbers = [Ports(20000)[name] for name in ports.NAMES]
    assert numbers == list(range(20000, 20000 + len(ports.NAMES)))
    assert Ports(20000)["flink"] == 20000


def test_a_home_remembers_its_ports(tmp_path: Path) -> None:
    assert ports.read_ports(tmp_path) is None
    ports.write_ports(tmp_path, Ports(20000))
    assert ports.read_ports(tmp_path) == Ports(20000)


@pytest.mark.usefixtures("machine")
def test_a_port_in_use_is_one_line_that_names_the_user_and_leaves_nothing(tmp_path: Path) -> None:
    base = free_port_base(first=12_000)  # below those that the system gives to connections; another in use would be named instead
    number = base + ports.NAMES.index("kafka")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", number))
        taken.listen()
        with pytest.raises(Failure) as failure:
            lifecycle.up(tmp_path / "home", base)
    assert str(failure.value).startswith(f"port {number} (kafka) is in use by ")
    assert f"(pid {os.getpid()})" in str(failure.value)
    assert str(failure.value).endswith("`tradelake up --port-base N`")
    assert "\n" not in str(failure.value)
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.usefixtures("machine")
def test_too_little_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "free_memory", lambda: 1_200_000_000)
    with pytest.raises(Failure, match=r"^1\.2 GB of memory are free and the stack needs 4\.0 GB; "):
        lifecycle.up(tmp_path, None)


@pytest.mark.usefixtures("machine")
def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "free_disk", lambda folder: 100_000_000)
    with pytest.raises(Failure, match=r"^0\.1 GB of disk are free at .* and the stack needs 2\.0 GB; "):
        lifecycle.up(tmp_path, None)


def test_a_containers_limit_counts_as_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CGROUP", tmp_path)
    unlimited = checks.free_memory()
    (tmp_path / "memory.max").write_text("2000000000\n")
    (tmp_path / "memory.current").write_text("1500000000\n")
    assert checks.free_memory() == min(unlimited, 500_000_000)


@pytest.mark.usefixtures("machine")
def test_a_folder_with_other_things_in_it_becomes_no_home(tmp_path: Path) -> None:
    """`down --purge` would delete them."""
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(Failure, match=rf"^{tmp_path} is not the home of a stack, and not empty \(thesis\.tex\): name another folder"):
        lifecycle.up(tmp_path, None)
    assert [child.name for child in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=r"/file/home cannot be written: Not a directory; .*TRADELAKE_HOME"):
        lifecycle.up(tmp_path / "file" / "home", None)


def test_a_home_is_worked_on_by_one_command_at_a_time(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with checks.alone(home), pytest.raises(Failure, match=rf"\(pid {os.getpid()}\) works on {home}; wait until"), checks.alone(home):
        pass
    with checks.alone(home), checks.alone(tmp_path / "other"):
        pass


def test_a_home_is_locked_for_other_processes_too_and_they_say_whom_they_wait_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = "import sys, pathlib; from tradelake.stack.checks import alone\nwith alone(pathlib.Path(sys.argv[1])): print('in')"
    monkeypatch.setattr(sys, "argv", ["/bin/tradelake", "up"])

    def other() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", attempt, str(tmp_path)], capture_output=True, text=True, check=False)

    with checks.alone(tmp_path):
        refused = other()
    assert f"Failure: `tradelake up` (pid {os.getpid()}) works on {tmp_path}; wait until it has ended" in refused.stderr
    assert (refused.returncode, other().stdout) == (1, "in\n")


def test_a_lock_that_was_deleted_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock, deletions = checks.fcntl.flock, iter([True])

    def after_a_purge(file: TextIO, how: int) -> None:
        if next(deletions, False):
            lifecycle.purge(tmp_path / "home")
        flock(file, how)

    monkeypatch.setattr(checks.fcntl, "flock", after_a_purge)
    with checks.alone(tmp_path / "home"), pytest.raises(Failure, match="works on"), checks.alone(tmp_path / "home"):
        pass


def locked(home: Path) -> bool:
    try:
        with checks.alone(home):
            return False
    except Failure:
        return True


def test_up_resumes_the_jobs_under_the_homes_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports.write_ports(tmp_path, Ports(20000))
    seen = []
    monkeypatch.setattr(commands.lifecycle, "up", lambda path, base: seen.append(locked(path)) is None)
    monkeypatch.setattr(commands.continuation, "resume_jobs", lambda home, path: [str(seen.append(locked(path)))])
    assert CliRunner().invoke(tradelake, ["--home", str(tmp_path), "up"]).exit_code == 0
    assert (seen, locked(tmp_path)) == ([True, True], False)


def test_down_deletes_the_home_under_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports.write_ports(tmp_path, Ports(20000))
    seen = []
    monkeypatch.setattr(commands.lifecycle, "down", lambda home, path: seen.append(locked(path)))
    monkeypatch.setattr(commands.lifecycle, "purge", lambda path: seen.append(locked(path)))
    assert CliRunner().invoke(tradelake, ["--home", str(tmp_path), "down", "--purge"]).exit_code == 0
    assert seen == [True, True]


def test_the_credential_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first = credentials.credential(tmp_path)
    file = credentials.credentials_file(tmp_path)
    assert credentials.credential(tmp_path) == first
    assert credentials.credential(tmp_path / "other") != first
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert first.secret not in repr(first)
    assert len(first.secret) == 40


def test_the_object_stores_properties_are_private_and_the_command_line_holds_no_secret(site: Site) -> None:
    command = s3.prepare(site)
    secret = credentials.credential(site.home).secret
    assert f"s3proxy.credential={secret}" in (site.home / s3.PROPERTIES).read_text().splitlines()
    assert (site.home / s3.PROPERTIES).stat().st_mode & 0o777 == 0o600
    assert [argument for argument in command if secret in argument] == []
    assert sorted(bucket.name for bucket in (site.home / "s3").iterdir()) == ["flink", "tradelake"]


def test_the_environment_is_what_the_settings_read(site: Site) -> None:
    site.home.mkdir()
    lifecycle.write_environment(site)
    environment = load_environment(site.home / "environment.yaml")
    assert environment.model_dump(mode="json", exclude_defaults=True) == {
        "kafka": {"bootstrap_servers": "127.0.0.1:20002"},
        "registry": {"url": "http://127.0.0.1:20001/apis/ccompat/v7"},
        "catalog": {"uri": "http://127.0.0.1:20003", "warehouse": "s3://tradelake/"},
        "s3": {"endpoint": "http://127.0.0.1:20004", "credentials_file": f"{site.home}/secrets/aws-credentials"},
        "flink": {"rest": "http://127.0.0.1:20000", "state": f"file://{site.home}/flink/state", "zookeeper": "127.0.0.1:20005"},
    }


def test_flinks_configuration_is_filled_in(site: Site) -> None:
    flink_configuration.configure(site)
    conf = site.home / "flink" / "conf"
    config = yaml.safe_load((conf / "config.yaml").read_text(encoding="utf-8"))
    assert config["rest.port"] == 20000
    assert config["high-availability.zookeeper.quorum"] == "127.0.0.1:20005"
    assert config["high-availability.storageDir"] == f"file://{site.home}/flink/ha"
    assert config["execution.checkpointing.savepoint-dir"] == f"file://{site.home}/flink/state/savepoints"
    assert config["web.upload.dir"] == f"{site.home}/flink/tmp"
    assert "--add-opens=java.base/java.util=ALL-UNNAMED" in config["env.java.opts.all"]
    assert "jdk.compiler" not in config["env.java.opts.all"]
    assert [key for key, value in config.items() if "$" in str(value)] == []
    names = {file.name for file in conf.iterdir()}
    assert names == {
        "config.yaml",
        "masters",
        "workers",
        "log4j-console.properties",
        "log4j-cli.properties",
        "loopback.btm",
        "maintenance.btm",
    }


def test_what_flink_only_needs_while_it_runs_is_emptied_and_its_state_kept(site: Site) -> None:
    flink_configuration.configure(site)
    (site.folder("flink/tmp/tm_taskmanager") / "LOG").touch()
    (site.home / "flink" / "state" / "kept").touch()
    flink_configuration.configure(site)
    assert list((site.home / "flink" / "tmp").iterdir()) == []
    assert (site.home / "flink" / "state" / "kept").exists()


def test_rocksdb_is_not_told_to_log_beside_the_parts_logs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flink_cluster, "memory_options", lambda site, command: ([], []))
    jobmanager, taskmanager = (flink_cluster.command(site, role) for role in (flink_cluster.JOBMANAGER, flink_cluster.TASKMANAGER))
    assert "-Dlog.file=logs/jobmanager.log" in jobmanager
    assert [argument for argument in taskmanager if argument.startswith("-Dlog.file")] == []
    assert "taskmanager.log.path=logs/taskmanager.log" in taskmanager


def test_every_address_is_the_loopback_address(site: Site) -> None:
    flink_configuration.configure(site)
    config = yaml.safe_load((site.home / "flink" / "conf" / "config.yaml").read_text(encoding="utf-8"))
    hosts = {key: value for key, value in config.items() if key.endswith(("host", "address"))}
    assert len(hosts) == 6
    broker, keeper = kafka.properties(site), zookeeper.configuration(site)
    registry_command = registry.prepare(site)
    assert set(hosts.values()) == {"127.0.0.1"}
    assert broker["listeners"] == broker["advertised.listeners"] == "PLAINTEXT://127.0.0.1:20002,CONTROLLER://127.0.0.1:20007"
    assert "clientPortAddress=127.0.0.1" in keeper
    assert "server.1=127.0.0.1:20008:20009" in keeper
    assert {"-Dquarkus.http.host=127.0.0.1", "-Dquarkus.management.host=127.0.0.1"} <= set(registry_command)


def test_every_part_is_stopped_and_only_after_those_that_use_it(site: Site) -> None:
    every = parts(site)
    assert tuple(part.name for part in every) == NAMES
    assert sorted(name for group in STOP_ORDER for name in group) == sorted(NAMES)
    turn = {name: turn for turn, group in enumerate(STOP_ORDER) for name in group}
    assert [part.name for part in every if any(turn[need] <= turn[part.name] for need in part.needs)] == []


def test_the_supervisor_reads_commands_as_they_were_meant(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.home / "logs").mkdir(parents=True)
    command = ["/bin/java", "-Da=b c", "100 % 'quoted' \"twice\"", "%(here)s", "; comment", "ü"]
    text = supervision.configuration(site.home, {part("kafka"): command})
    (site.home / supervision.CONFIGURATION).write_text(text, encoding="utf-8")
    monkeypatch.chdir(site.home)
    options = ServerOptions()
    options.realize(["-c", supervision.CONFIGURATION], doc="")
    (group,) = options.process_group_configs
    (process,) = group.process_configs
    assert shlex.split(process.command) == command
    assert process.environment == {"TRADELAKE_PART": "kafka"}
    assert (process.autorestart.__name__, process.startretries) == ("RestartUnconditionally", 1_000_000)


@pytest.mark.parametrize("name", ["home", ODD, "deep/" * 30])
def test_the_supervisors_socket_always_fits(name: str) -> None:
    root = Path("/srv/lake")
    path = supervision.socket_path(root / name)
    assert len(os.fsencode(path)) < 100
    assert (path.parent == root / name) == (name == "home")
    assert supervision.socket_path(root / name) == path != supervision.socket_path(root / "other")


def test_the_supervisors_configuration_holds_no_secret(site: Site) -> None:
    secret = credentials.credential(site.home).secret
    commands = {part: ["java"] for part in parts(site)}
    text = supervision.configuration(site.home, commands)
    assert secret not in text
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    assert [name for name in parser.sections() if name.startswith("program:")] == [f"program:{name}" for name in NAMES]


def test_purging_deletes_the_home(tmp_path: Path) -> None:
    home = tmp_path / "a [/home]"
    (home / "kafka").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (home / "link").symlink_to(tmp_path / "elsewhere")
    ports.write_ports(home, Ports(20000))
    with checks.alone(home):
        lifecycle.purge(home)
    assert (home.exists(), (tmp_path / "elsewhere").exists()) == (False, True)


def test_ports_are_written_for_people_too(tmp_path: Path) -> None:
    ports.write_ports(tmp_path, Ports(20000))
    assert json.loads((tmp_path / "ports.json").read_text())["zookeeper"] == 20005


def test_no_cluster_id_looks_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([UUID(bytes=b"\xf8" + bytes(15)), UUID(bytes=b"\xfb\xff" + bytes(14)), UUID(bytes=b"\x00\x0f" + bytes(14))])
    monkeypatch.setattr(kafka, "uuid4", lambda: next(drawn))
    assert kafka.cluster_id() == "AA8AAAAAAAAAAAAAAAAAAA"
