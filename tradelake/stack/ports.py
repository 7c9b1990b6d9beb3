"""The ports of one stack: a block above its port base, remembered in its home."""

import json
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from tradelake.console import Failure

HOST = "127.0.0.1"
DEFAULT_BASE = 18080
NAMES = (
    "flink",
    "registry",
    "kafka",
    "catalog",
    "s3",
    "zookeeper",
    "registry-management",
    "kafka-controller",
    "zookeeper-peer",
    "zookeeper-election",
    "jobmanager-rpc",
    "jobmanager-blob",
    "jobmanager-metrics-query",
    "taskmanager-rpc",
    "taskmanager-data",
    "taskmanager-metrics-query",
    "jobmanager-prometheus",
    "taskmanager-prometheus",
)


@dataclass(frozen=True)
class Ports:
    """Port numbers by name: `base` is Flink's web UI, the others follow in the order of `NAMES`."""

    base: int

    def __getitem__(self, name: str) -> int:
        return self.base + NAMES.index(name)

    def address(self, name: str) -> str:
        return f"{HOST}:{self[name]}"

    def url(self, name: str) -> str:
        return f"http://{self.address(name)}"


def ports_file(home: Path) -> Path:
    return home / "ports.json"


def read_ports(home: Path) -> Ports | None:
    """The ports that `home` remembers; None when it is not the home of a stack."""
    try:
        return Ports(json.loads(ports_file(home).read_text(encoding="utf-8"))["base"])
    except (OSError, ValueError, KeyError):
        return None


def write_ports(home: Path, ports: Ports) -> None:
    numbers = {name: ports[name] for name in NAMES}
    ports_file(home).write_text(json.dumps({"base": ports.base, **numbers}, indent=1) + "\n", encoding="utf-8")


def check_free(ports: Ports) -> None:
    """Raises:
    Failure: one of the ports is in use; the message says by whom.
    """
    for name in NAMES:
        if not is_free(ports[name]):
            raise Failure(
                f"port {ports[name]} ({name}) is in use{user_of(ports[name])}; stop that, or choose others: `tradelake up --port-base N`"
            )


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def user_of(port: int) -> str:
    """` by java (pid 123)`, or nothing where it cannot be known."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""
