"""librdkafka's own broker for tests, and a registry of a few lines."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition

from conf.settings import Environment, Settings, load_pipeline
from tradelake.home import Home

SCHEMA_ID = 0x01020304
PARTITIONS = 4


class RegistryDouble(BaseHTTPRequestHandler):
    """Knows every schema under one id."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = {"id": SCHEMA_ID, "version": 1, "subject": "s", "schema": '"string"', "schemaType": "AVRO"}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def registry_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), RegistryDouble)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def begin(**options: object) -> tuple[Producer, str]:
    """A broker that lives until this client is closed, and its address; a topic appears with its first message."""
    owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused", "log_level": 0} | options)
    for exchange in load_pipeline().exchanges.values():
        owner.produce(exchange.topic, b"first", partition=0)
    assert owner.flush(10) == 0
    return owner, next(f"{b.host}:{b.port}" for b in owner.list_topics(timeout=10).brokers.values())


def settings_of(broker: str, registry_url: str) -> Settings:
    environment = {
        "kafka": {"bootstrap_servers": broker},
        "registry": {"url": registry_url},
        "catalog": {"uri": "http://unused", "warehouse": "s3://unused/"},
        "flink": {"rest": "http://unused", "state": "unused"},
    }
    return Settings(pipeline=load_pipeline(), environment=Environment.model_validate(environment))


@pytest.fixture
def broker(request) -> Iterator[str]:
    """A parameter of the test is the broker's options."""
    owner, address = begin(**getattr(request, "param", {}))
    yield address
    owner.close()


@pytest.fixture
def settings(broker, registry_url) -> Settings:
    return settings_of(broker, registry_url)


@pytest.fixture
def home_of(tmp_path) -> Callable[[Settings], Home]:
    def write(settings: Settings) -> Home:
        (tmp_path / "environment.yaml").write_text(yaml.safe_dump(settings.environment.model_dump(mode="json")))
        return Home(tmp_path)

    return write


@pytest.fixture
def home(settings, home_of) -> Home:
    return home_of(settings)


@pytest.fixture
def arrived(settings):
    """Of a topic: key, value, headers and time of all messages but the one that made it, in the order of each partition."""

    def read(topic: str) -> list[tuple[bytes, bytes | None, list | None, int]]:
        servers = settings.environment.kafka.bootstrap_servers
        consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "log_level": 0, "fetch.wait.max.ms": 10})
        partitions = [TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)]
        expected = sum(consumer.get_watermark_offsets(partition, timeout=10)[1] for partition in partitions)
        consumer.assign(partitions)
        found: list = []
        while len(found) < expected:
            found += consumer.consume(expected - len(found), timeout=0.1)
        consumer.close()
        messages = [(m.key(), m.value(), m.headers(), m.timestamp()[1]) for m in found]
        return [message for message in messages if message[1] != b"first"]

    return read
