"""Gold: every trade once, whoever starts again and however late it comes; and an hour's question reads an hour's files."""

import re
from collections.abc import Sequence

from pyiceberg.expressions import And, EqualTo

from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import BRONZE, DLQ, GOLD, SILVER
from tests.truth.recordings import Recordings

GENERATED = 3_000
HOUR_US = 3_600_000_000


def distinct_ids(stack: Stack, exchange: str, symbols: Sequence[str]) -> tuple[int, set[str]]:
    """Messages of these symbols in Kafka, and the ids of their trades, both read from Kafka alone."""
    keys = {symbol.encode() for symbol in symbols}
    values = [m.value for m in stack.broker.messages(stack.topics[exchange]) if m.key in keys and m.value is not None]
    trades = stack.truth(exchange, [stack.registry.decode(value)[1] for value in values])
    return len(values), {trade["message_id"] for trade in trades}


def test_heavy_duplication_over_restarts_of_producer_and_job_leaves_each_trade_once(pipeline: Stack) -> None:
    symbols = {"binance": ("AAAUSDT", "BBBUSDT"), "kraken": ("AAA/USD", "BBB/USD")}
    before = pipeline.counts()

    def produce(exchange: str, count: int) -> None:
        chosen = ("--exchange", exchange, "--symbols", ",".join(symbols[exchange]), "--seed", 5, "--duplicates", 0.3)
        pipeline.tradelake("produce", "--generate", count, *chosen)

    for exchange in symbols:
        produce(exchange, GENERATED // 2)
    pipeline.tradelake("stop", "gold")
    for exchange in symbols:
        produce(exchange, GENERATED)  # the producer starts again from the beginning, and goes further
    pipeline.tradelake("submit", "gold")
    restored = pipeline.rest(f"/jobs/{pipeline.jobs()['gold']['jid']}/checkpoints")["latest"]["restored"]
    assert restored["is_savepoint"]
    assert "/gold/savepoint-" in restored["external_path"]
    pipeline.settle()

    for exchange, chosen in symbols.items():
        messages, ids = distinct_ids(pipeline, exchange, chosen)
        assert len(ids) == GENERATED
        assert messages > 1.3 * GENERATED
        assert pipeline.lake.count(BRONZE[exchange]) - before[BRONZE[exchange]] == messages + 1  # the fence
        found = pipeline.lake.rows(
            GOLD, ("message_id",), f"exchange = '{exchange.upper()}' AND symbol IN ('AAAUSDT', 'BBBUSDT', 'AAAUSD', 'BBBUSD')"
        )
        assert sorted(found["message_id"].to_pylist()) == sorted(ids)
    assert pipeline.lake.count(GOLD) - before[GOLD] == 2 * GENERATED + 2
    assert pipeline.lake.count(DLQ) == before[DLQ]
    assert pipeline.discrepancies() == []


def test_trades_of_one_exchange_seen_through_several_feeds_are_one(pipeline: Stack) -> None:
    """Milliseconds and microseconds of a Binance trade; a Kraken trade with its id, whatever channel and precision it came through."""
    before = pipeline.lake.count(GOLD)
    binance = raw.binance("FEEDSUSDT")
    kraken = raw.kraken("FEEDS/USD", trade_id=81_000_001)
    pipeline.send_trades("binance", [binance, binance | {"trade_time_ms": binance["trade_time_ms"] * 1000 + 999}])
    pipeline.send_trades("kraken", [kraken, kraken | {"channel_id": 0, "timestamp": kraken["timestamp"][:-3] + "000", "misc": "x"}])
    pipeline.settle()
    assert pipeline.lake.count(GOLD) == before + 2 + 2
    assert pipeline.discrepancies() == []


def test_equal_fills_of_one_kraken_frame_are_as_many_trades(pipeline: Stack) -> None:
    before, fill = pipeline.lake.count(GOLD), raw.kraken("FILLS/USD")
    pipeline.send_trades("kraken", [fill | {"occurrence": n} for n in (*range(13), *range(13))])
    pipeline.settle()
    assert pipeline.lake.count(GOLD) == before + 13 + 2


def test_a_trade_later_than_the_watermark_is_kept(pipeline: Stack) -> None:
    """A trade six hours older than one whose watermark gold has passed already."""
    newest = raw.binance("LATEUSDT", trade_time_ms=1_750_000_000_000, ingestion_timestamp=1_750_000_000_000_000)
    late_ms = 1_750_000_000_000 - 6 * 3_600_000
    pipeline.send_trades("binance", [newest])
    pipeline.settle()
    pipeline.wait("gold's watermark is past the late trade", lambda: watermark(pipeline, "silver_binance") > late_ms)
    late = raw.binance("LATEUSDT", trade_time_ms=late_ms, ingestion_timestamp=late_ms * 1000 + 10_000)
    pipeline.send_trades("binance", [late])
    pipeline.settle()
    found = pipeline.lake.rows(GOLD, ("message_id",), "symbol = 'LATEUSDT'")["message_id"].to_pylist()
    assert sorted(found) == sorted(trade["message_id"] for trade in pipeline.truth("binance", [newest, late]))


def watermark(stack: Stack, source: str) -> int:
    """The newest watermark (milliseconds) that leaves gold's vertex of this name."""
    job = stack.jobs()["gold"]["jid"]
    (vertex,) = [v for v in stack.rest(f"/jobs/{job}")["vertices"] if source in v["name"]]
    metrics = stack.rest(f"/jobs/{job}/vertices/{vertex['id']}/subtasks/metrics")
    names = [metric["id"] for metric in metrics if metric["id"].endswith("currentOutputWatermark")]
    values = stack.rest(f"/jobs/{job}/vertices/{vertex['id']}/subtasks/metrics?get={','.join(names)}") if names else []
    return max((int(value["max"]) for value in values), default=-(2**63))


def test_an_hours_question_reads_only_that_hours_files(pipeline: Stack, recordings: Recordings) -> None:
    times = [trade["timestamp"] for trade in pipeline.truth("binance", recordings.trades("binance"))]
    assert 478_655 in {time // HOUR_US for time in times}  # 2024-08-08, 23 h
    all_files = pipeline.lake.files(GOLD)
    of_the_hour = [file for file in all_files if "/exchange_date=2024-08-08/exchange_hour=23/" in file]
    assert 0 < len(of_the_hour) < len(all_files) / 2

    planned = pipeline.lake.files(GOLD, And(EqualTo("exchange_date", "2024-08-08"), EqualTo("exchange_hour", 23)))
    assert sorted(planned) == sorted(of_the_hour)

    question = f"SELECT sum(price) FROM {GOLD} WHERE exchange_date = DATE '2024-08-08' AND exchange_hour = 23"
    plan = pipeline.tradelake("query", f"EXPLAIN ANALYZE {question}").stdout
    assert files_read(plan) == len(of_the_hour)
    plan = pipeline.tradelake("query", f"EXPLAIN ANALYZE SELECT sum(price) FROM {GOLD}").stdout
    assert files_read(plan) == len(all_files)


def files_read(plan: str) -> int:
    """The data files that DuckDB says it read."""
    (number,) = re.findall(r"Total Files Read:\s*([\d,]+)", plan)
    return int(number.replace(",", ""))


def test_silver_holds_what_was_sent_and_gold_what_is_distinct_in_it(pipeline: Stack) -> None:
    silver = [pipeline.lake.rows(table, ("message_id",))["message_id"].to_pylist() for table in SILVER.values()]
    distinct = {message_id for some in silver for message_id in some}
    assert sum(map(len, silver)) > len(distinct)
    assert sorted(pipeline.lake.rows(GOLD, ("message_id",))["message_id"].to_pylist()) == sorted(distinct)
