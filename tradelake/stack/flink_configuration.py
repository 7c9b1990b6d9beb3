"""What Flink reads: `config.yaml` and its companions in the home, and the memory that Flink's own model derives from them."""

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template

import yaml

from conf import FOLDER
from conf.settings import S3
from tradelake.console import Failure
from tradelake.jar_placement import flink_home
from tradelake.stack.credentials import REGION
from tradelake.stack.part import Site, run_java
from tradelake.stack.ports import HOST

RESULT = "BASH_JAVA_UTILS_EXEC_RESULT:"
CONF_DIR = "flink/conf"
SCRATCH = "flink/tmp"
KEYS_OF_A_FILE = "com.amazonaws.auth.profile.ProfileCredentialsProvider"
"""The local stack's keys stand in a file that the environment names; keys of another store, in variables, must not go before."""
LOG_FILES = ("log4j-console.properties", "log4j-cli.properties")
MAINTENANCE_RULES, CLIENT_RULES = "maintenance.btm", "sql-client.btm"
RULES = ("loopback.btm", MAINTENANCE_RULES)
CONFIGURATION_FILES = (*LOG_FILES, *RULES)


def state(site: Site) -> str:
    """The address below which jobs keep their checkpoints and savepoints."""
    return address(site.home / "flink" / "state")


def address(folder: Path) -> str:
    """A folder as Flink names it: like a URI, but nothing in it is escaped."""
    return f"file://{folder}"


def java_options() -> str:
    """The module openings that the wheel's own configuration names, without those of a compiler that a JRE does not have."""
    shipped = yaml.safe_load((flink_home() / "conf" / "config.yaml").read_text(encoding="utf-8"))
    return " ".join(option for option in shipped["env"]["java"]["opts"]["all"].split() if "jdk.compiler" not in option)


def configuration(site: Site) -> str:
    """`config.yaml` of this site."""
    values: dict[str, str | int] = {
        "jobmanager_host": HOST,
        "taskmanager_host": HOST,
        "bind_host": HOST,
        "taskmanager_id": "taskmanager",
        "rest_port": site.ports["flink"],
        "jobmanager_rpc_port": site.ports["jobmanager-rpc"],
        "blob_port": site.ports["jobmanager-blob"],
        "taskmanager_rpc_port": site.ports["taskmanager-rpc"],
        "taskmanager_data_port": site.ports["taskmanager-data"],
        "zookeeper": site.ports.address("zookeeper"),
        "ha": address(site.home / "flink" / "ha"),
        "scratch": str(site.home / SCRATCH),
        "checkpoints": f"{state(site)}/checkpoints",
        "savepoints": f"{state(site)}/savepoints",
        "logs": str(site.home / "logs"),
    }
    store = object_store(S3(endpoint=site.ports.url("s3"), region=REGION)) | {"s3.aws.credentials.provider": KEYS_OF_A_FILE}
    return fill_in(values) + yaml.safe_dump(store, sort_keys=False)


def object_store(s3: S3) -> dict[str, str | bool]:
    """How Flink's S3 plugin reaches the store of the state. No key is among it: keys come from the AWS credential chain, as everywhere."""
    where = {"s3.endpoint": s3.endpoint} if s3.endpoint else {}
    return {**where, "s3.endpoint.region": s3.region, "s3.path.style.access": s3.path_style_access}


def fill_in(values: Mapping[str, str | int]) -> str:
    """`conf/flink/config.yaml` with these values, and those of this Python."""
    values = {"java_options": java_options(), "python": sys.executable, **values}
    quoted = {name: json.dumps(value) if isinstance(value, str) else value for name, value in values.items()}
    return Template(FOLDER.joinpath("flink", "config.yaml").read_text(encoding="utf-8")).substitute(quoted)


def configure(site: Site) -> None:
    """Write what Flink reads, and empty what it only needs while it runs: a killed TaskManager leaves its jobs' RocksDB folders there."""
    shutil.rmtree(site.home / SCRATCH, ignore_errors=True)
    for folder in ("ha", "tmp", "state/checkpoints", "state/savepoints"):
        site.folder(f"flink/{folder}")
    target = site.folder(CONF_DIR)
    (target / "config.yaml").write_text(configuration(site), encoding="utf-8")
    (target / "masters").write_text(f"{HOST}:{site.ports['flink']}\n", encoding="utf-8")
    (target / "workers").write_text(f"{HOST}\n", encoding="utf-8")
    copy_files(target, CONFIGURATION_FILES)


def copy_files(target: Path, names: Iterable[str]) -> None:
    """Put files of `conf/flink/` into a folder, as they are."""
    for name in names:
        (target / name).write_text(FOLDER.joinpath("flink", name).read_text(encoding="utf-8"), encoding="utf-8")


def memory_options(site: Site, command: str) -> tuple[list[str], list[str]]:
    """JVM options and program arguments, as Flink's own memory model derives them from the configuration.

    Raises:
        Failure: the configuration does not add up.
    """
    classpath = f"{flink_home() / 'bin' / 'bash-java-utils.jar'}:{next((flink_home() / 'lib').glob('flink-dist-*.jar'))}"
    arguments = ["-XX:TieredStopAtLevel=1", "-cp", classpath, "org.apache.flink.runtime.util.bash.BashJavaUtils", command]
    run = run_java(site, *arguments, "--configDir", CONF_DIR)
    results = [line.removeprefix(RESULT) for line in run.stdout.splitlines() if line.startswith(RESULT)]
    if len(results) != 2:
        raise Failure(f"Flink refuses {site.home / CONF_DIR / 'config.yaml'}: {first_error(run.stdout + run.stderr)}")
    return results[0].split(), results[1].split()


def first_error(text: str) -> str:
    found = re.search(r"(?:Exception|Error): (.*)", text)
    return found[1] if found else "for a reason that it does not give"
