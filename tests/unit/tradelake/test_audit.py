"""Every fault that can be planted is found and named, and nothing else; what is only late is waited for."""

from collections import Counter
from datetime import UTC, timedelta
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from tests.unit.tradelake.sound_lake import (
    BAD,
    BRONZE_BINANCE,
    FAULTS,
    HERE,
    ROWS,
    SENT,
    SILVER_BINANCE,
    Present,
    audited,
    found,
    id_at,
    put,
    record,
)
from tests.unit.tradelake.tables_in_memory import empty_tables
from tests.unit.udfs.strategies import message
from tradelake.audit import checks
from tradelake.audit.checks import Books
from tradelake.audit.command import show
from tradelake.audit.findings import Check, Finding
from tradelake.audit.pins import DLQ, GOLD, REPLAYS
from tradelake.cli import tradelake


def test_a_sound_lake_is_clean(lake: duckdb.DuckDBPyConnection) -> None:
    books = audited(lake)
    assert found(books) == []
    assert all(check.clean and check.wrong == check.in_flight == 0 for check in books.checks)
    assert {check.rows for check in books.checks if check.name == "values"} == {2 * ROWS}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_and_nothing_else_is(lake: duckdb.DuckDBPyConnection, fault: str) -> None:
    planted, wanted = FAULTS[fault]
    message_id = id_at(lake, 3)
    lake.execute(planted)
    books = audited(lake)
    assert found(books) == [(check, kind, table, key.replace("ID", message_id), rows) for check, kind, table, key, rows in wanted]
    assert all(finding.evidence and finding.repair for check in books.checks for finding in check.findings)
    assert {check.name for check in books.checks if not check.clean} == {check for check, *_ in wanted if check != "source gaps"}


def test_a_repeat_is_no_fault(lake: duckdb.DuckDBPyConnection) -> None:
    """The same trade under another offset: another row of silver, none of gold."""
    lake.execute(f"CREATE TEMP TABLE before AS FROM {GOLD}")
    put(lake, "binance", "binance-trades", 0, ROWS, message(1, record("binance", 3)))
    lake.execute(f"DELETE FROM {GOLD}; INSERT INTO {GOLD} FROM before")
    assert found(audited(lake, ends={("binance-trades", 0): (0, ROWS + 1)})) == []


@pytest.mark.parametrize("recorded", [True, False])
def test_a_message_that_was_replayed_stands_in_silver_and_among_the_rejected(lake: duckdb.DuckDBPyConnection, recorded: bool) -> None:
    """It was rejected for a schema that nobody knew then; without the record of the replay it would be a fault."""
    rejected = f"('binance-trades', 0, 3, '{BRONZE_BINANCE}', 'schema', 'unknown_schema_id')"
    lake.execute(
        f"INSERT INTO {DLQ} (kafka_topic, kafka_partition, kafka_offset, bronze_source, error_type, error_reason) VALUES {rejected}"
    )
    lake.execute(f"CREATE TABLE {REPLAYS} (kafka_topic VARCHAR, kafka_partition INTEGER, kafka_offset BIGINT)")
    if recorded:
        lake.execute(f"INSERT INTO {REPLAYS} VALUES ('binance-trades', 0, 3), ('binance-trades', 0, 3), ('binance-trades', 0, 4)")
    fault = ("coordinates", "doubled", SILVER_BINANCE, "binance-trades:0:3", 1)
    notice = ("values", "altered", DLQ, "binance-trades:0:3", 1)
    assert found(audited(lake, tables={REPLAYS: None})) == ([] if recorded else [fault, notice])


