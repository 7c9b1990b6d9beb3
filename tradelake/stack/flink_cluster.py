"""The Flink session cluster: a JobManager, which ZooKeeper makes highly available, and one TaskManager.

Both run as their Java command, not through Flink's scripts, which start three more JVMs each time and stand between the supervisor
and the process.
"""

import sys
from dataclasses import dataclass

import httpx

from tradelake.jar_placement import agent, flink_home, plugins_folder
from tradelake.stack.credentials import AWS_ENVIRONMENT
from tradelake.stack.flink_configuration import CONF_DIR, RULES, SCRATCH, java_options, memory_options
from tradelake.stack.part import JAVA, Part, Site, answers, client


def environment(site: Site) -> dict[str, str]:
    home = flink_home()
    return AWS_ENVIRONMENT | {
        "FLINK_HOME": str(home),
        "FLINK_CONF_DIR": CONF_DIR,
        "FLINK_LIB_DIR": str(home / "lib"),
        "FLINK_OPT_DIR": str(home / "opt"),
        "FLINK_BIN_DIR": str(home / "bin"),
        "FLINK_PLUGINS_DIR": str(plugins_folder(site.jars)),
        "FLINK_LOG_DIR": "logs",
    }


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
    log = [f"-Dlog4j.configurationFile={CONF_DIR}/log4j-console.properties"]
    if role is JOBMANAGER:
        log.append(f"-Dlog.file={log_file(role)}")
    options = (
        agent_option(),
        *jvm,
        *java_options().split(),
        "-Djava.security.manager=allow",
        "-XX:-UsePerfData",
        "-XX:+ExitOnOutOfMemoryError",
        *log,
    )
    dynamic = {
        "io.tmp.dirs": SCRATCH,  # a list, split at commas
        # Not as log.file: beside that, each RocksDB would write a log that nobody deletes. So it stands in the instance's folder and goes
        # with it. state.backend.rocksdb.log.dir would have Flink forget its files, and fail where a home's name is long (FLINK-31743).
        "taskmanager.log.path": log_file(TASKMANAGER),
        "metrics.internal.query-service.port": site.ports[f"{role.name}-metrics-query"],
        "metrics.reporter.prom.port": site.ports[f"{role.name}-prometheus"],
    }
    program += [argument for key, value in dynamic.items() for argument in ("-D", f"{key}={value}")]
    return [JAVA, *options, "-cp", ":".join(map(str, library)), role.main_class, "--configDir", CONF_DIR, *program]


def log_file(role: Role) -> str:
    return f"logs/{role.name}.log"


def agent_option() -> str:
    """In the boot class path too: one of the rules is about a class of the JDK."""
    return f"-javaagent:{agent()}=boot:{agent()}," + ",".join(f"script:{CONF_DIR}/{rules}" for rules in RULES)


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
        return bool(client().get(f"{rest}/overview").json().get("slots-total"))
    except (httpx.HTTPError, ValueError):
        return False
