"""Brokers, registries and catalogs that ask who is there: the jobs and the commands show it to them, and nobody else sees it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import psutil
import pytest
import trustme
import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.chaos.proxy import opened
from tests.conftest import ROOT
from tests.e2e.gate import Gate
from tests.e2e.stack import BIN, Ran, Stack, clean_environment, free_port_base
from tests.e2e.waiting import wait_until
from tests.truth.lake import BRONZE, GOLD, SILVER, Lake
from tradelake.jars import Jars, cache_folder, load_lock
from tradelake.stack import kafka
from tradelake.stack.part import ENCODING, Site
from tradelake.stack.ports import Ports

pytestmark = pytest.mark.processes_only

DATABASE, USER, COUNT = f"secured_{token_hex(3)}", "tradelake", 60
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
JOBS = (("bronze", "binance"), ("silver", "binance"), ("gold", ""))


class Secured:
    """A broker of its own, with TLS and SASL, and gates before the stack's registry and catalog; a home whose environment names them."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder, self.jobs = stack, folder, dict[str, str]()
        self.secrets = {name: token_hex(16) for name in ("TEST_KAFKA", "TEST_REGISTRY", "TEST_CATALOG")}
        self.authority = trustme.CA()
        self.certificate = self.authority.issue_cert("127.0.0.1")
        self.authority.cert_pem.write_to_path(folder / "ca.pem")
        (folder / "registry-password").write_text(self.secrets["TEST_REGISTRY"] + "\n")
        self.registry = Gate(stack.environment["registry"]["url"].split("/apis")[0], USER, self.secrets["TEST_REGISTRY"])
        self.catalog = Gate(stack.environment["catalog"]["uri"], USER, self.secrets["TEST_CATALOG"], tokens=True)
        base = free_port_base(28_000)
        self.site = Site(folder / "broker", Ports(base), Jars(load_lock(), cache_folder()))

    @property
    def broker(self) -> dict[str, str]:
        """For a client of confluent-kafka."""
        return {
            "bootstrap.servers": self.site.ports.address("kafka"),
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": USER,
            "sasl.password": self.secrets["TEST_KAFKA"],
            "ssl.ca.location": str(self.folder / "ca.pem"),
        }

    @contextmanager
    def started(self) -> Iterator[None]:
        """The broker, run as the stack runs its own but for the listener."""
        self.site.home.mkdir()
        command = kafka.prepare(self.site)
        self._write_keys()
        (self.site.home / kafka.SERVER_PROPERTIES).write_text("".join(f"{k}={v}\n" for k, v in self._properties().items()))
        with (self.folder / "broker.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.site.home, env=ENCODING | {"PATH": os.defpath}, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_until("the broker answers", self._answers, lambda: (self.folder / "broker.log").stat().st_size)
            yield
        finally:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        try:
            return bool(AdminClient(self.broker | {"log_level": 0}).list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def _write_keys(self) -> None:
        """Kafka reads a key in the form of PKCS#8 only."""
        key = load_pem_private_key(self.certificate.private_key_pem.bytes(), None)
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = b"".join(blob.bytes() for blob in self.certificate.cert_chain_pems)
        (self.site.home / "kafka" / "server.pem").write_bytes(text + chain)

    def _properties(self) -> dict[str, str]:
        address = self.site.ports.address("kafka")
        controller = kafka.properties(self.site)["listeners"].partition(",")[2]
        login = f'{PLAIN} username="broker" password="{token_hex(8)}" user_{USER}="{self.secrets["TEST_KAFKA"]}";'
        return kafka.properties(self.site) | {
            "listener.security.protocol.map": "SECURED:SASL_SSL,CONTROLLER:PLAINTEXT",
            "listeners": f"SECURED://{address},{controller}",
            "advertised.listeners": f"SECURED://{address},{controller}",
            "inter.broker.listener.name": "SECURED",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.secured.plain.sasl.jaas.config": login,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": "kafka/server.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.folder / "ca.pem"),
        }

    def write(self, registry: str, catalog: str) -> None:
        """The environment's file holds no secret; the pipeline's names a database of its own."""
        given = self.stack.environment
        environment: dict[str, Any] = {
            "kafka": {
                "bootstrap_servers": self.site.ports.address("kafka"),
                "options": {
                    "security.protocol": "SASL_SSL",
                    "sasl.mechanism": "PLAIN",
                    "sasl.jaas.config": f'{PLAIN} username="{USER}" password="${{env:TEST_KAFKA}}";',
                    "ssl.truststore.type": "PEM",
                    "ssl.truststore.location": str(self.folder / "ca.pem"),
                },
            },
            "registry": {
                "url": f"{registry}/apis/ccompat/v7",
                "options": {
                    "basic.auth.user.info": f"{USER}:${{file:{self.folder / 'registry-password'}}}",
                    "ssl.ca.location": str(self.folder / "ca.pem"),
                },
            },
            "catalog": given["catalog"] | {"uri": catalog, "options": {"credential": f"{USER}:${{env:TEST_CATALOG}}", "scope": "catalog"}},
            "s3": given["s3"],
            "flink": given["flink"] | {"state": f"{given['flink']['state']}-{DATABASE}"},
        }
        (self.folder / "environment.yaml").write_text(yaml.safe_dump(environment))
        (self.folder / "pipeline.yaml").write_text(yaml.safe_dump(self.stack.pipeline | {"database": DATABASE}))

    def run(self, program: str, *arguments: object, **variables: str) -> Ran:
        environment = clean_environment() | self.secrets | {"FLINK_CONF_DIR": str(self.stack.home / "flink" / "conf")} | variables
        command = [str(BIN / program), *map(str, arguments)]
        ended = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def tradelake(self, *arguments: object, exit_code: int = 0, **variables: str) -> Ran:
        ran = self.run("tradelake", "--home", self.folder, "--conf", self.folder / "pipeline.yaml", *arguments, **variables)
        assert ran.exit_code == exit_code, (arguments, ran.stdout, ran.stderr)
        return ran

    def submit(self, layer: str, exchange: str) -> str:
        """Submit a job by Flink's own command; its id."""
        before = {job["jid"] for job in self.stack.rest("/jobs/overview")["jobs"]}
        files = ("--conf", self.folder / "pipeline.yaml", "--environment", self.folder / "environment.yaml")
        which = ("--exchange", exchange) if exchange else ()
        ran = self.run("flink", "run", "--detached", "-py", ROOT / "flink_jobs" / f"{layer}.py", *which, *files)
        assert ran.exit_code == 0, ran.stdout + ran.stderr
        (new,) = {job["jid"] for job in self.stack.rest("/jobs/overview")["jobs"]} - before
        return str(new)

    def cancel(self) -> None:
        for job in self.jobs.values():
            httpx.patch(f"{self.stack.environment['flink']['rest']}/jobs/{job}", timeout=30, trust_env=False)
        wait_until(
            "the jobs have ended",
            lambda: all(self.stack.rest(f"/jobs/{job}")["state"] == "CANCELED" for job in self.jobs.values()),
            lambda: [self.stack.rest(f"/jobs/{job}")["state"] for job in self.jobs.values()],
        )


@pytest.fixture(scope="module")
def secured(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    secured = Secured(stack, tmp_path_factory.mktemp("secured"))
    with ExitStack() as gates:
        registry = gates.enter_context(opened(secured.registry, secured.certificate))
        catalog = gates.enter_context(opened(secured.catalog))
        secured.write(registry, catalog)
        gates.enter_context(secured.started())
        yield secured
        secured.cancel()


def test_trades_reach_gold_through_servers_that_ask_who_is_there(secured: Secured) -> None:
    secured.tradelake("topics", "create")
    secured.tradelake("tables", "create")
    for layer, exchange in JOBS:
        secured.jobs[layer] = secured.submit(layer, exchange)
    sent = json.loads(secured.tradelake("produce", "--generate", COUNT, "--seed", 25, "--json").stdout)
    assert (sent["sent"], sent["failed"]) == (COUNT, 0)
    lake = Lake(secured.stack.home / "environment.yaml", DATABASE)
    wanted = {BRONZE["binance"]: COUNT, SILVER["binance"]: COUNT, GOLD: COUNT}
    wait_until("gold has all", lambda: lake.counts(wanted) == wanted, lambda: (lake.counts(wanted), secured.stack.job_movement()))
    assert secured.registry.counted["away"] == 0
    assert secured.registry.counted["in"] > 0
    assert secured.catalog.counted["in"] > 0


def test_the_commands_read_it_too(secured: Secured) -> None:
    question = f"SELECT count(*) AS trades, count(DISTINCT message_id) AS different FROM {GOLD}"
    assert json.loads(secured.tradelake("query", "--json", question).stdout) == [{"trades": COUNT, "different": COUNT}]
    report = json.loads(secured.tradelake("audit", "--sample", "all", "--json").stdout)
    assert [finding for finding in report["findings"] if not finding["notice"]] == []
    (trade,) = json.loads(secured.tradelake("query", "--json", f"SELECT message_id FROM {GOLD} LIMIT 1").stdout)
    assert trade["message_id"] in secured.tradelake("trace", trade["message_id"]).stdout


def test_no_secret_is_in_a_process_list_a_log_or_the_web_ui(secured: Secured) -> None:
    secrets = [*secured.secrets.values(), secured.catalog.token]
    processes = {" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])}
    logs = {log.name: log.read_text(errors="replace") for log in (secured.stack.home / "logs").iterdir() if log.is_file()}
    pages = ["/jobmanager/config", "/jobmanager/environment", "/taskmanagers", "/jobs/overview"]
    pages += [
        f"/jobs/{job}{page}" for job in secured.jobs.values() for page in ("", "/plan", "/config", "/exceptions", "/checkpoints/config")
    ]
    shown = {page: json.dumps(secured.stack.rest(page)) for page in pages}
    assert any("SASL_SSL" in text for text in logs.values())  # the configuration itself is there
    for secret in secrets:
        assert [line for line in processes if secret in line] == []
        assert [name for name, text in (logs | shown).items() if secret in text] == []


@pytest.mark.parametrize(
    ("wrong", "command", "complaint"),
    [
        ("TEST_KAFKA", ("topics", "create"), "does not let us in: "),
        ("TEST_CATALOG", ("query", "SELECT 1"), "does not let us in: "),
        ("TEST_CATALOG", ("tables", "create"), "catalog"),
    ],
)
def test_a_wrong_password_is_one_line_without_it(secured: Secured, wrong: str, command: tuple[str, ...], complaint: str) -> None:
    password = token_hex(16)
    ran = secured.tradelake(*command, exit_code=1, **{wrong: password})
    assert complaint in ran.stderr
    assert "Traceback" not in ran.stderr
    assert password not in ran.stdout + ran.stderr
    assert [secret for secret in secured.secrets.values() if secret in ran.stdout + ran.stderr] == []


def test_a_wrong_password_of_the_registry_is_one_line_too(secured: Secured) -> None:
    file = secured.folder / "registry-password"
    right, wrong = file.read_text(), token_hex(16)
    file.write_text(wrong)
    try:
        ran = secured.tradelake("topics", "create", exit_code=1)
    finally:
        file.write_text(right)
    assert "schema registry at https://127.0.0.1:" in ran.stderr
    assert wrong not in ran.stderr


def test_wrong_keys_of_the_object_store_are_one_line_too(secured: Secured) -> None:
    wrong = token_hex(16)
    keys = secured.folder / "wrong-keys"
    keys.write_text(f"[default]\naws_access_key_id = somebody\naws_secret_access_key = {wrong}\n")
    environment = yaml.safe_load((secured.folder / "environment.yaml").read_text())
    other = secured.folder / "other.yaml"
    other.write_text(yaml.safe_dump(environment | {"s3": environment["s3"] | {"credentials_file": str(keys)}}))
    ran = secured.tradelake("query", f"SELECT count(*) FROM {GOLD}", exit_code=1, TRADELAKE_ENVIRONMENT=str(other))
    assert "403" in ran.stderr
    assert (len(ran.stderr.splitlines()), wrong in ran.stderr) == (1, False)


def test_a_variable_that_is_not_set_is_named(secured: Secured) -> None:
    del secured.secrets["TEST_KAFKA"]
    ran = secured.tradelake("topics", "create", exit_code=1)
    assert (
        ran.stderr == f"tradelake: {secured.folder}/environment.yaml: kafka.options.sasl.jaas.config: the variable TEST_KAFKA is not set\n"
    )
