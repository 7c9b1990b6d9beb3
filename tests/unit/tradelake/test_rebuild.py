"""Whatever is planted in the sound lake, a rebuild of its layers makes it sound again, and touches nothing that was right."""

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from conf.settings import load_pipeline
from tests.unit.tradelake.sound_lake import BRONZE_BINANCE, FAULTS, HERE, ROWS, SILVER_BINANCE, TOPICS, Present, audited, found, put, record
from tests.unit.udfs.strategies import JUDGES, message
from tradelake.audit.pins import DLQ, GOLD, REPLAYS
from tradelake.latency import COMMITS
from tradelake.rebuild import layers
from tradelake.rebuild.comparison import Comparison, Rest, Verdict
from tradelake.rebuild.layers import Days, compare_bronze, compare_gold, compare_silver

BEYOND_REPAIR = {
    "an offset that bronze lacks",
    "the first and the last offsets that bronze lacks",
    "an offset that Kafka has not given yet",
}
"""What only Kafka can mend."""
SILVER_KRAKEN = "silver_kraken_trades"
TABLES = ("bronze_binance_trades", "bronze_kraken_trades", SILVER_BINANCE, SILVER_KRAKEN, DLQ, GOLD)
PIPELINE = load_pipeline()


class InMemory:
    """Rows that are to be swapped in, and nothing else of `Staged`."""

    def __init__(self) -> None:
        self.rows: list[pa.Table] = []

    def add(self, rows: pa.Table) -> None:
        self.rows.append(rows)


class SettingsOf:
    pipeline = PIPELINE


def rebuild(lake: duckdb.DuckDBPyConnection, layer: str, exchanges: Sequence[str] = tuple(TOPICS), **options: Any) -> dict[str, Verdict]:
    """Compare a layer, and swap."""
    staged = {name: InMemory() for name in TABLES}
    comparison = compared(lake, layer, exchanges, staged=staged, **options)
    for name, files in staged.items():
        for _, numbers in comparison.drops(name):
            lake.execute(f"DELETE FROM {name} WHERE rowid IN ({', '.join(map(str, numbers))})")
        for rows in files.rows:
            lake.register("piece", rows)
            lake.execute(f"INSERT INTO {name} BY NAME FROM piece")
    return dict(comparison.verdicts)


def compared(
    lake: duckdb.DuckDBPyConnection,
    layer: str,
    exchanges: Sequence[str] = tuple(TOPICS),
    days: Days = Days(),  # noqa: B008 - frozen
    at_rest: Callable[[Rest | None], Rest | None] = lambda before: Rest((), 0),
    pause: Callable[[float], None] = lambda seconds: None,
    patience_s: float = 4,
    **options: Any,
) -> Comparison:
    pins = Present(options.pop("tables", {}))
    comparison = Comparison(lake, pins, options.pop("staged", {}), patience_s, at_rest, pause, lambda rows: None)
    for exchange in exchanges if layer != "gold" else ():
        if layer == "bronze":
            compare_bronze(comparison, exchange, days, lambda what: None)
        else:
            compare_silver(comparison, exchange, JUDGES[exchange], days, lambda what: None)
    if layer == "gold":
        compare_gold(comparison, SettingsOf, list(exchanges), days, lambda what: None)  # type: ignore[arg-type]
    return comparison


def contents(lake: duckdb.DuckDBPyConnection, table: str) -> list[Any]:
    return sorted(lake.execute(f"SELECT * EXCLUDE filename FROM {table}").fetchall(), key=repr)


