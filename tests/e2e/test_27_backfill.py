"""A gap from end to end: trades that the feed was not told are named by the audit, brought by a backfill, and in gold once."""

import json
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pyiceberg.expressions import In

from tests.e2e.stack import Stack
from tests.simulator.exchange import Exchange, Visit, close, missed, trades
from tests.simulator.market import Trade
from tests.simulator.rest import BinanceRest, Fault, KrakenRest, RestExchange
from tests.simulator.speech import Binance, KrakenV2
from tests.truth.lake import GOLD, SILVER, V2_COLUMNS
from tradelake.backfill.report import iso

OF_THE_TRADE = tuple(column for column in V2_COLUMNS if column not in ("platform_sequence", "ingestion_timestamp"))
BUT_VENDOR_DATA = tuple(column for column in OF_THE_TRADE if column != "vendor_data")


def fed(stack: Stack, exchange: Exchange, symbols: Sequence[str]) -> dict[str, Any]:
    """Run a feed until the exchange's script is through and all that it told is in silver; what the feed said in the end."""
    name, table = exchange.speech.exchange, SILVER[exchange.speech.exchange]
    process = stack.start("feed", name, "--symbols", ",".join(symbols), "--url", exchange.url, "--json")
    where = In("symbol", [symbol.replace("/", "") for symbol in symbols])
    stack.wait(
        "all that was told is in silver",
        lambda: exchange.done.is_set() and stack.lake.rows(table, ("message_id",), where).num_rows >= len(exchange.sent),
    )
    process.send_signal(signal.SIGTERM)
    said: dict[str, Any] = json.loads(process.communicate()[0])
    assert process.returncode == 0
    return said


def gaps(stack: Stack, symbols: Sequence[str], since: datetime) -> list[str]:
    """The gaps of these symbols that the audit names, of all that came since."""
    report = stack.tradelake("audit", "--json", "--since", since.isoformat()).json
    assert report["clean"]
    return sorted(one["key"] for one in report["findings"] if one["check"] == "source gaps" and one["key"].split()[0] in symbols)


def in_gold(stack: Stack, symbols: Sequence[str], columns: Sequence[str]) -> list[list[tuple[str, object]]]:
    rows = stack.lake.rows(GOLD, columns, In("symbol", [symbol.replace("/", "") for symbol in symbols])).to_pylist()
    return sorted(sorted((name, row[name]) for name in columns) for row in rows)


def truth(stack: Stack, exchange: Exchange, some: Sequence[Trade], columns: Sequence[str]) -> list[list[tuple[str, object]]]:
    raws = [exchange.speech.raw(trade) | {"ingestion_timestamp": 0} for trade in some]
    return sorted(sorted((name, trade[name]) for name in columns) for trade in stack.truth(exchange.speech.exchange, raws))


def test_a_gap_that_the_audit_names_is_filled_and_nothing_is_doubled(pipeline: Stack) -> None:
    symbols, begun = ("FILLAUSDT", "FILLBUSDT"), datetime.now(UTC)
    script = [Visit([trades(30), missed(24), trades(10), missed(2), trades(6), close]), Visit([missed(8), trades(20)])]
    with Exchange(Binance(), symbols, script) as exchange:
        said = fed(pipeline, exchange, symbols)
    pipeline.settle()
    lost = [trade for trade in exchange.happened if trade not in exchange.sent]
    named = [f"{symbol} {hole[0]}-{hole[1]}" for symbol, holes in said["holes"].items() for hole in holes]
    assert (len(lost), said["missing"], len(named)) == (34, 34, 6)
    assert gaps(pipeline, symbols, begun) == sorted(named)

    holes = ("backfill", "binance", "--gaps", "--symbols", ",".join(symbols))
    with RestExchange(BinanceRest(symbols), exchange.happened, [Fault(cut=3), Fault(status=429, retry_after=1), Fault(half=True)]) as rest:
        planned = pipeline.tradelake(*holes, "--url", rest.url, "--dry-run", "--json").json
        assert [f"{gap['symbol']} {gap['first']}-{gap['last']}" for gap in planned["gaps"]] == sorted(named)
        assert rest.asked == []
        filled = pipeline.tradelake(*holes, "--url", rest.url, "--json").json
    assert (filled["sent"], filled["filled"], filled["missing"], filled["retries"]) == (34, 34, 0, 2)

    pipeline.settle()
    assert gaps(pipeline, symbols, begun) == []
    happened = exchange.happened
    assert in_gold(pipeline, symbols, BUT_VENDOR_DATA) == truth(pipeline, exchange, happened, BUT_VENDOR_DATA)
    assert pipeline.lake.rows(SILVER["binance"], ("message_id",), In("symbol", symbols)).num_rows == len(happened)

    with RestExchange(BinanceRest(symbols), happened) as rest:
        again = pipeline.tradelake(*holes, "--url", rest.url)
        assert (again.stdout, rest.asked) == ("nothing is missing\n", [])
        first, last = happened[0].number, happened[-1].number
        repeated = pipeline.tradelake(
            "backfill", "binance", "--symbols", symbols[0], "--from-id", first, "--to-id", last, "--all", "--url", rest.url
        )
    assert repeated.stdout.splitlines()[-1].startswith("50 trades sent, 1 requests in ")
    pipeline.settle()
    assert in_gold(pipeline, symbols, BUT_VENDOR_DATA) == truth(pipeline, exchange, happened, BUT_VENDOR_DATA), "a repeat is in gold twice"
    assert pipeline.discrepancies() == []


def test_a_time_of_kraken_is_completed_with_what_the_lake_lacks(pipeline: Stack) -> None:
    symbols = ("FILLC/USD", "FILLD/USD")
    with Exchange(KrakenV2(), symbols, [Visit([trades(40), missed(70), trades(30)])]) as exchange:
        fed(pipeline, exchange, symbols)
    pipeline.settle()
    happened = exchange.happened
    wanted = ("backfill", "kraken", "--symbols", ",".join(symbols), "--from", iso(happened[0].time_us))
    with RestExchange(KrakenRest(symbols), happened, [Fault(cut=7), None, Fault(cut=5)]) as rest:
        filled = pipeline.tradelake(*wanted, "--url", rest.url, "--json").json
        assert (filled["sent"], filled["held"], filled["fetched"]) == (70, 70, 70)
        pipeline.settle()
        again = pipeline.tradelake(*wanted, "--url", rest.url, "--json").json
        assert (again["sent"], again["held"]) == (0, 140)
    assert in_gold(pipeline, symbols, OF_THE_TRADE) == truth(pipeline, exchange, happened, OF_THE_TRADE)
    assert pipeline.lake.rows(SILVER["kraken"], ("message_id",), In("symbol", ["FILLCUSD", "FILLDUSD"])).num_rows == len(happened)
    assert pipeline.discrepancies() == []
