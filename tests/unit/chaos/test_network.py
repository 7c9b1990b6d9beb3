"""What a bad network does to requests, and a plan of it."""

import json
import random
from dataclasses import replace

import pytest

from tests.chaos.faults import LATE, plan
from tests.chaos.network import DEALS, MARKS, Cutting, Failing, Full, LateCommit, LostAnswer, marks
from tests.chaos.proxy import Answer, Cut, Request
from tests.truth.lake import BRONZE, GOLD

OK = Answer.of(200, b"0123456789", "text/plain")


CONFLICT = Answer.of(409, b"main has moved on", "text/plain")


class Server:
    """Answers everything, and some requests with a conflict; knows what it was asked."""

    def __init__(self, *conflicting: Request) -> None:
        self.asked: list[Request] = []
        self.conflicting = conflicting

    def __call__(self, request: Request) -> Answer:
        self.asked.append(request)
        return CONFLICT if request in self.conflicting else OK


def commit(table: str = GOLD, snapshot: int = 1, checkpoint: int = 7, without: str = "") -> Request:
    """Of Iceberg's sink for Flink, its summary without this key."""
    summary = {"operation": "append", "added-records": "5"} | dict(zip(MARKS, ("a-job", "an-operator", str(checkpoint)), strict=True))
    added = {"snapshot-id": snapshot, "summary": {key: value for key, value in summary.items() if key != without}}
    updates = [{"action": "add-snapshot", "snapshot": added}, {"action": "set-snapshot-ref", "ref-name": "main", "snapshot-id": snapshot}]
    body = json.dumps({"requirements": [], "updates": updates}).encode()
    return Request("POST", f"/v1/namespaces/market_data/tables/{table}", [], body)


def dealt(deal: object, request: Request, server: Server) -> Answer | None:
    """None where the connection was cut."""
    try:
        return deal(request, server)  # type: ignore[operator, no-any-return]
    except Cut:
        return None


def test_a_commit_is_known_by_the_marks_of_its_checkpoint() -> None:
    assert marks(commit()) == ("a-job", "an-operator", "7")
    assert marks(replace(commit(), method="GET")) == ()
    assert marks(replace(commit(), path="/v1/namespaces/market_data/tables")) == ()
    assert marks(commit(without="added-records")) == ()
    assert marks(commit(without=MARKS[2])) == ()  # of another writer
    expiry = json.dumps({"requirements": [], "updates": [{"action": "remove-snapshots", "snapshot-ids": [1]}]}).encode()
    assert marks(replace(commit(), body=expiry)) == ()


def test_a_lost_answer_is_of_a_commit_that_was_made() -> None:
    server, lost = Server(), LostAnswer(random.Random(1))
    answers = [dealt(lost, commit(snapshot=number), server) for number in range(40)]
    assert len(server.asked) == lost.struck == 40
    assert {answer and answer.status for answer in answers} == {None, 504}
    assert dealt(lost, replace(commit(), method="GET"), server) == OK


def test_a_full_store_reads_and_deletes() -> None:
    server, full = Server(), Full(random.Random(1))
    writes = [Request(method, path, [], b"") for method, path in (("PUT", "/b/k"), ("POST", "/b/k?uploads"))]
    others = [Request(method, "/b/k", [], b"") for method in ("GET", "HEAD", "DELETE")] + [Request("POST", "/b?delete", [], b"")]
    assert {answer and answer.status for answer in (dealt(full, request, server) for request in writes)} == {507}
    assert [dealt(full, request, server) for request in others] == [OK] * len(others)
    assert server.asked == others
    assert full.struck == len(writes)


def test_connections_are_cut_before_and_amid_the_answer() -> None:
    server, cutting = Server(), Cutting(random.Random(1))
    answers = [dealt(cutting, Request("GET", "/b/k", [], b""), server) for _ in range(100)]
    assert {answer and answer.ends_after for answer in answers} == {None, 5}
    assert OK in answers
    assert len(server.asked) == 100 - answers.count(None)


def test_a_failing_server_is_not_asked() -> None:
    server, failing = Server(), Failing(random.Random(1))
    answers = [dealt(failing, commit(), server) for _ in range(40)]
    assert {answer and answer.status for answer in answers} == {500, 503}
    assert server.asked == []


def test_a_late_commit_lands_right_before_the_one_that_makes_it_again() -> None:
    server, late = Server(), LateCommit(random.Random(1))
    first, again, next_one = commit(snapshot=1), commit(snapshot=2), commit(snapshot=3, checkpoint=8)
    others = [commit(BRONZE["binance"]), commit(snapshot=4, checkpoint=6), commit(without="added-records")]
    assert dealt(late, others[0], server) == OK
    assert dealt(late, first, server) is None
    assert [dealt(late, other, server) for other in others] == [OK] * 3
    assert (server.asked, late.landed) == ([others[0], *others], None)
    assert [dealt(late, request, server) for request in (again, next_one)] == [OK, OK]
    assert server.asked[4:] == [first, again, next_one]
    assert late.landed == 1


def test_a_lost_commit_that_another_writer_has_overtaken_is_let_go_and_the_next_one_lost() -> None:
    overtaken, again = commit(snapshot=1), commit(snapshot=2)
    lost, once_more = commit(snapshot=3, checkpoint=8), commit(snapshot=4, checkpoint=8)
    server, late = Server(overtaken), LateCommit(random.Random(1))
    assert [dealt(late, request, server) for request in (overtaken, again)] == [None, OK]
    assert (server.asked, late.landed) == ([overtaken, again], None)
    assert [dealt(late, request, server) for request in (lost, once_more)] == [None, OK]
    assert (server.asked[2:], late.landed) == ([lost, once_more], 3)


@pytest.mark.parametrize("count", [1, 20])
def test_a_plan_is_its_seeds(count: int) -> None:
    assert plan("fixed", count, 60) == plan("fixed", count, 60) != plan("other", count, 60)


def test_every_kind_comes_before_one_comes_again() -> None:
    planned = plan("fixed", 60, 60)
    kinds = [(fault.kind, fault.what) for fault in planned]
    every = set(kinds)
    assert {LATE, *DEALS} <= every
    assert len(every) == 30
    assert len(set(kinds[:30])) == len(set(kinds[30:])) == 30
    assert {5 <= fault.seconds <= 60 for fault in planned if (fault.kind, fault.what) in DEALS} == {True}
