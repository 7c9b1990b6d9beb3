"""An exchange on this machine, in a thread of its own: it lets trades happen, tells its subscribers, and fails as its script says.

A script is a visit for each connection that comes, in their order; a visit is a row of steps. A connection beyond the script is kept, in
peace.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response

from tests.simulator.market import Trade, market
from tests.simulator.speech import Speech

HEARTBEAT_S = 0.2
PATIENCE = 2_000
"""Moments that another connection is waited for."""


@dataclass
class Visit:
    """What happens to a connection.

    Attributes:
        steps: once it has subscribed.
        http: the status that it is turned away with, before it is one.
        busy: its first request is answered with the exchange's word for too many.
        deaf: its requests are not answered at all.
    """

    steps: Sequence["Step"] = ()
    http: int | None = None
    retry_after: int | None = None
    busy: bool = False
    deaf: bool = False


class Session:
    """One connection."""

    def __init__(self, exchange: "Exchange", socket: ServerConnection, number: int) -> None:
        self.exchange, self.socket, self.number = exchange, socket, number
        self.symbols: set[str] = set()
        self.requests: list[str] = []

    async def say(self, *texts: str) -> None:
        for text in texts:
            await self.socket.send(text)

    async def moment(self) -> None:
        """Let a little time pass; ConnectionClosed when the connection is gone."""
        await asyncio.sleep(0.01)
        if self.socket.close_code is not None:
            raise self.socket.protocol.close_exc

    async def heard(self) -> None:
        """Wait until the other side has taken everything that was said."""
        await (await self.socket.ping())


Step = Callable[[Session], Awaitable[None]]


@dataclass
class Exchange:
    """A context manager; `url` is its address, without the path.

    Attributes:
        symbols: that it trades.
        sent: every trade that went out whole to a subscriber.
        happened: every trade, in the order of the market.
        done: all visits of the script are through.
        go_on: set it to let `until_told_to` end.
    """

    speech: Speech
    symbols: Sequence[str]
    script: Sequence[Visit] = ()
    seed: int = 1
    sent: set[Trade] = field(default_factory=set)
    happened: list[Trade] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    handshakes: int = 0

    def __post_init__(self) -> None:
        self.done, self.go_on = threading.Event(), threading.Event()
        self.trades = market(self.symbols, self.seed)
        self._through: set[int] = set()
        self._changed: asyncio.Event | None = None
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self.port = 0
        self.errors: list[BaseException] = []
        if not self.script:
            self.done.set()

    def __enter__(self) -> "Exchange":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self.errors and error is None:
            raise self.errors[0]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}" + ("" if self.speech.path == "/stream" else self.speech.path.rstrip("/"))

    def happens(self, count: int) -> list[Trade]:
        """The next trades of the market; nobody is told."""
        trades = [next(self.trades) for _ in range(count)]
        self.happened += trades
        return trades

    async def tell(self, trades: Sequence[Trade], **how: Any) -> None:
        """Tell every subscriber, as far as it is still there."""
        for session in self.sessions:
            mine = [trade for trade in trades if trade.symbol in session.symbols]
            if not mine:
                continue
            try:
                await session.say(*self.speech.frames(mine, **how))
                self.sent.update(mine)
            except ConnectionClosed:
                session.symbols = set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with serve(self._visit, "127.0.0.1", 0, process_request=self._door, ping_interval=None, close_timeout=0.2) as server:
            self.port = _port(server)
            self._ready.set()
            await self._stop.wait()

    def _door(self, socket: ServerConnection, request: Request) -> Response | None:
        number, self.handshakes = self.handshakes, self.handshakes + 1
        socket.number = number  # type: ignore[attr-defined]
        visit = self._visit_of(number)
        if visit.http is None:
            return None if request.path == self.speech.path else socket.respond(404, "not here\n")
        response = socket.respond(visit.http, "not now\n")
        if visit.retry_after is not None:
            response.headers["Retry-After"] = str(visit.retry_after)
        self._visited(number)
        return response

    def _visit_of(self, number: int) -> Visit:
        return self.script[number] if number < len(self.script) else Visit()

    def _visited(self, number: int) -> None:
        self._through.add(number)
        if self._through >= set(range(len(self.script))):
            self.done.set()

    async def _visit(self, socket: ServerConnection) -> None:
        number: int = socket.number  # type: ignore[attr-defined]
        visit, session = self._visit_of(number), Session(self, socket, number)
        self.sessions.append(session)
        listening = asyncio.create_task(self._listen(session, visit.busy, visit.deaf))
        try:
            await session.say(*self.speech.greeting())
            while not (session.symbols or listening.done()):
                await session.say(*self.speech.heartbeat())
                await session.moment()
            for step in visit.steps:
                await step(session)
            self._visited(number)
            await hold(session)
        except ConnectionClosed:
            pass
        except BaseException as error:
            self.errors.append(error)
            self.done.set()
            raise
        finally:
            session.symbols = set()
            listening.cancel()

    async def _listen(self, session: Session, busy: bool, deaf: bool) -> None:
        async for text in session.socket:
            assert isinstance(text, str)
            session.requests.append(text)
            if busy or deaf:
                if busy:
                    await session.say(self.speech.busy())
                busy = False
                self._visited(session.number)
                continue
            await session.say(*self.speech.answer(text, self.symbols))
            asked = [symbol for symbol in self.speech.asked(text) if symbol in self.symbols]
            for symbol in asked if self.speech.remembered else ():
                last = [trade for trade in self.happened if trade.symbol == symbol][-self.speech.remembered :]
                if last:
                    await session.say(*self.speech.frames(last, snapshot=True))
                    self.sent.update(last)
            session.symbols.update(asked)


def _port(server: Server) -> int:
    (socket,) = server.sockets
    port: int = socket.getsockname()[1]
    return port


# Steps


def trades(count: int, together: int = 1, **how: Any) -> Step:
    """So many trades happen, and are told, as many `together` in one go."""

    async def step(session: Session) -> None:
        for _ in range(0, count, together):
            await session.exchange.tell(session.exchange.happens(together), **how)

    return step


def missed(count: int) -> Step:
    """So many trades happen, and nobody is told."""

    async def step(session: Session) -> None:
        session.exchange.happens(count)

    return step


def again(count: int) -> Step:
    """The last trades are told once more."""

    async def step(session: Session) -> None:
        await session.exchange.tell(session.exchange.happened[-count:], snapshot=True)

    return step


def backwards(count: int) -> Step:
    """So many trades happen, and are told the last one first."""

    async def step(session: Session) -> None:
        for trade in reversed(session.exchange.happens(count)):
            await session.exchange.tell([trade])

    return step


def text(content: str) -> Step:
    async def step(session: Session) -> None:
        await session.say(content)

    return step


async def ending(session: Session) -> None:
    """Say that the connection is about to be cut, and tell trades until another has subscribed, and some after that."""
    exchange = session.exchange
    await session.say(exchange.speech.ending())
    await until_another(session)


async def until_another(session: Session) -> None:
    """Tell trades until another connection has subscribed, and some after that."""
    exchange = session.exchange

    def others() -> bool:
        return any(other.symbols for other in exchange.sessions if other.number > session.number)

    told = 0
    while not others():
        assert told < PATIENCE, "another connection was to come, and did not"
        await exchange.tell(exchange.happens(1))
        await session.moment()
        told += 1
    await exchange.tell(exchange.happens(1))


async def until_told_to(session: Session) -> None:
    while not session.exchange.go_on.is_set():
        await session.moment()


async def until_alone(session: Session) -> None:
    """Wait until the connections before are gone."""
    for _ in range(PATIENCE):
        if not any(other.symbols for other in session.exchange.sessions if other.number < session.number):
            return
        await session.moment()
    raise AssertionError("the connections before were to go, and did not")


async def close(session: Session) -> None:
    """End as a server does that knows how."""
    session.symbols = set()
    await session.socket.close(1001)


async def abort(session: Session) -> None:
    """Go away without a word, on any level."""
    await session.heard()
    session.symbols = set()
    session.socket.transport.abort()


async def half_a_frame(session: Session) -> None:
    """Cut in the middle of a frame: its trade has happened, and was not told."""
    trade = session.exchange.happens(1)
    (whole, *_) = session.exchange.speech.frames(trade)
    packed = Frame(Opcode.TEXT, whole.encode()).serialize(mask=False)
    session.symbols = set()
    session.socket.transport.write(packed[: len(packed) // 2])
    session.socket.transport.close()


async def silence(session: Session) -> None:
    """Nothing more, for as long as the other side bears it."""
    session.symbols = set()
    await session.socket.wait_closed()


async def hold(session: Session) -> None:
    """Stay, with heartbeats, until the other side goes."""
    while True:
        await session.say(*session.exchange.speech.heartbeat())
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await session.socket.wait_closed()
                return
        except TimeoutError:
            continue
