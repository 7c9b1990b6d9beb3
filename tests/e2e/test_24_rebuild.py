"""Tables with faults of every kind are compared and mended beside running jobs, while trades flow."""

import secrets
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.expressions import EqualTo, In

from tests.chaos.run import await_growth, flow
from tests.e2e import raw
from tests.e2e.stack import Coordinate, Stack
from tests.truth.lake import BRONZE, DLQ, GOLD, SILVER, V2_COLUMNS

SYMBOL = f"REBUILT{secrets.token_hex(3).upper()}USDT"
"""One that no earlier run on this stack has rebuilt."""
TWICE = f"TWICE{SYMBOL}"
MARKS = {"flink.job-id": "rebuilt", "flink.operator-id": "rebuilt", "flink.max-committed-checkpoint-id": "1"}
BRONZE_BINANCE, SILVER_BINANCE = BRONZE["binance"], SILVER["binance"]
COUNTED = {**dict.fromkeys((*BRONZE.values(), *SILVER.values()), "offset"), DLQ: "kafka_offset", GOLD: "message_id"}
Rows = pa.Table
pytestmark = pytest.mark.processes_only
"""It may stop jobs, and submits them again from where it runs."""


def rebuild(stack: Stack, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    ran = stack.tradelake("rebuild", *arguments, "--wait", "10 s", "--json", exit_code=exit_code)
    assert ran.stdout, ran.stderr
    tables: dict[str, Any] = ran.json["tables"]
    return tables


def append(stack: Stack, table: str, rows: Rows, **properties: str) -> None:
    target = stack.lake.table(table)
    target.append(rows.select([field.name for field in target.schema().fields]), snapshot_properties=properties)


def changed(row: Rows, column: str, value: Any) -> Rows:
    at = row.column_names.index(column)
    return row.set_column(at, row.schema.field(at), pa.array([value] * row.num_rows, row.schema.field(at).type))


class Damage:
    """Trades and rejected messages of one symbol, by number, and what is done to them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        stack.send_trades("binance", [raw.binance(SYMBOL) for _ in range(10)])
        stack.settle()
        stack.send_trades("binance", [raw.binance(TWICE)])
        stack.settle()
        self.rejected = stack.send_trades("binance", [raw.binance(SYMBOL, price="0") for _ in range(3)])
        stack.settle()
        self.silver = stack.lake.rows(SILVER_BINANCE, where=f"symbol == '{SYMBOL}'").sort_by("offset")
        self.gold = stack.lake.rows(GOLD, where=f"symbol == '{SYMBOL}'").sort_by("platform_sequence")
        self.ids = self.silver["message_id"].to_pylist()
        assert self.gold["message_id"].to_pylist() == self.ids

    def in_gold(self, *numbers: int) -> Rows:
        return self.gold.take(list(numbers))

    def do(self) -> None:
        """Silver lacks 0 and 1, and has 2 twice and 3 altered. Gold lacks 4, has 5 and the trade of TWICE twice (by a checkpoint
        that was committed twice), 6 in another hour, and one from nowhere.

        The dead-letter table lacks the first, and has the second twice. Bronze has 9 twice, which silver then has too.
        """
        lake = self.stack.lake
        lake.table(SILVER_BINANCE).delete(In("message_id", [self.ids[0], self.ids[1], self.ids[3]]))
        append(self.stack, SILVER_BINANCE, self.silver.take([2]))
        append(self.stack, SILVER_BINANCE, changed(self.silver.take([3]), "quantity", self.silver["price"][3].as_py()))
        lake.table(GOLD).delete(In("message_id", [self.ids[4], self.ids[6]]))
        append(self.stack, GOLD, self.in_gold(5), **MARKS)
        self.commit_again(GOLD, TWICE)
        hour = self.gold["exchange_hour"][6].as_py()
        append(self.stack, GOLD, changed(self.in_gold(6), "exchange_hour", (hour + 1) % 24))
        append(self.stack, GOLD, changed(self.in_gold(7), "message_id", self.ids[7][:-12] + "000000000000"))
        first, second, _ = self.rejected
        lake.table(DLQ).delete(
            f"kafka_topic == '{first.topic}' and kafka_partition == {first.partition} and kafka_offset == {first.offset}"
        )
        append(self.stack, DLQ, self.rows(DLQ, second, "kafka_"))
        at = Coordinate(*(self.silver[column][9].as_py() for column in ("topic", "partition", "offset")))
        append(self.stack, BRONZE_BINANCE, self.rows(BRONZE_BINANCE, at))
        self.stack.wait("silver has it twice as well", lambda: self.rows(SILVER_BINANCE, at).num_rows == 2)

    def commit_again(self, table: str, symbol: str) -> None:
        """What a commit does that lands twice (Iceberg #14425): the very file is in the table a second time."""
        target = self.stack.lake.table(table)
        planned = target.scan(f"symbol == '{symbol}'").plan_files()  # by bounds: files of many symbols among them
        (task,) = [task for task in planned if task.file.record_count == 1]
        with target.transaction() as transaction, transaction.update_snapshot(MARKS).fast_append() as again:
            again.append_data_file(task.file)

    def rows(self, table: str, at: Coordinate, prefix: str = "") -> Rows:
        return self.stack.lake.rows(table, where=where(at, prefix))


def where(at: Coordinate, prefix: str) -> str:
    return f"{prefix}topic == '{at.topic}' and {prefix}partition == {at.partition} and {prefix}offset == {at.offset}"


def test_every_fault_is_found_and_mended_beside_running_jobs(pipeline: Stack) -> None:
    damage = Damage(pipeline)
    right = {table: pipeline.lake.count(table) for table in (SILVER_BINANCE, DLQ, GOLD)}
    damage.do()
    found = rebuild(pipeline, "silver", "--exchange", "binance", exit_code=1)
    assert found[SILVER_BINANCE]["wrong"] == {"absent": 2, "doubled": 2, "altered": 1}
    assert found[DLQ]["wrong"] == {"absent": 1, "doubled": 1}
    assert found[SILVER_BINANCE]["right"] == right[SILVER_BINANCE] - 3
    found = rebuild(pipeline, "gold", exit_code=1)
    # 0 and 1 are in no row of silver, 3 in an altered one, until silver is mended.
    assert found[GOLD]["wrong"] == {"absent": 1, "doubled": 2, "misplaced": 1, "orphan": 3, "altered": 1}
    assert found[GOLD]["right"] == right[GOLD] - 5
    with flow(pipeline, "rebuild"):
        await_growth(pipeline)
        assert rebuild(pipeline, "bronze", "--swap")[BRONZE_BINANCE]["wrong"] == {"doubled": 1}
        assert rebuild(pipeline, "silver", "--swap")[SILVER_BINANCE]["wrong"] == {"absent": 2, "doubled": 2, "altered": 1}
        swapped = rebuild(pipeline, "gold", "--swap")[GOLD]
        assert swapped["wrong"] == {"absent": 1, "doubled": 2, "misplaced": 1, "orphan": 1}
        await_growth(pipeline)
    pipeline.settle()
    assert pipeline.discrepancies() == []
    for table in (*BRONZE.values(), *SILVER.values(), DLQ, GOLD):
        assert pipeline.lake.count(table) == pipeline.lake.rows(table, (COUNTED[table],)).num_rows, "the summary's total"
    again = pipeline.lake.rows(GOLD, (*V2_COLUMNS, "gold_ingestion_timestamp"), f"symbol == '{SYMBOL}'").sort_by("platform_sequence")
    columns = [*V2_COLUMNS, "gold_ingestion_timestamp"]
    others = [0, 1, 2, 3, 5, 6, 7, 8, 9]  # 4 was absent; every other row is the very one that it was
    assert again.take(others) == self_same(damage.gold.select(columns).take(others), again.schema)
    assert again.select(V2_COLUMNS) == self_same(damage.gold.select(V2_COLUMNS), again.select(V2_COLUMNS).schema)
    for layer in ("bronze", "silver", "gold"):
        assert all(not verdict["wrong"] for verdict in rebuild(pipeline, layer).values())
    report = pipeline.tradelake("audit", "--sample", "all", "--json").json
    doubled = [f for f in report["findings"] if f["check"] == "commits" and "flink.job-id=rebuilt" in f["evidence"]]
    assert [(f["kind"], f["table"], f["notice"]) for f in doubled] == [("doubled", GOLD, True)]  # other tests may have theirs, mended too


def self_same(rows: Rows, schema: pa.Schema) -> Rows:
    return rows.cast(schema)


def test_a_day_and_an_exchange_can_be_chosen_and_a_wrong_one_is_named(pipeline: Stack) -> None:
    some = rebuild(pipeline, "gold", "--exchange", "kraken", "--from", "2024-08-01", "--to", "2024-08-01")
    rows = pipeline.lake.rows(GOLD, ("exchange_date",), EqualTo("exchange", "KRAKEN"))
    of_that_day = pc.sum(pc.equal(rows["exchange_date"], pa.scalar("2024-08-01").cast(pa.date32()))).as_py()
    assert some[GOLD] == {
        "right": of_that_day, "wrong": {}, "examples": {}, "waiting": 0, "added": 0, "dropped": 0, "snapshot": None
    }  # fmt: skip
    refused = pipeline.tradelake("rebuild", "gold", "--exchange", "nobody", exit_code=2)
    assert "there are binance, kraken" in refused.stderr
    assert "--from is after --to" in pipeline.tradelake("rebuild", "gold", "--from", "2024-08-02", "--to", "2024-08-01", exit_code=2).stderr
