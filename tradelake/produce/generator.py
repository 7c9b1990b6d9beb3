"""Generated trades as Kafka messages: the same seed gives the same bytes, in the same order, on every machine."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import conf
from tradelake.produce.encoder import Column, Decimals, Int64, Text, encode
from tradelake.produce.market import CHUNK, UNIT, Trades, chunks

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2024, 6, 1, tzinfo=UTC)
OTHER_PRICE = 100 * UNIT
PRICES = {
    "binance": {"BTCUSDT": 6_770_000, "ETHUSDT": 376_000, "BNBUSDT": 59_500, "SOLUSDT": 16_600, "ETHBTC": 6, "BTCFDUSD": 6_770_000}
    | {"XRPUSDT": 52, "DOGEUSDT": 16},
    "kraken": {"XBT/USD": 6_770_000, "ETH/USD": 376_000, "XBT/EUR": 6_240_000, "ETH/EUR": 346_500, "SOL/USD": 16_600, "XRP/USD": 52}
    | {"XDG/USD": 16, "ETH/XBT": 6},
}
"""The default symbols, with the prices in hundredths around which they walk."""
HUNDREDTHS = UNIT // 100
PROBABILITY_BITS = 32


@dataclass(frozen=True)
class Plan:
    """What to generate.

    Attributes:
        count: distinct good trades; repeats and bad messages come on top.
        duplicates: the chance, 0 to 1, that after a trade an earlier one is sent again: one of the last 10,000 before it, or itself.
        bad: the chance, 0 to 1, that after a trade a bad message is sent.
        start: of the market's clock, from which trade times and ingestion times come; trades follow every millisecond or so.
    """

    exchange: str
    count: int
    seed: int = 0
    symbols: tuple[str, ...] = ()
    duplicates: float = 0.0
    bad: float = 0.0
    start: datetime = START


TRADE, REPEAT, BAD = range(3)


class Batch(NamedTuple):
    """Messages in the order in which they are sent, and what each is: TRADE, REPEAT or BAD."""

    keys: list[bytes]
    values: list[bytes | None]
    kinds: NDArray[np.int64]


def generate(plan: Plan, header: bytes, bad: Sequence[tuple[bytes, bytes | None]] = ()) -> Iterator[Batch]:
    """The messages of a plan, by chunks.

    Args:
        header: stands before every Avro record.
        bad: keys and values of the bad messages to choose from.
    """
    prices = PRICES[plan.exchange]
    symbols = plan.symbols or tuple(prices)
    schema = json.loads(conf.schema(plan.exchange))
    market = chunks(plan.seed, (plan.start - EPOCH) // timedelta(microseconds=1), [_price(prices, s) for s in symbols])
    symbol_keys = [symbol.encode() for symbol in symbols]
    earlier: list[bytes | None] = []
    earlier_keys: list[bytes] = []
    for done in range(0, plan.count, CHUNK):
        trades, rows = next(market), min(CHUNK, plan.count - done)
        values: list[bytes | None] = [*encode(schema, COLUMNS[plan.exchange](trades, symbols), CHUNK, header)]
        keys = [symbol_keys[code] for code in trades.symbol.tolist()]
        if plan.duplicates or plan.bad:
            pool, pool_keys = [*earlier, *values, *(v for _, v in bad)], [*earlier_keys, *keys, *(k for k, _ in bad)]
            order, kinds = _order(plan, trades, rows, len(earlier), len(bad))
            yield Batch([pool_keys[i] for i in order], [pool[i] for i in order], kinds)
            earlier, earlier_keys = values, keys
        else:
            yield Batch(keys[:rows], values[:rows], np.full(rows, TRADE))


def _price(prices: Mapping[str, int], symbol: str) -> int:
    return prices[symbol] * HUNDREDTHS if symbol in prices else OTHER_PRICE


def _order(plan: Plan, trades: Trades, rows: int, earlier: int, kinds: int) -> tuple[list[int], NDArray[np.int64]]:
    """Indices into the earlier chunk, this chunk and the bad messages, one after the other; and what each is."""
    draws = trades.draws[:, :rows]
    here = np.arange(rows) + earlier
    repeated, broken = _chosen(draws[0], plan.duplicates), _chosen(draws[2], plan.bad if kinds else 0)
    back = (draws[1] % np.minimum(here + 1, CHUNK).astype(np.uint64)).astype(np.int64)
    kind = (draws[3] % np.uint64(max(1, kinds))).astype(np.int64)
    each = np.stack([here, here - back, earlier + CHUNK + kind], axis=1)
    taken = np.stack([np.ones(rows, np.bool_), repeated, broken], axis=1)
    return each[taken].tolist(), np.nonzero(taken)[1]


def _chosen(words: NDArray[np.uint64], probability: float) -> NDArray[np.bool_]:
    return (words >> np.uint64(64 - PROBABILITY_BITS)) < np.uint64(int(probability * 2**PROBABILITY_BITS))


def _binance(trades: Trades, symbols: Sequence[str]) -> dict[str, Column]:
    milliseconds: Int64 = trades.time_us // 1000
    return {
        "event_type": _constant("trade"),
        "event_time_ms": milliseconds + trades.limit,
        "symbol": Text(symbols, trades.symbol),
        "trade_id": trades.trade_id,
        "price": Decimals(trades.price, 8),
        "quantity": Decimals(trades.quantity, 8),
        "trade_time_ms": milliseconds,
        "is_buyer_maker": trades.taker_sold,
        "is_best_match": np.ones(CHUNK, np.bool_),
        "ingestion_timestamp": trades.received_us,
    }


def _kraken(trades: Trades, symbols: Sequence[str]) -> dict[str, Column]:
    """As the v1 feed sends them: without a trade id. No two share their microsecond, so that none has a twin."""
    return {
        "channel_id": trades.symbol + 321,
        "price": Decimals(trades.price, 8),
        "volume": Decimals(trades.quantity, 8),
        "timestamp": Decimals(trades.time_us, 6),
        "side": Text("bs", trades.taker_sold.astype(np.int64)),
        "order_type": Text("ml", trades.limit.astype(np.int64)),
        "misc": _constant(""),
        "pair": Text(symbols, trades.symbol),
        "ingestion_timestamp": trades.received_us,
        "trade_id": None,
        "occurrence": np.zeros(CHUNK, np.int64),
    }


def _constant(text: str) -> Text:
    return Text((text,), np.zeros(CHUNK, np.int64))


COLUMNS: dict[str, Callable[[Trades, Sequence[str]], dict[str, Column]]] = {"binance": _binance, "kraken": _kraken}
