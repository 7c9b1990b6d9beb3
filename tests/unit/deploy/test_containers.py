"""The end-to-end tests on docker-compose.yml's containers, as far as that can be seen without a Docker engine."""

import re
from pathlib import Path

import pytest
import yaml
from testcontainers.compose import DockerCompose

from conf import settings
from tests.conftest import ROOT
from tests.e2e import containers
from tests.e2e.containers import ContainerStack, write_home, write_secrets
from tests.e2e.stack import PIPELINE
from tests.truth.lake import _key
from tests.unit.deploy.compose import read

E2E = ROOT / "tests" / "e2e"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_home(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def stack(home: Path) -> ContainerStack:
    compose = DockerCompose(ROOT, str(containers.COMPOSE_FILE), env_file="/secrets", docker_command_path="docker")
    return ContainerStack(home, compose, (ROOT, Path("/tests")))


def test_the_environment_names_the_published_ports(home: Path) -> None:
    found = settings.load_environment(home / "environment.yaml")
    assert found.model_dump(exclude_defaults=True) == {
        "kafka": {"bootstrap_servers": "127.0.0.1:18082"},
        "registry": {"url": "http://127.0.0.1:18081/apis/ccompat/v7"},
        "catalog": {"uri": "http://127.0.0.1:18083", "warehouse": "s3://tradelake/"},
        "s3": {"endpoint": "http://127.0.0.1:18084", "credentials_file": home / "secrets" / "aws-credentials"},
        "flink": {"rest": "http://127.0.0.1:18080", "state": "s3://flink/state"},
    }
    named = set(re.findall(r"127\.0\.0\.1:[0-9]+", (home / "environment.yaml").read_text()))
    assert named == {port.rpartition(":")[0] for service in read().default().values() for port in service.ports}


def test_what_starts_is_every_server_of_the_file_and_no_step() -> None:
    services = read().default()

    def with_needs(name: str) -> set[str]:
        return {name}.union(*map(with_needs, services[name].depends_on))

    started = set().union(*map(with_needs, containers.SERVERS))
    assert started == {name for name, service in services.items() if service.healthcheck} | {"folders"}


def test_the_home_and_the_containers_have_one_key_that_others_cannot_read(tmp_path: Path) -> None:
    secrets = write_home(tmp_path / "home")
    given = dict(line.split("=", 1) for line in secrets.read_text().splitlines())
    assert (given["S3_ACCESS_KEY"], given["S3_SECRET_KEY"]) == _key(tmp_path / "home" / "secrets" / "aws-credentials")
    assert {file.stat().st_mode & 0o077 for file in secrets.parent.iterdir()} == {0}


def test_every_secret_that_the_file_wants_is_made_anew(tmp_path: Path) -> None:
    wanted = set(re.findall(r"\$\{(\w+):\?", containers.COMPOSE_FILE.read_text()))
    made = [dict(line.split("=", 1) for line in write_secrets(tmp_path / name).read_text().splitlines()) for name in ("one", "other")]
    assert [set(one) for one in made] == [wanted, wanted]
    assert len({value for one in made for value in one.values()}) == 2 * len(wanted)
    assert all(len(value) == 40 for one in made for value in one.values())


def test_what_only_asks_runs_here(stack: ContainerStack) -> None:
    command = stack.command("stop", "gold")
    assert (Path(command[0]).name, command[1:]) == ("tradelake", ["--home", str(stack.home), "--conf", str(PIPELINE), "stop", "gold"])


@pytest.mark.parametrize(("command", "service"), [("submit", "submit"), ("upgrade", "submit"), ("sql", "sql-client")])
def test_what_plans_jobs_runs_in_a_container_of_the_servers_network(stack: ContainerStack, command: str, service: str) -> None:
    other = stack.with_pipeline(ROOT / "conf" / "pipeline.yaml")
    compose = ["docker", "compose", "-f", str(ROOT / "docker-compose.yml"), "--env-file", "/secrets"]
    seen = ["--volume", f"{ROOT}:{ROOT}:ro", "--volume", "/tests:/tests:ro"]
    as_root = ["--user", "0:0", "--cap-add", "DAC_OVERRIDE"]
    run = ["run", "--rm", "-T", "--no-deps", *as_root, "--env", "COLUMNS=200", *seen]
    assert other.command(command, "gold") == [*compose, *run, service, "tradelake", "--conf", str(other.pipeline_file), command, "gold"]
    assert {read().services[service].environment["TRADELAKE_ENVIRONMENT"]} == {str(other.environment_of_jobs)}


def test_commands_of_processes_are_no_commands_of_containers(stack: ContainerStack) -> None:
    for command in ("up", "down", "status", "logs", "demo"):
        with pytest.raises(AssertionError, match="processes_only"):
            stack.command(command)
    with pytest.raises(AssertionError, match="processes_only"):
        stack.processes()


OF_PROCESSES = re.compile(
    r"\.(pid|processes|status|health|wait_for_log)\(|tradelake\(\"(up|down|status|logs|demo)\"|\.home / \"(flink|s3|ports)"
)
"""What reaches for a process, a log or a folder of the local stack."""


def marked(module: str) -> tuple[bool, list[str]]:
    """Whether the whole module is for processes only, and the test functions that are not: their sources."""
    text = (E2E / module).read_text()
    functions = re.split(r"\n\n\n(?=(?:@|def |class ))", text)
    free = [one for one in functions if "@pytest.mark.processes_only\n" not in one and re.search(r"^def test_", one, re.MULTILINE)]
    return bool(re.search(r"^pytestmark = pytest.mark.processes_only", text, re.MULTILINE)), free


MODULES = sorted(file.name for file in E2E.glob("test_*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_no_test_for_containers_reaches_for_a_process(module: str) -> None:
    whole, free = marked(module)
    assert whole or [match[0] for one in free if (match := OF_PROCESSES.search(one))] == []


def test_most_modules_run_on_containers() -> None:
    """Others are about the demo, outages, second stacks, restarts, archives, state elsewhere, faults, rebuilds, TLS, compose, lists.

    And about an exchange that comes and goes.
    """
    whole = [module.split("_")[1] for module in MODULES if marked(module)[0]]
    assert whole == ["00", "05", "10", "11", "12", "16", "17", "18", "21", "22", "24", "25", "28", "31", "33", "34"]


def test_nothing_else_is_skipped_by_pattern() -> None:
    patterns = [skip for skip in yaml.safe_load((ROOT / "tests" / "skips.yaml").read_text()) if "option" in skip]
    assert patterns == [
        {"option": "--stack=containers", "test": "e2e/*", "reason": reason} for reason in (containers.NO_ENGINE, containers.NO_PROCESSES)
    ]
