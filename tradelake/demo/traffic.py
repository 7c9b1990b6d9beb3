"""What the demo sends: the shipped trades of both exchanges, some of them twice, and a few messages that are broken."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar

from conf.settings import Settings
from tradelake.console import Failure
from tradelake.produce.bad import bad_messages, key
from tradelake.produce.sample import sample_records
from tradelake.produce.sender import Report, Sender

RECONNECTS = {"binance": (2_000, 40), "kraken": (38, 10)}
"""Exchange -> after how many trades its connection breaks, and how many of the last trades it then sends again."""
BROKEN = {
    "binance": (
        "null_value",
        "truncated",
        "bad_magic_byte",
        "unknown_schema_id",
        "avro_decode_failed",
        "price_not_positive",
        "quantity_not_a_number",
        "timestamp_in_future",
    ),
    "kraken": ("symbol_unreadable", "side_unknown"),
}
"""Exchange -> reasons to be rejected for; one message each."""

T = TypeVar("T")


class Message(NamedTuple):
    exchange: str
    key: bytes | None
    value: bytes | None


@dataclass
class Sending:
    """How far the sending is. `since` and `until` enclose the Kafka timestamps of its messages."""

    total: int
    repeats: int
    broken: int
    sent: int = 0
    seconds: float = 0.0
    since: datetime = field(default_factory=lambda: floor_ms(datetime.now(UTC)))
    until: datetime | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def done(self) -> bool:
        return self.until is not None

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.sent / self.seconds if self.seconds else 0.0


def floor_ms(moment: datetime) -> datetime:
    """Kafka's timestamps are whole milliseconds."""
    return moment - timedelta(microseconds=moment.microsecond % 1000)


def with_repeats(trades: Sequence[T], every: int, again: int) -> Iterator[T]:
    """The trades, and after each `every` of them the last `again` once more, as after a reconnect."""
    for number, trade in enumerate(trades, 1):
        yield trade
        if number % every == 0:
            yield from trades[number - again : number]


def interleave(*streams: Sequence[T]) -> Iterator[T]:
    """All streams in one, each spread evenly over it and in its own order."""
    places = (
        ((position + 0.5) / len(stream), number, item) for number, stream in enumerate(streams) for position, item in enumerate(stream)
    )
    return (item for _, _, item in sorted(places, key=lambda place: place[:2]))


class Traffic:
    """The demo's messages, with the senders that carry them. A context manager."""

    def __init__(self, settings: Settings, rate: float | None) -> None:
        self._settings, self._stack = settings, ExitStack()
        self._senders = {name: self._stack.enter_context(Sender(settings, name, rate)) for name in RECONNECTS}
        trades = {name: sample_records(name) for name in RECONNECTS}
        repeated = {name: list(with_repeats(trades[name], *RECONNECTS[name])) for name in RECONNECTS}
        broken = list(self._broken())
        streams = [[Message(name, *self._senders[name].encode(record)) for record in records] for name, records in repeated.items()]
        self.messages = list(interleave(*streams, broken))
        repeats = sum(len(repeated[name]) - len(trades[name]) for name in RECONNECTS)
        self.sending = Sending(len(self.messages), repeats, len(broken))

    def _broken(self) -> Iterator[Message]:
        for exchange, reasons in BROKEN.items():
            examples = bad_messages(self._settings, exchange)
            yield from (Message(exchange, key(exchange), examples[reason][0].value) for reason in reasons)

    def __enter__(self) -> "Traffic":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def send_reported(self, report: Report) -> None:
        """Send everything, filling a report, until the end, an interrupt, or a delivery that failed."""
        started = time.monotonic()
        for message in self.messages:
            sender = self._senders[message.exchange]
            sender.send_raw(message.key, message.value)
            report.sent += 1
            if report.interrupted or sender.failed:
                break
        else:
            report.duplicates, report.bad = self.sending.repeats, self.sending.broken
        for sender in self._senders.values():
            sender.finish(report)
        report.seconds = time.monotonic() - started  # they send side by side

    def send(self) -> None:
        """Send everything, keeping `sending` up to date; ends early when `sending.stopped` is set.

        Raises:
            Failure: Kafka did not take every message.
        """
        sending = self.sending
        sending.since, started = floor_ms(datetime.now(UTC)), time.monotonic()
        for message in self.messages:
            if sending.stopped.is_set():
                return
            self._senders[message.exchange].send_raw(message.key, message.value)
            sending.sent += 1
            sending.seconds = time.monotonic() - started
        if lost := sum(sender.flush() for sender in self._senders.values()):
            raise Failure(f"Kafka did not take {lost} of {sending.total} messages; `tradelake status` shows whether it runs")
        sending.until = datetime.now(UTC) + timedelta(milliseconds=1)
