"""The whole stack goes down and comes up again: the same counts, the same jobs, and new trades arrive once."""

import pytest

from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import BRONZE, GOLD, SILVER

pytestmark = pytest.mark.processes_only


def test_down_and_up_keep_every_row_and_every_job(pipeline: Stack) -> None:
    pipeline.settle()
    before, jobs = pipeline.counts(), {name: job["jid"] for name, job in pipeline.jobs().items()}
    pipeline.tradelake("down")
    assert pipeline.processes() == []
    pipeline.tradelake("up")
    assert pipeline.running() == sorted(pipeline.job_names)
    assert {name: job["jid"] for name, job in pipeline.jobs().items()}.items() & jobs.items() == set()
    assert pipeline.counts() == before
    assert pipeline.discrepancies() == []


def test_trades_sent_after_it_arrive_once_and_those_sent_again_not_at_all(pipeline: Stack) -> None:
    before = pipeline.counts()
    trades = {"binance": [raw.binance("AGAINUSDT") for _ in range(100)], "kraken": [raw.kraken("AGAIN/USD") for _ in range(100)]}
    for exchange, some in trades.items():
        pipeline.send_trades(exchange, some + some)
    old = pipeline.broker.messages("kraken-trades")[0]
    pipeline.send("kraken", [(old.key, old.value)])
    pipeline.settle()
    after = pipeline.counts()
    assert after[BRONZE["binance"]] - before[BRONZE["binance"]] == 201
    assert after[SILVER["kraken"]] - before[SILVER["kraken"]] == 202
    assert after[GOLD] - before[GOLD] == 202
    assert pipeline.discrepancies() == []
