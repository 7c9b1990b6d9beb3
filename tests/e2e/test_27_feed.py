"""Live feeds through every fault of an exchange: what it told is in gold once, exactly as it was told."""

import json
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from pyiceberg.expressions import In

from tests.e2e.stack import Stack, key_of
from tests.simulator.exchange import (
    Exchange,
    Visit,
    abort,
    again,
    backwards,
    close,
    ending,
    half_a_frame,
    missed,
    silence,
    text,
    trades,
    until_alone,
)
from tests.simulator.speech import Binance, KrakenV1, KrakenV2
from tests.truth.lake import GOLD, SILVER, V2_COLUMNS
from tests.truth.trades import Raw, Trade

OF_THE_TRADE = tuple(column for column in V2_COLUMNS if column not in ("platform_sequence", "ingestion_timestamp"))
CUTS = [Visit([trades(100), half_a_frame]), Visit([trades(50), close]), Visit([trades(20), again(40), trades(10), abort])]
AWAY = [Visit([trades(20), abort, missed(30)]), Visit([trades(11), silence])]
BINANCE = [
    Visit(http=429, retry_after=1),
    *CUTS,
    Visit([trades(20), text('{"stream":'), backwards(10), trades(10, extra={"venue": "spot"}), missed(6), trades(10), silence]),
    Visit([trades(30), ending, trades(30), close]),
    Visit([until_alone, trades(40), again(20), trades(20)]),
]
V2_ODD = Visit(
    [trades(20, together=5), text('{"channel":"trade","data":[{}]}'), backwards(10), trades(10, extra={"venue": "spot"}), again(50)]
)
V1_ODD = Visit([trades(20, together=5), text('[337,[["1"]],"trade","FEEDE/USD"]'), backwards(10), trades(10)])


@dataclass
class Live:
    """A feed at work: what it is fed by, what it said in the end."""

    exchange: Exchange
    process: "subprocess.Popen[str]"
    name: str
    symbols: Sequence[str]

    def told(self) -> list[Raw]:
        """Every trade that went out whole, once."""
        speech = self.exchange.speech
        return [speech.raw(trade) | {"ingestion_timestamp": 0} for trade in self.exchange.sent]

    def sent(self, stack: Stack) -> list[Raw]:
        """What stands in Kafka of it."""
        keys = {symbol.encode() for symbol in self.symbols}
        values = [m.value for m in stack.broker.messages(stack.topics[self.name]) if m.key in keys and m.value is not None]
        return [stack.registry.decode(value)[1] for value in values]

    def is_through(self, stack: Stack) -> bool:
        assert self.process.poll() is None, "the feed has ended by itself"
        return self.exchange.done.is_set() and ids(stack, self.name, self.told()) <= ids(stack, self.name, self.sent(stack))


def ids(stack: Stack, exchange: str, raws: Sequence[Raw]) -> set[str]:
    return {trade["message_id"] for trade in stack.truth(exchange, raws)}


def comparable(trades: Sequence[Trade]) -> list[list[tuple[str, object]]]:
    return sorted(sorted((name, trade[name]) for name in OF_THE_TRADE) for trade in trades)


@pytest.mark.parametrize(
    ("speech", "wire", "symbols", "script", "summary"),
    [
        (Binance(), (), ("FEEDAUSDT", "FEEDBUSDT"), BINANCE, {"reconnects": 4, "renewals": 1, "malformed": 1, "missing": 7}),
        (
            KrakenV2(),
            ("--wire", "v2"),
            ("FEEDC/USD", "FEEDD/USD"),
            [Visit(busy=True), *CUTS, *AWAY, V2_ODD],
            {"reconnects": 5, "malformed": 1},
        ),
        (KrakenV1(), ("--wire", "v1"), ("FEEDE/USD", "FEEDF/USD"), [*CUTS, *AWAY, V1_ODD], {"reconnects": 5, "malformed": 1}),
    ],
    ids=["binance", "kraken-v2", "kraken-v1"],
)
def test_what_an_exchange_told_through_its_faults_is_in_gold_once(
    pipeline: Stack,
    speech: Binance | KrakenV2 | KrakenV1,
    wire: tuple[str, ...],
    symbols: tuple[str, ...],
    script: list[Visit],
    summary: dict[str, int],
) -> None:
    name = speech.exchange
    with Exchange(speech, symbols, script) as exchange:
        process = pipeline.start("feed", name, *wire, "--symbols", ",".join(symbols), "--url", exchange.url, "--json")
        live = Live(exchange, process, name, symbols)
        pipeline.wait("all that was told is in Kafka", lambda: live.is_through(pipeline))
        process.send_signal(signal.SIGTERM)
        said = json.loads(process.communicate()[0])
    assert process.returncode == 0

    sent = live.sent(pipeline)
    assert {key: said[key] for key in summary} == summary
    assert (said["sent"], said["trades"], said["failed"]) == (len(sent), len(sent), 0)
    untold = len(exchange.happened) - len(exchange.sent)
    assert untold == (said["missing"] if name == "binance" else 0)
    assert len(sent) > len(exchange.sent), "repeats were sent, for gold to remove"

    pipeline.settle()
    expected = comparable(pipeline.truth(name, live.told()))
    written = sorted({trade["symbol"] for trade in pipeline.truth(name, live.told())})
    rows = pipeline.lake.rows(GOLD, OF_THE_TRADE, In("symbol", written)).to_pylist()
    assert comparable(rows) == expected
    assert len(expected) == len(exchange.sent)
    assert pipeline.lake.rows(SILVER[name], ("message_id",), In("symbol", written)).num_rows == len(sent)
    assert {key_of(name, one) for one in sent} == {symbol.encode() for symbol in symbols}
    assert pipeline.discrepancies() == []
