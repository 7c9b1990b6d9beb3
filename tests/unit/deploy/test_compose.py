"""docker-compose.yml keeps its promises, as far as that can be seen without a Docker engine."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from conf import settings
from tests.unit.deploy.compose import FILE, ROOT, Compose, FileConfig, Service, read
from tradelake.jars import load_lock
from tradelake.stack import catalog, kafka, s3
from tradelake.stack.ports import DEFAULT_BASE, HOST, Ports

EIGHT_GIGABYTES = 8 * 1024
OWN_IMAGE = f"tradelake:{tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}"


@pytest.fixture(scope="module")
def compose() -> Compose:
    return read()


def parametrized(name: str, default: bool = False) -> pytest.MarkDecorator:
    services = read().default() if default else read().services
    return pytest.mark.parametrize(name, sorted(services))


@parametrized("name")
def test_every_image_is_pinned_by_an_exact_tag(compose: Compose, name: str) -> None:
    image = compose.services[name].image
    assert re.fullmatch(r"[a-z0-9./-]+:v?[0-9]+(\.[0-9]+)+", image), image
    assert (image == OWN_IMAGE) == (compose.services[name].build is not None)


def test_the_images_are_those_programs_that_the_local_stack_runs(compose: Compose) -> None:
    """conf/jars.yaml is the one truth about versions."""
    pinned = {f"{group}:{artifact}": version for group, artifact, version, *_ in (a.parts for a in load_lock().artifacts)}
    assert {name: compose.services[name].image for name in ("kafka", "registry", "catalog", "s3")} == {
        "kafka": f"apache/kafka:{pinned['org.apache.kafka:kafka_2.13']}",
        "registry": f"apicurio/apicurio-registry:{pinned['io.apicurio:apicurio-registry-app']}",
        "catalog": f"apache/iceberg-rest-fixture:{pinned['org.apache.iceberg:iceberg-open-api']}",
        "s3": f"andrewgaul/s3proxy:{pinned['org.gaul:s3proxy']}",
    }


def test_the_servers_are_set_up_like_those_of_the_local_stack(compose: Compose) -> None:
    broker = compose.services["kafka"].environment
    differ = {"controller.listener.names", "listener.security.protocol.map"}
    assert {key: broker[f"KAFKA_{key.upper().replace('.', '_')}"] for key in kafka.PROPERTIES.keys() - differ} == {
        key: value for key, value in kafka.PROPERTIES.items() if key not in differ
    }
    assert f"-Xmx{kafka.HEAP}" in broker["KAFKA_HEAP_OPTS"]
    assert compose.services["catalog"].environment["CATALOG_WAREHOUSE"] == catalog.WAREHOUSE
    folders = compose.services["folders"].command or []
    assert {Path(folder).name for folder in folders if "/s3/" in folder} == {s3.WAREHOUSE_BUCKET, s3.STATE_BUCKET}


@parametrized("name")
def test_ports_are_published_on_the_loopback_address_alone(compose: Compose, name: str) -> None:
    for port in compose.services[name].ports:
        assert re.fullmatch(r"127\.0\.0\.1:[0-9]+:[0-9]+", port), port


def test_no_two_ports_are_the_same_and_the_numbers_are_the_local_stacks(compose: Compose) -> None:
    published = {name: int(port.split(":")[1]) for name, service in compose.services.items() for port in service.ports}
    assert len(set(published.values())) == len(published)
    ports = Ports(DEFAULT_BASE)
    same = {"jobmanager": "flink", "registry": "registry", "kafka": "kafka", "catalog": "catalog", "s3": "s3"}
    assert {name: published[name] for name in same} == {name: ports[part] for name, part in same.items()}
    assert f"HOST://{HOST}:{ports['kafka']}" in compose.services["kafka"].environment["KAFKA_ADVERTISED_LISTENERS"].split(",")


def test_what_starts_by_default_fits_into_eight_gigabytes(compose: Compose) -> None:
    assert sum(service.megabytes for service in compose.default().values()) <= EIGHT_GIGABYTES


@parametrized("name")
def test_what_a_service_waits_for_can_come_true(compose: Compose, name: str) -> None:
    service = compose.services[name]
    for target, dependency in service.depends_on.items():
        awaited = compose.services[target]
        assert set(awaited.profiles) <= set(service.profiles), f"{target} does not start where {name} does"
        if dependency.condition == "service_healthy":
            assert awaited.healthcheck
        else:
            assert awaited.restart == "no", f"{target} never completes: it is started again"


@parametrized("name")
def test_a_service_is_asked_how_it_is_or_comes_to_an_end(compose: Compose, name: str) -> None:
    service = compose.services[name]
    assert (service.healthcheck is not None) == (service.restart == "unless-stopped")


def test_the_order_of_the_start_is_that_of_the_demo(compose: Compose) -> None:
    def before(name: str) -> set[str]:
        needs = set(compose.services[name].depends_on)
        return needs.union(*map(before, needs))

    assert before("produce") == set(compose.default()) - {"produce"}


@parametrized("name")
def test_every_mounted_file_and_volume_exists(compose: Compose, name: str) -> None:
    service = compose.services[name]
    for source in (volume.split(":")[0] for volume in service.volumes):
        assert (ROOT / source).exists() if source.startswith("./") else source in compose.volumes, source
    assert {mount.source for mount in service.configs} <= compose.configs.keys()


def test_every_volume_config_and_file_is_used(compose: Compose) -> None:
    services = compose.services.values()
    mounted = {volume.split(":")[0] for service in services for volume in service.volumes}
    assert {source for source in mounted if not source.startswith("./")} == compose.volumes.keys()
    assert {mount.source for service in services for mount in service.configs} == compose.configs.keys()
    files = {file.relative_to(ROOT).as_posix() for file in (ROOT / "docker").rglob("*") if file.is_file()}
    used_by_the_image = {f"docker/{name}" for name in ("install.sh", "entrypoint.sh")}
    assert files == {source.removeprefix("./") for source in mounted if source.startswith("./docker/")} | used_by_the_image | {
        "docker/write-env.sh"
    }


def test_configs_are_files_that_are_there(compose: Compose) -> None:
    files = [config.file for config in compose.configs.values() if isinstance(config, FileConfig)]
    assert [ROOT / re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", file) for file in files] == [
        ROOT / "conf" / "pipeline.yaml",
        ROOT / "conf" / "environments" / "compose.yaml",
    ]
    assert all((ROOT / re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", file)).is_file() for file in files)


def test_no_secret_has_a_default_and_each_stands_in_the_example() -> None:
    """`docker compose up` refuses to start without one, and says what to do."""
    wanted = dict(re.findall(r"\$\{(\w+)(.*?)\}", FILE.read_text()))
    assert wanted.pop("TRADELAKE_ENVIRONMENT_FILE") == ":-./conf/environments/compose.yaml"
    assert set(wanted.values()) == {":?is missing, docker/write-env.sh writes .env"}
    example = dict(line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#"))
    assert example == dict.fromkeys(wanted, "")


def test_no_secret_stands_in_a_command(compose: Compose) -> None:
    """A command line is in every process list."""
    for service in compose.services.values():
        assert "$" not in " ".join([*(service.entrypoint or []), *(service.command or [])])


def test_env_files_are_not_committed() -> None:
    run = subprocess.run(["git", "check-ignore", ".env", ".env.part"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.stdout.split() == [".env", ".env.part"]


def test_the_environment_file_names_services_and_their_ports(compose: Compose) -> None:
    environment = settings.load_environment(ROOT / "conf" / "environments" / "compose.yaml")
    assert environment.kafka.bootstrap_servers == "kafka:9092"
    assert "PLAINTEXT://kafka:9092" in compose.services["kafka"].environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    published = {name: service.ports[0].split(":")[2] for name, service in compose.services.items() if service.ports}
    assert {
        environment.registry.url.removesuffix("/apis/ccompat/v7"): "registry",
        environment.catalog.uri: "catalog",
        environment.s3.endpoint: "s3",
        environment.flink.rest: "jobmanager",
    } == {f"http://{name}:{published[name]}": name for name in ("registry", "catalog", "s3", "jobmanager")}
    assert (environment.flink.zookeeper, environment.flink.state) == ("zookeeper:2181", f"s3://{s3.STATE_BUCKET}/state")
    assert environment.catalog.warehouse == catalog.WAREHOUSE
    assert environment.s3.endpoint == compose.services["catalog"].environment["CATALOG_S3_ENDPOINT"]


def test_compose_itself_accepts_the_file(tmp_path: Path) -> None:
    """It needs no engine for that, and refuses what its schema does not have."""
    secrets = tmp_path / "env"
    secrets.write_text((ROOT / ".env.example").read_text().replace("=\n", "=made-up\n"))
    profiles = [argument for profile in ("tools", "monitoring", "polaris") for argument in ("--profile", profile)]
    command = ["docker", "compose", "--file", str(FILE), "--env-file", str(secrets), *profiles, "config", "--format", "json"]
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker Compose here")
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    services = json.loads(ran.stdout)["services"]
    assert {name: service["image"] for name, service in services.items()} == {name: one.image for name, one in read().services.items()}
    assert {port["host_ip"] for service in services.values() for port in service.get("ports", [])} == {"127.0.0.1"}


def own(services: dict[str, Service]) -> list[str]:
    return sorted(name for name, service in services.items() if service.image == OWN_IMAGE)


@pytest.mark.parametrize("name", own(read().services))
def test_our_own_image_runs_without_privileges(compose: Compose, name: str) -> None:
    service = compose.services[name]
    assert (service.cap_drop, service.security_opt, service.init) == (["ALL"], ["no-new-privileges:true"], True)
    assert (service.user is None and not service.cap_add) or (name, service.network_mode) == ("folders", "none")


def documented() -> list[tuple[str, str]]:
    """Service and variable of every row of the table in docs/compose.md that names its documentation."""
    text = (ROOT / "docs" / "compose.md").read_text()
    table = text[text.index("| service | variables |") :].split("\n\n")[0]
    rows = re.findall(r"^\| ([a-z0-9, -]+) \| (`.*?) \| .* \| \[.*\]\(.*\) \|$", table, re.MULTILINE)
    assert len(rows) == table.count("\n") - 1
    return [
        (service, variable)
        for services, variables in rows
        for service in services.split(", ")
        for variable in re.findall(r"`(\w+)`", variables)
    ]


def test_every_variable_of_every_service_stands_in_the_table_once_and_no_other(compose: Compose) -> None:
    given = [(name, variable) for name, service in compose.services.items() for variable in service.environment]
    assert sorted(documented()) == sorted(given)


def test_prometheus_asks_services_that_there_are(compose: Compose) -> None:
    config = yaml.safe_load((ROOT / "docker" / "prometheus.yml").read_text())
    targets = {target for job in config["scrape_configs"] for static in job["static_configs"] for target in static["targets"]}
    assert {target.split(":")[0] for target in targets} - {"localhost"} <= compose.services.keys()
    assert {"jobmanager:9249", "taskmanager:9249"} <= targets
