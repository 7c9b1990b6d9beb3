"""A proxy before a server, which passes requests on, and deals with them as a test wants: slow, refused, cut off, or with the answer lost.

Bytes go through as they are, the `Host` that a client sends and signs too.
"""

import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

import trustme

Headers = list[tuple[str, str]]
OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "te", "upgrade"}
PATIENCE_S = 120
"""How long the server behind may take; a paused one takes as long as it is paused."""
RESET = struct.pack("ii", 1, 0)
"""Linger for no time: what closes the socket resets the connection."""


@dataclass(frozen=True)
class Request:
    """`path`: with its query, as it came."""

    method: str
    path: str
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Answer:
    """`ends_after`: bytes of the body after which the connection ends, None for a whole answer."""

    status: int
    headers: Headers
    body: bytes
    ends_after: int | None = None

    @classmethod
    def of(cls, status: int, body: bytes, content_type: str) -> Self:
        return cls(status, [("Content-Type", content_type)], body)


class Cut(Exception):
    """The client gets no answer: its connection is reset."""


PassOn = Callable[[Request], Answer]
"""Ask the server behind. Raises Cut where it does not answer."""
Deal = Callable[[Request, PassOn], Answer]
"""What becomes of a request. May pass it on or not, change its answer, or raise Cut."""


def pass_on(request: Request, ask: PassOn) -> Answer:
    return ask(request)


class Proxy(ThreadingHTTPServer):
    """`deal`: what becomes of requests. `counted`: how many came, by method, and how many got another answer than the server's."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), Client)
        address = urlsplit(behind)
        self.host, self.port = address.hostname or "", address.port
        self.deal: Deal = pass_on
        self.counted, self.lock = Counter[str](), threading.Lock()

    def count(self, what: str) -> None:
        with self.lock:
            self.counted[what] += 1

    @contextmanager
    def dealing(self, deal: Deal) -> Iterator[None]:
        before, self.deal = self.deal, deal
        try:
            yield
        finally:
            self.deal = before

    def ask(self, request: Request) -> Answer:
        connection = HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers:
                connection.putheader(name, value.encode("latin-1"))
            if request.body or request.method in ("POST", "PUT"):
                connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body)
            answer = connection.getresponse()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in OF_ONE_CONNECTION]
            if request.method == "HEAD" and (length := answer.getheader("Content-Length")):
                headers.append(("Content-Length", length))  # of the body that a GET would have
            return Answer(answer.status, headers, answer.read())
        except (OSError, HTTPException) as error:
            raise Cut from error
        finally:
            connection.close()


class Client(BaseHTTPRequestHandler):
    """A client's connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Proxy

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True

    def _deal(self) -> None:
        self.server.count(self.command)
        try:
            answer = self.server.deal(self._request(), self.server.ask)
        except Cut:
            self._cut()
        else:
            self._answer(answer)

    def _request(self) -> Request:
        headers = [(name, value) for name, value in self.headers.items() if name.lower() not in OF_ONE_CONNECTION]
        return Request(self.command, self.path, headers, self._body())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return body

    def _answer(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        has_body = self.command != "HEAD" and answer.status not in (204, 304)
        if has_body:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if has_body:
            self.wfile.write(answer.body[: answer.ends_after])
        if answer.ends_after is not None:
            self.close_connection = True  # in good order, as if this had been all

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.rfile.close()
            self.connection.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _deal

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: a test fails by what it sees."""


@contextmanager
def opened(proxy: Proxy, certificate: trustme.LeafCert | None = None) -> Iterator[str]:
    """The proxy at work, over TLS where it has a certificate; its address."""
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        proxy.socket = context.wrap_socket(proxy.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()
