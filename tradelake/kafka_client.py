"""The environment's Kafka options, written for Flink's Java client, in the words of librdkafka, which our own commands speak through."""

import re
import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from conf.settings import Kafka
from tradelake.console import Failure

ASKED_S = 5.0
STORES = ("ssl.truststore", "ssl.keystore")
RENAMED = {
    "ssl.truststore.location": ("ssl.ca.location",),
    "ssl.truststore.certificates": ("ssl.ca.pem",),
    "ssl.keystore.location": ("ssl.certificate.location", "ssl.key.location"),
    "ssl.keystore.certificate.chain": ("ssl.certificate.pem",),
    "ssl.keystore.key": ("ssl.key.pem",),
}
"""Java's name -> librdkafka's, for stores in the PEM format."""
OF_JAVA_ALONE = ("ssl.truststore.password", "ssl.keystore.password", "ssl.protocol", "ssl.enabled.protocols")
CREDENTIAL = re.compile(r'\b(username|password)="((?:[^"\\]|\\.)*)"')


def kafka_options(kafka: Kafka) -> dict[str, Any]:
    """What a client of confluent-kafka is made with.

    Raises:
        Failure: a store of certificates is in a format that only Java reads.
    """
    given = dict(kafka.options)
    for store in STORES:
        kind = given.pop(f"{store}.type", "JKS")  # Java's default
        if kind.upper() != "PEM" and any(key.startswith(f"{store}.") for key in given):
            raise Failure(f"kafka.options: {store}.type must be PEM, the only format that Flink and tradelake's commands both read")
    options: dict[str, Any] = {"bootstrap.servers": kafka.bootstrap_servers, "log_level": 2}
    for key, value in given.items():
        if key == "sasl.jaas.config":
            options |= {f"sasl.{name}": re.sub(r"\\(.)", r"\1", text) for name, text in CREDENTIAL.findall(value)}
        elif key == "ssl.endpoint.identification.algorithm":
            options[key] = value or "none"
        elif key not in OF_JAVA_ALONE:
            options |= dict.fromkeys(RENAMED.get(key, (key,)), value)
    return options


def refusal(kafka: Kafka) -> str | None:
    """Why the brokers do not let us in, if that is it: a question that fails says only that it failed."""
    said: list[KafkaError] = []
    try:
        client = AdminClient(kafka_options(kafka) | {"error_cb": said.append})
    except KafkaException:
        return None  # an option that no client is made with; who asks has that error
    deadline = time.monotonic() + ASKED_S
    while time.monotonic() < deadline:
        client.poll(0.2)
        for error in said:
            if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
                return str(error.str())
    return None