def test_what_arrives_while_it_waits_is_no_fault(lake: duckdb.DuckDBPyConnection) -> None:
    late = [(SILVER_BINANCE, "source_sequence IN (1002, 1003)"), (GOLD, "source_sequence = 1004")]
    for number, (table, where) in enumerate(late):
        lake.execute(f"CREATE TEMP TABLE late_{number} AS FROM {table} WHERE {where}; DELETE FROM {table} WHERE {where}")
    lake.execute(f"DELETE FROM {GOLD} WHERE source_sequence = 1003")  # and never comes
    waited: list[int] = []

    def arrive(_seconds: float) -> None:
        for number, (table, _where) in enumerate(late):
            lake.execute(f"INSERT INTO {table} FROM (FROM late_{number} ANTI JOIN {table} USING (source_sequence))")

    ticks = iter(range(1000))
    books = audited(lake, patience_s=4, sleep=arrive, clock=lambda: float(next(ticks)), waiting=waited.append)
    by_name = {(check.name, check.table): check for check in books.checks}
    assert by_name["coordinates", SILVER_BINANCE].in_flight == 2
    assert waited[0] == 2
    missing = id_at(lake, 4)
    assert [row for row in found(books) if row[0] != "source gaps"] == [("ids", "absent", GOLD, missing, 1)]


def test_bronze_behind_kafka_is_waited_for_too(lake: duckdb.DuckDBPyConnection) -> None:
    raw = message(1, record("binance", 90))

    def arrive(_seconds: float) -> None:
        put(lake, "binance", "binance-trades", 1, ROWS, raw)

    books = audited(lake, patience_s=60, sleep=arrive, ends={("binance-trades", 1): (0, ROWS + 1)})
    assert (books.checks[0].name, books.checks[0].in_flight, books.checks[0].findings) == ("offsets", 1, [])


def test_bronze_may_come_further_than_it_was_waited_for(lake: duckdb.DuckDBPyConnection) -> None:
    """Trades go on coming: two where one was missing."""
    waits: list[float] = []

    def arrive(seconds: float) -> None:
        waits.append(seconds)
        for offset in (ROWS, ROWS + 1):
            put(lake, "binance", "binance-trades", 1, offset, message(1, record("binance", 90 + offset)))

    books = audited(lake, patience_s=60, sleep=arrive, ends={("binance-trades", 1): (0, ROWS + 1)})
    assert len(waits) == 1
    assert (books.checks[0].in_flight, books.checks[0].wrong) == (1, 0)
    assert [(c.name, f.kind, f.key) for c in books.checks for f in c.findings if not f.notice] == []


def test_rows_of_a_partition_that_was_silent_since_a_moment_are_waited_for(lake: duckdb.DuckDBPyConnection) -> None:
    raw = message(1, record("binance", 90))

    def arrive(_seconds: float) -> None:
        put(lake, "binance", "binance-trades", 1, ROWS, raw)

    since = (SENT + timedelta(days=1)).replace(tzinfo=UTC)
    books = audited(lake, since=since, patience_s=60, sleep=arrive, ends={("binance-trades", 1): (0, ROWS + 1)})
    assert (books.checks[0].name, books.checks[0].in_flight, found(books)) == ("offsets", 1, [])


def test_what_kafka_removed_before_it_was_read_is_a_notice(lake: duckdb.DuckDBPyConnection) -> None:
    for table in (BRONZE_BINANCE, SILVER_BINANCE):
        lake.execute(f'DELETE FROM {table} WHERE "partition" = 0 AND "offset" < 2')
    lake.execute(f"DELETE FROM {GOLD} WHERE source_sequence < 1002")
    books = audited(lake, ends={("binance-trades", 0): (2, ROWS)})
    assert found(books) == [("offsets", "absent", BRONZE_BINANCE, "binance-trades:0:0-1", 2)]
    assert all(check.clean for check in books.checks)


def test_rows_before_a_moment_are_left_alone(lake: duckdb.DuckDBPyConnection) -> None:
    """Faults at offset 0 and at offset 4, which were sent four minutes apart."""
    lake.execute(f'DELETE FROM {SILVER_BINANCE} WHERE "partition" = 0 AND "offset" IN (0, 4)')
    lake.execute(f'DELETE FROM {BRONZE_BINANCE} WHERE "partition" = 1 AND "offset" IN (1, 4)')
    lake.execute(f"DELETE FROM {GOLD} WHERE exchange = 'KRAKEN' AND platform_sequence IN (1, 5)")
    since = (SENT + timedelta(minutes=3)).replace(tzinfo=UTC)
    kraken = sorted(id for (id,) in lake.execute('SELECT message_id FROM silver_kraken_trades WHERE "offset" = 5').fetchall())
    names = [(check, kind, key) for check, kind, _, key, _ in found(audited(lake, since=since))]
    orphan = [key for check, kind, key in names if (check, kind) == ("ids", "orphan")]
    assert len(orphan) == 1  # gold still has the trade that silver lost
    assert [name for name in names if name[2] not in orphan] == [
        ("coordinates", "absent", "binance-trades:0:4"),
        ("coordinates", "orphan", "binance-trades:1:4"),
        *(("ids", "absent", message_id) for message_id in kraken),
        ("offsets", "absent", "binance-trades:1:4"),
    ]  # fmt: skip


