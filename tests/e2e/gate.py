"""A door before a server: only who knows the word is let through to it. Basic or OAuth2, over TLS where it has a certificate."""

import json
from base64 import b64encode
from dataclasses import replace
from secrets import compare_digest, token_hex
from urllib.parse import parse_qs

from tests.chaos.proxy import Answer, PassOn, Proxy, Request

TOKENS = "/v1/oauth/tokens"
JSON = "application/json"


class Gate(Proxy):
    """`counted`: also how many requests were let `in`, and turned `away`."""

    def __init__(self, behind: str, user: str, password: str, *, tokens: bool = False) -> None:
        super().__init__(behind)
        self.user, self.password = user, password
        self.token = token_hex(20)
        self.basic = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
        self.wanted = f"Bearer {self.token}" if tokens else self.basic
        self.tokens, self.deal = tokens, self.let_in

    def let_in(self, request: Request, ask: PassOn) -> Answer:
        authorization = next((value for name, value in request.headers if name.lower() == "authorization"), "")
        if self.tokens and request.path.partition("?")[0] == TOKENS:
            issued = self.issue(parse_qs(request.body.decode()), authorization)
            return Answer.of(200 if issued else 401, issued or b'{"error": "invalid_client"}', JSON)
        if not compare_digest(authorization.encode(), self.wanted.encode()):
            self.count("away")
            return Answer.of(401, b'{"error_code": 40101, "message": "who are you?"}', JSON)
        self.count("in")
        return ask(replace(request, headers=[(n, v) for n, v in request.headers if n.lower() != "authorization"]))

    def issue(self, form: dict[str, list[str]], authorization: str) -> bytes | None:
        """The token, for a client's right credentials, in the form or in the header (RFC 6749, 2.3.1)."""
        given = (form.get("client_id", [""])[0], form.get("client_secret", [""])[0])
        known = given == (self.user, self.password) or authorization == self.basic
        if form.get("grant_type") != ["client_credentials"] or not known:
            return None
        kind = "urn:ietf:params:oauth:token-type:access_token"
        return json.dumps({"access_token": self.token, "token_type": "bearer", "issued_token_type": kind, "expires_in": 3600}).encode()
