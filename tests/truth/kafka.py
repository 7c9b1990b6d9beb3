"""What stands in Kafka and in the schema registry."""

import io
import json
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

import fastavro
import httpx
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

HEADER = struct.Struct(">bI")


@dataclass(frozen=True)
class Message:
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Broker:
    """Reads topics without a trace: no group of its own is committed."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def offsets(self, topic: str) -> dict[int, tuple[int, int]]:
        """First and next offset of each partition."""
        consumer = self._consumer()
        try:
            partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
            return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30) for p in sorted(partitions)}
        finally:
            consumer.close()

    def count(self, topic: str) -> int:
        return sum(high - low for low, high in self.offsets(topic).values())

    def messages(self, topic: str) -> list[Message]:
        """All messages of a topic up to its present end, by partition and offset."""
        ends = {p: high for p, (low, high) in self.offsets(topic).items() if high > low}
        consumer = self._consumer()
        found: list[Message] = []
        try:
            consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in ends])
            while any(p.offset < ends[p.partition] for p in consumer.position([TopicPartition(topic, p) for p in ends])):
                found += [_message(m) for m in consumer.consume(10_000, timeout=1.0) if m.error() is None]
        finally:
            consumer.close()
        return sorted((m for m in found if m.offset < ends[m.partition]), key=lambda m: (m.partition, m.offset))

    def _consumer(self) -> Consumer:
        return Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": "truth", "enable.auto.commit": False, "log_level": 2})


class Registry:
    """Asks the schema registry over its Confluent API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.schema = cache(self._schema)

    def _schema(self, schema_id: int) -> Any:
        """The parsed schema of an id."""
        answer = httpx.get(f"{self.url}/schemas/ids/{schema_id}", trust_env=False).raise_for_status()
        return fastavro.parse_schema(json.loads(answer.json()["schema"]))

    def ids(self, subject: str) -> list[int]:
        """The schema ids of a subject, in the order of its versions."""
        versions = httpx.get(f"{self.url}/subjects/{subject}/versions", trust_env=False).raise_for_status().json()
        return [httpx.get(f"{self.url}/subjects/{subject}/versions/{v}", trust_env=False).json()["id"] for v in versions]

    def register(self, subject: str, schema: dict[str, Any]) -> httpx.Response:
        body = {"schema": json.dumps(schema), "schemaType": "AVRO"}
        return httpx.post(f"{self.url}/subjects/{subject}/versions", json=body, timeout=30, trust_env=False)

    def decode(self, value: bytes) -> tuple[int, dict[str, Any]]:
        """Schema id and record of a message, which must be used up by it."""
        magic, schema_id = HEADER.unpack_from(value)
        assert magic == 0
        body = io.BytesIO(value[HEADER.size :])
        record: dict[str, Any] = fastavro.schemaless_reader(body, self.schema(schema_id))
        assert body.read() == b""
        return schema_id, record

    def encode(self, schema_id: int, record: dict[str, Any]) -> bytes:
        body = io.BytesIO()
        fastavro.schemaless_writer(body, self.schema(schema_id), record)
        return HEADER.pack(0, schema_id) + body.getvalue()


def _message(message: Any) -> Message:
    return Message(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )
