import re
from pathlib import Path

import pytest

import sql

SQL = Path(sql.__file__).parent
QUERIES = SQL / "queries"


def test_options_are_quoted() -> None:
    assert sql.options({"a": "1", "it's": "o'clock"}) == "    'a' = '1',\n    'it''s' = 'o''clock'"


def test_a_statement_file_is_split_at_its_semicolons_and_keeps_no_comment() -> None:
    found = sql.statements("database", catalog="iceberg", database="market_data")
    assert found == ["CREATE DATABASE IF NOT EXISTS iceberg.market_data"]
    assert (
        len(sql.statements("bronze", job="j", topic="t", kafka_options="", partition_discovery="1 min", bronze="b", sink_options="")) == 2
    )


def test_a_parameter_that_is_not_given_is_named() -> None:
    with pytest.raises(KeyError, match="table"):
        sql.text("tables/gold")


@pytest.mark.parametrize(
    "value", ["-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n", "LoginModule required password='x;\n';\n", "${name} $$ $x"]
)
def test_a_parameter_is_never_taken_for_sql(value: str) -> None:
    properties = sql.options({"a": value, "b": "1"})
    assert sql.statements("catalog", name="iceberg", properties=properties) == [f"CREATE CATALOG iceberg WITH (\n{properties}\n)"]


class Java:
    """A Java exception, as Py4J shows it."""

    def __init__(self, text: str, cause: "Java | None" = None) -> None:
        self.text, self.cause = text, cause

    def getCause(self) -> "Java | None":
        return self.cause

    def toString(self) -> str:
        return self.text


def test_a_refused_statement_is_told_without_the_options_that_stand_in_it() -> None:
    options = "Unable to create catalog. Catalog options are:\n'credential'='me:hunter2'"
    of_py4j = Exception("An error occurred")
    of_py4j.java_exception = Java(options, Java("x.RESTException: who are you?\nat y"))  # type: ignore[attr-defined]
    assert sql.cause(of_py4j) == "x.RESTException: who are you?"
    of_pyflink = Exception(f"{options}\nCaused by: a.B: first\n\tat x\nCaused by: x.RESTException: who are you?\n\tat y")
    assert sql.cause(of_pyflink) == "x.RESTException: who are you?"
    assert sql.cause(ValueError(options)) == "ValueError"


def test_a_part_of_a_question_stands_once_for_each_exchange() -> None:
    text = "WITH a AS (\n    -- for each exchange\n    SELECT '${exchange}' AS e\n    FROM t_${exchange}\n    -- end\n)\nFROM a -- end\n"
    assert sql.for_each(text, ["x", "y"]) == (
        "WITH a AS (\n    SELECT 'x' AS e\n    FROM t_x\n    UNION ALL\n    SELECT 'y' AS e\n    FROM t_y\n)\nFROM a -- end\n"
    )
    assert "${" not in "".join(sql.for_each(file.read_text(encoding="utf-8"), ["x"]) for file in QUERIES.glob("*.sql"))


def test_no_statement_names_an_exchange_that_it_is_not_about() -> None:
    """A third exchange would be missing in it, and nobody would see that."""
    named = [f.name for f in SQL.rglob("*.sql") if re.search("binance|kraken|coinbase", code(f), re.IGNORECASE)]
    assert named == ["gaps_in_binance_ids.sql"]


def code(file: Path) -> str:
    return re.sub(r"^\s*--.*$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