def test_a_sample_is_as_large_as_asked_for(lake: duckdb.DuckDBPyConnection) -> None:
    assert [check.rows for check in audited(lake, sample=5).checks if check.name == "values"] == [5, 5]


def test_of_many_findings_a_hundred_are_named_and_all_counted() -> None:
    connection = empty_tables()
    connection.execute(
        f'INSERT INTO {BRONZE_BINANCE} (topic, "partition", "offset") SELECT \'binance-trades\', 0, i * 2 FROM range(500) t(i)'
    )
    books = Books(connection, Present({}), {"binance": "binance-trades"}, patience_s=0)
    checks.offsets(books, "binance", {("binance-trades", 0): (0, 999)})
    checks.coordinates(books, "binance")
    checks.ids(books)
    assert [(check.wrong, len(check.findings)) for check in books.checks] == [(499, 100), (500, 100), (0, 0)]


def test_no_number_of_notices_hides_a_fault_nor_one_kind_another() -> None:
    check = Check("values", SILVER_BINANCE)
    for number in range(150):
        check.add(Finding("altered", DLQ, str(number), 1, "late", "wait", notice=True))
    assert check.clean
    check.add(Finding("altered", SILVER_BINANCE, "the one", 1, "seen", "do"))
    assert (check.clean, check.wrong, check.noticed, len(check.findings)) == (False, 1, 150, 101)
    assert check.findings[-1].key == "the one"


def test_of_two_kinds_with_many_runs_both_are_named_and_counted() -> None:
    connection = empty_tables()
    rows = "SELECT 'binance-trades', 0, i * 2 FROM range(500) t(i) UNION ALL SELECT 'binance-trades', 0, i * 4 FROM range(150) t(i)"
    connection.execute(f'INSERT INTO {BRONZE_BINANCE} (topic, "partition", "offset") {rows}')
    books = Books(connection, Present({}), {"binance": "binance-trades"}, patience_s=0)
    checks.offsets(books, "binance", {("binance-trades", 0): (0, 999)})
    assert Counter(finding.kind for finding in books.checks[0].findings) == {"absent": 100, "doubled": 100}
    assert books.checks[0].wrong == 499 + 150


@pytest.mark.parametrize(
    ("kafka", "wanted"),
    [
        ((1000, 1000), [("binance-trades:0:6-999", 994, False)]),
        ((500, 510), [("binance-trades:0:500-509", 10, False), ("binance-trades:0:6-499", 494, False)]),
    ],
)
def test_what_kafka_removed_after_bronzes_last_offset_is_lost(
    lake: duckdb.DuckDBPyConnection, kafka: tuple[int, int], wanted: list[tuple[str, int, bool]]
) -> None:
    books = audited(lake, ends={("binance-trades", 0): kafka})
    assert sorted((f.key, f.rows, f.notice) for f in books.checks[0].findings) == wanted
    assert not books.checks[0].clean


