from conf.settings import load_pipeline
from tradelake.tables import compare_columns, table_kinds


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
