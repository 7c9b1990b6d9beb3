"""What the image's entry point asks of Python: Flink's configuration for this container, and whether the server in it is well.

python -m tradelake.container configure
python -m tradelake.container healthy jobmanager
"""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from conf.settings import Environment, SettingsError, default_environment, load_environment
from tradelake.home import default_home
from tradelake.jar_placement import agent
from tradelake.stack.flink_cluster import has_slots
from tradelake.stack.flink_configuration import CONF_DIR, LOG_FILES, MAINTENANCE_RULES, SCRATCH, copy_files, fill_in, object_store
from tradelake.stack.part import answers
from tradelake.stack.zookeeper import serves, zoo_cfg

ANY = "0.0.0.0"  # inside a container: who may reach it is said by the network that it is in
RPC, BLOB, TASKMANAGER_RPC, TASKMANAGER_DATA, PROMETHEUS = 6123, 6124, 6122, 6121, 9249
ZOOKEEPER, PEERS = 2181, (2888, 3888)
NO_CLUSTER = 3
ROLES = ("jobmanager", "taskmanager", "zookeeper")


def flink_configuration(environment: Environment, home: Path, hostname: str) -> str:
    """Flink's `config.yaml` for the container `hostname`, which others reach by that name.

    Args:
        environment: `flink.rest` names the JobManager and its port, `flink.zookeeper` who remembers the leader, `flink.state` the
            store of checkpoints, savepoints and what a JobManager needs to recover.
        home: where logs and scratch files go.

    Raises:
        SettingsError: the environment names no ZooKeeper.
    """
    flink, rest = environment.flink, urlsplit(environment.flink.rest)
    if flink.zookeeper is None:
        raise SettingsError("flink.zookeeper is missing: a JobManager in a container recovers its jobs by it")
    state = flink.state.rstrip("/")
    text = fill_in(
        {
            "jobmanager_host": rest.hostname or "",
            "taskmanager_host": hostname,
            "bind_host": ANY,
            "taskmanager_id": hostname,
            "rest_port": rest.port or 80,
            "jobmanager_rpc_port": RPC,
            "blob_port": BLOB,
            "taskmanager_rpc_port": TASKMANAGER_RPC,
            "taskmanager_data_port": TASKMANAGER_DATA,
            "zookeeper": flink.zookeeper,
            "ha": f"{state}/ha",
            "checkpoints": f"{state}/checkpoints",
            "savepoints": f"{state}/savepoints",
            "scratch": str(home / SCRATCH),
            "logs": str(home / "logs"),
        }
    )
    more = {
        "env.java.opts.taskmanager": f"-javaagent:{agent()}=script:{home / CONF_DIR / MAINTENANCE_RULES}",
        "metrics.reporter.prom.port": PROMETHEUS,
        **object_store(environment.s3),
    }
    return text + yaml.safe_dump(more, sort_keys=False)


def configure(environment: Environment, home: Path, hostname: str) -> None:
    """Write what Flink and ZooKeeper read below `home`."""
    flink = flink_configuration(environment, home, hostname)
    for folder in (CONF_DIR, SCRATCH, "logs"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    target = home / CONF_DIR
    (target / "config.yaml").write_text(flink, encoding="utf-8")
    (target / "zoo.cfg").write_text(zoo_cfg(str(home / "zookeeper"), ANY, ZOOKEEPER, PEERS), encoding="utf-8")
    copy_files(target, (*LOG_FILES, MAINTENANCE_RULES))


def healthy(role: str, environment: Environment) -> bool:
    """Whether this container's server does its work; a TaskManager does when the JobManager counts its slots."""
    if role == "zookeeper":
        return serves(ZOOKEEPER)
    if role == "jobmanager":
        return answers(f"http://127.0.0.1:{urlsplit(environment.flink.rest).port or 80}/overview", 200)
    return has_slots(environment.flink.rest)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tradelake.container", description="What the image's entry point asks of Python.")
    commands = parser.add_subparsers(dest="command", required=True)
    configuring = commands.add_parser("configure", help="write the configuration of Flink and ZooKeeper below $TRADELAKE_HOME")
    configuring.add_argument(
        "--for-a-client", action="store_true", help="exit with 3 when the environment names no session cluster's ZooKeeper"
    )
    commands.add_parser("healthy", help="exit with 0 when the server of this container does its work, else 1").add_argument(
        "role", choices=ROLES
    )
    given = parser.parse_args(argv)
    try:
        environment = load_environment(default_environment())
        if given.command == "healthy":
            return 0 if healthy(given.role, environment) else 1
        if given.for_a_client and environment.flink.zookeeper is None:
            return NO_CLUSTER
        configure(environment, default_home().absolute(), os.environ.get("HOSTNAME") or socket.gethostname())
    except SettingsError as error:
        print(f"tradelake: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
