"""Thousands of broken messages through the real jobs: each becomes what the pure core says, and no job and no worker dies of one."""

from collections import Counter
from typing import Any

import pytest

from conf.settings import load
from tests.e2e.stack import Stack
from tests.fuzz.mutations import Source, mutations
from tests.truth.lake import DLQ, SILVER, V2_COLUMNS
from tests.unit.udfs.strategies import BINANCE, KRAKEN
from tradelake.audit.values import judge_of
from udfs.rejected import Rejected

pytestmark = pytest.mark.processes_only

COUNT = 2500
"""Of each exchange."""
LARGEST = 900_000
"""What the broker takes."""
RECORDS = {"binance": BINANCE, "kraken": KRAKEN}


def workers(stack: Stack) -> set[int]:
    return {process.pid for process in stack.processes() if "beam_boot" in " ".join(process.cmdline())}


@pytest.mark.parametrize("exchange", RECORDS)
def test_each_broken_message_ends_as_the_pure_core_says(pipeline: Stack, exchange: str) -> None:
    pipeline.settle()
    running = {name: job["jid"] for name, job in pipeline.jobs().items()}
    failed, python = pipeline.failures(running), workers(pipeline)
    settings = load(pipeline.pipeline_file, pipeline.home / "environment.yaml")
    judge = judge_of(settings, exchange)
    ids = pipeline.registry.ids(f"{pipeline.topics[exchange]}-value")
    source = Source(RECORDS[exchange], {"venue": "x"}, {schema_id: pipeline.registry.schema(schema_id) for schema_id in ids})
    messages = [raw for raw in mutations("fuzz", COUNT, source) if len(raw or b"") <= LARGEST]
    coordinates = pipeline.send(exchange, [(b"FUZZ", raw) for raw in messages])
    pipeline.settle()

    def outcome(raw: bytes | None, offset: int) -> Any:
        try:
            return judge.judge(raw, offset).trade
        except Rejected as why:
            return why.error_type, why.error_reason, why.schema_id

    wanted = {at: outcome(raw, at.offset) for at, raw in zip(coordinates, messages, strict=True)}
    columns = ("topic", "partition", "offset")
    silver = {
        tuple(row[name] for name in columns): tuple(tuple(row[name]) if name == "trade_conditions" else row[name] for name in V2_COLUMNS)
        for row in pipeline.lake.rows(SILVER[exchange], (*columns, *V2_COLUMNS)).to_pylist()
    }
    rejected = {
        (row["kafka_topic"], row["kafka_partition"], row["kafka_offset"]): (row["error_type"], row["error_reason"], row["schema_id"])
        for row in pipeline.lake.rows(DLQ).to_pylist()
    }
    found = {at: silver.get(at, rejected.get(at)) for at in wanted}
    assert found == {at: tuple(one) for at, one in wanted.items()}
    kinds = Counter("valid" if at in silver else rejected[at][1] for at in map(tuple, wanted))
    assert len(kinds) >= 15, kinds
    assert pipeline.discrepancies() == []
    assert {name: job["jid"] for name, job in pipeline.jobs().items()} == running
    assert pipeline.failures(running) == failed
    assert workers(pipeline) == python
