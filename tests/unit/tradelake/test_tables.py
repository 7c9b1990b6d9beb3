from pathlib import Path

import pytest
from click.testing import CliRunner

from conf.settings import PIPELINE, load_pipeline
from tradelake import tables
from tradelake.cli import tradelake
from tradelake.tables import Table, compare_columns, table_kinds


def test_six_tables_of_four_kinds() -> None:
    assert table_kinds(load_pipeline()) == {
        "bronze_binance_trades": "bronze",
        "bronze_kraken_trades": "bronze",
        "silver_binance_trades": "silver",
        "silver_kraken_trades": "silver",
        "silver_dlq_trades": "dlq",
        "gold_crypto_trades": "gold",
    }


def test_equal_columns_differ_in_nothing() -> None:
    assert compare_columns({"a": "INT"}, {"a": "INT"}) == ([], [])


def test_what_differs_is_named() -> None:
    misfits, notes = compare_columns({"a": "INT", "b": "STRING"}, {"a": "BIGINT", "c": "DATE"})
    assert misfits == ["column b is missing", "column a is BIGINT, should be INT"]
    assert notes == ["column c is not described in sql/tables/"]


def test_what_a_table_says_of_itself_is_shown_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = PIPELINE.parent / "environments" / "example.yaml"
    monkeypatch.setenv("TRADELAKE_ENVIRONMENT", str(example))
    monkeypatch.setattr(tables, "create_tables", lambda settings: [Table("gold", created=False, notes=["property a is [/] and [red]"])])
    result = CliRunner().invoke(tradelake, ["--home", str(tmp_path), "tables", "create"])
    assert result.output.splitlines()[:2] == ["gold: exists and fits", "    property a is [/] and [red]"]
