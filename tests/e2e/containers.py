"""The shared stack as containers of docker-compose.yml: `pytest --stack=containers`.

Commands and tests reach the servers at the ports that the file publishes. What plans a Flink job runs in a container: a job carries the
addresses that it was planned with, and its tasks know the servers by the names of their own network. Such a container sees this checkout
and the tests' folders, read-only, at their own places, so that a file has one name inside and outside.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import yaml
from testcontainers.compose import DockerCompose

from tests.conftest import ROOT
from tests.e2e.stack import PIPELINE, Ran, Stack, run
from tradelake.stack.credentials import credential, credentials_file, write_private
from tradelake.stack.ports import DEFAULT_BASE

NO_ENGINE = "no Docker engine with Compose answers"
NO_PROCESSES = "needs the processes of the local stack"
COMPOSE_FILE = ROOT / "docker-compose.yml"
INSIDE = ROOT / "conf" / "environments" / "compose.yaml"
MOUNTED = Path("/etc/tradelake/environment.yaml")
SERVERS = ("kafka", "registry", "catalog", "taskmanager")
"""With all that they wait for: everything but the steps, which the tests take themselves."""
PLANS = {"submit": "submit", "restore": "submit", "upgrade": "submit", "rescale": "submit", "flink": "submit", "sql": "sql-client"}
"""Commands that plan Flink jobs -> the service in whose container they run."""
OF_PROCESSES = ("up", "down", "status", "logs", "demo")


def engine_answers() -> bool:
    """Whether there is a Docker engine, and a Compose that speaks to it."""
    try:
        commands = (["docker", "info"], ["docker", "compose", "version"])
        return all(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in commands)
    except OSError:
        return False


def published(compose: dict[str, Any]) -> dict[str, str]:
    """Service -> `host:port` on this machine, of those that publish their one port."""
    services = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    return {name: port.rpartition(":")[0] for name, (port,) in services.items()}


def environment(compose: dict[str, Any], inside: dict[str, Any], home: Path) -> dict[str, Any]:
    """The environment of the containers, `inside` their network, as it is seen from this machine.

    Without ZooKeeper, which is not published: it is needed where jobs are planned.
    """
    at = published(compose)
    return {
        "kafka": {"bootstrap_servers": at["kafka"]},
        "registry": {"url": _seen(inside["registry"]["url"], at)},
        "catalog": inside["catalog"] | {"uri": _seen(inside["catalog"]["uri"], at)},
        "s3": inside["s3"] | {"endpoint": _seen(inside["s3"]["endpoint"], at), "credentials_file": str(credentials_file(home))},
        "flink": {"rest": _seen(inside["flink"]["rest"], at), "state": inside["flink"]["state"]},
    }


def _seen(url: str, at: dict[str, str]) -> str:
    scheme, _, rest = url.partition("://")
    address, slash, path = rest.partition("/")
    return f"{scheme}://{at[address.partition(':')[0]]}{slash}{path}"


def write_home(home: Path) -> Path:
    """A home whose commands work on the containers, with secrets of its own; the file that gives them to Compose."""
    (home / "logs").mkdir(parents=True)
    keys = credential(home)
    compose, inside = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in (COMPOSE_FILE, INSIDE))
    (home / "environment.yaml").write_text(yaml.safe_dump(environment(compose, inside, home)), encoding="utf-8")
    return write_secrets(home / "secrets" / "env", S3_ACCESS_KEY=keys.identity, S3_SECRET_KEY=keys.secret)


def write_secrets(file: Path, **given: str) -> Path:
    """What .env.example names, each with a value given or made at random."""
    names = [line[:-1] for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines() if line.endswith("=")]
    assert given.keys() <= set(names)
    write_private(file, "".join(f"{name}={given.get(name) or token_hex(20)}\n" for name in names))
    return file


@contextmanager
def composed(project: str, secrets: Path, services: Sequence[str] = (), *, wait: bool) -> Iterator[DockerCompose]:
    """docker-compose.yml, started as a project of its own; afterwards nothing of it is left.

    Args:
        services: those alone, with what they wait for; by default all of the default profile.
        wait: until all are healthy.
    """
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("COMPOSE_PROJECT_NAME", project)
        for name in ("TRADELAKE_ENVIRONMENT_FILE", "COMPOSE_PROFILES", *_names(secrets)):
            variables.delenv(name, raising=False)  # it would go before the file
        compose = DockerCompose(
            ROOT, str(COMPOSE_FILE), build=True, wait=wait, env_file=str(secrets), services=[*services], docker_command_path="docker"
        )
        try:
            compose.start()
            yield compose
        finally:
            compose.services = []  # else what they wait for would stay
            compose.stop()
            assert compose.get_containers(include_all=True) == []


def _names(secrets: Path) -> list[str]:
    return [line.partition("=")[0] for line in secrets.read_text(encoding="utf-8").splitlines()]


class ContainerStack(Stack):
    """`seen`: folders that containers see at their own places."""

    def __init__(self, home: Path, compose: DockerCompose, seen: Sequence[Path], pipeline: Path = PIPELINE) -> None:
        super().__init__(home, DEFAULT_BASE, pipeline)
        self.compose, self.seen = compose, seen

    def with_pipeline(self, pipeline: Path) -> "ContainerStack":
        return ContainerStack(self.home, self.compose, self.seen, pipeline)

    def command(self, *arguments: object) -> list[str]:
        command = str(arguments[0])
        assert command not in OF_PROCESSES, f"`tradelake {command}` is for the local stack: mark this test with processes_only"
        if command in PLANS:
            return self.inside(PLANS[command], "tradelake", "--conf", self.pipeline_file, *arguments)
        return super().command(*arguments)

    def flink(self, *arguments: object) -> Ran:
        return run(self.inside(PLANS["flink"], "flink", *arguments))

    def inside(self, service: str, *command: object) -> list[str]:
        """A command in a container of this service, as root: the tests' folders are open to their owner alone."""
        folders = [argument for folder in self.seen for argument in ("--volume", f"{folder}:{folder}:ro")]
        as_root = ["--user", "0:0", "--cap-add", "DAC_OVERRIDE"]
        options = ["--rm", "-T", "--no-deps", *as_root, "--env", "COLUMNS=200", *folders]
        return [*self.compose.docker_compose_command(), "run", *options, service, *map(str, command)]

    @property
    def environment_of_jobs(self) -> Path:
        return MOUNTED

    def processes(self) -> list[Any]:
        raise AssertionError(f"a test that {NO_PROCESSES} is marked with processes_only")

    def logs(self) -> dict[str, str]:
        return {service: self.compose.get_logs(service)[0] for service in ("jobmanager", "taskmanager", *SERVERS[:3])}


def started(folders: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with topics, tables and the five jobs, all empty; afterwards nothing of it is left."""
    if not engine_answers():
        pytest.skip(NO_ENGINE)
    home = folders.mktemp("containers") / "home"
    with composed("tradelake-tests", write_home(home), SERVERS, wait=True) as compose:
        stack = ContainerStack(home, compose, (ROOT, folders.getbasetemp()))
        stack.tradelake("topics", "create")
        stack.tradelake("tables", "create")
        stack.tradelake("submit")
        yield stack
