"""What a backfill has done so far."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tradelake.feed.gaps import Hole

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Gap:
    """Numbers of a symbol that are wanted.

    Attributes:
        left: what is not filled; `rejected` of them the exchange gave, and silver would refuse.
        asked: whether the exchange was asked for all of it.
        reasons: why something is left.
    """

    symbol: str
    first: int
    last: int
    left: list[Hole]
    rejected: int = 0
    asked: bool = False
    reasons: list[str] = field(default_factory=list)

    @property
    def wanted(self) -> int:
        return self.last - self.first + 1

    @property
    def missing(self) -> int:
        return sum(hole.size for hole in self.left)

    def because(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)


@dataclass
class Span:
    """Trades of a symbol in a time that are wanted, of an exchange whose numbers tell nothing.

    Attributes:
        since_us, until_us: microseconds since the epoch, from one on and before the other.
        reached_us: how far the exchange has been asked; `asked` when that is to the end.
        reasons: why not to the end, or why a trade was not sent.
    """

    symbol: str
    since_us: int
    until_us: int
    reached_us: int
    sent: int = 0
    rejected: int = 0
    asked: bool = False
    reasons: list[str] = field(default_factory=list)

    def because(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)


@dataclass
class Report:
    """Growing while it runs.

    Attributes:
        gaps, spans: what is wanted; the one or the other.
        requests: to the exchange; `retries` of them were asked for again, `waited_s` seconds were waited.
        fetched: trades that the exchange gave, of those that are wanted; `rejected` ones silver would refuse.
        held: those that the lake had already.
        sent: messages that Kafka has; `failed` ones it does not have.
        filled, missing: numbers of the gaps.
    """

    exchange: str
    dry_run: bool = False
    gaps: list[Gap] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    requests: int = 0
    retries: int = 0
    waited_s: float = 0.0
    fetched: int = 0
    held: int = 0
    rejected: int = 0
    sent: int = 0
    failed: int = 0
    filled: int = 0
    missing: int = 0
    interrupted: bool = False
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.started = time.monotonic()

    def end(self) -> None:
        """Say what is left, of what there is no more to do."""
        self.missing = sum(gap.missing for gap in self.gaps)
        self.filled = sum(gap.wanted for gap in self.gaps) - self.missing
        self.seconds = round(time.monotonic() - self.started, 3)
        self.waited_s = round(self.waited_s, 3)

    @property
    def complete(self) -> bool:
        return not (self.interrupted or self.failed or any(gap.left for gap in self.gaps) or any(span.reasons for span in self.spans))


def iso(time_us: int) -> str:
    """The time in UTC, to the microsecond."""
    return (EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds").replace("+00:00", "Z")