@pytest.mark.parametrize("layer", ["bronze", "silver", "gold"])
def test_nothing_is_wrong_with_a_sound_lake(lake: duckdb.DuckDBPyConnection, layer: str) -> None:
    verdicts = compared(lake, layer).verdicts
    rows = {
        "bronze": {"bronze_binance_trades": 2 * ROWS, "bronze_kraken_trades": 2 * ROWS},
        "silver": {SILVER_BINANCE: 2 * (ROWS - 1), SILVER_KRAKEN: 2 * (ROWS - 1), DLQ: 4},
        "gold": {GOLD: 4 * (ROWS - 1)},
    }
    assert verdicts == {name: Verdict(right=right) for name, right in rows[layer].items()}


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in BEYOND_REPAIR])
def test_what_is_planted_is_mended_and_what_was_right_stays(lake: duckdb.DuckDBPyConnection, fault: str) -> None:
    before = {table: contents(lake, table) for table in TABLES}
    lake.execute(FAULTS[fault][0])
    for layer in ("bronze", "silver", "gold"):
        rebuild(lake, layer)
    assert found(audited(lake)) == []
    times = {SILVER_BINANCE: "validation_timestamp", DLQ: "error_timestamp", GOLD: "gold_ingestion_timestamp"}
    for table in TABLES:
        assert len(contents(lake, table)) == len(before[table])
        assert sum(row not in before[table] for row in contents(lake, table)) <= 1, times.get(table)


