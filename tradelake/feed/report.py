"""What a feed has seen so far."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tradelake.feed.gaps import Hole

Say = Callable[[str], None]
"""Tells the person who watches."""
NAMED = 10
"""Malformed frames that are shown; the others are only counted."""
SHOWN = 200
"""Characters of a frame that are."""


@dataclass
class Report:
    """Growing while the feed runs.

    Attributes:
        frames: received, of every kind.
        trades: in these frames, repeats among them.
        symbols: trades of each symbol.
        connections: that were subscribed.
        reconnects: connections that took the place of a lost one.
        renewals: connections that took the place of one that was still alive.
        malformed: frames that hold no JSON, or a trade that cannot be read.
        gaps: holes that were noticed in the exchange's numbers; `missing` numbers of them never came, those of `holes`.
        waits: times that reading waited for Kafka, `waited_s` seconds in all.
        sent: messages that Kafka has; `failed` ones it does not have.
        files: that were written.
        refused: symbols that the exchange did not subscribe.
    """

    frames: int = 0
    trades: int = 0
    symbols: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    reconnects: int = 0
    renewals: int = 0
    malformed: int = 0
    gaps: int = 0
    missing: int = 0
    holes: dict[str, list[Hole]] = field(default_factory=dict)
    waits: int = 0
    waited_s: float = 0.0
    sent: int = 0
    failed: int = 0
    files: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.started = time.monotonic()

    def unread(self, text: str, reason: object, say: Say) -> None:
        """Count a malformed frame, and show it unless there were many."""
        self.malformed += 1
        if self.malformed <= NAMED:
            say(f"malformed frame: {str(reason)[:SHOWN]}: {text[:SHOWN]!r}")
        if self.malformed == NAMED:
            say("further malformed frames are only counted")
