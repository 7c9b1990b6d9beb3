"""Flink's own clients: what they are told."""

import sys
from pathlib import Path

import pytest

from conf.settings import S3
from tradelake import flink


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "flink" / "conf").mkdir(parents=True)
    (tmp_path / "flink" / "conf" / "config.yaml").touch()
    return tmp_path


def test_a_client_finds_java_python_and_the_homes_cluster(home: Path) -> None:
    variables = flink.flink_variables(home, {"PATH": "/usr/bin"})
    assert (Path(variables["JAVA_HOME"]) / "bin" / "java").exists()
    assert variables["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"
    assert variables["FLINK_CONF_DIR"] == str(home / "flink" / "conf")


def test_a_cluster_that_the_user_names_goes_before_the_homes(home: Path) -> None:
    assert flink.flink_variables(home, {"FLINK_CONF_DIR": "/etc/flink"})["FLINK_CONF_DIR"] == "/etc/flink"


def test_without_a_stack_flink_keeps_its_own_configuration(tmp_path: Path) -> None:
    assert "FLINK_CONF_DIR" not in flink.flink_variables(tmp_path, {})


def test_the_credentials_file_goes_before_the_users_own_keys() -> None:
    given = {"AWS_ACCESS_KEY_ID": "of another store", "AWS_PROFILE": "other", "HOME": "/home/me"}
    assert flink.object_store_variables(S3(credentials_file=Path("/keys")), given) == {
        "HOME": "/home/me",
        "AWS_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": "/keys",
    }


def test_without_a_credentials_file_the_users_keys_stay() -> None:
    given = {"AWS_ACCESS_KEY_ID": "mine", "AWS_REGION": "eu-west-1"}
    assert flink.object_store_variables(S3(region="eu-central-1"), given) == given
