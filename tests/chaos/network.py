"""A bad network between the jobs and the lake: proxies before the catalog and the object store, and what they do to requests."""

import json
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import yaml

from tests.chaos.proxy import Answer, Cut, PassOn, Proxy, Request, opened
from tests.e2e.stack import Stack
from tests.truth.lake import GOLD

DELAY_S = 5.0
"""Of a slow answer: each file and each commit takes as long, and a commit is made of several."""
TABLE = re.compile(r"/v1/(?:[^/?]+/)?namespaces/[^/?]+/tables/(?P<table>[^/?]+)")
MARKS = ("flink.job-id", "flink.operator-id", "flink.max-committed-checkpoint-id")
FULL = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>XMinioStorageFull</Code><Message>no space is left</Message></Error>'
FAILED = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code><Message>try again</Message></Error>'
XML = "application/xml"


@dataclass(frozen=True)
class Network:
    """`jobs`: the stack as it is commanded to have its jobs go through the proxies, by `submit`, `upgrade` and the like."""

    stack: Stack
    jobs: Stack
    catalog: Proxy
    s3: Proxy


@contextmanager
def between(stack: Stack, folder: Path) -> Iterator[Network]:
    """Proxies before the catalog and the object store of a stack that is up; its servers, and the tests' books, go on without them."""
    given = stack.environment
    catalog, s3 = Proxy(given["catalog"]["uri"]), Proxy(given["s3"]["endpoint"])
    with opened(catalog) as uri, opened(s3) as endpoint:
        file = folder / "environment.yaml"
        proxied = {"catalog": given["catalog"] | {"uri": uri}, "s3": given["s3"] | {"endpoint": endpoint}}
        file.write_text(yaml.safe_dump(given | proxied), encoding="utf-8")
        jobs = Stack(stack.home, stack.port_base, stack.pipeline_file, TRADELAKE_ENVIRONMENT=str(file))
        yield Network(stack, jobs, catalog, s3)


@dataclass
class Dealing:
    """`struck`: how many requests did not get their server's answer, or not at once."""

    chance: random.Random
    struck: int = 0
    lock: Lock = field(default_factory=Lock)

    def strike(self) -> float:
        """Count it; a number between 0 and 1 that says how."""
        with self.lock:
            self.struck += 1
            return self.chance.random()


class Slow(Dealing):
    def __call__(self, request: Request, ask: PassOn) -> Answer:
        answer = ask(request)
        self.strike()
        time.sleep(DELAY_S)
        return answer


class Cutting(Dealing):
    """A third of the requests never arrive, another third is done and its answer breaks off."""

    def __call__(self, request: Request, ask: PassOn) -> Answer:
        how = self.strike()
        if how < 1 / 3:
            raise Cut
        answer = ask(request)
        if how < 2 / 3:
            return replace(answer, ends_after=len(answer.body) // 2)
        return answer


class Failing(Dealing):
    def __call__(self, request: Request, ask: PassOn) -> Answer:
        return Answer.of(500 if self.strike() < 1 / 2 else 503, FAILED, XML)


class Full(Dealing):
    """Nothing more is stored; what is there is read and deleted as ever."""

    def __call__(self, request: Request, ask: PassOn) -> Answer:
        if request.method not in ("PUT", "POST") or "delete" in request.path.partition("?")[2]:
            return ask(request)
        self.strike()
        return Answer.of(507, FULL, XML)


class LostAnswer(Dealing):
    """A commit is made, and its maker is not told: the connection is reset, or a gateway has waited too long."""

    def __call__(self, request: Request, ask: PassOn) -> Answer:
        answer = ask(request)
        if not marks(request) or answer.status != 200:
            return answer
        if self.strike() < 1 / 2:
            raise Cut
        return Answer.of(504, b"the server behind did not answer in time", "text/plain")


@dataclass
class LateCommit(Dealing):
    """A commit of one table is lost to its writer, and lands later: when the writer, resumed, is about to make it again.

    The table has other writers. Where one of them committed in between, the lost commit can land no more, and the next one is lost.
    """

    table: str = GOLD
    held: Request | None = None
    landed: int | None = None
    """The id of the snapshot that came late."""

    def __call__(self, request: Request, ask: PassOn) -> Answer:
        found = TABLE.fullmatch(request.path)
        if not found or found["table"] != self.table or not marks(request):
            return ask(request)
        with self.lock:
            if self.landed is None and self.held is None:
                self.held = request
                raise Cut
            if self.landed is None and self.held is not None and marks(request) == marks(self.held):
                if ask(self.held).status == 200:
                    self.landed = snapshot_of(self.held)["snapshot-id"]
                else:
                    self.held = None
        return ask(request)


def marks(request: Request) -> tuple[str, ...]:
    """What Iceberg's sink for Flink writes into its commits that have rows; nothing for any other request."""
    summary: dict[str, str] = snapshot_of(request).get("summary", {})
    found = tuple(summary[name] for name in MARKS if name in summary)
    return found if len(found) == len(MARKS) and "added-records" in summary else ()


def snapshot_of(request: Request) -> dict[str, Any]:
    """The snapshot that a commit adds; nothing for any other request."""
    if request.method != "POST" or not TABLE.fullmatch(request.path):
        return {}
    updates = json.loads(request.body).get("updates", [])
    return next((update["snapshot"] for update in updates if update["action"] == "add-snapshot"), {})


DEALS: dict[tuple[str, str], tuple[str, type[Dealing]]] = {
    ("slow", "catalog"): ("catalog", Slow),
    ("cut", "catalog"): ("catalog", Cutting),
    ("failing", "catalog"): ("catalog", Failing),
    ("lost", "answer"): ("catalog", LostAnswer),
    ("slow", "s3"): ("s3", Slow),
    ("cut", "s3"): ("s3", Cutting),
    ("failing", "s3"): ("s3", Failing),
    ("full", "s3"): ("s3", Full),
}
"""Kind and what of a fault -> whose proxy, and what it does."""
