"""What differs is said with the way to change it, and what cannot be reached in one line. Creation is proven on the stack."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastavro import parse_schema
from fastavro.schema import fullname

import conf
from conf.settings import Exchange, Registry, Settings, load_pipeline
from tradelake.console import Failure
from tradelake.topics import Created, _register_schemas, differences, reader_schema_id, registry_failures
from udfs.exchange import MODULES

EXCHANGE = Exchange(topic="trades", partitions=4, retention=timedelta(days=7))
WEEK_MS = 604_800_000


class RegistryDouble(BaseHTTPRequestHandler):
    """Keeps schemas by subject, numbered in the order of their registration; has no compatibility rule until it is given one."""

    def do_GET(self) -> None:
        if self.path == "/config":
            rule = self.server.rule
            self.answer(200 if rule else 404, {"compatibilityLevel": rule} if rule else {"error_code": 40408, "message": "no rule"})
        else:
            self.answer(200, {"schema": self.server.schemas[int(self.path.split("/")[3].split("?")[0]) - 1][1]})

    def do_PUT(self) -> None:
        self.server.rule = self.content()["compatibility"]
        self.answer(200, {"compatibility": self.server.rule})

    def do_POST(self) -> None:
        parts = self.path.split("?")[0].split("/")
        entry, registering = (parts[2], self.content()["schema"]), parts[-1] == "versions"
        if registering and entry not in self.server.schemas:
            self.server.schemas.append(entry)
        if entry not in self.server.schemas:
            return self.answer(404, {"error_code": 40403, "message": "Schema not found"})
        self.answer(200, {"id": self.server.schemas.index(entry) + 1, "subject": entry[0], "version": 1, "schema": entry[1]})

    def content(self) -> dict:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def registry() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), RegistryDouble)
    server.rule, server.schemas = None, []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def settings(registry_url: str) -> Settings:
    environment = {
        "kafka": {"bootstrap_servers": "127.0.0.1:1"},
        "registry": {"url": registry_url},
        "catalog": {"uri": "http://unused", "warehouse": "s3://unused/"},
        "flink": {"rest": "http://unused", "state": "unused"},
    }
    return Settings.model_validate({"pipeline": load_pipeline(), "environment": environment})


@pytest.fixture
def local(registry) -> Settings:
    return settings(f"http://127.0.0.1:{registry.server_port}")


def registered(local: Settings) -> Created:
    report = Created([], [], [], {})
    _register_schemas(local, report)
    return report


@pytest.mark.parametrize(
    ("partitions", "retention_ms", "expected"),
    [
        (4, WEEK_MS, []),
        (2, WEEK_MS, ["topic trades has 2 partitions, the settings say 4: "]),
        (8, WEEK_MS, ["topic trades has 8 partitions, the settings say 4: partitions cannot be taken away"]),
        (4, 5, [f"topic trades keeps 5 ms, the settings say {WEEK_MS} ms: "]),
        (2, -1, ["topic trades has 2 partitions, the settings say 4: ", f"topic trades keeps -1 ms, the settings say {WEEK_MS} ms: "]),
    ],
)
def test_an_existing_topic_is_compared_with_its_settings(partitions, retention_ms, expected):
    found = differences(EXCHANGE, partitions, retention_ms)
    assert [line.startswith(start) for line, start in zip(found, expected, strict=True)] == [True] * len(expected)


def test_the_way_to_change_a_topic_is_said():
    few, short = differences(EXCHANGE, 2, 5)
    assert few.endswith("--alter --topic trades --partitions 4")
    assert short.endswith(f"--alter --topic trades --add-config retention.ms={WEEK_MS}")


def test_schemas_are_registered_in_the_order_of_their_evolution_under_an_enforced_rule(local, registry):
    report = registered(local)
    assert registry.rule == "BACKWARD"
    assert registry.schemas == [
        ("binance-trades-value", conf.schema("binance")),
        ("kraken-trades-value", conf.schema("kraken", "v1")),
        ("kraken-trades-value", conf.schema("kraken")),
    ]
    assert report.schema_ids == {"binance-trades-value": [1], "kraken-trades-value": [2, 3]}
    assert report.created == ["schema binance-trades-value id 1", "schema kraken-trades-value id 2", "schema kraken-trades-value id 3"]
    assert (report.existing, reader_schema_id(local, "kraken")) == ([], 3)


def test_registering_again_changes_nothing(local, registry):
    first = registered(local)
    before = list(registry.schemas)
    again = registered(local)
    assert (again.created, again.existing, again.schema_ids) == ([], first.created, first.schema_ids)
    assert registry.schemas == before


def test_a_schema_that_is_not_registered_is_named(local):
    with pytest.raises(Failure, match="the schema of kraken-trades is not registered; run `tradelake topics create`"):
        reader_schema_id(local, "kraken")


def test_an_unreachable_registry_is_one_line():
    with pytest.raises(Failure) as failure:
        reader_schema_id(settings("http://127.0.0.1:1"), "binance")
    assert str(failure.value).startswith("schema registry at http://127.0.0.1:1: ")
    assert "\n" not in str(failure.value)


def test_whatever_the_client_raises_is_one_line():
    with pytest.raises(Failure, match=r"^schema registry at u: nothing answers; is it running"), registry_failures(Registry(url="u")):
        raise OSError("nothing answers")


def test_every_version_of_an_evolution_keeps_the_record_and_ends_with_the_readers():
    assert {exchange: conf.schema_versions(exchange) for exchange in MODULES} == {"binance": ("",), "kraken": ("v1", ""), "coinbase": ("",)}
    for exchange in MODULES:
        names = {fullname(parse_schema(json.loads(conf.schema(exchange, version)))) for version in conf.schema_versions(exchange)}
        assert names == {MODULES[exchange].RECORD}
