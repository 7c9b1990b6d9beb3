"""`tradelake demo`: brings everything up, sends the sample, watches it arrive, and says what came of it."""

import json

import click

from tradelake.console import Failure, screen, step
from tradelake.demo.report import as_object, report
from tradelake.demo.watch import watch
from tradelake.home import Home
from tradelake.jobs import Start, submit_jobs
from tradelake.lake import connect
from tradelake.latency import measure
from tradelake.produce.commands import finite
from tradelake.rest import FlinkRest
from tradelake.stack import continuation, lifecycle
from tradelake.stack.checks import alone
from tradelake.stack.commands import PORT_BASE
from tradelake.tables import create_tables
from tradelake.topics import create_topics


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object with the counts and the latency, for programs.")
@click.option("--rate", type=click.FloatRange(min=1), callback=finite, default=500, show_default=True, help="Messages a second.")
@click.option("--port-base", type=PORT_BASE, help="First port of the stack, when none was started in this home yet.")
@click.pass_obj
def demo(home: Home, as_json: bool, rate: float, port_base: int | None) -> None:
    """Start the stack and the jobs, send real trades, and watch them arrive in gold.

    Sends the trades that are shipped (Binance and Kraken), some of them twice, and a few broken messages. Leaves everything running.
    A second demo sends the same trades again: gold does not grow.
    """
    with alone(home.place):
        prepare(home, port_base)
    settings = home.settings()
    screen.print("\n[bold]3 · The trades[/] on their way: Kafka, bronze, silver, gold (each layer commits every few seconds)")
    with connect(settings, home.path) as connection:
        outcome = watch(settings, connection, rate)
        hops = measure(settings, outcome.sending.since)
        if as_json:
            click.echo(json.dumps(as_object(connection, outcome, hops)))
        else:
            report(settings, connection, outcome, hops)


def prepare(home: Home, port_base: int | None) -> None:
    """Bring up what is not up yet: stack, topics, schemas, tables, jobs. The caller holds the home's lock.

    Raises:
        Failure: something cannot be brought up, or an existing table does not fit.
    """
    screen.print("\n[bold]1 · The stack[/]: Kafka, schema registry, Iceberg catalog, object store and Flink, as processes on this machine")
    path = home.place
    continuation.refuse_another_cluster(home, path, port_base)
    if not lifecycle.up(path, port_base):
        screen.print("  [green]✓[/] it is up already")
    continuation.resume_jobs(home, path)
    settings = home.settings()
    screen.print("\n[bold]2 · The pipeline[/]: topics, tables, and the jobs that move the trades")
    with step("topics and schemas"):
        create_topics(settings)
    if misfits := [f"{table.name} {misfit}" for table in create_tables(settings) for misfit in table.misfits]:
        raise Failure("these tables do not fit: " + "; ".join(misfits))
    alive = {job.name for job in FlinkRest(settings.environment.flink.rest).jobs() if job.alive}
    missing = [name for name in settings.pipeline.job_names() if name not in alive]
    if not missing:
        screen.print("  [green]✓[/] the jobs run already")
    submit_jobs(home, {name: Start() for name in missing})
