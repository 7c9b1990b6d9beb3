"""Jobs started anew with other settings while trades flow: their state comes along, and no trade is lost or doubled."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.chaos.run import await_growth, flow
from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import DLQ, GOLD

UPSTREAM_LAST = ("gold", "silver-binance", "silver-kraken", "bronze-binance", "bronze-kraken")
"""The order of docs/production.md."""
AHEAD_US = 8 * 60 * 1_000_000
"""Of the frame's arrival: too much for five minutes of tolerance, not for ten."""


@pytest.fixture
def other(pipeline: Stack, tmp_path: Path) -> Iterator[Stack]:
    """The stack, commanded with another rule of silver and another TTL of gold; afterwards with its own again."""
    changed = yaml.safe_load(yaml.safe_dump(pipeline.pipeline))
    changed["limits"]["future_tolerance"] = "10 min"
    changed["jobs"]["gold"]["ttl"] = "48 h"
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump(changed), encoding="utf-8")
    yield pipeline.with_pipeline(file)
    pipeline.tradelake("upgrade")


def test_all_jobs_are_upgraded_one_after_the_other_while_trades_flow(pipeline: Stack, other: Stack) -> None:
    early = [raw.kraken("UPGRADED/USD") for _ in range(20)]
    pipeline.send_trades("kraken", early)
    pipeline.settle()
    assert verdict_of_a_trade_ahead(pipeline) == {DLQ: 1, GOLD: 0}
    with flow(pipeline, "upgrades"):
        await_growth(pipeline)
        for name in UPSTREAM_LAST:
            other.tradelake("upgrade", name)
            await_growth(pipeline)
    pipeline.settle()
    shown = pipeline.rest(f"/jobs/{pipeline.jobs()['gold']['jid']}/config")["execution-config"]["user-config"]
    assert shown["ttl"] == f"{48 * 3600 * 1000} ms"
    before = pipeline.lake.count(GOLD)
    pipeline.send_trades("kraken", early)  # again: gold's keys came along
    pipeline.settle()
    assert pipeline.lake.count(GOLD) == before + 2  # the fences
    assert verdict_of_a_trade_ahead(pipeline) == {DLQ: 0, GOLD: 1}
    found = [f for f in other.run_tradelake("audit", "--sample", "all", "--json").json["findings"] if not f["notice"]]
    assert {(f["check"], f["kind"], f["table"]) for f in found} == {("values", "altered", DLQ)}  # what the rule of now judges otherwise
    ahead = rejected_as_ahead(pipeline)
    assert {f["key"] for f in found} <= ahead.keys()  # other tests' may have a second fault
    let_in = {f["key"] for f in found if f["evidence"] == "is rejected as timestamp_in_future, and its bytes are a good trade"}
    assert {key for key, raw_record in ahead.items() if b"AHEAD/USD" in raw_record} & let_in


def rejected_as_ahead(stack: Stack) -> dict[str, bytes]:
    """The messages that were rejected as ahead of their time, by their coordinates."""
    columns = ("kafka_topic", "kafka_partition", "kafka_offset", "raw_record")
    rows = stack.lake.rows(DLQ, columns, "error_reason == 'timestamp_in_future'").to_pylist()
    return {f"{row['kafka_topic']}:{row['kafka_partition']}:{row['kafka_offset']}": row["raw_record"] for row in rows}


def verdict_of_a_trade_ahead(stack: Stack) -> dict[str, int]:
    """Rows that a trade makes whose time is ahead of its frame's arrival."""
    before = stack.lake.counts((DLQ, GOLD))
    ahead = raw.kraken("AHEAD/USD")
    stack.send_trades("kraken", [ahead | {"ingestion_timestamp": ahead["ingestion_timestamp"] - AHEAD_US}])
    stack.settle()
    after = stack.lake.counts((DLQ, GOLD))
    return {DLQ: after[DLQ] - before[DLQ], GOLD: after[GOLD] - before[GOLD] - 2}  # but for the fences
