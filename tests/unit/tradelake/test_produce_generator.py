"""The generator: the same bytes from the same seed, and trades that are what they claim to be."""

import hashlib
import io
import json
from collections import Counter
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

import conf
from tradelake.produce.generator import BAD, REPEAT, TRADE, Plan, generate
from tradelake.produce.market import CHUNK

HEADER = b"\0\0\0\0\1"
BROKEN = [(b"bad", None), (b"bad", b""), (b"bad", b"\1")]
IDENTITY = {
    "binance": ("symbol", "trade_id"),
    "kraken": ("pair", "timestamp", "price", "volume", "side", "order_type", "misc", "occurrence"),
}
EXCHANGES = pytest.mark.parametrize("exchange", ["binance", "kraken"])


def messages(plan: Plan) -> list[tuple[int, bytes, bytes | None]]:
    return [
        message for batch in generate(plan, HEADER, BROKEN) for message in zip(batch.kinds.tolist(), batch.keys, batch.values, strict=True)
    ]


def records(plan: Plan) -> list[dict]:
    schema = parse_schema(json.loads(conf.schema(plan.exchange)))
    return [schemaless_reader(io.BytesIO(value[len(HEADER) :]), schema) for kind, _, value in messages(plan) if kind == TRADE]


def digest(plan: Plan) -> str:
    return hashlib.sha256(repr(messages(plan)).encode()).hexdigest()


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        ("binance", "282fec8f6ef2e3daeadb0610d5cd57c6a6e384d077a947281569998e5296d426"),
        ("kraken", "6447f1200a39a0533d4319a2ff6da5df9000b1a23b3c22dee64234e5093033d8"),
    ],
)
def test_the_bytes_of_a_seed_are_the_same_on_every_machine(exchange, expected):
    assert digest(Plan(exchange, 25_000, seed=42, duplicates=0.3, bad=0.01)) == expected


@EXCHANGES
def test_a_shorter_run_is_the_beginning_of_a_longer_one(exchange):
    long, short = (messages(Plan(exchange, count, seed=1, duplicates=0.2, bad=0.1)) for count in (12_000, 11_000))
    assert long[: len(short)] == short


@EXCHANGES
def test_every_trade_is_distinct_and_follows_in_time(exchange):
    trades = records(Plan(exchange, 25_000, seed=7))
    assert len({tuple(trade[name] for name in IDENTITY[exchange]) for trade in trades}) == 25_000
    times = [trade.get("trade_time_ms") or Decimal(trade["timestamp"]) for trade in trades]
    assert times == sorted(times)


@EXCHANGES
def test_two_seeds_share_no_trade(exchange):
    one, two = ({tuple(trade[n] for n in IDENTITY[exchange]) for trade in records(Plan(exchange, 10_000, seed=s))} for s in (1, 2))
    assert one.isdisjoint(two)


def test_binance_ids_are_dense_per_symbol_across_chunks():
    ids = {symbol: [] for symbol in ("BTCUSDT", "ETHUSDT", "NEWUSDT")}
    for trade in records(Plan("binance", 25_000, symbols=tuple(ids))):
        ids[trade["symbol"]].append(trade["trade_id"])
    assert sum(map(len, ids.values())) == 25_000
    assert all(seen == list(range(seen[0], seen[0] + len(seen))) for seen in ids.values())


@EXCHANGES
def test_prices_walk_in_text_of_eight_decimals_and_stay_within_half_of_their_start(exchange):
    symbol, field = {"binance": ("BTCUSDT", "symbol"), "kraken": ("XBT/USD", "pair")}[exchange]
    prices = [trade["price"] for trade in records(Plan(exchange, 25_000, symbols=(symbol,))) if trade[field] == symbol]
    assert all(price.partition(".")[2].isdigit() and len(price.partition(".")[2]) == 8 for price in prices)
    assert all(Decimal(33_850) <= Decimal(price) <= Decimal(101_550) for price in prices)
    steps = [abs(Decimal(b) - Decimal(a)) for a, b in pairwise(prices)]
    assert max(steps) == Decimal("1.0")


@EXCHANGES
def test_trades_equal_what_fastavro_writes(exchange):
    schema = parse_schema(json.loads(conf.schema(exchange)))
    for _, _, value in messages(Plan(exchange, 200, seed=3)):
        out = io.BytesIO()
        schemaless_writer(out, schema, schemaless_reader(io.BytesIO(value[len(HEADER) :]), schema))
        assert value == HEADER + out.getvalue()


@EXCHANGES
def test_repeats_are_earlier_trades_verbatim_out_of_a_bounded_window(exchange):
    seen: dict[bytes, int] = {}
    distances = []
    for kind, _, value in messages(Plan(exchange, 25_000, duplicates=0.3)):
        if kind == TRADE:
            seen[value] = len(seen)
        else:
            distances.append(len(seen) - 1 - seen[value])
    assert 0.28 * 25_000 < len(distances) < 0.32 * 25_000
    assert 0 <= min(distances) < max(distances) < CHUNK


def test_duplicates_and_bad_messages_leave_the_trades_alone():
    plain = messages(Plan("binance", 12_000, seed=5))
    mixed = messages(Plan("binance", 12_000, seed=5, duplicates=0.5, bad=0.5))
    assert [message for message in mixed if message[0] == TRADE] == plain


def test_all_bad_messages_are_mixed_in():
    kinds = Counter(value for kind, _, value in messages(Plan("binance", 1_000, bad=0.3)) if kind == BAD)
    assert set(kinds) == {None, b"", b"\1"}
    assert 250 < kinds.total() < 350


@pytest.mark.parametrize(("duplicates", "bad", "expected"), [(0, 0, [100, 0, 0]), (1, 1, [100, 100, 100])])
def test_no_chance_and_certainty_are_exact(duplicates, bad, expected):
    counts = Counter(kind for kind, _, _ in messages(Plan("kraken", 100, duplicates=duplicates, bad=bad)))
    assert [counts[kind] for kind in (TRADE, REPEAT, BAD)] == expected


@EXCHANGES
def test_keys_are_the_symbols_as_the_exchange_writes_them(exchange):
    plan = Plan(exchange, 500, duplicates=0.5)
    schema, field = parse_schema(json.loads(conf.schema(exchange))), IDENTITY[exchange][0]
    for _, key, value in messages(plan):
        assert key.decode() == schemaless_reader(io.BytesIO(value[len(HEADER) :]), schema)[field]


def test_the_clock_starts_where_it_is_told():
    assert records(Plan("binance", 1))[0]["trade_time_ms"] == 1717200000001
    assert np.all([1717200000 <= Decimal(trade["timestamp"]) < 1717200030 for trade in records(Plan("kraken", 25_000))])
