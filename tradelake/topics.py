"""Topics and schemas: what must stand in Kafka and in the registry before the first trade.

A topic that exists is never changed: what differs from the settings is reported with the way to change it.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

import click
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

import conf
from conf.settings import Exchange, Kafka, Registry, Settings, milliseconds
from tradelake.console import Failure, step
from tradelake.home import Home
from tradelake.kafka_client import kafka_options, refusal
from udfs import schemas

TIMEOUT_S = 10
REPLICATION = 3
NOT_FOUND = 404


@dataclass(frozen=True)
class Created:
    """What `create_topics` did: one line each, and the registered ids by subject, the reader's last."""

    created: list[str]
    existing: list[str]
    differences: list[str]
    schema_ids: dict[str, list[int]]


def registry_client(registry: Registry) -> SchemaRegistryClient:
    return schemas.Registry(registry.url, registry.options).client


def subject(topic: str) -> str:
    """The subject of a topic's values (strategy TOPIC)."""
    return f"{topic}-value"


def create_topics(settings: Settings) -> Created:
    """Create what is missing of topics and schemas, and wait until topics have leaders and schemas answer by id.

    Raises:
        Failure: broker or registry cannot be reached, or refuses.
    """
    report = Created([], [], [], {})
    with kafka_failures(settings.environment.kafka):
        _create_topics(settings, report)
    with registry_failures(settings.environment.registry):
        _register_schemas(settings, report)
    return report


@contextmanager
def kafka_failures(kafka: Kafka) -> Iterator[None]:
    """Turn the client's errors into one line."""
    try:
        yield
    except KafkaException as error:
        if "security.protocol" in kafka.options and (why := refusal(kafka)):
            raise Failure(
                f"Kafka at {kafka.bootstrap_servers} does not let us in: {why}; see kafka.options of the environment's file"
            ) from error
        reason = error.args[0].str() if isinstance(error.args[0], KafkaError) else error
        raise Failure(f"Kafka at {kafka.bootstrap_servers}: {reason}; is it running (`tradelake status`)?") from error


@contextmanager
def registry_failures(registry: Registry) -> Iterator[None]:
    """Turn the client's errors into one line. Nothing but calls of the client belongs in here."""
    try:
        yield
    except SchemaRegistryError as error:
        raise Failure(f"schema registry at {registry.url} refuses: {error.error_message}") from error
    except Exception as error:  # the client speaks through httpx or its fork, whichever it finds: transport errors have no common class
        raise Failure(f"schema registry at {registry.url}: {error}; is it running (`tradelake status`)?") from error


def _create_topics(settings: Settings, report: Created) -> None:
    admin = AdminClient(kafka_options(settings.environment.kafka))
    metadata = admin.list_topics(timeout=TIMEOUT_S)
    wanted = {e.topic: e for e in settings.pipeline.exchanges.values()}
    missing = [_new_topic(e, len(metadata.brokers)) for name, e in wanted.items() if name not in metadata.topics]
    for name, created in (admin.create_topics(missing, operation_timeout=TIMEOUT_S) if missing else {}).items():
        (report.created if _was_created(created) else report.existing).append(f"topic {name} ({describe(wanted[name])})")
    for name in [name for name in wanted if name in metadata.topics]:
        report.existing.append(f"topic {name}")
        partitions, retention_ms = len(metadata.topics[name].partitions), _retention_ms(admin, name)
        report.differences.extend(differences(wanted[name], partitions, retention_ms))
    _await_leaders(admin, wanted)


def describe(exchange: Exchange) -> str:
    return f"{exchange.partitions} partitions, {milliseconds(exchange.retention)} ms retention"


def _new_topic(exchange: Exchange, brokers: int) -> NewTopic:
    config = {"retention.ms": str(milliseconds(exchange.retention))}
    return NewTopic(exchange.topic, exchange.partitions, min(REPLICATION, brokers), config=config)


def _was_created(created: Future[None]) -> bool:
    """False when another command created the topic in the meantime."""
    try:
        created.result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return False
    return True


def _retention_ms(admin: AdminClient, topic: str) -> int:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = admin.describe_configs([resource], request_timeout=TIMEOUT_S)[resource].result()
    return int(entries["retention.ms"].value)