def test_each_kind_is_counted_with_an_example(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute(f"DELETE FROM {SILVER_BINANCE} WHERE {HERE}")
    lake.execute(f'INSERT INTO {SILVER_BINANCE} FROM (FROM {SILVER_BINANCE} WHERE "partition" = 1 AND "offset" = 0)')
    lake.execute(f'UPDATE {SILVER_BINANCE} SET price = 1 WHERE "partition" = 1 AND "offset" = 1')
    lake.execute(f'UPDATE {SILVER_BINANCE} SET exchange_date = NULL WHERE "partition" = 1 AND "offset" = 3')
    lake.execute(f'UPDATE {SILVER_BINANCE} SET "offset" = 99 WHERE "partition" = 1 AND "offset" = 4')
    verdict = compared(lake, "silver", ["binance"]).verdicts[SILVER_BINANCE]
    assert verdict.wrong == {"absent": 2, "doubled": 1, "altered": 1, "misplaced": 1, "orphan": 1}
    assert verdict.examples == {
        "absent": "binance-trades:0:3",
        "doubled": "binance-trades:1:0",
        "altered": "binance-trades:1:1",
        "misplaced": "binance-trades:1:3",
        "orphan": "binance-trades:1:99",
    }
    assert (verdict.right, verdict.added, verdict.dropped) == (6, 4, 4)


def test_without_swap_nothing_changes(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute(f"DELETE FROM {GOLD} WHERE source_sequence = 1002")
    before = {table: contents(lake, table) for table in TABLES}
    assert compared(lake, "gold").verdicts[GOLD].added == 1
    assert {table: contents(lake, table) for table in TABLES} == before


def test_a_row_that_replaces_another_keeps_its_time(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute(f"UPDATE {SILVER_BINANCE} SET price = 1, validation_timestamp = TIMESTAMP '2026-01-01 07:00' WHERE {HERE}")
    lake.execute(f"UPDATE {GOLD} SET price = 1, gold_ingestion_timestamp = TIMESTAMP '2026-01-01 08:00' WHERE source_sequence = 1002")
    rebuild(lake, "silver")
    rebuild(lake, "gold")
    question = f"SELECT validation_timestamp::VARCHAR FROM {SILVER_BINANCE} WHERE {HERE} UNION ALL "
    question += f"SELECT gold_ingestion_timestamp::VARCHAR FROM {GOLD} WHERE source_sequence = 1002"
    assert lake.execute(question).fetchall() == [("2026-01-01 07:00:00",), ("2026-01-01 08:00:00",)]


def test_of_a_trade_that_was_sent_twice_gold_gets_the_row_that_came_first(lake: duckdb.DuckDBPyConnection) -> None:
    put(lake, "binance", "binance-trades", 0, ROWS, message(1, record("binance", 3)))
    lake.execute(f"DELETE FROM {GOLD} WHERE source_sequence = 1003")
    rebuild(lake, "gold")
    first = lake.execute(f'SELECT min("offset") FROM {SILVER_BINANCE} WHERE source_sequence = 1003').fetchall()
    assert lake.execute(f"SELECT platform_sequence FROM {GOLD} WHERE source_sequence = 1003").fetchall() == first


def test_gold_may_have_any_of_the_rows_that_silver_has_of_a_trade(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute(f"CREATE TEMP TABLE before AS FROM {GOLD}")
    put(lake, "binance", "binance-trades", 0, ROWS, message(1, record("binance", 3)))
    lake.execute(f"DELETE FROM {GOLD}; INSERT INTO {GOLD} FROM before")
    lake.execute(f"UPDATE {GOLD} SET platform_sequence = {ROWS} WHERE source_sequence = 1003")
    assert compared(lake, "gold").verdicts[GOLD] == Verdict(right=4 * (ROWS - 1))


def test_a_replayed_message_stays_among_the_rejected(lake: duckdb.DuckDBPyConnection) -> None:
    rejected = f"('binance-trades', 0, 3, '{BRONZE_BINANCE}', 'schema', 'unknown_schema_id', 7)"
    columns = "(kafka_topic, kafka_partition, kafka_offset, bronze_source, error_type, error_reason, schema_id)"
    lake.execute(f"INSERT INTO {DLQ} {columns} VALUES {rejected}")
    lake.execute(f"CREATE TABLE {REPLAYS} (kafka_topic VARCHAR, kafka_partition INTEGER, kafka_offset BIGINT)")
    lake.execute(f"INSERT INTO {REPLAYS} VALUES ('binance-trades', 0, 3)")
    assert compared(lake, "silver", tables={REPLAYS: None}).verdicts[DLQ] == Verdict(right=5)


def moving(before: Rest | None) -> Rest | None:
    """Jobs that run, and go on writing."""
    return Rest((), 0) if before is None else None


class TestRowsOnTheirWay:
    def test_those_that_come_while_it_waits_are_not_added(self, lake: duckdb.DuckDBPyConnection) -> None:
        lake.execute(f"CREATE TEMP TABLE late AS FROM {GOLD} WHERE source_sequence = 1002")
        lake.execute(f"DELETE FROM {GOLD} WHERE source_sequence = 1002")
        comparison = compared(lake, "gold", pause=lambda _: lake.execute(f"INSERT INTO {GOLD} FROM late") and None)
        assert comparison.verdicts[GOLD] == Verdict(right=4 * (ROWS - 1) - 1)

    def test_those_that_came_while_it_waited_for_others_are_not_added(
        self, lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All of the patience is spent on a lost row of the first partition; one of the second comes meanwhile, after silver was pinned."""
        late = f'FROM {SILVER_BINANCE} WHERE "partition" = 1 AND "offset" = 3'
        lake.execute(f"CREATE TEMP TABLE late AS {late}; DELETE {late}; DELETE FROM {SILVER_BINANCE} WHERE {HERE}")
        lake.execute(f"CREATE TEMP TABLE pinned AS FROM {SILVER_BINANCE}")
        then, with_places = {SILVER_BINANCE: "pinned"}, Present.with_places
        monkeypatch.setattr(Present, "with_places", lambda self, name: with_places(self, then.get(name, name)))

        def pause(_seconds: float) -> None:
            lake.execute(f"INSERT INTO {SILVER_BINANCE} FROM late")

        verdict = compared(lake, "silver", ["binance"], at_rest=moving, pause=pause, patience_s=1).verdicts[SILVER_BINANCE]
        assert (verdict.wrong, verdict.examples, verdict.added) == ({"absent": 1}, {"absent": "binance-trades:0:3"}, 1)

    def test_messages_beyond_the_last_are_left_to_the_job_that_moves(self, lake: duckdb.DuckDBPyConnection) -> None:
        lake.execute(f'DELETE FROM {SILVER_BINANCE} WHERE "partition" = 0 AND "offset" IN (3, 5)')
        verdict = compared(lake, "silver", ["binance"], at_rest=moving).verdicts[SILVER_BINANCE]
        assert (verdict.waiting, verdict.added, verdict.wrong) == (1, 1, {"absent": 1})

    @pytest.mark.parametrize("moves", [True, False])
    def test_trades_committed_after_all_that_gold_has_taken_are_left_to_it(
        self, lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, moves: bool
    ) -> None:
        """Silver's files f0 to f5, one an offset and committed in this order; gold has taken from all but the last, and one is lost."""
        lake.execute(f"UPDATE {SILVER_BINANCE} SET filename = 'f' || \"offset\"")
        files = [f"f{offset}" for offset in range(ROWS)]
        times = [lake.execute(f"SELECT TIMESTAMP '2026-01-01' + INTERVAL {offset} HOUR").fetchall()[0][0] for offset in range(ROWS)]
        monkeypatch.setattr(layers, "commits", lambda settings: pa.table([files, times], schema=COMMITS))
        monkeypatch.setattr(Present, "with_places", lambda self, name: f"(SELECT *, rowid AS file_row_number FROM {name})")
        lake.register("commits", pa.table([files, times], schema=COMMITS))
        taken = f"SELECT message_id, committed + INTERVAL 1 SECOND AS taken_at FROM {SILVER_BINANCE} JOIN commits USING (filename)"
        lake.execute(
            f"UPDATE {GOLD} SET gold_ingestion_timestamp = taken_at FROM ({taken}) AS taken WHERE {GOLD}.message_id = taken.message_id"
        )
        last = f'SELECT message_id FROM {SILVER_BINANCE} WHERE "offset" IN (3, 5) AND "partition" = 0 OR "offset" = 5'
        lake.execute(f"DELETE FROM {GOLD} WHERE message_id IN ({last})")
        options = {"at_rest": moving} if moves else {}
        verdict = compared(lake, "gold", ["binance"], **options).verdicts[GOLD]
        assert (verdict.waiting, verdict.added) == ((2, 1) if moves else (0, 3))

    def test_without_a_wait_nothing_that_is_absent_is_added(self, lake: duckdb.DuckDBPyConnection) -> None:
        lake.execute(f"DELETE FROM {GOLD} WHERE source_sequence = 1002")
        lake.execute(f"UPDATE {GOLD} SET side = 'HOLD' WHERE source_sequence = 1003")
        verdict = compared(lake, "gold", patience_s=0).verdicts[GOLD]
        assert (verdict.wrong, verdict.waiting, verdict.added, verdict.dropped) == ({"altered": 1}, 1, 1, 1)


class TestOfSomeDays:
    def test_gold_by_days_of_trade(self, lake: duckdb.DuckDBPyConnection) -> None:
        days = lake.execute(f"SELECT DISTINCT exchange_date FROM {GOLD} WHERE exchange = 'BINANCE'").fetchall()
        ((day,),) = days
        of_it = lake.execute(f"SELECT count(*) FROM {GOLD} WHERE exchange_date = DATE '{day}'").fetchall()[0][0]
        assert compared(lake, "gold", days=Days(day, day)).verdicts[GOLD].right == of_it > 0
        assert compared(lake, "gold", days=Days(last=day - layers.DAY)).verdicts[GOLD].right + of_it <= 4 * (ROWS - 1)

    def test_silver_by_days_of_kafka(self, lake: duckdb.DuckDBPyConnection) -> None:
        lake.execute(f"UPDATE {BRONZE_BINANCE} SET kafka_timestamp = TIMESTAMP '2026-03-04 05:06' WHERE {HERE}")
        lake.execute(f"UPDATE {SILVER_BINANCE} SET kafka_timestamp = TIMESTAMP '2026-03-04 05:06' WHERE {HERE}")
        (day,) = lake.execute("SELECT DATE '2026-03-04'").fetchall()[0]
        assert compared(lake, "silver", ["binance"], days=Days(day, day)).verdicts == {SILVER_BINANCE: Verdict(right=1), DLQ: Verdict()}

    def test_gold_of_one_exchange(self, lake: duckdb.DuckDBPyConnection) -> None:
        lake.execute(f"DELETE FROM {GOLD}")
        rebuild(lake, "gold", ["kraken"])
        assert lake.execute(f"SELECT DISTINCT exchange FROM {GOLD}").fetchall() == [("KRAKEN",)]
