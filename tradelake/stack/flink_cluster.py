"""The Flink session cluster: a JobManager, which ZooKeeper makes highly available, and one TaskManager.

Both run as their Java command, not through Flink's scripts, which start three more JVMs each time and stand between the supervisor
and the process.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template

import httpx
import yaml

from conf import FOLDER
from tradelake.console import Failure
from tradelake.jar_placement import flink_home, plugins_folder
from tradelake.stack.credentials import aws_environment
from tradelake.stack.part import JAVA, Part, Site, answers
from tradelake.stack.ports import HOST

RESULT = "BASH_JAVA_UTILS_EXEC_RESULT:"
CONFIGURATION_FILES = ("log4j-console.properties", "log4j-cli.properties", "loopback.btm")


def conf_dir(site: Site) -> Path:
    return site.home / "flink" / "conf"


def state(site: Site) -> str:
    """The address below which jobs keep their checkpoints and savepoints."""
    return (site.home / "flink" / "state").as_uri()


def java_options() -> str:
    """The module openings that the wheel's own configuration names, without those of a compiler that a JRE does not have."""
    shipped = yaml.safe_load((flink_home() / "conf" / "config.yaml").read_text(encoding="utf-8"))
    return " ".join(option for option in shipped["env"]["java"]["opts"]["all"].split() if "jdk.compiler" not in option)


def configuration(site: Site) -> str:
    """`config.yaml` of this site."""
    values = {
        "java_options": java_options(),
        "rest_port": site.ports["flink"],
        "jobmanager_rpc_port": site.ports["jobmanager-rpc"],
        "blob_port": site.ports["jobmanager-blob"],
        "taskmanager_rpc_port": site.ports["taskmanager-rpc"],
        "taskmanager_data_port": site.ports["taskmanager-data"],
        "zookeeper_port": site.ports["zookeeper"],
        "ha": (site.home / "flink" / "ha").as_uri(),
        "scratch": str(site.home / "flink" / "tmp"),
        "state": state(site),
        "logs": str(site.home / "logs"),
        "python": sys.executable,
    }
    quoted = {name: json.dumps(value) if name in ("scratch", "logs", "python") else str(value) for name, value in values.items()}
    return Template(FOLDER.joinpath("flink", "config.yaml").read_text(encoding="utf-8")).substitute(quoted)


def configure(site: Site) -> None:
    for folder in ("ha", "tmp", "state/checkpoints", "state/savepoints"):
        site.folder(f"flink/{folder}")
    target = site.folder("flink/conf")
    (target / "config.yaml").write_text(configuration(site), encoding="utf-8")
    (target / "masters").write_text(f"{HOST}:{site.ports['flink']}\n", encoding="utf-8")
    (target / "workers").write_text(f"{HOST}\n", encoding="utf-8")
    for name in CONFIGURATION_FILES:
        (target / name).write_text(FOLDER.joinpath("flink", name).read_text(encoding="utf-8"), encoding="utf-8")


def environment(site: Site) -> dict[str, str]:
    home = flink_home()
    return aws_environment(site.home) | {
        "FLINK_HOME": str(home),
        "FLINK_CONF_DIR": str(conf_dir(site)),
        "FLINK_LIB_DIR": str(home / "lib"),
        "FLINK_OPT_DIR": str(home / "opt"),
        "FLINK_BIN_DIR": str(home / "bin"),
        "FLINK_PLUGINS_DIR": str(plugins_folder(site.jars)),
        "FLINK_LOG_DIR": str(site.home / "logs"),
    }


def memory_options(site: Site, command: str) -> tuple[list[str], list[str]]:
    """JVM options and program arguments, as Flink's own memory model derives them from the configuration.

    Raises:
        Failure: the configuration does not add up.
    """
    classpath = f"{flink_home() / 'bin' / 'bash-java-utils.jar'}:{next((flink_home() / 'lib').glob('flink-dist-*.jar'))}"
    arguments = [JAVA, "-XX:TieredStopAtLevel=1", "-cp", classpath, "org.apache.flink.runtime.util.bash.BashJavaUtils", command]
    run = subprocess.run([*arguments, "--configDir", str(conf_dir(site))], capture_output=True, text=True, check=False)
    results = [line.removeprefix(RESULT) for line in run.stdout.splitlines() if line.startswith(RESULT)]
    if len(results) != 2:
        raise Failure(f"Flink refuses {conf_dir(site) / 'config.yaml'}: {first_error(run.stdout + run.stderr)}")
    return results[0].split(), results[1].split()


def first_error(text: str) -> str:
    found = re.search(r"(?:Exception|Error): (.*)", text)
    return found[1] if found else "for a reason that it does not give"


@dataclass(frozen=True)
class Role:
    """One of the cluster's two kinds of process; `memory` is the command of Flink's memory model."""

    name: str
    main_class: str
    memory: str


JOBMANAGER = Role("jobmanager", "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", "GET_JM_RESOURCE_PARAMS")
TASKMANAGER = Role("taskmanager", "org.apache.flink.runtime.taskexecutor.TaskManagerRunner", "GET_TM_RESOURCE_PARAMS")


def command(site: Site, role: Role) -> list[str]:
    library = sorted((flink_home() / "lib").glob("*.jar"), key=lambda jar: (jar.name.startswith("flink-dist"), jar.name))
    jvm, program = memory_options(site, role.memory)
    log = (f"-Dlog.file={site.log(role.name)}", f"-Dlog4j.configurationFile={(conf_dir(site) / 'log4j-console.properties').as_uri()}")
    options = (
        loopback_agent(site),
        *jvm,
        *java_options().split(),
        "-Djava.security.manager=allow",
        "-XX:-UsePerfData",
        "-XX:+ExitOnOutOfMemoryError",
        *log,
    )
    ports = {
        "metrics.internal.query-service.port": site.ports[f"{role.name}-metrics-query"],
        "metrics.reporter.prom.port": site.ports[f"{role.name}-prometheus"],
    }
    program += [argument for key, port in ports.items() for argument in ("-D", f"{key}={port}")]
    return [JAVA, *options, "-cp", ":".join(map(str, library)), role.main_class, "--configDir", str(conf_dir(site)), *program]


def loopback_agent(site: Site) -> str:
    """Byteman with the rules that bind to the loopback address what Flink and Beam let listen on every address."""
    (agent,) = site.jars.files("flink-agent")
    return f"-javaagent:{agent}=boot:{agent},script:{conf_dir(site) / 'loopback.btm'}"


def jobmanager(site: Site) -> Part:
    return Part(
        name="jobmanager",
        address=site.ports.url("flink"),
        memory="process 960 MB",
        prepare=lambda: command(site, JOBMANAGER),
        ready=lambda: answers(f"{site.ports.url('flink')}/overview", 200),
        environment=environment(site),
        needs=("zookeeper",),
    )


def taskmanager(site: Site) -> Part:
    return Part(
        name="taskmanager",
        address=site.ports.address("taskmanager-rpc"),
        memory="process 1920 MB",
        prepare=lambda: [sys.executable, "-m", "tradelake.stack.successor", *command(site, TASKMANAGER)],
        ready=lambda: has_slots(site.ports.url("flink")),
        environment=environment(site),
        needs=("zookeeper",),
    )


def has_slots(rest: str) -> bool:
    """Whether the JobManager counts the TaskManager's slots."""
    try:
        return bool(httpx.get(f"{rest}/overview", timeout=5, trust_env=False).json().get("slots-total"))
    except (httpx.HTTPError, ValueError):
        return False
