"""How one asks an exchange for trades of the past: what a module of this package says of its exchange."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tradelake.feed.gaps import Hole

LONGEST = 9
"""Digits of a number of seconds that anybody means."""


class Again(Exception):
    """The exchange cannot answer now: another attempt is due. `wait_s`: how long it wants to be left alone."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Refused(Exception):
    """The exchange will not answer this, however often it is asked."""


class GivenUp(Exception):
    """The exchange was asked often enough, or wants to be left alone for too long."""


@dataclass(frozen=True)
class Answer:
    """What the JSON text of an answer holds, and when it came: microseconds since the epoch."""

    content: Any
    at_us: int


class Found(NamedTuple):
    """A trade of an answer: its number, its time in microseconds since the epoch, and its Avro record."""

    number: int
    time_us: int
    record: dict[str, Any]


class Asking(Protocol):
    """Asks an exchange, as often as it takes."""

    def get(self, path: str, **parameters: str | int) -> Answer:
        """One answer.

        Raises:
            Refused: there is none to be had.
            GivenUp: there is none to be had now.
        """


class ById(Protocol):
    """Trades whose numbers have no holes."""

    def trades(self, asking: Asking, symbol: str, first: int, count: int) -> list[Found]:
        """So many trades from this number on, in their order; fewer when there are no more, or when the exchange says so little.

        Raises:
            Refused, GivenUp: as `Asking.get`.
        """

    def ids(self, asking: Asking, symbol: str, since_us: int, until_us: int) -> Hole | None:
        """The numbers of the trades from one time on and before another; None when there were none.

        Raises:
            Refused, GivenUp: as `Asking.get`.
        """


class Page(NamedTuple):
    """Trades in the order of their times, and where the next page begins."""

    trades: list[Found]
    next_ns: int


class ByTime(Protocol):
    def page(self, asking: Asking, symbol: str, since_ns: int) -> Page:
        """Trades after a moment, in nanoseconds since the epoch.

        Raises:
            Refused, GivenUp: as `Asking.get`.
        """


@dataclass(frozen=True)
class Api:
    """One exchange's REST API.

    Attributes:
        symbol: what a symbol looks like; `example` is one.
        written: why a symbol that looks so is none all the same; None if it is one.
        page: trades of one answer, at most.
        weight: of a request for a page, where the exchange counts so.
        pause_s: seconds between two requests.
        judge: looks at an answer (its JSON, None where it is none); raises Again or Refused unless it holds what was asked for.
        rest_s: how long the exchange is to be left alone, by an answer's headers and the seconds since the epoch.
        key_header, key_variable: how a key is sent, and where it comes from; None where there is no key.
        by_id, by_time: whichever of the two there is.
    """

    exchange: str
    symbol: re.Pattern[str]
    example: str
    page: int
    weight: int
    pause_s: float
    judge: Callable[[int, Mapping[str, str], Any], None]
    rest_s: Callable[[Mapping[str, str], float], float]
    by_id: ById | None = None
    by_time: ByTime | None = None
    written: Callable[[str], str | None] = lambda symbol: None
    key_header: str | None = None
    key_variable: str | None = None


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds, where the exchange names them."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() and len(text) <= LONGEST else 0.0


def ascending(trades: Sequence[Found]) -> list[Found]:
    """Each number once, in their order."""
    return [trade for _, trade in sorted({trade.number: trade for trade in trades}.items())]
