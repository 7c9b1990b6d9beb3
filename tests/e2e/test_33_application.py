"""A job as an application: a JobManager of its own, as in kubernetes/, configured as in a container, with its state on S3.

The shared stack's servers serve it; ZooKeeper stands in for Kubernetes.
"""

import configparser
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from conf.settings import load_environment
from tests.conftest import ROOT
from tests.e2e import raw
from tests.e2e.stack import Stack, clean_environment, free_port_base
from tests.e2e.waiting import wait_until
from tests.truth.lake import BRONZE, Lake
from tradelake import container
from tradelake.flink import flink_variables
from tradelake.jar_placement import flink_home

pytestmark = pytest.mark.processes_only

DATABASE = "application"
LOOPBACK = "127.0.0.1"


class Application:
    """The bronze job of Kraken in a database of its own: one JobManager, one TaskManager, as Flink's scripts start them."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder, self.processes = stack, folder, list[subprocess.Popen[bytes]]()
        base = free_port_base(26_000)
        self.port, *ports = range(base, base + 5)
        self.pipeline = self._write("pipeline.yaml", stack.pipeline | {"database": DATABASE})
        given: dict[str, Any] = yaml.safe_load((stack.home / "environment.yaml").read_text())
        given["flink"] |= {"rest": f"http://{LOOPBACK}:{self.port}", "state": f"s3://flink/{DATABASE}"}
        self.environment = self._write("environment.yaml", given)
        self.lake = Lake(self.environment, DATABASE)
        container.configure(load_environment(self.environment), folder, LOOPBACK)
        self._confine(folder / "flink" / "conf" / "config.yaml", ports)

    def _write(self, name: str, content: object) -> Path:
        (self.folder / name).write_text(yaml.safe_dump(content), encoding="utf-8")
        return self.folder / name

    def _confine(self, file: Path, ports: list[int]) -> None:
        """To the loopback address, to ports that are free, and to a cluster of its own in the shared ZooKeeper."""
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        own = dict(zip(("jobmanager.rpc.port", "blob.server.port", "taskmanager.rpc.port", "taskmanager.data.port"), ports, strict=True))
        own |= {"high-availability.jobmanager.port": ports[0], "high-availability.cluster-id": DATABASE}
        hosts = {key: LOOPBACK for key, value in config.items() if value == container.ANY}
        kept = {key: value for key, value in config.items() if not key.startswith("metrics.reporter")}  # it would listen everywhere
        file.write_text(yaml.safe_dump(kept | hosts | own), encoding="utf-8")

    def start(self, script: str, *arguments: object) -> subprocess.Popen[bytes]:
        keys = configparser.ConfigParser()
        keys.read(self.stack.home / "secrets" / "aws-credentials", encoding="utf-8")
        variables = flink_variables(self.folder, clean_environment()) | {
            "FLINK_CONF_DIR": str(self.folder / "flink" / "conf"),
            "FLINK_LOG_DIR": str(self.folder / "logs"),
            "PYTHONPATH": str(ROOT),
            **{name.upper(): value for name, value in keys["default"].items()},
        }
        with self.log(script).open("ab") as log:
            command = [flink_home() / "bin" / script, "start-foreground", *map(str, arguments)]
            self.processes.append(subprocess.Popen(command, env=variables, cwd=self.folder, stdout=log, stderr=log, start_new_session=True))
        return self.processes[-1]

    def log(self, script: str) -> Path:
        return self.folder / "logs" / f"{script}.out"

    def start_jobmanager(self) -> subprocess.Popen[bytes]:
        driver = ("--job-classname", "org.apache.flink.client.python.PythonDriver", "-pym", "flink_jobs.bronze", "--exchange", "kraken")
        return self.start("standalone-job.sh", *driver, "--conf", self.pipeline, "--environment", self.environment)

    def kill(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, 9)
            process.wait()

    def rest(self, path: str) -> Any:
        try:
            return httpx.get(f"http://{LOOPBACK}:{self.port}{path}", timeout=10, trust_env=False).raise_for_status().json()
        except httpx.HTTPError:
            return {}

    def running(self) -> bool:
        jobs = self.rest("/jobs/overview").get("jobs", [])
        return [(job["name"], job["tasks"]["running"]) for job in jobs] == [("bronze-kraken", sum(job["tasks"]["total"] for job in jobs))]

    def offsets(self) -> list[tuple[int, int]]:
        rows = self.lake.rows(BRONZE["kraken"], ("partition", "offset")).to_pylist()
        return sorted((row["partition"], row["offset"]) for row in rows)

    def sent(self) -> list[tuple[int, int]]:
        ends = self.stack.broker.offsets(self.stack.topics["kraken"])
        return sorted((partition, offset) for partition, (low, high) in ends.items() for offset in range(low, high))

    def said(self, text: str) -> int:
        """How many lines the program has printed that begin so."""
        lines = self.log("standalone-job.sh").read_text(encoding="utf-8", errors="replace").splitlines()
        return len([line for line in lines if line.startswith(text)])

    def wait(self, what: str, true: Any) -> None:
        def movement() -> Any:
            return [(name, self.log(name).stat().st_size) for name in ("standalone-job.sh", "taskmanager.sh") if self.log(name).exists()]

        wait_until(what, true, movement)


@pytest.fixture
def application(stack: Stack, tmp_path: Path) -> Iterator[Application]:
    application = Application(stack, tmp_path)
    other = stack.with_pipeline(application.pipeline)
    other.tradelake("tables", "create")
    try:
        yield application
    finally:
        application.kill()


def test_an_application_goes_on_after_its_jobmanager_died(application: Application, stack: Stack) -> None:
    """Its program runs again, sees its table's rows, and does not take the recovered job for one that lost its state."""
    stack.send_trades("kraken", [raw.kraken("XBT/USD") for _ in range(20)])
    jobmanager = application.start_jobmanager()
    application.start("taskmanager.sh")
    application.wait("bronze has all", lambda: application.offsets() == application.sent())
    os.killpg(jobmanager.pid, 9)
    jobmanager.wait()
    stack.send_trades("kraken", [raw.kraken("XBT/USD") for _ in range(20)])
    application.start_jobmanager()
    application.wait("bronze has all, each once", lambda: application.offsets() == application.sent())
    application.wait("the program has run again", lambda: application.said("bronze-kraken is submitted") == 2)
    assert application.running()
    assert (application.said("refused:"), application.said("warning:")) == (0, 0)
