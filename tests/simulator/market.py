"""Trades that happen at an exchange: known by what they are, not by how a feed writes them."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

FIRST_NUMBER = 4_000_000


@dataclass(frozen=True)
class Trade:
    """`number` is dense for a symbol; `time_us`: microseconds since the epoch; price and quantity in decimal text; the taker's side."""

    symbol: str
    number: int
    price: str
    quantity: str
    time_us: int
    side: str
    order_type: str


def market(symbols: Sequence[str], seed: int = 1, first_number: int = FIRST_NUMBER) -> Iterator[Trade]:
    """Trades without end, each of the next symbol, and at least a millisecond after the one before."""
    chance = random.Random(seed)
    time_us = time.time_ns() // 1000
    numbers = dict.fromkeys(symbols, first_number)
    for symbol in cycle(symbols):
        time_us += chance.randrange(1_000, 2_000)
        price, quantity = chance.randrange(10**10), chance.randrange(1, 10**9)
        yield Trade(
            symbol=symbol,
            number=numbers[symbol],
            price=f"{1 + price // 10**5}.{price % 10**5:05}",
            quantity=f"{quantity // 10**8}.{quantity % 10**8:08}",
            time_us=time_us,
            side=chance.choice(("buy", "sell")),
            order_type=chance.choice(("limit", "market")),
        )
        numbers[symbol] += 1
