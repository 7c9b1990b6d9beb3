"""The audit is clean of a pipeline that is, beside running jobs too; of tables with planted faults it names each, and nothing else."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import BRONZE, DLQ, GOLD, SILVER, TABLES

Expected = tuple[str, str, str, str, int]
"""Check, kind, table, key, rows of a finding."""
PLANTED = "planted"
TOPIC = "binance-trades"
MARKS = {"flink.job-id": "a-job", "flink.operator-id": "an-operator", "flink.max-committed-checkpoint-id": "17"}


def audited(stack: Stack, *options: str, exit_code: int = 0) -> dict[str, Any]:
    report: dict[str, Any] = stack.tradelake("audit", "--json", *options, exit_code=exit_code).json
    return report


def test_a_pipeline_at_rest_is_clean_row_by_row(pipeline: Stack) -> None:
    pipeline.settle()
    report = audited(pipeline, "--sample", "all")
    assert report["clean"]
    assert [finding for finding in report["findings"] if not finding["notice"]] == []
    rows = {(check["name"], check["table"]): check["rows"] for check in report["checks"]}
    counts = pipeline.counts()
    for exchange in BRONZE:
        assert rows["offsets", BRONZE[exchange]] == counts[BRONZE[exchange]]
        assert rows["values", SILVER[exchange]] == counts[BRONZE[exchange]]
    assert report["rows"] == sum(counts.values())


def test_it_is_clean_while_trades_flow(pipeline: Stack) -> None:
    """Rows that were on their way when it began have arrived when it ends."""
    flow = ("--generate", 100_000_000, "--rate", 2000, "--seed", 15, "--duplicates", 0.2)
    producer, before = pipeline.start("produce", *flow, "--json"), pipeline.lake.count(GOLD)
    try:
        pipeline.wait("trades flow through gold", lambda: pipeline.lake.count(GOLD) > before)
        reports = [audited(pipeline, "--since", "10 min") for _ in range(2)]
        assert producer.poll() is None
    finally:
        producer.send_signal(signal.SIGTERM)
        sent, _ = producer.communicate(timeout=600)
    assert json.loads(sent)["failed"] == 0
    assert [report["clean"] for report in reports] == [True, True]
    assert sum(check["in_flight"] for report in reports for check in report["checks"]) > 0
    pipeline.settle()
    assert pipeline.discrepancies() == []


@pytest.fixture
def planted(pipeline: Stack, tmp_path: Path) -> Iterator[Stack]:
    """Copies of all tables in a database of their own, with a fault in each layer; afterwards it is gone."""
    pipeline.send_trades("binance", [raw.binance("PLANTEDUSDT") for _ in range(20)])
    pipeline.settle()
    file = tmp_path / "planted.yaml"
    file.write_text(yaml.safe_dump(pipeline.pipeline | {"database": PLANTED}), encoding="utf-8")
    stack = pipeline.with_pipeline(file)
    stack.tradelake("tables", "create")
    yield stack
    catalog = pipeline.lake.catalog()
    for table in TABLES:
        catalog.purge_table((PLANTED, table))
    catalog.drop_namespace(PLANTED)


def put(stack: Stack, table: str, rows: pa.Table, **properties: str) -> int:
    """Append rows as one snapshot; its id."""
    target = stack.lake.table(table)
    target.append(rows.select([column.name for column in target.schema().fields]), snapshot_properties=properties)
    snapshot = stack.lake.table(table).current_snapshot()
    assert snapshot
    return snapshot.snapshot_id


def without(rows: pa.Table, taken: pa.Table, key: str = "offset") -> pa.Table:
    """All rows of PLANTEDUSDT's partition but those."""
    there = pc.is_in(rows[key], taken[key])
    if "partition" in rows.column_names and key == "offset":
        there = pc.and_(there, pc.equal(rows["partition"], taken["partition"][0]))
    return rows.filter(pc.invert(there))


def changed(row: pa.Table, column: str, value: Any) -> pa.Table:
    at = row.column_names.index(column)
    return row.set_column(at, row.schema.field(at), pa.array([value] * row.num_rows, row.schema.field(at).type))


