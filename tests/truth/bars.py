"""The bars of a set of trades, by their definition (docs/bars.md): no order of arrival, no watermark, no rows to unite."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

from tests.truth.trades import Trade

WIDTHS = {"1s": 10**6, "1m": 60 * 10**6, "1h": 3600 * 10**6}
HUNDRED_MILLION = 10**8
EXACT = Context(prec=100)
"""Python's own keeps 28 digits; a sum has up to 38."""


@dataclass(frozen=True)
class Bar:
    """`first` and `last`: the message_ids of the trades that `open` and `close` are of. `start_us`: microseconds since the epoch."""

    exchange: str
    symbol: str
    width: str
    start_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    notional: Decimal
    vwap: Decimal
    trades: int
    first: str
    last: str


def bars(trades: Iterable[Trade]) -> set[Bar]:
    """Every bar that has a trade."""
    windows: defaultdict[tuple[str, str, str, int], list[Trade]] = defaultdict(list)
    for trade in trades:
        for width, us in WIDTHS.items():
            windows[trade["exchange"], trade["symbol"], width, trade["timestamp"] - trade["timestamp"] % us].append(trade)
    return {_bar(window, sorted(inside, key=place)) for window, inside in windows.items()}


def place(trade: Trade) -> tuple[int, int, str]:
    number = trade["source_sequence"]
    return trade["timestamp"], -1 if number is None or number < 0 else number, trade["message_id"]


def _bar(window: tuple[str, str, str, int], trades: list[Trade]) -> Bar:
    prices = [trade["price"] for trade in trades]
    volume = sum((Fraction(trade["quantity"]) for trade in trades), Fraction())
    notional = sum((Fraction(trade["price"]) * Fraction(trade["quantity"]) for trade in trades), Fraction())
    return Bar(
        *window,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=_exactly(volume),
        notional=_exactly(notional),
        vwap=EXACT.scaleb(Decimal(half_up(notional / volume * HUNDRED_MILLION)), -8),
        trades=len(trades),
        first=trades[0]["message_id"],
        last=trades[-1]["message_id"],
    )


def half_up(number: Fraction) -> int:
    return (2 * number.numerator + number.denominator) // (2 * number.denominator)


def _exactly(number: Fraction) -> Decimal:
    """A sum of products of decimals with eight places has sixteen."""
    scaled = number * HUNDRED_MILLION**2
    assert scaled.denominator == 1
    return EXACT.scaleb(Decimal(scaled.numerator), -16)
