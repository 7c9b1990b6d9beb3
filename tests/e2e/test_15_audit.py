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
    stack = Stack(pipeline.home, pipeline.port_base, file)
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


def test_each_planted_fault_is_named_with_its_repair(planted: Stack, pipeline: Stack) -> None:
    tables = {table: pipeline.lake.rows(table) for table in TABLES}
    bronze, silver, gold = BRONZE["binance"], SILVER["binance"], GOLD
    mine = tables[silver].filter(pc.equal(tables[silver]["symbol"], "PLANTEDUSDT")).sort_by("offset")
    partition, ids = mine["partition"][0].as_py(), mine["message_id"].to_pylist()
    offsets = mine["offset"].to_pylist()

    def one(table: str, number: int, key: str = "offset") -> pa.Table:
        rows = tables[table]
        wanted = pc.equal(rows[key], mine[key][number])
        return rows.filter(pc.and_(wanted, pc.equal(rows["partition"], partition)) if key == "offset" else wanted)

    for table in (BRONZE["kraken"], SILVER["kraken"], DLQ):
        put(planted, table, tables[table])
    put(planted, bronze, without(tables[bronze], one(bronze, 0)))  # 0: bronze lacks it
    put(planted, bronze, one(bronze, 1))  # 1: bronze has it twice
    kept = without(without(tables[silver], one(silver, 2)), one(silver, 4))  # 2: silver lacks it
    put(planted, silver, kept)
    put(planted, silver, one(silver, 3))  # 3: silver has it twice
    price = one(silver, 4)["price"][0].as_py()
    put(planted, silver, changed(one(silver, 4), "quantity", price))  # 4: another quantity
    lost = without(
        without(without(tables[gold], one(gold, 5, "message_id"), "message_id"), one(gold, 8, "message_id"), "message_id"),
        one(gold, 4, "message_id"),
        "message_id",
    )
    put(planted, gold, lost)  # 5: gold lacks it
    put(planted, gold, changed(one(gold, 4, "message_id"), "quantity", price))
    first = put(planted, gold, one(gold, 6, "message_id"), **MARKS)
    second = put(planted, gold, one(gold, 7, "message_id"), **MARKS)  # 6, 7: twice in gold, committed under one mark
    hour = one(gold, 8, "message_id")["exchange_hour"][0].as_py()
    put(planted, gold, changed(one(gold, 8, "message_id"), "exchange_hour", (hour + 1) % 24))  # 8: in another hour

    report = audited(planted, "--sample", "all", "--wait", "0", exit_code=1)
    (misplaced,) = [finding["key"] for finding in report["findings"] if finding["check"] == "files"]
    assert f"exchange_hour={(hour + 1) % 24}" in misplaced

    def at(number: int) -> str:
        return f"{TOPIC}:{partition}:{offsets[number]}"

    found = sorted((f["check"], f["kind"], f["table"], f["key"], f["rows"]) for f in report["findings"] if not f["notice"])
    assert found == sorted(
        [
            ("offsets", "absent", bronze, at(0), 1),
            ("coordinates", "orphan", silver, at(0), 1),
            ("offsets", "doubled", bronze, at(1), 1),
            ("coordinates", "absent", silver, at(1), 1),
            ("coordinates", "absent", silver, at(2), 1),
            ("ids", "orphan", gold, ids[2], 1),
            ("coordinates", "doubled", silver, at(3), 1),
            ("values", "altered", silver, at(4), 1),
            ("ids", "absent", gold, ids[5], 1),
            ("ids", "doubled", gold, ids[6], 1),
            ("ids", "doubled", gold, ids[7], 1),
            ("commits", "doubled", gold, f"{first}, {second}", 1),
            ("partitions", "misplaced", gold, ids[8], 1),
            ("files", "misplaced", gold, misplaced, 1),
        ]
    )
    assert not report["clean"]
    assert all(finding["evidence"] and finding["repair"] for finding in report["findings"])
    shown = planted.tradelake("audit", "--sample", "0", "--wait", "0", exit_code=1).stdout
    assert f"wrong: ids: {gold} {ids[5]}: absent" in shown


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
