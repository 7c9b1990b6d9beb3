"""Flink's own clients: what they are told."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from conf.settings import PIPELINE, S3
from tradelake import flink
from tradelake.cli import tradelake
from tradelake.console import Failure


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


def test_without_a_stack_the_sql_client_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADELAKE_ENVIRONMENT", str(PIPELINE.parent / "environments" / "example.yaml"))
    result = CliRunner().invoke(tradelake, ["--home", str(tmp_path / "none"), "sql"])
    assert isinstance(result.exception, Failure)
    assert "is the stack up? `tradelake up`" in str(result.exception)
    assert not (tmp_path / "none").exists()


def test_only_the_owner_can_read_what_the_sql_client_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init = home / "flink" / "tmp" / "sql-client.sql"
    init.parent.mkdir()
    init.write_text("of an earlier run")
    init.chmod(0o644)
    environment = (PIPELINE.parent / "environments" / "example.yaml").read_text()
    (home / "environment.yaml").write_text(environment.replace("options: {}   ", "options: {token: secret}   "))
    monkeypatch.setattr(flink, "become", lambda *arguments: sys.exit())
    assert CliRunner().invoke(tradelake, ["--home", str(home), "sql"]).exit_code == 0
    assert "'token' = 'secret'" in init.read_text()
    assert oct(init.stat().st_mode & 0o777) == "0o600"
