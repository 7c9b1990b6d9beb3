"""One WebSocket to an exchange: opened, subscribed, read until it ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from conf.settings import is_loopback
from tradelake.feed.wire import Accepted, Busy, Control, Ending, Refused, Request, Wire

ANSWER_S = 10.0
"""How long an exchange may take to answer a request."""
CLOSING_S = 1.0
"""A connection that is given up gets no longer to say goodbye."""
LARGEST_FRAME = 1 << 22
AGENT = "tradelake"


class Lost(Exception):
    """The connection ended, or could not be made. `wait_s`: how long the exchange wants to be left alone."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class NothingSubscribed(Exception):
    """The exchange refused every symbol."""


@dataclass(frozen=True)
class Received:
    """A frame's text, and when it came: nanoseconds since the epoch."""

    text: str
    at_ns: int


Take = Callable[[Received], Awaitable[Control]]


class Connection:
    """`run` it; `subscribed` is set once every request was answered, `ending` when the exchange says that it is about to cut.

    Args:
        silence_s: seconds without a frame after which the connection is given up.
        take: is given every frame, and says what it means for the connection.
        refused: is told each symbol that was refused, and why.
    """

    def __init__(
        self, wire: Wire, url: str, symbols: tuple[str, ...], silence_s: float, take: Take, refused: Callable[[str, str], None]
    ) -> None:
        self.subscribed, self.ending = asyncio.Event(), asyncio.Event()
        self._wire, self._url, self._symbols = wire, url, symbols
        self._silence_s, self._take, self._refused = silence_s, take, refused
        self._request = Request("", (), 0)
        self._answers = self._accepted = 0
        self._last = False
        self._answered = asyncio.Event()

    async def run(self) -> NoReturn:
        """Read until the connection is lost.

        Raises:
            Lost: always, unless
            NothingSubscribed: the exchange refused every symbol.
        """
        proxy = None if is_loopback(urlsplit(self._url).hostname) else True  # that of the environment
        options: dict[str, Any] = {"proxy": proxy, "close_timeout": CLOSING_S, "max_size": LARGEST_FRAME, "user_agent_header": AGENT}
        try:
            socket = await connect(self._url + self._wire.path, compression=None, **options)
            try:
                await self._use(socket)
            finally:
                # In a task of its own: in a task that was cancelled, a timeout of Python 3.11.2 is a second cancellation, which ended the
                # closing half-way and left a connection open that nobody reads.
                await asyncio.create_task(socket.close())
        except InvalidStatus as error:
            raise Lost(f"the exchange answers with HTTP {error.response.status_code}", _retry_after(error)) from error
        except ConnectionClosed as error:
            raise Lost(f"the connection was closed: {error}") from error
        except (OSError, WebSocketException) as error:  # TimeoutError is an OSError
            raise Lost(f"no connection: {error or type(error).__name__}") from error
        raise Lost("the connection was closed")

    async def _use(self, socket: ClientConnection) -> None:
        """Subscribe and read side by side: trades come before the last answer."""
        tasks = [asyncio.create_task(work) for work in (self._subscribe(socket), self._read(socket))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _subscribe(self, socket: ClientConnection) -> None:
        requests = self._wire.requests(self._symbols)
        for request in requests:
            if request is not requests[0]:
                await asyncio.sleep(self._wire.pause_s)
            self._request, self._answers, self._last = request, 0, request is requests[-1]
            self._answered.clear()
            await socket.send(request.text)
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._answered.wait()
            except TimeoutError:
                raise Lost(f"no answer to a subscription within {ANSWER_S:.0f} s") from None
        if not self._accepted:
            raise NothingSubscribed

    async def _read(self, socket: ClientConnection) -> NoReturn:
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    text = await socket.recv(decode=True)
            except TimeoutError:
                raise Lost(f"nothing came for {self._silence_s:g} s") from None
            except UnicodeDecodeError:
                raise Lost("a frame that is no UTF-8") from None
            self._act(await self._take(Received(text, time.time_ns())))

    def _act(self, control: Control) -> None:
        match control:
            case Ending():
                self.ending.set()
            case Busy(reason):
                raise Lost(f"the exchange asks for fewer requests: {reason}")
            case Accepted():
                self._accepted += bool(self._request.symbols)
                self._answer(1)
            case Refused(reason, None):
                for symbol in self._request.symbols:
                    self._refused(symbol, reason)
                self._answer(self._request.answers)
            case Refused(reason, str(symbol)):
                self._refused(symbol, reason)
                self._answer(1)

    def _answer(self, count: int) -> None:
        self._answers += count
        if self._answers >= self._request.answers:
            self._answered.set()
            if self._last and self._accepted:
                self.subscribed.set()  # here, where it is read: the connection may be cut right behind the answer


def _retry_after(error: InvalidStatus) -> float:
    """Seconds, where the exchange names them."""
    text = error.response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0
