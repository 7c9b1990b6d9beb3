"""The Kafka broker, its own controller (KRaft)."""

from base64 import urlsafe_b64encode
from uuid import uuid4

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tradelake.console import Failure
from tradelake.stack.part import JAVA, SIMPLE_LOG, Part, Site, run_java

HEAP = "320m"
SERVER_PROPERTIES = "kafka/server.properties"
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "4",
}


def kafka(site: Site) -> Part:
    return Part(
        name="kafka",
        address=site.ports.address("kafka"),
        memory=f"heap {HEAP}",
        prepare=lambda: prepare(site),
        ready=lambda: serves(site.ports.address("kafka")),
    )


def options(site: Site) -> list[str]:
    machine = ("-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError", f"-Xmx{HEAP}")
    return [*machine, *SIMPLE_LOG, "-cp", site.jars.classpath("kafka")]


def properties(site: Site) -> dict[str, str]:
    listener, controller = site.ports.address("kafka"), site.ports.address("kafka-controller")
    return PROPERTIES | {
        "listeners": f"PLAINTEXT://{listener},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{listener},CONTROLLER://{controller}",
        "controller.quorum.bootstrap.servers": controller,
        "log.dirs": "kafka/data",
    }


def prepare(site: Site) -> list[str]:
    """Write the broker's properties, and format its folder once.

    Raises:
        Failure: the folder cannot be formatted.
    """
    text = "".join(f"{key}={value}\n" for key, value in properties(site).items())
    (site.folder("kafka") / "server.properties").write_text(text, encoding="utf-8")
    if not (site.home / "kafka" / "data" / "meta.properties").exists():
        format_folder(site)
    return [JAVA, *options(site), "kafka.Kafka", SERVER_PROPERTIES]


def cluster_id() -> str:
    """A random one as Kafka writes it. It never begins with a dash, which Kafka's commands would take for an option."""
    while (identity := urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return identity


def format_folder(site: Site) -> None:
    arguments = ("format", "--standalone", "--cluster-id", cluster_id(), "--config", SERVER_PROPERTIES, "--ignore-formatted")
    run = run_java(site, *options(site), "kafka.tools.StorageTool", *arguments)
    if run.returncode:
        raise Failure(f"Kafka's folder {site.home / 'kafka'} cannot be formatted: {' '.join((run.stdout + run.stderr).split())[-300:]}")


def serves(address: str) -> bool:
    try:
        metadata = AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=2)
    except KafkaException:
        return False
    return bool(metadata.brokers)
