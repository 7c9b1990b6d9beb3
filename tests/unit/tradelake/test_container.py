"""What a container's Flink is told."""

from pathlib import Path

import pytest
import yaml

from conf.settings import PIPELINE, Environment, SettingsError, load_environment
from tradelake import container
from tradelake.jars import Jars, load_lock
from tradelake.stack.flink_configuration import configuration
from tradelake.stack.part import Site
from tradelake.stack.ports import Ports

COMPOSE = PIPELINE.parent / "environments" / "compose.yaml"
ADDRESSES = {
    "env.log.dir",
    "env.pid.dir",
    "rest.address",
    "rest.bind-address",
    "rest.port",
    "jobmanager.rpc.address",
    "jobmanager.rpc.port",
    "jobmanager.bind-host",
    "blob.server.port",
    "taskmanager.host",
    "taskmanager.bind-host",
    "taskmanager.rpc.port",
    "taskmanager.data.port",
    "taskmanager.resource-id",
    "high-availability.zookeeper.quorum",
    "high-availability.storageDir",
    "high-availability.jobmanager.port",
    "execution.checkpointing.dir",
    "execution.checkpointing.savepoint-dir",
    "web.upload.dir",
    "web.tmpdir",
    "rest.profiling.dir",
}


@pytest.fixture(scope="module")
def environment() -> Environment:
    return load_environment(COMPOSE)


def test_a_container_differs_from_the_local_stack_in_addresses_alone(environment: Environment, tmp_path: Path) -> None:
    local = yaml.safe_load(configuration(Site(tmp_path, Ports(20000), Jars(load_lock(), tmp_path / "cache"))))
    inside = yaml.safe_load(container.flink_configuration(environment, tmp_path, "abc123"))
    assert local.keys() - inside.keys() == {"s3.aws.credentials.provider"}  # a container has the whole chain
    assert inside.keys() - local.keys() == {"env.java.opts.taskmanager", "metrics.reporter.prom.port"}
    assert {key for key, value in local.items() if inside.get(key, value) != value} <= ADDRESSES | {"s3.endpoint"}


def test_the_addresses_of_a_container_are_those_of_the_environment(environment: Environment, tmp_path: Path) -> None:
    config = yaml.safe_load(container.flink_configuration(environment, tmp_path, "abc123"))
    assert {key: config[key] for key in sorted(ADDRESSES | {"s3.endpoint", "s3.path.style.access"})} == {
        "blob.server.port": 6124,
        "env.log.dir": f"{tmp_path}/logs",
        "env.pid.dir": f"{tmp_path}/flink/tmp",
        "execution.checkpointing.dir": "s3://flink/state/checkpoints",
        "execution.checkpointing.savepoint-dir": "s3://flink/state/savepoints",
        "high-availability.jobmanager.port": 6123,
        "high-availability.storageDir": "s3://flink/state/ha",
        "high-availability.zookeeper.quorum": "zookeeper:2181",
        "jobmanager.bind-host": "0.0.0.0",
        "jobmanager.rpc.address": "jobmanager",
        "jobmanager.rpc.port": 6123,
        "rest.address": "jobmanager",
        "rest.bind-address": "0.0.0.0",
        "rest.port": 8081,
        "rest.profiling.dir": f"{tmp_path}/flink/tmp",
        "s3.endpoint": "http://s3:9000",
        "s3.path.style.access": True,
        "taskmanager.bind-host": "0.0.0.0",
        "taskmanager.data.port": 6121,
        "taskmanager.host": "abc123",
        "taskmanager.resource-id": "abc123",
        "taskmanager.rpc.port": 6122,
        "web.tmpdir": f"{tmp_path}/flink/tmp",
        "web.upload.dir": f"{tmp_path}/flink/tmp",
    }


def test_no_key_of_the_object_store_is_written(environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDSECRET")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    container.configure(environment, tmp_path, "abc123")
    written = {file.name: file.read_text() for file in (tmp_path / "flink" / "conf").iterdir()}
    assert written.keys() == {"config.yaml", "zoo.cfg", "log4j-console.properties", "log4j-cli.properties", "maintenance.btm"}
    assert not [name for name, text in written.items() if "hunter2" in text or "AKIDSECRET" in text]
    assert "clientPortAddress=0.0.0.0\n" in written["zoo.cfg"]
    assert f"dataDir={tmp_path}/zookeeper\n" in written["zoo.cfg"]


def test_without_zookeeper_a_container_does_not_start(environment: Environment, tmp_path: Path) -> None:
    flink = environment.flink.model_copy(update={"zookeeper": None})
    with pytest.raises(SettingsError, match=r"^flink.zookeeper is missing"):
        container.flink_configuration(environment.model_copy(update={"flink": flink}), tmp_path, "abc123")


def test_without_zookeeper_a_client_needs_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADELAKE_ENVIRONMENT", str(COMPOSE.with_name("kubernetes.yaml")))
    monkeypatch.setenv("TRADELAKE_HOME", str(tmp_path))
    assert container.main(["configure", "--for-a-client"]) == container.NO_CLUSTER
    assert (container.main(["configure"]), list(tmp_path.iterdir())) == (1, [])


def test_a_missing_environment_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRADELAKE_ENVIRONMENT", str(tmp_path / "none.yaml"))
    assert container.main(["configure"]) == 1
    assert capsys.readouterr().err.startswith(f"tradelake: {tmp_path}/none.yaml: no such file")


def test_a_server_that_does_not_answer_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "environment.yaml"
    file.write_text(COMPOSE.read_text().replace("http://jobmanager:8081", "http://127.0.0.1:1"))
    monkeypatch.setenv("TRADELAKE_ENVIRONMENT", str(file))
    assert [container.main(["healthy", role]) for role in ("jobmanager", "taskmanager")] == [1, 1]
