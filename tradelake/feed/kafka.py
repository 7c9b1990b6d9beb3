"""Trades of a feed into Kafka. The queue is the client's own, and bounded: when it is full, reading waits, and says so."""

import asyncio
import time
from collections.abc import Sequence

from tradelake.feed.connection import Received
from tradelake.feed.feed import Record
from tradelake.feed.report import Report, Say
from tradelake.produce.sender import Sender

PAUSE_S = 0.02
"""Between two attempts to find room in the queue."""
PATIENCE_S = 1.0
"""A wait that is longer is spoken of."""


class KafkaSink:
    def __init__(self, sender: Sender, report: Report, say: Say) -> None:
        self._sender, self._report, self._say = sender, report, say

    async def take(self, received: Received, records: Sequence[Record]) -> None:
        messages = [self._sender.encode(record) for record in records]
        for at, (key, value) in enumerate(messages):
            if not self._sender.offer(key, value):
                await self._wait_for_room(key, value, len(messages) - at)

    def close(self) -> None:
        """Wait until everything is delivered, or given up."""
        lost = self._sender.flush()
        self._report.failed += lost
        self._report.sent = self._sender.sent - lost

    async def _wait_for_room(self, key: bytes, value: bytes, left: int) -> None:
        """Put a message where there is none; `left` messages are lost when the feed is stopped meanwhile."""
        started, report = time.monotonic(), self._report
        report.waits += 1
        spoken = False
        try:
            while not self._sender.offer(key, value):
                await asyncio.sleep(PAUSE_S)
                if not spoken and time.monotonic() - started > PATIENCE_S:
                    spoken = True
                    self._say("Kafka takes no more messages for now, and reading waits; see `tradelake status`")
        except asyncio.CancelledError:
            report.failed += left
            raise
        finally:
            report.waited_s += time.monotonic() - started
        if spoken:
            self._say(f"Kafka takes messages again, after {time.monotonic() - started:.1f} s")
