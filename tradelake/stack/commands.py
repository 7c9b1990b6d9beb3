"""`tradelake up | down | status | logs`."""

import time

import click

from tradelake.console import Failure, screen, step
from tradelake.home import Home
from tradelake.stack import lifecycle
from tradelake.stack.ports import read_ports


@click.command()
@click.option(
    "--port-base", type=click.IntRange(1024, 65000), help="First of the block of ports; remembered in the home.  [default: 18080]"
)
@click.pass_obj
def up(home: Home, port_base: int | None) -> None:
    """Start the local stack, and wait until every part answers."""
    started = time.monotonic()
    fresh = lifecycle.up(home.path, port_base)
    ports = read_ports(home.path)
    assert ports
    if not fresh:
        screen.print(f"  [green]✓[/] already up: {ports.url('flink')}")
        return
    screen.print(f"  [green]✓[/] the stack is up after {time.monotonic() - started:.1f} s; Flink's web UI: {ports.url('flink')}")


@click.command()
@click.option("--purge", is_flag=True, help="Delete the home and all data in it.")
@click.pass_obj
def down(home: Home, purge: bool) -> None:
    """Stop the jobs with savepoints, then every process of the stack. The data stays."""
    if read_ports(home.path) is None:
        raise Failure(f"{home.path} is not the home of a stack; nothing is stopped or deleted")
    with step("stack down"):
        lifecycle.down(home.path)


@click.command()
def status() -> None: ...


@click.command()
def logs() -> None: ...
