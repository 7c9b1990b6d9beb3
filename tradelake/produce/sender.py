"""The Kafka producer of one exchange's topic: idempotent, every delivery confirmed, at a rate or as fast as it goes."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from fastavro import parse_schema, schemaless_writer

import conf
from conf.settings import Settings
from tradelake.console import Failure
from tradelake.kafka_client import kafka_options
from tradelake.produce import KEY_FIELD
from tradelake.topics import TIMEOUT_S, kafka_failures, reader_schema_id
from udfs import wire

PAUSE_S = 0.1
"""How long a full queue is given before the next attempt."""
TICK_S = 0.005
"""The shortest wait for a turn: the client counts in whole milliseconds, and shorter waits would keep a core busy with waiting."""
LOOKED_EVERY = 1_000
"""Messages between two looks for deliveries that failed."""
PATIENCE_S = 120
"""How long a message may wait for its broker."""
IDEMPOTENT = {
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "partitioner": "murmur2_random",  # Java's: a key has one partition, whoever writes it
    "message.timeout.ms": PATIENCE_S * 1000,
    "delivery.report.only.error": True,
}
LIMIT, OVERHEAD = "message.max.bytes", 36
"""Of a message that the client takes; its own default is below the broker's. Key and value have what the overhead leaves."""
PROMPT = {"linger.ms": 5}
LIVE = PROMPT | {"message.timeout.ms": 0}
"""What was received once cannot be had again: it waits for its broker as long as that takes."""
BULK = {LIMIT: 1_000_000, "linger.ms": 50, "batch.size": 1_000_000, "batch.num.messages": 100_000, "queue.buffering.max.messages": 500_000}

Offsets = dict[int, int]


@dataclass
class Report:
    """What was sent, growing while it is.

    `offsets` are by topic and partition: where the partition ended before, and where it ends now. Others may have written in between.
    """

    sent: int = 0
    skipped: int = 0
    unreadable: int = 0
    bad: int = 0
    duplicates: int = 0
    failed: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    offsets: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.sent / self.seconds if self.seconds else 0.0


class Sender:
    """Sends to one exchange's topic. A context manager: leaving it flushes.

    Args:
        rate: messages a second, None for as fast as it goes.
        queue: for a live feed: how many messages may wait for their broker, each as long as it takes.

    Raises:
        Failure: broker or registry cannot be reached, or the topic or its schema is missing.
    """

    def __init__(self, settings: Settings, exchange: str, rate: float | None = None, queue: int | None = None) -> None:
        self.topic = settings.pipeline.exchange(exchange).topic
        self.schema_id = reader_schema_id(settings, exchange)
        self.sent = self.failed = 0
        self._schema = parse_schema(json.loads(conf.schema(exchange)))
        self._key_field = KEY_FIELD[exchange]
        self._kafka, self._rate = settings.environment.kafka, rate
        options = kafka_options(self._kafka)
        self._limit = int(options.get(LIMIT, BULK[LIMIT]))
        manner = LIVE | {"queue.buffering.max.messages": queue} if queue else PROMPT if rate else {}
        with kafka_failures(self._kafka):
            self._admin = AdminClient(options)
            self._producer = Producer({**BULK, **IDEMPOTENT, **manner, **options, "on_delivery": self._not_delivered})
            self._first = self._ends(self._partitions())
        self._started: float | None = None

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is KeyboardInterrupt:
            self._producer.purge()
        self.flush()

    def encode(self, record: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """Key and value of a record of the exchange's current schema.

        Raises:
            KeyError, ValueError, TypeError, OverflowError: it is no such record, or too large for one message.
        """
        out = BytesIO()
        schemaless_writer(out, self._schema, record, strict=True)
        key, value = str(record[self._key_field]).encode(), wire.join(self.schema_id, out.getvalue())
        if (size := len(key) + len(value) + OVERHEAD) > self._limit:
            raise ValueError(f"a message of {size:,} bytes; {LIMIT} is {self._limit:,}")
        return key, value

    def send(self, record: Mapping[str, Any]) -> None:
        """Send one record of the exchange's current schema."""
        key, value = self.encode(record)
        self.send_raw(key, value)

    def send_raw(self, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes] | None = None) -> None:
        """Send these bytes; the time of the message is now."""
        self._await_turn()
        more = {"headers": dict(headers)} if headers else {}
        while not self._queued(key, value, more):
            self._producer.poll(PAUSE_S)
        self.sent += 1
        if self.sent % LOOKED_EVERY == 0:
            self._producer.poll(0)

    def offer(self, key: bytes, value: bytes) -> bool:
        """Send these bytes, or say that the queue is full: the broker is slow. Never waits."""
        taken = self._queued(key, value, {})
        self.sent += taken
        if not taken or self.sent % LOOKED_EVERY == 0:
            self._producer.poll(0)
        return taken

    def flush(self) -> int:
        """Wait until every message is delivered or given up; returns how many were lost since the beginning."""
        left = self._producer.flush(PATIENCE_S)
        return self.failed + int(left)

    def finish(self, report: Report) -> None:
        """Flush, and add to a report what became of this sender's messages."""
        lost = self.flush()
        report.sent, report.failed = report.sent - lost, report.failed + lost
        report.seconds += time.monotonic() - self._started if self._started else 0
        with kafka_failures(self._kafka):
            # A client that has seen the broker restart asks with the leader's old epoch, and is refused: a new one it is.
            self._admin = AdminClient(kafka_options(self._kafka))
            last = self._ends(self._first)
        report.offsets[self.topic] = {partition: (first, last[partition]) for partition, first in self._first.items()}

    def _queued(self, key: bytes | None, value: bytes | None, more: dict[str, Any]) -> bool:
        try:
            self._producer.produce(self.topic, value, key, **more)
        except BufferError:
            return False
        except KafkaException as error:
            raise Failure(f"Kafka at {self._kafka.bootstrap_servers} takes no more messages: {error.args[0].str()}") from error
        return True

    def _await_turn(self) -> None:
        self._started = self._started or time.monotonic()
        if not self._rate:
            return
        turn = self._started + self.sent / self._rate
        while (ahead := turn - time.monotonic()) > 0:
            self._producer.poll(max(ahead, TICK_S))

    def _not_delivered(self, error: KafkaError, message: Message) -> None:
        self.failed += 1

    def _partitions(self) -> list[int]:
        found = self._admin.list_topics(timeout=TIMEOUT_S).topics  # of all: asking for one may create it
        if self.topic not in found:
            raise Failure(f"there is no topic {self.topic}; run `tradelake topics create`")
        return sorted(found[self.topic].partitions)

    def _ends(self, partitions: Iterable[int]) -> Offsets:
        latest = {TopicPartition(self.topic, partition): OffsetSpec.latest() for partition in partitions}
        answers = self._admin.list_offsets(latest, request_timeout=TIMEOUT_S)
        return {where.partition: answer.result().offset for where, answer in answers.items()}
