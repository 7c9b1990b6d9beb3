"""`tradelake up | down | status | logs`."""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import click
from rich.markup import escape

from tradelake.console import Failure, output
from tradelake.home import Home
from tradelake.stack import continuation, lifecycle, parts
from tradelake.stack import logs as part_logs
from tradelake.stack import status as stack_status
from tradelake.stack.checks import alone
from tradelake.stack.ports import NAMES, Ports, read_ports

PORT_BASE = click.IntRange(1024, 65535 - len(NAMES))


def remembered_ports(path: Path) -> Ports:
    ports = read_ports(path)
    if ports is None:
        raise Failure(f"{path} is not the home of a stack; `tradelake up` makes one")
    return ports


@click.command()
@click.option(
    "--port-base",
    type=PORT_BASE,
    help=f"First of {len(NAMES)} ports, the web UI's; remembered in the home.  [default: 18080]",
)
@click.pass_obj
def up(home: Home, port_base: int | None) -> None:
    """Start the local stack, wait until every part answers, and resume the jobs that `down` stopped.

    Harmless when it is up already. Parts that die are started again, as long as the stack is up.
    """
    began, path = time.monotonic(), home.place
    continuation.refuse_another_cluster(home, path, port_base)
    with alone(path):
        started = lifecycle.up(path, port_base)
        running = continuation.resume_jobs(home, path)
    jobs = f", {len(running)} jobs running" if running else ""
    output.print(
        f"{'up' if started else 'already up'}{jobs} after {time.monotonic() - began:.1f} s · {remembered_ports(path).url('flink')}"
    )


@click.command()
@click.option("--purge", is_flag=True, help="Delete the home and all data in it.")
@click.pass_obj
def down(home: Home, purge: bool) -> None:
    """Stop the jobs with savepoints, then every process of the stack. The data stays."""
    began, path = time.monotonic(), home.place
    if not path.exists():
        output.print(f"nothing runs in {escape(str(path))}: there is no such folder", soft_wrap=True)
        return
    remembered_ports(path)
    continuation.refuse_another_cluster(home, path)
    with alone(path):
        lifecycle.down(home, path)
        if purge:
            lifecycle.purge(path)
    output.print(f"down{' and deleted' if purge else ''} after {time.monotonic() - began:.1f} s")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
@click.pass_obj
def status(home: Home, as_json: bool) -> None:
    """Show the parts and the pipeline's jobs. Exits with 1 when a part does not run, or a job that nobody stopped with a savepoint."""
    path = home.place
    found = stack_status.read_status(path, remembered_ports(path), home.pipeline().job_names())
    if as_json:
        click.echo(json.dumps(found.json()))
    else:
        for table in stack_status.tables(found):
            output.print(table)
    sys.exit(not found.healthy)


@click.command()
@click.argument("part", required=False, type=click.Choice([*parts.NAMES, "supervisord"]))
@click.option("-f", "--follow", is_flag=True, help="Go on with what is appended, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=20, show_default=True, help="Last lines of each log.")
@click.pass_obj
def logs(home: Home, part: str | None, follow: bool, lines: int) -> None:
    """Show the end of a part's log, or of all parts' logs."""
    path = home.place
    remembered_ports(path)
    files = [path / "logs" / f"{name}.log" for name in ([part] if part else parts.NAMES)]
    for file in files:
        for line in part_logs.last_lines(file, lines):
            click.echo(line if part else f"{file.stem}: {line}")
    if follow:
        with suppress(KeyboardInterrupt):
            for file, line in part_logs.follow(files):
                click.echo(line if part else f"{file.stem}: {line}")
