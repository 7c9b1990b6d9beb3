"""A door before a server: only who knows the word is let through to it. Basic or OAuth2, over TLS where it has a certificate."""

import json
import ssl
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import compare_digest, token_hex
from threading import Thread
from urllib.parse import parse_qs

import httpx
import trustme

TOKENS = "/v1/oauth/tokens"
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host", "accept-encoding"}
"""Headers of one connection alone; what stands behind is read whole, and uncompressed."""


class Gate(ThreadingHTTPServer):
    """`behind`: the address of the real server. `counted`: how many requests were let in, and turned away."""

    daemon_threads = True

    def __init__(self, behind: str, user: str, password: str, *, tokens: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.user, self.password = user, password
        self.token = token_hex(20)
        self.basic = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
        self.wanted = f"Bearer {self.token}" if tokens else self.basic
        self.tokens, self.counted = tokens, Counter[str]()
        self.client = httpx.Client(base_url=behind, timeout=60, trust_env=False)

    def issue(self, form: dict[str, list[str]], authorization: str) -> bytes | None:
        """The token, for a client's right credentials, in the form or in the header (RFC 6749, 2.3.1)."""
        given = (form.get("client_id", [""])[0], form.get("client_secret", [""])[0])
        known = given == (self.user, self.password) or authorization == self.basic
        if form.get("grant_type") != ["client_credentials"] or not known:
            return None
        kind = "urn:ietf:params:oauth:token-type:access_token"
        return json.dumps({"access_token": self.token, "token_type": "bearer", "issued_token_type": kind, "expires_in": 3600}).encode()


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.tokens and self.path.partition("?")[0] == TOKENS:
            issued = self.server.issue(parse_qs(body.decode()), self.headers.get("Authorization", ""))
            self._answer(200 if issued else 401, issued or b'{"error": "invalid_client"}', {"Content-Type": "application/json"})
        elif compare_digest(self.headers.get("Authorization", "").encode(), self.server.wanted.encode()):
            self.server.counted["in"] += 1
            kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP | {"authorization"}}
            answer = self.server.client.request(self.command, self.path, content=body, headers=kept)
            self._answer(answer.status_code, answer.content, {n: v for n, v in answer.headers.items() if n.lower() not in HOP})
        else:
            self.server.counted["away"] += 1
            self._answer(401, b'{"error_code": 40101, "message": "who are you?"}', {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: a test fails by what it sees."""


@contextmanager
def opened(gate: Gate, certificate: trustme.LeafCert | None = None) -> Iterator[str]:
    """The gate at work; its address."""
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        gate.socket = context.wrap_socket(gate.socket, server_side=True, do_handshake_on_connect=False)
    Thread(target=gate.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{gate.server_port}"
    finally:
        gate.shutdown()
        gate.server_close()
