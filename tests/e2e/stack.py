"""One stack with its pipeline, driven as a person drives it: by the command line. What it then holds is read by `tests.truth`."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import yaml
from confluent_kafka import Producer
from pyiceberg.exceptions import RESTError
from pyiceberg.expressions import And, In

from tests.e2e import raw
from tests.e2e.waiting import wait_until
from tests.truth.kafka import Broker, Registry
from tests.truth.lake import DLQ, GOLD, Lake, bronze, silver, tables
from tests.truth.ledger import discrepancies
from tests.truth.trades import Raw, Trade, trade

BIN = Path(sys.executable).parent
PIPELINE = Path(__file__).with_name("pipeline.yaml")
FENCES = {"binance": "FENCEUSDT", "kraken": "FENCE/USD", "coinbase": "FENCE-USD"}
READERS_VERSION = {"binance": 0, "kraken": 1, "coinbase": 0}
"""Which of a subject's versions is the reader's: Kraken's has an earlier one."""
PORTS = 40
"""More than one stack's block of ports."""


class Coordinate(NamedTuple):
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


class Stack:
    def __init__(self, home: Path, port_base: int, pipeline: Path = PIPELINE, **variables: str) -> None:
        """`variables`: what the environment of its commands has besides."""
        self.home, self.port_base, self.pipeline_file, self.variables = home, port_base, pipeline, variables
        self.pipeline: dict[str, Any] = yaml.safe_load(pipeline.read_text(encoding="utf-8"))
        self.topics = {name: exchange["topic"] for name, exchange in self.pipeline["exchanges"].items()}

    def with_pipeline(self, pipeline: Path) -> "Stack":
        """The same stack, commanded with another pipeline file."""
        return Stack(self.home, self.port_base, pipeline)

    # Commands

    def tradelake(self, *arguments: object, exit_code: int = 0) -> Ran:
        """Run `tradelake` on this stack, to its end; its exit code must be this one."""
        ran = self.run_tradelake(*arguments)
        assert ran.exit_code == exit_code, (
            f"tradelake {' '.join(map(str, arguments))}: exit code {ran.exit_code}\n{ran.stdout}\n{ran.stderr}"
        )
        return ran

    def run_tradelake(self, *arguments: object) -> Ran:
        """Run `tradelake` on this stack, to its end, whatever that is."""
        return run(self.command(*arguments), **self.variables)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Run `tradelake` beside the test; its complaints go to a log of this name."""
        with (self.home / "logs" / "beside.log").open("w", encoding="utf-8") as log:
            environment = clean_environment() | self.variables
            return subprocess.Popen(self.command(*arguments), env=environment, stdout=subprocess.PIPE, stderr=log, text=True)

    def command(self, *arguments: object) -> list[str]:
        return [str(BIN / "tradelake"), "--home", str(self.home), "--conf", str(self.pipeline_file), *map(str, arguments)]

    def flink(self, *arguments: object) -> Ran:
        """Run plain `flink` as a person does who has a stack."""
        return run([str(BIN / "flink"), *map(str, arguments)], TRADELAKE_HOME=str(self.home))

    def flink_run(self, layer: str, exchange: str = "", *arguments: object) -> Ran:
        script = Path(__file__).parents[2] / "flink_jobs" / f"{layer}.py"
        given = ["--conf", self.pipeline_file, "--environment", self.environment_of_jobs, *arguments]
        return self.flink("run", "--detached", "-py", script, *(["--exchange", exchange] if exchange else []), *given)

    def status(self) -> dict[str, Any]:
        """What `tradelake status` says of a stack in which all is well."""
        status: dict[str, Any] = self.tradelake("status", "--json").json
        return status

    def health(self) -> dict[str, Any]:
        """What `tradelake status` says, be all well or not."""
        status: dict[str, Any] = run(self.command("status", "--json")).json
        return status

    def pid(self, part: str) -> int:
        """The process of a part."""
        return pid_in(self.status(), part)

    # What it stands on

    @property
    def environment_of_jobs(self) -> Path:
        """The environment's file by which jobs are planned."""
        return self.home / "environment.yaml"

    @cached_property
    def environment(self) -> dict[str, Any]:
        environment: dict[str, Any] = yaml.safe_load((self.home / "environment.yaml").read_text(encoding="utf-8"))
        return environment

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.home / "environment.yaml", self.pipeline["database"])

    @cached_property
    def broker(self) -> Broker:
        return Broker(self.environment["kafka"]["bootstrap_servers"])

    @cached_property
    def producer(self) -> Producer:
        return Producer({"bootstrap.servers": self.broker.bootstrap_servers, "enable.idempotence": True, "linger.ms": 0})

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.environment["registry"]["url"])

    @cached_property
    def schema_ids(self) -> dict[str, int]:
        """The ids of the readers' schemas."""
        return {exchange: self.registry.ids(f"{topic}-value")[READERS_VERSION[exchange]] for exchange, topic in self.topics.items()}

    def processes(self) -> list[psutil.Process]:
        """Every process that works in this home, found by command line, environment and working directory."""
        return [p for p in psutil.process_iter() if p.pid != os.getpid() and str(self.home) in _traces(p)]

    def logs(self) -> dict[str, str]:
        """What each part has written, by the name of its log."""
        return {log.name: log.read_text(encoding="utf-8", errors="replace") for log in sorted((self.home / "logs").glob("*.log"))}

    # Flink

    def rest(self, path: str) -> Any:
        return httpx.get(f"{self.environment['flink']['rest']}{path}", timeout=30, trust_env=False).raise_for_status().json()

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Name -> overview of every job that has not ended; nothing while Flink does not answer."""
        try:
            overview = self.rest("/jobs/overview")["jobs"]
        except httpx.HTTPError:
            return {}
        return {job["name"]: job for job in overview if job["state"] not in ("FINISHED", "CANCELED", "FAILED")}

    @property
    def job_names(self) -> list[str]:
        return [f"{layer}-{exchange}" for layer in ("bronze", "silver") for exchange in self.topics] + ["gold"]

    def running(self) -> list[str]:
        """Jobs all of whose tasks run."""
        return sorted(n for n, job in self.jobs().items() if job["state"] == "RUNNING" and job["tasks"]["running"] == job["tasks"]["total"])

    def wait_until_running(self) -> None:
        wait_until("all jobs run", lambda: self.running() == sorted(self.job_names), self.job_movement)

    def metrics(self, job: str, ending: str) -> dict[str, int]:
        """The metrics of a running job whose name ends so: name, with the operator's, -> sum over its subtasks."""
        found: dict[str, int] = {}
        job_id = self.jobs()[job]["jid"]
        for vertex in self.rest(f"/jobs/{job_id}")["vertices"]:
            path = f"/jobs/{job_id}/vertices/{vertex['id']}/subtasks/metrics"
            names = [metric["id"] for metric in self.rest(path) if metric["id"].endswith(ending)]
            answers = self.rest(f"{path}?get={','.join(names)}") if names else []
            found |= {metric["id"]: int(metric["sum"]) for metric in answers}
        return found

    def failures(self, jobs: Mapping[str, str]) -> dict[str, list[int]]:
        """When each job failed so far: name -> times. `jobs`: name -> id."""
        history = {name: self.rest(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"] for name, job in jobs.items()}
        return {name: [entry["timestamp"] for entry in entries] for name, entries in history.items()}

    def job_movement(self) -> Any:
        return [(name, job["state"], job["tasks"]) for name, job in sorted(self.jobs().items())]

    # Sending

    def send(self, exchange: str, messages: Iterable[tuple[bytes | None, bytes | None]], **to: Any) -> list[Coordinate]:
        """Send keys and values; where each came to stand."""
        sent: list[Coordinate] = []

        def delivered(error: Any, message: Any) -> None:
            assert error is None, error
            sent.append(Coordinate(message.topic(), message.partition(), message.offset()))

        for number, (key, value) in enumerate(messages, 1):
            self.producer.produce(self.topics[exchange], value, key, on_delivery=delivered, **to)
            while len(sent) < number:  # one after the other: the answer's place is the message's
                self.producer.poll(0.1)
        return sent

    def send_trades(self, exchange: str, raws: Iterable[Raw], schema_id: int | None = None, **to: Any) -> list[Coordinate]:
        chosen = schema_id or self.schema_ids[exchange]
        return self.send(exchange, [(key_of(exchange, one), self.registry.encode(chosen, one)) for one in raws], **to)

    def truth(self, exchange: str, raws: Iterable[Raw]) -> list[Trade]:
        """What these trades must become."""
        quote_assets = self.pipeline["exchanges"]["binance"]["quote_assets"]
        return [trade(exchange, one, quote_assets) for one in raws]

    # Waiting and checking

    def counts(self) -> dict[str, int]:
        return self.lake.counts(tables(self.topics))

    def wait_for_counts(self, **wanted: int) -> None:
        """Wait until these tables hold at least so many rows."""
        self.wait(f"tables hold {wanted}", lambda: all(self.lake.count(table) >= rows for table, rows in wanted.items()))

    def wait(self, what: str, true: Callable[[], bool]) -> None:
        """Wait for something that the flow of trades brings about."""
        wait_until(what, answering(true), lambda: (answering(self.counts, {})(), self.job_movement()))

    def arrive(self) -> None:
        """Wait until everything that stands in Kafka is in bronze, and in silver or rejected."""
        sent = {bronze(exchange): self.broker.count(topic) for exchange, topic in self.topics.items()}
        self.wait_for_counts(**sent)
        self.wait("silver and rejected are as many as bronze", lambda: self._judged() >= sum(sent.values()))

    def wait_for_log(self, part: str, text: str) -> None:
        """Wait until a part has written this."""
        log = self.home / "logs" / f"{part}.log"
        self.wait(f"{log.name} says {text!r}", lambda: text in log.read_text(encoding="utf-8", errors="replace"))

    def _judged(self) -> int:
        return sum(self.lake.counts((*map(silver, self.topics), DLQ)).values())

    def settle(self) -> None:
        """Wait until everything sent so far is through.

        What is in silver is through when a trade sent after it is in gold, for the readers go snapshot by snapshot: one such trade
        (a fence) is sent through each exchange.
        """
        self.arrive()
        ids = []
        for exchange in self.topics:
            fence = raw.trade(exchange, FENCES[exchange])
            ids += [trade["message_id"] for trade in self.truth(exchange, [fence])]
            self.send_trades(exchange, [fence])
        where = And(In("symbol", ["FENCEUSDT", "FENCEUSD"]), In("message_id", ids))
        self.wait("the fences are in gold", lambda: self.lake.rows(GOLD, ("message_id",), where).num_rows == len(ids))
        self.arrive()

    def discrepancies(self) -> list[str]:
        return discrepancies(self.lake, self.broker, self.topics)


def pid_in(status: dict[str, Any], part: str) -> int:
    (pid,) = [one["pid"] for one in status["parts"] if one["name"] == part]
    assert isinstance(pid, int)
    return pid


def key_of(exchange: str, one: Raw) -> bytes:
    return str(one[{"binance": "symbol", "kraken": "pair", "coinbase": "product_id"}[exchange]]).encode()


def answering(ask: Callable[[], Any], otherwise: Any = False) -> Callable[[], Any]:
    """`ask`, with an answer also while the catalog or the object store does not give one: a test may have killed it."""

    def asked() -> Any:
        try:
            return ask()
        except (OSError, httpx.HTTPError, RESTError):
            return otherwise

    return asked


def run(command: list[str], **variables: str) -> Ran:
    ended = subprocess.run(
        command, env=clean_environment() | variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr)


def clean_environment() -> dict[str, str]:
    """This process's environment without what steers a stack: a test must not touch the stack of the person who runs it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TRADELAKE_", "FLINK_", "AWS_"))} | {"COLUMNS": "200"}


def free_port_base(first: int = 22_000) -> int:
    """The first block of ports, none of which is in use."""
    return next(base for base in range(first, 60_000, 100) if all(map(_is_free, range(base, base + PORTS))))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _traces(process: psutil.Process) -> str:
    try:
        environment: Mapping[str, str] = process.environ()
        return "\n".join([*process.cmdline(), *environment.values(), process.cwd()])
    except (psutil.Error, OSError):
        return ""
