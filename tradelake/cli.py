"""`tradelake`: the command line. Each command lives beside what it does; this module only finds it."""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

import click
from rich.markup import escape

from conf.settings import PIPELINE, SettingsError
from tradelake.console import Failure, screen
from tradelake.home import Home, default_home

# Name -> where the command is, and its line in `tradelake --help`.
COMMANDS = {
    "demo": ("tradelake.demo:demo", "From nothing to gold: everything below, with sample trades, on one screen."),
    "doctor": ("tradelake.doctor:doctor", "Check this machine, and name the fix of what is missing."),
    "jars": ("tradelake.jars:jars", "Fetch and verify the Java archives that the stack runs on."),
    "up": ("tradelake.stack.commands:up", "Start the local stack, and resume the jobs that ran when it went down."),
    "down": ("tradelake.stack.commands:down", "Stop the jobs with savepoints, then the stack; the data stays."),
    "status": ("tradelake.stack.commands:status", "What runs: parts, memory, addresses, jobs."),
    "logs": ("tradelake.stack.commands:logs", "Show or follow the log of a part."),
    "topics": ("tradelake.topics:topics", "Create the Kafka topics and register the Avro schemas."),
    "tables": ("tradelake.tables:tables", "Create the tables, or say what differs."),
    "submit": ("tradelake.jobs:submit", "Submit jobs, each from its newest state."),
    "stop": ("tradelake.jobs:stop", "Stop jobs, each with a savepoint."),
    "jobs": ("tradelake.operations:jobs", "Show the jobs: state, last checkpoint, page in Flink's web UI."),
    "savepoint": ("tradelake.operations:savepoint", "Save the state of running jobs, which go on."),
    "restore": ("tradelake.operations:restore", "Start a stopped job from a savepoint or checkpoint."),
    "upgrade": ("tradelake.operations:upgrade", "Start running jobs again with the code and settings of now."),
    "rescale": ("tradelake.operations:rescale", "Run a job with more or fewer tasks."),
    "produce": ("tradelake.produce.commands:produce", "Send recorded, sample or generated trades to Kafka."),
    "feed": ("tradelake.feed.commands:feed", "Send an exchange's trades to Kafka as they happen."),
    "record": ("tradelake.feed.commands:record", "Write an exchange's frames into files as they come."),
    "backfill": ("tradelake.backfill.command:backfill", "Ask an exchange for trades that no feed told, and send them."),
    "audit": ("tradelake.audit.command:audit", "Prove that nothing is lost and nothing is doubled."),
    "trace": ("tradelake.trace:trace", "The whole life of one trade, on one screen."),
    "dlq": ("tradelake.dlq:dlq", "What was rejected, why, and what its bytes still tell."),
    "rebuild": ("tradelake.rebuild.command:rebuild", "Compare a layer with the one before it, row by row; replace what is wrong."),
    "query": ("tradelake.query:query", "Ask the tables in SQL, read-only."),
    "sql": ("tradelake.sql_client:sql", "Flink's own SQL client, with catalog, tables and views in place."),
}


class Commands(click.Group):
    """Imports a command when it is asked for: `tradelake --help` must not wait for a query engine to load."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    default=default_home,
    show_default="$TRADELAKE_HOME or .tradelake",
    help="State folder of the stack.",
)
@click.option(
    "--conf",
    type=click.Path(path_type=Path),
    default=lambda: Path(os.environ.get("TRADELAKE_CONF") or PIPELINE),
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
    # Asked to end by `kill`, `timeout` or systemd, a command cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        tradelake()
    except (Failure, SettingsError) as failure:
        screen.print(f"[red]tradelake:[/] {escape(str(failure))}", soft_wrap=True, markup=True)
        sys.exit(1)