def differences(exchange: Exchange, partitions: int, retention_ms: int) -> list[str]:
    """How an existing topic differs from its settings, with the way to change it."""
    found, topic, wanted_ms = [], exchange.topic, milliseconds(exchange.retention)
    if partitions < exchange.partitions:
        change = f"kafka-topics.sh --bootstrap-server ... --alter --topic {topic} --partitions {exchange.partitions}"
        found.append(f"topic {topic} has {partitions} partitions, the settings say {exchange.partitions}: {change}")
    if partitions > exchange.partitions:
        found.append(f"topic {topic} has {partitions} partitions, the settings say {exchange.partitions}: partitions cannot be taken away")
    if retention_ms != wanted_ms:
        change = f"kafka-configs.sh --bootstrap-server ... --alter --topic {topic} --add-config retention.ms={wanted_ms}"
        found.append(f"topic {topic} keeps {retention_ms} ms, the settings say {wanted_ms} ms: {change}")
    return found


def _await_leaders(admin: AdminClient, topics: dict[str, Exchange]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        found = admin.list_topics(timeout=TIMEOUT_S).topics
        partitions = {name: list(found[name].partitions.values()) if name in found else [] for name in topics}
        if all(leaders and all(p.leader >= 0 for p in leaders) for leaders in partitions.values()):
            return
        time.sleep(0.1)
    raise Failure(f"no leader for a partition of {', '.join(topics)} after {TIMEOUT_S} s; see `tradelake logs`")


def _register_schemas(settings: Settings, report: Created) -> None:
    client = registry_client(settings.environment.registry)
    if _compatibility(client) != "BACKWARD":
        client.set_compatibility(level="BACKWARD")
    for name, exchange in settings.pipeline.exchanges.items():
        for version in conf.schema_versions(name):
            _register(client, subject(exchange.topic), conf.schema(name, version), report)


def _compatibility(client: SchemaRegistryClient) -> str:
    """The registry's global rule; a registry that was never told one may answer that it has none."""
    try:
        return str(client.get_compatibility())
    except SchemaRegistryError as error:
        if error.http_status_code != NOT_FOUND:
            raise
        return "NONE"


def _register(client: SchemaRegistryClient, name: str, text: str, report: Created) -> None:
    known = registered_id(client, name, text)
    schema_id = client.register_schema(name, Schema(text, "AVRO")) if known is None else known
    client.clear_caches()
    client.get_schema(schema_id)
    report.schema_ids.setdefault(name, []).append(schema_id)
    (report.created if known is None else report.existing).append(f"schema {name} id {schema_id}")


def registered_id(client: SchemaRegistryClient, name: str, text: str) -> int | None:
    """The id of a schema (JSON text) under a subject, or None when it is not registered there."""
    try:
        return int(client.lookup_schema(name, Schema(text, "AVRO")).schema_id)
    except SchemaRegistryError as error:
        if error.http_status_code != NOT_FOUND:
            raise
        return None


def reader_schema_id(settings: Settings, exchange: str) -> int:
    """The id under which the exchange's current schema is registered.

    Raises:
        Failure: it is not, or the registry cannot be reached.
    """
    registry, topic = settings.environment.registry, settings.pipeline.exchange(exchange).topic
    with registry_failures(registry):
        found = registered_id(registry_client(registry), subject(topic), conf.schema(exchange))
    if found is None:
        raise Failure(f"the schema of {topic} is not registered; run `tradelake topics create`")
    return found


def register(registry: Registry, name: str, schema: Schema) -> int:
    """Register a schema of one's own under a subject, or find it there; returns its id."""
    with registry_failures(registry):
        return int(registry_client(registry).register_schema(name, schema))


@click.group()
def topics() -> None:
    """The Kafka topics and the schemas of their messages."""


@topics.command()
@click.pass_obj
def create(home: Home) -> None:
    """Create the topics of the settings and register their schemas, where they do not exist yet."""
    settings = home.settings()
    with step("Topics and schemas"):
        report = create_topics(settings)
    for kind, lines in ("created", report.created), ("exists", report.existing), ("differs", report.differences):
        for line in lines:
            click.echo(f"{kind}: {line}")
