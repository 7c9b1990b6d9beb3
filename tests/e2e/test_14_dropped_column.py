"""Silver's metadata changes, and gold does not notice. Last, because it alters a table of the shared stack."""

from collections.abc import Iterator

import pytest
from pyiceberg.types import TimestampType

from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import GOLD, SILVER, TABLES

COLUMN = "validation_timestamp"


@pytest.fixture
def without_column(pipeline: Stack) -> Iterator[Stack]:
    """A column that gold never reads is gone from silver's Kraken table; afterwards it is there again, and its job too."""
    table = SILVER["kraken"]
    with pipeline.lake.table(table).update_schema(allow_incompatible_changes=True) as change:
        change.delete_column(COLUMN)
    yield pipeline
    pipeline.tradelake("stop", "silver-kraken")
    with pipeline.lake.table(table).update_schema() as change:
        change.add_column(COLUMN, TimestampType())
        change.move_after(COLUMN, "bronze_ingestion_timestamp")
    pipeline.tradelake("submit", "silver-kraken")


def test_a_metadata_column_dropped_from_silver_leaves_gold_running(without_column: Stack) -> None:
    pipeline = without_column
    before, gold = pipeline.lake.count(GOLD), pipeline.jobs()["gold"]["jid"]
    restored = pipeline.rest(f"/jobs/{gold}/checkpoints")["counts"]["restored"]
    assert COLUMN not in pipeline.lake.table(SILVER["kraken"]).schema().column_names
    pipeline.send_trades("kraken", [raw.kraken("DROPPED/USD") for _ in range(50)])
    pipeline.settle()
    assert pipeline.lake.count(GOLD) == before + 50 + 2
    assert pipeline.jobs()["gold"]["jid"] == gold
    assert pipeline.rest(f"/jobs/{gold}/checkpoints")["counts"]["restored"] == restored

    pipeline.tradelake("stop", "gold")
    pipeline.tradelake("submit", "gold")
    pipeline.send_trades("kraken", [raw.kraken("DROPPED/EUR") for _ in range(50)])
    pipeline.settle()
    assert pipeline.lake.count(GOLD) == before + 100 + 4


def test_with_the_column_added_again_all_tables_fit_and_everything_flows_as_before(pipeline: Stack) -> None:
    before = pipeline.counts()
    printed = pipeline.tradelake("tables", "create").stdout
    assert all(f"{table}: exists and fits" in printed for table in TABLES)
    assert pipeline.counts() == before
    pipeline.send_trades("kraken", [raw.kraken("ADDED/USD") for _ in range(50)])
    pipeline.settle()
    filled = pipeline.lake.rows(SILVER["kraken"], (COLUMN,), "symbol = 'ADDEDUSD'")
    assert filled.num_rows == 50
    assert filled[COLUMN].null_count == 0
    assert pipeline.discrepancies() == []