class Planting:
    """The rows of PLANTEDUSDT, by number, and the lake's tables copied with a fault for each."""

    def __init__(self, planted: Stack, pipeline: Stack) -> None:
        self.planted, self.tables = planted, {table: pipeline.lake.rows(table) for table in TABLES}
        silver = self.tables[SILVER["binance"]]
        self.mine = silver.filter(pc.equal(silver["symbol"], "PLANTEDUSDT")).sort_by("offset")
        self.ids, self.partition = self.mine["message_id"].to_pylist(), self.mine["partition"][0].as_py()

    def one(self, table: str, number: int) -> pa.Table:
        """A trade's row in one of the tables."""
        rows, key = self.tables[table], key_of(table)
        wanted = pc.equal(rows[key], self.mine[key][number])
        return rows.filter(pc.and_(wanted, pc.equal(rows["partition"], self.partition)) if key == "offset" else wanted)

    def all_but(self, table: str, *numbers: int) -> pa.Table:
        rows = self.tables[table]
        for number in numbers:
            rows = without(rows, self.one(table, number), key_of(table))
        return rows

    def at(self, number: int) -> str:
        return f"{TOPIC}:{self.partition}:{self.mine['offset'][number].as_py()}"

    def bronze(self) -> list[Expected]:
        """0: bronze lacks it. 1: bronze has it twice."""
        bronze, silver = BRONZE["binance"], SILVER["binance"]
        put(self.planted, bronze, self.all_but(bronze, 0))
        put(self.planted, bronze, self.one(bronze, 1))
        return [
            ("offsets", "absent", bronze, self.at(0), 1),
            ("coordinates", "orphan", silver, self.at(0), 1),
            ("offsets", "doubled", bronze, self.at(1), 1),
            ("coordinates", "absent", silver, self.at(1), 1),
        ]

    def silver(self) -> list[Expected]:
        """2: silver lacks it. 3: silver has it twice. 4: another quantity, in gold too."""
        silver = SILVER["binance"]
        put(self.planted, silver, self.all_but(silver, 2, 4))
        put(self.planted, silver, self.one(silver, 3))
        put(self.planted, silver, self.altered(silver))
        return [
            ("coordinates", "absent", silver, self.at(2), 1),
            ("ids", "orphan", GOLD, self.ids[2], 1),
            ("coordinates", "doubled", silver, self.at(3), 1),
            ("values", "altered", silver, self.at(4), 1),
        ]

    def altered(self, table: str) -> pa.Table:
        row = self.one(table, 4)
        return changed(row, "quantity", row["price"][0].as_py())

    def gold(self) -> list[Expected]:
        """5: gold lacks it. 6, 7: gold has it twice, committed under one mark. 8: in another hour."""
        put(self.planted, GOLD, self.all_but(GOLD, 4, 5, 8))
        put(self.planted, GOLD, self.altered(GOLD))
        first, second = (put(self.planted, GOLD, self.one(GOLD, number), **MARKS) for number in (6, 7))
        row = self.one(GOLD, 8)
        day, hour = row["exchange_date"][0].as_py(), (row["exchange_hour"][0].as_py() + 1) % 24
        put(self.planted, GOLD, changed(row, "exchange_hour", hour))
        return [
            ("ids", "absent", GOLD, self.ids[5], 1),
            ("ids", "doubled", GOLD, self.ids[6], 1),
            ("ids", "doubled", GOLD, self.ids[7], 1),
            ("commits", "doubled", GOLD, f"{first}, {second}", 1),
            ("partitions", "misplaced", GOLD, self.ids[8], 1),
            ("files", "misplaced", GOLD, f"exchange_date={day}/exchange_hour={hour}", 1),
        ]


def key_of(table: str) -> str:
    return "message_id" if table == GOLD else "offset"


def test_each_planted_fault_is_named_with_its_repair(planted: Stack, pipeline: Stack) -> None:
    planting = Planting(planted, pipeline)
    for table in (BRONZE["kraken"], SILVER["kraken"], DLQ):
        put(planted, table, planting.tables[table])
    wanted = [*planting.bronze(), *planting.silver(), *planting.gold()]
    report = audited(planted, "--sample", "all", "--wait", "0", exit_code=1)
    found = [(f["check"], f["kind"], f["table"], partition_in(f["key"]), f["rows"]) for f in report["findings"] if not f["notice"]]
    assert sorted(found) == sorted(wanted)
    assert not report["clean"]
    assert all(finding["evidence"] and finding["repair"] for finding in report["findings"])
    shown = planted.tradelake("audit", "--sample", "0", "--wait", "0", exit_code=1).stdout
    assert f"wrong: ids: {GOLD} {planting.ids[5]}: absent" in shown


def partition_in(key: str) -> str:
    """A file's partition; any other key as it is."""
    return "/".join(part for part in key.split("/") if part.startswith("exchange_")) or key


def test_a_gap_in_binances_ids_is_a_notice_from_to(pipeline: Stack) -> None:
    first = raw.binance("GAPUSDT")
    later = first | {"trade_id": first["trade_id"] + 5, "trade_time_ms": first["trade_time_ms"] + 1}
    pipeline.send_trades("binance", [first, later])
    pipeline.settle()
    report = audited(pipeline, "--since", "10 min")
    gaps = [
        (f["key"], f["rows"], f["notice"]) for f in report["findings"] if f["check"] == "source gaps" and f["key"].startswith("GAPUSDT")
    ]
    assert gaps == [(f"GAPUSDT {first['trade_id'] + 1}-{first['trade_id'] + 4}", 4, True)]
    assert report["clean"]
    assert json.loads(pipeline.tradelake("audit", "--strict", "--json", exit_code=1).stdout)["clean"] is False


def test_gold_made_anew_from_silver_is_clean(pipeline: Stack, tmp_path: Path) -> None:
    """The repair that docs/audit.md gives, as it stands there."""
    pipeline.settle()
    before = set(pipeline.lake.rows(GOLD, ("message_id",))["message_id"].to_pylist())
    pipeline.tradelake("stop", "gold")
    (tmp_path / "drop.sql").write_text("DROP TABLE gold_crypto_trades;", encoding="utf-8")
    pipeline.tradelake("sql", "-f", tmp_path / "drop.sql")
    pipeline.tradelake("tables", "create")
    pipeline.tradelake("submit", "--fresh-state", "gold")
    pipeline.settle()
    assert set(pipeline.lake.rows(GOLD, ("message_id",))["message_id"].to_pylist()) > before
    assert audited(pipeline)["clean"]
    assert pipeline.discrepancies() == []
