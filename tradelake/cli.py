"""`tradelake`: the command line. Each command lives beside what it does; this module only finds it."""

import os
import sys
from importlib import import_module
from pathlib import Path

import click

from conf.settings import PIPELINE, SettingsError
from tradelake.console import Failure, screen
from tradelake.home import Home, default_home

COMMANDS = {
    "doctor": "tradelake.doctor:doctor",
    "jars": "tradelake.jars:jars",
    "up": "tradelake.stack.commands:up",
    "down": "tradelake.stack.commands:down",
    "status": "tradelake.stack.commands:status",
    "logs": "tradelake.stack.commands:logs",
    "topics": "tradelake.topics:topics",
    "tables": "tradelake.tables:tables",
    "submit": "tradelake.jobs:submit",
    "stop": "tradelake.jobs:stop",
    "produce": "tradelake.produce.commands:produce",
    "query": "tradelake.query:query",
    "sql": "tradelake.flink:sql",
    "demo": "tradelake.demo:demo",
}


class Commands(click.Group):
    """Imports a command when it is asked for: `tradelake --help` must not wait for a query engine to load."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--home", type=click.Path(path_type=Path), default=default_home, show_default="$TRADELAKE_HOME or .tradelake", help="State folder of the stack.")
@click.option(
    "--conf",
    type=click.Path(path_type=Path),
    default=lambda: Path(os.environ.get("TRADELAKE_CONF", PIPELINE)),
    show_default="$TRADELAKE_CONF or the packaged conf/pipeline.yaml",
    help="What the pipeline does.",
)
@click.version_option(package_name="tradelake")
@click.pass_context
def tradelake(ctx: click.Context, home: Path, conf: Path) -> None:
    """Real-time crypto trades, from Kafka to an Iceberg lakehouse.

    Start with `tradelake demo`, or step by step: `tradelake up`, `topics create`, `tables create`, `submit`, `produce`, `query`.
    """
    ctx.obj = Home(home.absolute(), conf.absolute())


def main() -> None:
    try:
        tradelake()
    except (Failure, SettingsError) as failure:
        screen.print(f"[red]tradelake:[/] {failure}", soft_wrap=True, markup=True)
        sys.exit(1)
