"""`tradelake sql`: Flink's own SQL client, with the catalog, the tables and the views in place."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Timer
from typing import Any

import click

import sql as statements
from conf.settings import Settings, duration
from tradelake.console import Failure, screen
from tradelake.flink import become, client_variables
from tradelake.home import Home
from tradelake.jar_placement import agent, flink_home
from tradelake.jobs import rest_of
from tradelake.lake import catalog, catalog_failures
from tradelake.stack.credentials import write_private
from tradelake.stack.flink_configuration import CLIENT_RULES, copy_files

VIEWS_NEED = ("gold_crypto_trades", "silver_dlq_trades")
PARAMETER = re.compile(r"\$\{(\w+)\}")
LATE_S = 2.0
BEGINS = "[INFO] Executing SQL from file."
"""What the client prints once it is ready for a file."""


class Span(click.ParamType[timedelta]):
    """A duration, as in the settings: `30 s`, `5 min`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        try:
            return duration(value)
        except ValueError as error:
            self.fail(f"{value!r} is {error}", param, ctx)


@click.command()
@click.option("-f", "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Run this file's statements, and end.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="What ${NAME} stands for in the file; once for each.")
@click.option("--stop-after", type=Span(), metavar="DURATION", help='End the file\'s last query after so long: "30 s", "5 min".')
@click.pass_obj
def sql(home: Home, file: Path | None, given: tuple[str, ...], stop_after: timedelta | None) -> None:
    """Flink's own SQL client, with the catalog, the tables and the views in place.

    Queries run on the stack's cluster, in batch mode; SET 'execution.runtime-mode' = 'streaming' lets them run on. SHOW VIEWS lists the
    views; sql/examples/ has files that are ready to run: batch, streaming, time travel, metadata tables.

    With --file the exit code is 1 when a statement failed. A query that never ends is ended by --stop-after (exit code 0) or by Ctrl-C;
    its job on the cluster is cancelled.
    """
    if file is None and (given or stop_after):
        raise click.UsageError("--set and --stop-after are for --file")
    scripted = filled(file, given) if file else None
    settings = home.settings()
    scratch = home.path / "flink" / "tmp"
    if not scratch.is_dir():
        raise Failure(f"{scratch} is not there; is the stack up? `tradelake up`")
    views = can_have_views(settings)
    if scripted is None:
        interactive(home, initial_statements(settings, views))
    else:
        sys.exit(run_script(home, initial_statements(settings, views), scripted, stop_after))


def filled(file: Path, given: tuple[str, ...]) -> str:
    """The file's text, with its parameters filled in; wrong usage if one is not given, or is not there."""
    values = dict(one.partition("=")[::2] for one in given)
    text = file.read_text(encoding="utf-8")
    names = set(PARAMETER.findall("\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))))
    if missing := sorted(names - values.keys()):
        raise click.UsageError(f"{file} wants {', '.join(missing)}: give --set {missing[0]}=...")
    if unknown := sorted(values.keys() - names):
        raise click.UsageError(f"{file} has no {', '.join('${' + name + '}' for name in unknown)}")
    return PARAMETER.sub(lambda match: values.get(match[1], match[0]), text)


def can_have_views(settings: Settings) -> bool:
    """Whether the tables are there that the views are made of; says so if not."""
    from pyiceberg.exceptions import NoSuchNamespaceError  # with a second of imports

    try:
        with catalog_failures(settings.environment):
            tables = {name for _, name in catalog(settings).list_tables(settings.pipeline.database)}
    except NoSuchNamespaceError:
        tables = set()
    if missing := [name for name in VIEWS_NEED if name not in tables]:
        screen.print(f"no views: there is no {', '.join(missing)}; `tradelake tables create` makes the tables")
    return not missing


def initial_statements(settings: Settings, views: bool) -> str:
    """What the SQL client runs before it gives the word to a person."""
    environment, database = settings.environment, settings.pipeline.database
    name, properties = environment.catalog.name, statements.options(environment.catalog_properties())
    begin = statements.text(
        "client",
        catalog=name,
        database=database,
        create_catalog=statements.text("catalog", name=name, properties=properties),
        create_database=statements.text("database", catalog=name, database=database),
    )
    return begin + statements.text("views") if views else begin


def interactive(home: Home, init: str) -> None:
    """Become the SQL client. What it begins with may hold a token of the catalog."""
    file = home.path / "flink" / "tmp" / "sql-client.sql"
    write_private(file, init)
    become("sql-client.sh", client_variables(home), ["-i", str(file)])


def run_script(home: Home, init: str, script: str, stop_after: timedelta | None = None) -> int:
    """Run statements, passing on what the SQL client prints; 1 when one failed, which the client itself does not tell.

    A client that is ended leaves its query running on the cluster: here its jobs carry a name of their own, and are cancelled. It runs with
    the rules of `conf/flink/sql-client.btm`, in a folder of its own: what stands in JVM_ARGS is split at spaces, which paths may have.
    """
    session = f"tradelake sql {uuid.uuid4().hex[:8]}"
    variables = client_variables(home)
    options = ("-Dorg.jline.terminal.dumb=true", f"-javaagent:agent.jar=script:{CLIENT_RULES}")  # it is no terminal, and need not be told
    variables["JVM_ARGS"] = " ".join([variables.get("JVM_ARGS", ""), *options])
    with tempfile.TemporaryDirectory(prefix="sql-script-", dir=home.path / "flink" / "tmp") as folder:
        write_private(Path(folder, "init.sql"), f"{init}\nSET 'pipeline.name' = '{session}';\n")
        write_private(Path(folder, "script.sql"), script)
        Path(folder, "agent.jar").symlink_to(agent())
        copy_files(Path(folder), [CLIENT_RULES])
        command = [str(flink_home() / "bin" / "sql-client.sh"), "-i", f"{folder}/init.sql", "-f", f"{folder}/script.sql"]
        ended = False
        try:
            code = _run(command, variables, folder, stop_after)
            ended = stop_after is None
            return code
        finally:
            cancel(home, session, 0 if ended else LATE_S)


def _run(command: list[str], variables: Mapping[str, str], folder: str, stop_after: timedelta | None) -> int:
    failed = False
    with client_process(command, variables, folder) as client:
        stop = Timer(stop_after.total_seconds() if stop_after else 0, lambda: end(client))
        assert client.stdout
        try:
            for line in client.stdout:
                failed = failed or ("[ERROR]" in line and not line.startswith("|"))
                click.echo(line, nl=False)
                if stop_after and BEGINS in line:
                    stop.start()
            stopped = client.wait() == -signal.SIGKILL
        finally:
            stop.cancel()  # a timer that nobody cancels keeps this process alive
    return 1 if failed or (client.returncode and not (stop_after and stopped)) else 0


@contextmanager
def client_process(command: list[str], variables: Mapping[str, str], folder: str) -> Iterator[subprocess.Popen[str]]:
    """The client, in a process group of its own, which is gone afterwards."""
    client = subprocess.Popen(
        command,
        env=variables,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        yield client
    finally:
        end(client)
        client.wait()


def end(client: subprocess.Popen[str]) -> None:
    """Kill the client: asked to end, it prints the stack traces of everything that it was doing."""
    if client.poll() is None:
        os.killpg(client.pid, signal.SIGKILL)


def cancel(home: Home, session: str, late_s: float) -> None:
    """Cancel what runs of a session's queries; for some seconds also what a client that was killed had only just submitted."""
    rest, deadline = rest_of(home), time.monotonic() + late_s
    while True:
        for job in rest.jobs():
            if job.name == session and job.alive:
                rest.cancel(job.id)
        if time.monotonic() >= deadline:
            return
        time.sleep(0.3)
