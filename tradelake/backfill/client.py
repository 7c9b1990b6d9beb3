"""An exchange's REST API over HTTP: no faster than it allows, again when it cannot answer, and never without end."""

import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from conf.settings import is_loopback
from tradelake.backfill.api import Again, Answer, Api, GivenUp
from tradelake.backfill.report import Report
from tradelake.console import Failure
from tradelake.feed.report import Say
from tradelake.produce.frames import NANOSECONDS, content

ATTEMPTS = 8
"""Of one request, in a row."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
TIMEOUT_S = 20.0
AGENT = "tradelake"
SHOWN = 200
"""Characters of what an exchange says that are shown."""


@dataclass(frozen=True)
class Key:
    """An API key; never part of a message or of a representation."""

    text: str = field(repr=False)

    @classmethod
    def of(cls, text: str, where: str) -> "Key":
        """The key that stands somewhere.

        Raises:
            Failure: what stands there cannot be one.
        """
        key = text.strip()
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise Failure(f"{where} holds no API key: it must be one line of letters and digits")
        return cls(key)

    @classmethod
    def from_file(cls, file: Path) -> "Key":
        try:
            return cls.of(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"{file}: the API key cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None


class _Header(httpx.Auth):
    """A key in a header: added to each request on its way, so that it stands in no client's options."""

    def __init__(self, name: str, key: Key) -> None:
        self._name, self._key = name, key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._name] = self._key.text
        yield request


class Client:
    """A context manager.

    Args:
        patience_s: if the exchange wants to be left alone for longer, it is given up.
        report: counts requests, attempts that failed, and seconds that were waited for the exchange.
    """

    def __init__(self, api: Api, url: str, key: Key | None, patience_s: float, report: Report, say: Say) -> None:
        self._api, self._key, self._patience_s, self._report, self._say = api, key, patience_s, report, say
        auth = _Header(api.key_header, key) if key and api.key_header else None
        # A proxy of the surroundings would be asked for 127.0.0.1 too, and a .netrc for a password.
        trust = not is_loopback(httpx.URL(url).host)
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=trust, auth=auth, headers={"User-Agent": AGENT})
        self._backoff = wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S)
        self._turn_at = 0.0

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, **parameters: str | int) -> Answer:
        """One answer; see `tradelake.backfill.api.Asking`."""
        retrying = Retrying(retry=retry_if_exception_type(Again), stop=self._enough, wait=self._pause, sleep=self._sleep, reraise=True)
        try:
            return retrying(self._once, path, parameters)
        except Again as error:
            if error.wait_s > self._patience_s:
                raise GivenUp(
                    f"{self._api.exchange} wants to be left alone for {error.wait_s:,.0f} s ({error}): run this again after that"
                ) from error
            raise GivenUp(f"{self._api.exchange} gives no answer after {ATTEMPTS} attempts ({error}): run this again later") from error

    def _once(self, path: str, parameters: dict[str, str | int]) -> Answer:
        self._sleep(self._turn_at - time.monotonic())
        self._report.requests += 1
        try:
            response = self._http.get(path, params=parameters)
        except httpx.TransportError as error:
            raise Again(f"no connection: {error or type(error).__name__}") from error
        except httpx.DecodingError as error:
            raise Again(f"an answer that cannot be unpacked: {error}") from error
        finally:
            self._turn_at = time.monotonic() + self._api.pause_s
        at_us = time.time_ns() // NANOSECONDS
        self._turn_at += self._api.rest_s(response.headers, time.time())
        self._judge(response, found := _json(response))
        return Answer(found, at_us)

    def _judge(self, response: httpx.Response, found: Any) -> None:
        """What the exchange says is shown, but never the key: a server may repeat it."""
        try:
            self._api.judge(response.status_code, response.headers, found)
        except Exception as error:
            text = str(error.args[0])
            error.args = ((text.replace(self._key.text, "...") if self._key else text)[:SHOWN],)
            raise

    def _enough(self, state: RetryCallState) -> bool:
        return state.attempt_number >= ATTEMPTS or self._asked(state) > self._patience_s

    def _pause(self, state: RetryCallState) -> float:
        """Exponential with jitter; never shorter than what the exchange asks for."""
        pause = max(self._asked(state), self._backoff(state))
        self._report.retries += 1
        self._say(f"{state.outcome.exception() if state.outcome else ''}; asking again in {pause:.1f} s")
        return pause

    @staticmethod
    def _asked(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return error.wait_s if isinstance(error, Again) else 0.0

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._report.waited_s += seconds
            time.sleep(seconds)


def _json(response: httpx.Response) -> Any:
    """What its JSON text holds, None when it is none."""
    try:
        return content(response.content)
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return None