def test_a_hole_that_kafka_has_removed_a_part_of_is_named_in_two(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute(f'DELETE FROM {BRONZE_BINANCE} WHERE "partition" = 0 AND "offset" IN (2, 3)')
    (check,) = [check for check in audited(lake, ends={("binance-trades", 0): (3, ROWS)}).checks if check.name == "offsets" and check.wrong]
    assert [(f.key, f.repair.split(":")[0]) for f in check.findings] == [
        ("binance-trades:0:2", "Kafka no longer has them, and none can be had again"),
        ("binance-trades:0:3", "Kafka still has them"),
    ]


def test_the_record_of_a_replay_that_never_came_hides_nothing(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute(f"CREATE TABLE {REPLAYS} (kafka_topic VARCHAR, kafka_partition INTEGER, kafka_offset BIGINT)")
    lake.execute(f"INSERT INTO {REPLAYS} VALUES ('binance-trades', 1, {BAD})")
    lake.execute(f"UPDATE {DLQ} SET error_reason = 'truncated' WHERE kafka_topic = 'binance-trades' AND kafka_partition = 1")
    assert found(audited(lake, tables={REPLAYS: None})) == [("values", "altered", DLQ, f"binance-trades:1:{BAD}", 1)]


@pytest.mark.parametrize("changed", ["raw_record = 'other'::BLOB", "error_type = 'decode'"])
def test_a_dead_letter_of_an_unknown_schema_that_was_altered_is_no_notice(lake: duckdb.DuckDBPyConnection, changed: str) -> None:
    raw = b"\x00\x00\x00\x00\x63rest"
    put(lake, "binance", "binance-trades", 0, ROWS, raw)
    lake.execute(f"UPDATE {DLQ} SET {changed} WHERE kafka_topic = 'binance-trades' AND kafka_offset = {ROWS}")
    books = audited(lake, ends={("binance-trades", 0): (0, ROWS + 1)})
    assert [(c.name, f.kind, f.key, f.notice) for c in books.checks for f in c.findings] == [
        ("values", "altered", f"binance-trades:0:{ROWS}", False)
    ]


def test_numbers_at_the_edge_end_no_audit(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute(f"UPDATE {GOLD} SET source_sequence = 9223372036854775807 WHERE source_sequence IN (1008, 1009)")
    lake.execute(f'UPDATE {GOLD} SET "timestamp" = 9223372036854775807 WHERE source_sequence = 1002')
    lake.execute(f'UPDATE {SILVER_BINANCE} SET "timestamp" = -9223372036854775808 WHERE {HERE}')
    kinds = Counter((c.name, f.kind, f.table) for c in audited(lake).checks for f in c.findings)
    assert kinds["partitions", "misplaced", GOLD] == kinds["partitions", "misplaced", SILVER_BINANCE] == 1


def test_rows_without_a_time_of_sending_count_too(lake: duckdb.DuckDBPyConnection) -> None:
    """Kafka says -1 ms where a message has no time."""
    lake.execute(f"UPDATE {SILVER_BINANCE} SET kafka_timestamp = TIMESTAMP '1969-12-31 23:59:59.999' WHERE {HERE}")
    lake.execute(f"DELETE FROM {GOLD} WHERE source_sequence = 1002")
    assert ("ids", "absent", GOLD, id_at(lake, 3), 1) in found(audited(lake))


def test_patience_is_for_all_checks_together(lake: duckdb.DuckDBPyConnection) -> None:
    """Both partitions of bronze are behind, and silver and gold lack a row each: that is waited for once."""
    lake.execute(f"DELETE FROM {SILVER_BINANCE} WHERE {HERE}")
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    audited(lake, patience_s=6, clock=lambda: now[0], sleep=sleep, ends={("binance-trades", p): (0, ROWS + 1) for p in (0, 1)})
    assert now[0] == 6


def test_findings_are_shown_whole(lake: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]) -> None:
    lake.execute(f"DELETE FROM {GOLD} WHERE source_sequence = 1002")
    books = audited(lake)
    show(books.checks, {"rows": 10, "seconds": 2.0}, True)
    shown = capsys.readouterr().out
    assert f"wrong: ids: {GOLD} {id_at(lake, 3)}: absent" in shown
    assert "notice: source gaps: gold_crypto_trades BTCUSDT 1002-1002: gap" in shown
    assert "repair: `tradelake backfill binance --gaps --symbols BTCUSDT` asks the exchange for them" in shown
    assert shown.splitlines()[-1] == "not clean: 10 rows in 2.0 s (5 rows/s)"


@pytest.mark.parametrize("given", [["--sample", "some"], ["--sample", "-1"], ["--wait", "long"], ["--since", "yesterday"], ["now"]])
def test_wrong_usage(given: list[str], tmp_path: Any) -> None:
    assert CliRunner().invoke(tradelake, ["--home", str(tmp_path), "audit", *given]).exit_code == 2
