import json
import logging
import pickle
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.unit.udfs.strategies import with_type
from udfs.rejected import Rejected
from udfs.schemas import Registry, SchemaCache, connect
from udfs.writer_schema import parse

RECORD = json.dumps({"type": "record", "name": "R", "namespace": "n", "fields": [{"name": "a", "type": "long"}]})


class AskedRegistry:
    """A registry of a few schemas that notes what it was asked, and fails as often as it is told to."""

    def __init__(self, schemas, outages=0):
        self.schemas, self.outages, self.asked = schemas, outages, []

    def __call__(self, schema_id):
        self.asked.append(schema_id)
        if self.outages:
            self.outages -= 1
            raise ConnectionError("refused")
        return self.schemas.get(schema_id)


def rejection(function, *arguments):
    with pytest.raises(Rejected) as caught:
        function(*arguments)
    return caught.value.error_reason, caught.value.schema_id


def test_a_known_schema_is_asked_for_once():
    registry = AskedRegistry({1: RECORD})
    cache = SchemaCache(registry)
    assert cache.get(1) is cache.get(1)
    assert (cache.get(1).fullname, registry.asked) == ("n.R", [1])


def test_the_schema_used_longest_ago_makes_room():
    registry = AskedRegistry(dict.fromkeys((1, 2, 3), RECORD))
    cache = SchemaCache(registry, capacity=2)
    for schema_id in (1, 2, 1, 3, 1, 2):
        cache.get(schema_id)
    assert registry.asked == [1, 2, 3, 2]


def test_an_unknown_id_is_asked_for_again_after_seconds():
    registry, now = AskedRegistry({}), [100.0]
    cache = SchemaCache(registry, unknown_ttl_s=5, clock=lambda: now[0])
    assert rejection(cache.get, 9) == rejection(cache.get, 9) == ("unknown_schema_id", 9)
    now[0] = 104.9
    assert rejection(cache.get, 9) == ("unknown_schema_id", 9)
    assert registry.asked == [9]
    now[0], registry.schemas = 105.1, {9: RECORD}
    assert cache.get(9).fullname == "n.R"


def test_unknown_ids_are_remembered_in_bounded_memory():
    registry = AskedRegistry({})
    cache = SchemaCache(registry, capacity=2)
    for schema_id in (1, 2, 3, 3, 1):
        rejection(cache.get, schema_id)
    assert registry.asked == [1, 2, 3, 1]


@pytest.mark.parametrize("schema_id", [0, -1, -(2**31)])
def test_an_id_that_no_registry_gives_is_not_asked_for(schema_id):
    registry = AskedRegistry({schema_id: RECORD})
    assert rejection(SchemaCache(registry).get, schema_id) == ("unknown_schema_id", schema_id)
    assert registry.asked == []


def test_an_outage_is_waited_for_with_growing_patience_and_a_warning(caplog):
    waits = []
    cache = SchemaCache(AskedRegistry({1: RECORD}, outages=50), sleep=waits.append)
    with caplog.at_level(logging.WARNING):
        assert cache.get(1).fullname == "n.R"
    assert len(waits) == 50
    assert max(waits) <= 10
    assert len(caplog.records) == 50
    assert "schema 1 cannot be had (attempt 1: ConnectionError('refused'))" in caplog.text


NOT_AVRO_RECORDS = [
    "",
    "{",
    'syntax = "proto3"; message R {}',
    '"string"',
    '["null", "long"]',
    '{"type": "object", "properties": {}}',
    '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "Elsewhere"}]}',
    '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}, {"name": "a", "type": "string"}]}',
    '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "Elsewhere"}], "__fastavro_parsed": true, "__named_schemas": {}}',
    with_type(RECORD, "a", json.loads('{"type": "array", "items": ' * 80 + '"long"' + "}" * 80)),
    '{"type": ' * 100_000,
    *[with_type(RECORD, "a", {"type": "fixed", "name": "F", "size": size}) for size in (-3, 2**31, 2**63 - 1, True, 3.0, None)],
    with_type(RECORD, "a", {"type": "map", "values": ["null", {"type": "fixed", "name": "F", "size": -1}]}),
]


@pytest.mark.parametrize("text", NOT_AVRO_RECORDS, ids=range(len(NOT_AVRO_RECORDS)))
def test_a_schema_that_is_no_avro_record_is_incompatible_and_asked_for_once(text):
    registry = AskedRegistry({1: text})
    cache = SchemaCache(registry)
    assert rejection(cache.get, 1) == rejection(cache.get, 1) == ("incompatible_schema", 1)
    assert registry.asked == [1]


def test_compiled_is_made_once_for_each_use():
    schema, made = parse(1, RECORD), []
    assert schema.compiled(lambda writer: writer.fullname) == "n.R"
    assert [schema.compiled(made.append), schema.compiled(made.append)] == [None, None]
    assert made == [schema]


def test_travels_to_a_worker_with_address_and_options_only():
    cache = pickle.loads(pickle.dumps(connect("http://localhost:9", {"timeout": "2.5"})))
    assert vars(cache)["_fetch"] == Registry("http://localhost:9", {"timeout": "2.5"})
    assert "client" not in vars(vars(cache)["_fetch"])


@pytest.mark.parametrize(("url", "options"), [("ftp://x", {}), ("http://x", {"no.such": "1"}), ("http://x", {"timeout": "soon"})])
def test_a_wrong_address_or_option_is_said_at_once(url, options):
    with pytest.raises(ValueError, match=r"ftp|no\.such|soon"):
        connect(url, options)


@pytest.fixture
def answers():
    """Answers of an HTTP server, (status, body) by path, each given in turn, the last for ever; and its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            queue = given[self.path]
            status, body = queue.pop(0) if len(queue) > 1 else queue[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    given: dict[str, list[tuple[int, str]]] = {}
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield given, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


SCHEMA_ANSWER = (200, json.dumps({"schema": RECORD}))
UNKNOWN = (404, json.dumps({"error_code": 40403, "message": "Schema not found"}))


def test_asks_a_real_registry(answers):
    given, url = answers
    given["/schemas/ids/7"], given["/schemas/ids/8"] = [SCHEMA_ANSWER], [UNKNOWN]
    cache = connect(url, {})
    assert cache.get(7).fullname == "n.R"
    assert rejection(cache.get, 8) == ("unknown_schema_id", 8)


OUTAGES = {
    "server error": (500, json.dumps({"error_code": 50001, "message": "store"})),
    "gateway": (502, "<html>bad gateway</html>"),
    "wrong password": (401, json.dumps({"error_code": 401, "message": "no"})),
    "no registry at this address": (404, "<html>not found</html>"),
    "not found, but not the schema": (404, json.dumps({"error_code": 404, "message": "HTTP 404 Not Found"})),
    "a page of a proxy": (200, "<html>log in</html>"),
    "an answer to something else": (200, "{}"),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_no_message_is_rejected_for_what_says_nothing_about_the_id(answers, outage):
    given, url = answers
    given["/schemas/ids/7"] = [outage, outage, SCHEMA_ANSWER]
    waits = []
    assert SchemaCache(Registry(url, {}), sleep=waits.append).get(7).fullname == "n.R"
    assert len(waits) == 2
