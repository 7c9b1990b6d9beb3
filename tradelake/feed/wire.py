"""How one talks with an exchange to get its trades: what a module of this package says of its exchange."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """A message that asks for the trades of symbols, or for something else without any; and how many answers it gets."""

    text: str
    symbols: tuple[str, ...]
    answers: int


@dataclass(frozen=True)
class Accepted:
    """An answer: subscribed."""


@dataclass(frozen=True)
class Refused:
    """An answer: not subscribed. Without a symbol it is the whole request's."""

    reason: str
    symbol: str | None = None


@dataclass(frozen=True)
class Busy:
    """Too many requests: another attempt is due, later."""

    reason: str


@dataclass(frozen=True)
class Ending:
    """The exchange is about to end this connection."""


Control = Accepted | Refused | Busy | Ending | None


@dataclass(frozen=True)
class Wire:
    """One of an exchange's wire formats.

    Attributes:
        path: of the address, behind what the settings name.
        symbol: what a symbol looks like; `example` is one.
        most_symbols: on one connection.
        attempts: connections that may be opened within `attempts_s` seconds.
        pause_s: seconds between two requests of one connection.
        requests: what subscribes to the trades of these symbols.
        control: what a frame says that holds no trades; None when that is nothing to act on.
        dense: the field of a raw trade that is its number, when the numbers of a symbol have no holes.
    """

    exchange: str
    path: str
    symbol: re.Pattern[str]
    example: str
    most_symbols: int
    attempts: int
    attempts_s: float
    pause_s: float
    requests: Callable[[Sequence[str]], list[Request]]
    control: Callable[[Any], Control]
    dense: str | None = None
