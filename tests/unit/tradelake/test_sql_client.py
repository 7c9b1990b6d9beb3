"""Flink's SQL client: what it is told, and which files it is given."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import sql
from conf.settings import PIPELINE, load
from tradelake import sql_client
from tradelake.cli import tradelake
from tradelake.console import Failure
from tradelake.home import Home

EXAMPLES = Path(str(sql.__file__)).parent / "examples"
ENVIRONMENT = PIPELINE.parent / "environments" / "example.yaml"


def test_without_a_stack_the_sql_client_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADELAKE_ENVIRONMENT", str(ENVIRONMENT))
    result = CliRunner().invoke(tradelake, ["--home", str(tmp_path / "none"), "sql"])
    assert isinstance(result.exception, Failure)
    assert "is the stack up? `tradelake up`" in str(result.exception)
    assert not (tmp_path / "none").exists()


def test_only_the_owner_can_read_what_the_sql_client_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init = tmp_path / "flink" / "tmp" / "sql-client.sql"
    init.parent.mkdir(parents=True)
    init.write_text("of an earlier run")
    init.chmod(0o644)
    (tmp_path / "environment.yaml").write_text(ENVIRONMENT.read_text().replace("options: {}   ", "options: {token: secret}   "))
    monkeypatch.setattr(sql_client, "become", lambda *arguments: None)
    home = Home(tmp_path)
    sql_client.interactive(home, sql_client.initial_statements(home.settings(), views=True))
    assert "'token' = 'secret'" in init.read_text()
    assert oct(init.stat().st_mode & 0o777) == "0o600"


def test_the_views_are_left_out_where_they_could_not_be_made() -> None:
    settings = load(PIPELINE, ENVIRONMENT)
    bare, whole = (sql_client.initial_statements(settings, views=views) for views in (False, True))
    assert "CREATE TEMPORARY VIEW" not in bare
    assert whole.startswith(bare)
    assert whole.count("CREATE TEMPORARY VIEW") == 7
    assert bare.rstrip().endswith("USE `market_data`;")


def test_a_file_gets_its_parameters_and_keeps_every_other_dollar(tmp_path: Path) -> None:
    file = tmp_path / "x.sql"
    file.write_text("-- ${id}, ${not_one}\nSELECT * FROM `gold$files` /*+ OPTIONS('snapshot-id' = '${id}') */;\n", encoding="utf-8")
    filled = sql_client.filled(file, ("id=1=2",))
    assert filled == "-- 1=2, ${not_one}\nSELECT * FROM `gold$files` /*+ OPTIONS('snapshot-id' = '1=2') */;\n"


@pytest.mark.parametrize(("given", "why"), [((), "wants id: give --set id=..."), (("id=1", "more=2"), r"has no \$\{more\}")])
def test_parameters_that_do_not_fit_are_wrong_usage(tmp_path: Path, given: tuple[str, ...], why: str) -> None:
    file = tmp_path / "x.sql"
    file.write_text("SELECT '${id}';\n", encoding="utf-8")
    with pytest.raises(click.UsageError, match=why):
        sql_client.filled(file, given)


@pytest.mark.parametrize(
    "arguments", [["--set", "a=b"], ["--stop-after", "5 s"], ["-f", str(EXAMPLES / "batch.sql"), "--stop-after", "soon"]]
)
def test_options_that_make_no_sense_are_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    assert CliRunner().invoke(tradelake, ["--home", str(tmp_path), "sql", *arguments]).exit_code == 2


def test_an_example_names_no_place_of_one_stack() -> None:
    for file in EXAMPLES.glob("*.sql"):
        assert not any(word in file.read_text(encoding="utf-8") for word in ("127.0.0.1", "localhost", "file:", "s3:", "/tmp", "iceberg."))
