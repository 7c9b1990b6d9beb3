"""A feed that stays: one connection at a time, another when it is lost, and another beside it before it is cut."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from conf import settings
from tradelake.console import Failure
from tradelake.feed.connection import Connection, Lost, NothingSubscribed, Received
from tradelake.feed.gaps import Gaps, Hole
from tradelake.feed.report import Report, Say
from tradelake.feed.wire import Control, Wire
from tradelake.produce import KEY_FIELD
from tradelake.produce.frames import NANOSECONDS, content
from udfs.exchange import MODULES

HANDFUL = 5
"""Attempts that may follow each other quickly; later ones are `SELDOM_S` apart, as Kraken asks for."""
SELDOM_S = 5.0
NAMED = 20
"""Symbols that are named; more are only counted."""
STEADY_S = 10.0
"""A connection that lasted so long was none of a row of failures."""
UNREADABLE = (ValueError, TypeError, ArithmeticError, RecursionError)

Record = dict[str, Any]


class Sink(Protocol):
    """Where the frames go."""

    async def take(self, received: Received, records: Sequence[Record]) -> None:
        """Keep a frame; `records` are its trades. Waits while there is no room.

        Raises:
            ValueError, TypeError, OverflowError: one of its trades cannot be kept.
            Failure: nothing can be kept any more.
        """


@dataclass(frozen=True)
class Timing:
    """In seconds; what each is: `conf.settings.Feed`."""

    silence_s: float
    renew_s: float | None
    overlap_s: float
    longest_pause_s: float

    @classmethod
    def of(cls, feed: settings.Feed) -> "Timing":
        renew = feed.renew.total_seconds() if feed.renew else None
        return cls(feed.silence.total_seconds(), renew, feed.overlap.total_seconds(), feed.longest_pause.total_seconds())


class Feed:
    """`run` it until it is cancelled.

    Args:
        url: without the path of the wire format.
        filled_by: the command that fills a hole of a symbol, for who reads of one; nothing by default.
    """

    def __init__(
        self,
        wire: Wire,
        url: str,
        symbols: Sequence[str],
        timing: Timing,
        sink: Sink,
        report: Report,
        say: Say,
        filled_by: Callable[[str, Hole], str] | None = None,
    ) -> None:
        self._wire, self._url, self._symbols, self._timing = wire, url, tuple(symbols), timing
        self._sink, self._report, self._say = sink, report, say
        self._records = MODULES[wire.exchange].records
        self._gaps, self._filled_by = Gaps(), filled_by
        self._attempts: deque[float] = deque(maxlen=wire.attempts)
        self._reading: set[asyncio.Task[None]] = set()
        self._retiring: set[asyncio.Task[None]] = set()
        self._backoff = wait_random_exponential(multiplier=min(1.0, timing.longest_pause_s), max=timing.longest_pause_s)

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            Failure: the exchange refuses every symbol.
        """
        try:
            while True:
                async for attempt in AsyncRetrying(retry=retry_if_exception_type(Lost), wait=self._pause, reraise=True):
                    with attempt:
                        await self._one_connection()
        finally:
            tasks = self._retiring | self._reading
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one_connection(self) -> None:
        """Read through a new connection, until it is lost or another is due; what is still being read goes on meanwhile.

        Raises:
            Lost: it did not last.
        """
        await self._turn()
        connection = Connection(self._wire, self._url, self._symbols, self._timing.silence_s, self._take, self._refused)
        task: asyncio.Task[None] = asyncio.create_task(connection.run())
        before = set(self._reading)
        self._reading.add(task)
        task.add_done_callback(self._ended)
        subscribed = 0.0
        if await _happened(connection.subscribed, task):
            subscribed = time.monotonic()
            self._take_over(before)
            await _happened(connection.ending, task, self._timing.renew_s)
        if not task.done():
            self._say("the exchange is about to cut the connection" if connection.ending.is_set() else "the connection is old")
            return
        self._judge(task.exception(), time.monotonic() - subscribed if subscribed else 0.0)

    def _take_over(self, before: set[asyncio.Task[None]]) -> None:
        """The newest connection is subscribed: the ones before it end after the overlap."""
        alive = {task for task in before if not task.done()}
        report = self._report
        report.renewals += bool(alive)
        report.reconnects += bool(report.connections) and not alive
        report.connections += 1
        subscribed = [symbol for symbol in self._symbols if symbol not in report.refused]
        named = ", ".join(subscribed) if len(subscribed) <= NAMED else f"{len(subscribed):,} symbols"
        self._say(f"subscribed{' again' if report.connections > 1 else ''}: {named}")
        if alive:
            retiring = asyncio.create_task(self._retire(alive))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._reading.discard(task)
        if not task.cancelled():
            task.exception()  # that of a connection which another has succeeded is nobody's

    async def _retire(self, tasks: set[asyncio.Task[None]]) -> None:
        await asyncio.wait(tasks, timeout=self._timing.overlap_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _judge(self, error: BaseException | None, lasted_s: float) -> None:
        """What a lost connection means: nothing when it had lasted, else another attempt, later."""
        if isinstance(error, NothingSubscribed):
            if not self._report.connections:
                raise Failure(f"{self._wire.exchange} subscribed none of {', '.join(self._symbols)}: its answers stand above")
            raise Lost("the exchange refuses every symbol")
        if not isinstance(error, Lost):
            raise error or RuntimeError("a connection ended without a reason")
        self._say(str(error))
        if lasted_s < STEADY_S or error.wait_s:
            raise error

    def _pause(self, state: RetryCallState) -> float:
        """Exponential with jitter; never shorter than what the exchange asks for."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait_s if isinstance(error, Lost) else 0.0
        seldom = min(SELDOM_S, self._timing.longest_pause_s) if state.attempt_number > HANDFUL else 0.0
        pause = max(asked, seldom, self._backoff(state))
        self._say(f"connecting again in {pause:.1f} s")
        return pause

    async def _turn(self) -> None:
        """Wait until the exchange's limit allows another connection."""
        attempts = self._attempts
        if len(attempts) == self._wire.attempts:
            await asyncio.sleep(attempts[0] + self._wire.attempts_s - time.monotonic())
        attempts.append(time.monotonic())

    async def _take(self, received: Received) -> Control:
        """One frame: counted, read, kept."""
        report = self._report
        report.frames += 1
        records: list[Record] = []
        control: Control = None
        try:
            frame = content(received.text)
            control = self._wire.control(frame)
            records = self._records(frame, received.at_ns // NANOSECONDS)
        except UNREADABLE as error:
            report.unread(received.text, error, self._say)
        try:
            await self._sink.take(received, records)
        except UNREADABLE as error:
            report.unread(received.text, error, self._say)
            return control
        report.trades += len(records)
        for record in records:
            self._count(record)
        return control

    def _count(self, record: Record) -> None:
        symbol = record[KEY_FIELD[self._wire.exchange]]
        self._report.symbols[symbol] = self._report.symbols.get(symbol, 0) + 1
        if not self._wire.dense:
            return
        hole = self._gaps.see(symbol, record[self._wire.dense])
        if hole:
            self._report.gaps += 1
            fill = f"; to fill it: {self._filled_by(symbol, hole)}" if self._filled_by else ""
            self._say(f"gap: {symbol} misses {hole.first} to {hole.last}, {hole.size:,} trades{fill}")
        self._report.missing = self._gaps.missing

    def holes(self) -> dict[str, list[Hole]]:
        """What is still missing of each symbol; only the newest, when there are very many."""
        found: dict[str, list[Hole]] = {}
        for symbol, hole in self._gaps:
            found.setdefault(symbol, []).append(hole)
        return found

    def _refused(self, symbol: str, reason: str) -> None:
        if symbol not in self._report.refused:
            self._report.refused.append(symbol)
            self._say(f"{self._wire.exchange} does not subscribe {symbol}: {reason}")


async def _happened(event: asyncio.Event, task: "asyncio.Task[None]", timeout: float | None = None) -> bool:
    """Wait for an event, for as long as the task goes on; whether it has happened."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({waiting, task}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    return event.is_set()
