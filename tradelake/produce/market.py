"""A seeded market: trades as integer columns, the same on every machine.

Only the raw words of a counter-like bit generator and integer arithmetic are used: no distribution whose stream a library may change, and
no float that a machine may round differently.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
CHUNK = 10_000
"""Trades of one chunk; a fixed part of the sequence, for each is drawn whole."""
UNIT = 10**8
"""Prices and quantities are whole numbers of 1e-8."""
SIGNIFICANT = 6
"""Digits of a price that move."""
MEAN_GAP_US = 1_000
FIRST_ID, ID_RANGE = 10**9, 10**12
QUANTITIES = np.array([10**5, 10**7, 10**8, 5 * 10**9], np.int64)
"""Upper bounds of a quantity: many small ones, few large ones."""
WORDS = 9


class Trades(NamedTuple):
    """Columns of one chunk. Times are microseconds since the epoch, strictly growing; ids are dense per symbol."""

    symbol: Int64
    trade_id: Int64
    time_us: Int64
    received_us: Int64
    price: Int64
    quantity: Int64
    taker_sold: NDArray[np.bool_]
    limit: NDArray[np.bool_]
    draws: NDArray[np.uint64]
    """Four more random words a trade."""


def chunks(seed: int, start_us: int, prices: Sequence[int]) -> Iterator[Trades]:
    """Trades without end.

    Args:
        seed: not negative; two seeds share no trade.
        start_us: the first trade comes just after it.
        prices: where each symbol's random walk starts, and around which it stays, in units of 1e-8; symbols are its indices.
    """
    words = np.random.PCG64(seed)
    around, ticks = np.array(prices, np.int64), np.array([tick(price) for price in prices], np.int64)
    next_id = FIRST_ID + _below(words.random_raw(len(prices)), ID_RANGE)
    walked, clock_us = np.zeros(len(prices), np.int64), start_us
    while True:
        drawn = words.random_raw(CHUNK * WORDS).reshape(WORDS, CHUNK)
        symbol = _below(drawn[0], len(prices))
        time_us = clock_us + np.cumsum(1 + _below(drawn[1], 2 * MEAN_GAP_US - 1))
        nth, steps = _within_symbol(symbol, _below(drawn[2], 21) - 10, len(prices))
        walk = walked[symbol] + steps
        yield Trades(
            symbol=symbol,
            trade_id=next_id[symbol] + nth,
            time_us=time_us,
            received_us=time_us + 1_000 + _below(drawn[3] >> np.uint64(8), 50_000),
            price=around[symbol] + ticks[symbol] * _thrown_back(walk, (around // (2 * ticks))[symbol]),
            quantity=1 + _below(drawn[4] >> np.uint64(8), QUANTITIES[_below(drawn[4] & np.uint64(0xFF), len(QUANTITIES))]),
            taker_sold=(drawn[3] & np.uint64(1)).astype(np.bool_),
            limit=(drawn[3] & np.uint64(2)).astype(np.bool_),
            draws=drawn[5:],
        )
        clock_us = int(time_us[-1])
        next_id = next_id + np.bincount(symbol, minlength=len(prices))
        walked[symbol] = walk


def _below(words: NDArray[np.uint64], bound: int | Int64) -> Int64:
    """Whole numbers from 0 to `bound`, exclusive."""
    return (words % np.asarray(bound).astype(np.uint64)).astype(np.int64)


def _within_symbol(symbol: Int64, steps: Int64, symbols: int) -> tuple[Int64, Int64]:
    """For each row, how many rows of its symbol stand before it, and the sum of its symbol's steps up to it."""
    order = np.argsort(symbol, kind="stable")
    first = np.searchsorted(symbol[order], np.arange(symbols))
    total = np.concatenate([[0], np.cumsum(steps[order])])
    nth, sums = np.empty_like(symbol), np.empty_like(steps)
    nth[order] = np.arange(len(symbol)) - first[symbol[order]]
    sums[order] = total[1:] - total[first][symbol[order]]
    return nth, sums


def tick(price: int) -> int:
    """The smallest step of a symbol's price, in units of 1e-8."""
    return int(10 ** max(0, len(str(price)) - SIGNIFICANT))


def _thrown_back(walk: Int64, reach: Int64) -> Int64:
    """The walk in ticks, thrown back whenever it is `reach` away from where it started."""
    away: Int64 = reach - np.abs((walk + reach) % (4 * reach) - 2 * reach)
    return away
