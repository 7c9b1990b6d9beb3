"""Kafka options in the words of Java's client become librdkafka's, which accepts them."""

from pathlib import Path

import pytest
import trustme
from confluent_kafka.admin import AdminClient

from conf.settings import Kafka
from tradelake.console import Failure
from tradelake.kafka_client import kafka_options
from tradelake.topics import kafka_failures

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
OURS = {"bootstrap.servers": "b:1", "log_level": 2}


def translated(**options: str) -> dict[str, object]:
    return kafka_options(Kafka(bootstrap_servers="b:1", options={key.replace("_", "."): value for key, value in options.items()}))


@pytest.mark.parametrize(
    ("password", "written"), [("se;cret", "se;cret"), ('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("", ""), ('username="x', r"username=\"x")]
)
def test_javas_login_line_becomes_a_user_and_a_password(password: str, written: str) -> None:
    login = f'{PLAIN} username="me" password="{written}";'
    options = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_jaas_config": login}
    assert translated(**options) == OURS | {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "me",
        "sasl.password": password,
    }


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The authority's file, and a file with a client's key and certificates."""
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    return {name: str(folder / f"{name}.pem") for name in ("ca", "client")}


def test_stores_of_certificates_become_files(certificates: dict[str, str]) -> None:
    options = translated(
        security_protocol="SSL",
        ssl_truststore_type="PEM",
        ssl_truststore_location=certificates["ca"],
        ssl_keystore_type="pem",
        ssl_keystore_location=certificates["client"],
        ssl_endpoint_identification_algorithm="",
    )
    assert options == OURS | {
        "security.protocol": "SSL",
        "ssl.ca.location": certificates["ca"],
        "ssl.certificate.location": certificates["client"],
        "ssl.key.location": certificates["client"],
        "ssl.endpoint.identification.algorithm": "none",
    }
    AdminClient(options)


def test_certificates_may_stand_in_the_options(certificates: dict[str, str]) -> None:
    text = Path(certificates["ca"]).read_text()
    options = translated(security_protocol="SSL", ssl_truststore_type="PEM", ssl_truststore_certificates=text)
    assert options == OURS | {"security.protocol": "SSL", "ssl.ca.pem": text}
    AdminClient(options)


@pytest.mark.parametrize("kind", [{}, {"ssl_keystore_type": "JKS"}, {"ssl_keystore_type": "PKCS12"}])
def test_a_store_that_only_java_reads_is_refused(kind: dict[str, str]) -> None:
    with pytest.raises(Failure, match=r"ssl\.keystore\.type must be PEM"):
        translated(ssl_keystore_location="/etc/client.jks", ssl_keystore_password="hunter2", **kind)


def test_what_both_know_by_one_name_stays(certificates: dict[str, str]) -> None:
    assert translated(client_id="me", ssl_protocol="TLSv1.3") == OURS | {"client.id": "me"}


def test_options_that_no_client_is_made_with_are_one_line() -> None:
    options = {"security.protocol": "SSL", "ssl.truststore.type": "PEM", "ssl.truststore.location": "/nowhere/ca.pem"}
    kafka = Kafka(bootstrap_servers="127.0.0.1:1", options=options)
    with pytest.raises(Failure, match=r"^Kafka at 127\.0\.0\.1:1: .*ssl\.ca\.location"), kafka_failures(kafka):
        AdminClient(kafka_options(kafka))
