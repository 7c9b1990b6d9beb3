"""Trades into Kafka from a recording, from the shipped sample, or from the generator. Each fills a report while it goes.

Setting `interrupted` in a report ends the sending after the current message; what was sent is delivered and reported.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from conf.settings import Settings
from tradelake.produce import frames, generator
from tradelake.produce.bad import bad_messages, key
from tradelake.produce.frames import Frame, Unreadable
from tradelake.produce.generator import Plan
from tradelake.produce.sample import sample_records
from tradelake.produce.sender import Report, Sender
from udfs import wire
from udfs.exchange import MODULES

Message = tuple[bytes, bytes | None]
Complaint = Callable[[Unreadable], None]
EXCHANGES = tuple(MODULES)
MICROSECONDS = 1_000_000
LOOK_S = 0.1
"""Between two looks for an interrupt, while the next frame's time has not come."""
SAMPLED = ("kraken", "binance")


def replay(
    settings: Settings,
    exchange: str,
    files: Iterable[str],
    rate: float | None = None,
    report: Report | None = None,
    complain: Complaint = lambda line: None,
    speed: float | None = None,
) -> Report:
    """Send the trades of recordings (see `frames`).

    Args:
        rate: messages a second, None for as fast as it goes.
        complain: is told each line that cannot be read.
        speed: how many times as fast as the frames were received; None for no heed of when that was.

    Raises:
        Failure: broker or registry cannot be reached, or the topic or its schema is missing.
    """
    report = report or Report()
    with Sender(settings, exchange, rate) as sender:
        lines: Iterable[Frame | Unreadable] = chain.from_iterable(map(frames.read, files))
        if speed:
            lines = _in_time(lines, speed, report)
        _send(sender, _recorded(sender, exchange, lines, report, complain), report)
    return report


def send_sample(settings: Settings, rate: float | None = None, report: Report | None = None) -> Report:
    """Send the shipped trades of every exchange; else like `replay`."""
    report = report or Report()
    for exchange in SAMPLED:
        if not report.interrupted:
            with Sender(settings, exchange, rate) as sender:
                _send(sender, map(sender.encode, sample_records(exchange)), report)
    return report


def send_generated(settings: Settings, plan: Plan, rate: float | None = None, report: Report | None = None) -> Report:
    """Send what the plan says; else like `replay`."""
    report = report or Report()
    examples = bad_messages(settings, plan.exchange).values() if plan.bad else ()
    broken = [(key(plan.exchange), example.value) for of_reason in examples for example in of_reason]
    with Sender(settings, plan.exchange, rate) as sender:
        _send(sender, _generated(plan, wire.join(sender.schema_id, b""), broken, report), report)
    return report


def _send(sender: Sender, messages: Iterable[Message], report: Report) -> None:
    """Send until the end, an interrupt, or a delivery that failed: what follows would fare no better."""
    for message_key, value in messages:
        sender.send_raw(message_key, value)
        report.sent += 1
        if report.interrupted or sender.failed:
            break
    sender.finish(report)


def _in_time(lines: Iterable[Frame | Unreadable], speed: float, report: Report) -> Iterator[Frame | Unreadable]:
    """Each frame as long after the first as it was received after it, divided by the speed; nothing after an interrupt."""
    started, first_us = time.monotonic(), None
    for line in lines:
        if isinstance(line, Frame):
            first_us = line.received_us if first_us is None else first_us
            due = started + (line.received_us - first_us) / MICROSECONDS / speed
            while (ahead := due - time.monotonic()) > 0 and not report.interrupted:
                time.sleep(min(ahead, LOOK_S))
        if report.interrupted:
            return
        yield line


def _recorded(
    sender: Sender, exchange: str, lines: Iterable[Frame | Unreadable], report: Report, complain: Complaint
) -> Iterator[tuple[bytes, bytes]]:
    for line in lines:
        try:
            messages = _messages(sender, exchange, line)
        except (ValueError, TypeError, OverflowError) as error:
            messages = Unreadable(line.file, line.line, f"no trade to send: {error}")
        if isinstance(messages, Unreadable):
            report.unreadable += 1
            complain(messages)
        elif messages:
            yield from messages
        else:
            report.skipped += 1


def _messages(sender: Sender, exchange: str, line: Frame | Unreadable) -> list[tuple[bytes, bytes]] | Unreadable:
    if isinstance(line, Unreadable):
        return line
    return [sender.encode(record) for record in MODULES[exchange].records(line.content, line.received_us)]


def _generated(plan: Plan, header: bytes, broken: list[Message], report: Report) -> Iterator[Message]:
    """Repeats and bad messages are counted as far as they were taken."""
    for batch in generator.generate(plan, header, broken):
        taken = 0
        try:
            for taken, message in enumerate(zip(batch.keys, batch.values, strict=True), 1):  # noqa: B007
                yield message
        finally:
            report.duplicates += int((batch.kinds[:taken] == generator.REPEAT).sum())
            report.bad += int((batch.kinds[:taken] == generator.BAD).sum())
