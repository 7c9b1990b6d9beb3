"""`make live-smoke`: one minute of each real exchange, recorded, read back, told, and compared with what its REST API says of it.

Exits with 1 when an exchange sent no trade, or anything that cannot be read, or tells a trade in two ways.
It reaches the exchanges, and needs no stack.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import conf
from conf.settings import load_pipeline
from tests import third
from tradelake.backfill.apis import APIS
from tradelake.backfill.client import Client
from tradelake.backfill.report import Report
from tradelake.produce import KEY_FIELD
from tradelake.produce.frames import Frame, read
from udfs.exchange import MODULES, Exchange, exchange
from udfs.rules import Limits
from udfs.trade import Trade

TRADELAKE = Path(sys.executable).with_name("tradelake")
LOOKS = (
    ("binance", "stream", "BTCUSDT,ETHUSDT"),
    ("kraken", "v2", "BTC/USD,ETH/USD"),
    ("kraken", "v1", "XBT/USD,ETH/USD"),
    ("coinbase", "market_trades", "BTC-USD,ETH-USD"),
)
DAY_US = 86_400_000_000


def look(name: str, wire: str, symbols: str, lasting: str, folder: Path, url: str | None = None) -> tuple[dict[str, Any], list[Any]]:
    """Record for so long; the summary, and what the files hold."""
    chosen = ["--wire", wire] if name == "kraken" else []
    address = ["--url", url] if url else []
    command = [str(TRADELAKE), "--conf", str(third.write(folder)), "record", name, "--symbols", symbols, *chosen, *address]
    command += ["--into", str(folder), "--for", lasting, "--json"]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    summary: dict[str, Any] = json.loads(out)
    return summary, [entry for file in summary["files"] for entry in read(file)]


def tell(name: str, summary: dict[str, Any], entries: list[Any]) -> bool:
    """Print what was seen; whether all of it is as it should be."""
    frames = [entry for entry in entries if isinstance(entry, Frame)]
    records = [record for frame in frames for record in MODULES[name].records(frame.content, frame.received_us)]
    others = Counter(kind(frame.content) for frame in frames if not MODULES[name].records(frame.content, frame.received_us))
    print(f"  {summary['trades']:,} trades, {summary['frames']:,} frames, {summary['connections']} connections in {summary['seconds']} s")
    print(f"  trades by symbol: {summary['symbols']}; gaps: {summary['gaps']}; malformed: {summary['malformed']}")
    print(f"  other frames: {dict(others)}")
    judged = judge_of(name)
    trades = [judged.to_trade(record, 0) for record in records]
    if trades:
        behind = median((trade.ingestion_timestamp - trade.timestamp) / 1000 for trade in trades)
        print(f"  received {behind:,.1f} ms after the trade (median, by two clocks)")
        print(f"  the last: {records[-1]}")
        print(f"  as it would stand in gold: {trades[-1]._asdict()}")
    return bool(trades) and not summary["malformed"] and not summary["refused"] and len(records) == summary["trades"]


def judge_of(name: str) -> Exchange:
    known = load_pipeline().exchanges
    return exchange(name, conf.schema(name), Limits(DAY_US, DAY_US * 365), known[name].quote_assets if name in known else ())


def told_alike(name: str, entries: list[Any], url: str | None = None) -> bool:
    """Print how the exchange's REST API tells the recorded trades of one symbol; whether it tells them as the feed did."""
    frames = [entry for entry in entries if isinstance(entry, Frame)]
    records = [record for frame in frames for record in MODULES[name].records(frame.content, frame.received_us)]
    symbol, judge = (records[0][KEY_FIELD[name]] if records else ""), judge_of(name)
    trades = {record["trade_id"]: judge.to_trade(record, 0) for record in records if record[KEY_FIELD[name]] == symbol}
    by_rest = {number: trade for number, trade in asked(name, symbol, trades, url).items() if number in trades} if trades else {}
    differing = {number: (trades[number], trade) for number, trade in by_rest.items() if comparable(trade) != comparable(trades[number])}
    print(f"  by REST: {len(by_rest):,} of {len(trades):,} trades of {symbol}, {len(differing):,} of them told otherwise")
    for number, (of_the_feed, of_rest) in list(differing.items())[:3]:
        print(f"  {number}: {of_the_feed}\n  by REST: {of_rest}")
    return bool(by_rest) and not differing


def asked(name: str, symbol: str, trades: dict[int, Trade], url: str | None) -> dict[int, Trade]:
    """The first page of what REST tells from the oldest of these trades on, by number."""
    api, feed = APIS[name], load_pipeline().exchange(name).feed
    address = url or (feed.rest if feed else None)
    assert address is not None
    oldest = min(trades.values(), key=lambda trade: trade.timestamp)
    with Client(api, address, None, 60.0, Report(name), print) as asking:
        if api.by_id:
            found = api.by_id.trades(asking, symbol, min(trades), api.page)
        else:
            assert api.by_time is not None
            found = api.by_time.page(asking, symbol, oldest.timestamp * 1000 - 1).trades
    judge = judge_of(name)
    return {trade.number: judge.to_trade(trade.record, 0) for trade in found}


def comparable(trade: Trade) -> Trade:
    """All of a trade but when it was received, and what the two say of themselves."""
    return trade._replace(ingestion_timestamp=0, vendor_data="")


def kind(content: Any) -> str:
    """What a frame that holds no trade calls itself."""
    if not isinstance(content, dict):
        return type(content).__name__
    return str(content.get("channel") or content.get("method") or content.get("event") or content.get("stream") or sorted(content))


def main() -> None:
    parser = argparse.ArgumentParser(description="Record each real exchange for a while, and print what it sent.")
    parser.add_argument("--for", dest="lasting", default="1min", help="how long each (default: 1min)")
    lasting = parser.parse_args().lasting
    fine = True
    for name, wire, symbols in LOOKS:
        print(f"{name}, {wire}: {symbols}")
        with tempfile.TemporaryDirectory() as folder:
            summary, entries = look(name, wire, symbols, lasting, Path(folder))
            as_it_should_be = tell(name, summary, entries) and (wire == "v1" or name not in APIS or told_alike(name, entries))
        print("  as it should be" if as_it_should_be else "  NOT as it should be")
        fine &= as_it_should_be
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
