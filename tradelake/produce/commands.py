"""`tradelake produce`: trades into Kafka."""

import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from click.core import ParameterSource
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task
from rich.text import Text

from tradelake.console import Failure, screen
from tradelake.home import Home
from tradelake.produce.frames import Unreadable
from tradelake.produce.generator import COLUMNS, START, Plan
from tradelake.produce.replay import EXCHANGES, replay, send_generated, send_sample
from tradelake.produce.sender import Report


class Sent(ProgressColumn):
    """How many messages were sent, and how many a second since the beginning. Reads the report by itself."""

    def __init__(self, report: Report) -> None:
        self._report, self._started = report, time.monotonic()
        super().__init__()

    def render(self, task: Task) -> Text:
        seconds = time.monotonic() - self._started
        return Text(f"sent {self._report.sent:,} ({self._report.sent / seconds:,.0f}/s)" if seconds else "")


def finite(ctx: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """click's ranges let `nan` through, and `inf` where nothing bounds them."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter("is not a finite number")
    return value


def _symbols(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    symbols = tuple(value.split(",")) if value is not None else ()
    if "" in symbols or len(set(symbols)) < len(symbols):
        raise click.BadParameter("is a list of different symbols, separated by commas")
    return symbols


Command = Callable[..., Any]
POSITIVE, FRACTION = click.FloatRange(min=0, min_open=True), click.FloatRange(0, 1)


def sending(command: Command) -> Command:
    """The options of everything that sends."""
    rate = click.option("--rate", type=POSITIVE, callback=finite, help="Messages a second. [default: as fast as it goes]")
    as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
    return rate(as_json(command))


@click.group(invoke_without_command=True)
@click.option("--generate", "count", type=click.IntRange(min=1), help="Send this many generated trades.")
@click.option("--exchange", type=click.Choice(list(COLUMNS)), default="binance", show_default=True, help="Whose trades are generated.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed sends the same bytes in the same order."
)
@click.option("--symbols", callback=_symbols, help="As the exchange writes them: BTCUSDT,ETHUSDT or XBT/USD. [default: eight of them]")
@click.option("--duplicates", type=FRACTION, callback=finite, default=0.0, help="Fraction of the trades, 0 to 1, that is sent again.")
@click.option("--bad", type=FRACTION, callback=finite, default=0.0, help="Bad messages of every kind for each trade, 0 to 1.")
@click.option(
    "--start", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), default=None, help="First trade, UTC. [default: 2024-06-01]"
)
@sending
@click.pass_context
def produce(
    ctx: click.Context,
    count: int | None,
    exchange: str,
    seed: int,
    symbols: tuple[str, ...],
    duplicates: float,
    bad: float,
    start: datetime | None,
    rate: float | None,
    as_json: bool,
) -> None:
    """Send trades: recorded ones, the shipped sample, or generated ones.

    `--generate N` sends N different trades; repeats and bad messages come on top of them.
    """
    if (count is None) == (ctx.invoked_subcommand is None):
        raise click.UsageError(f"say either --generate N, or one of {', '.join(f'{name} FILE...' for name in EXCHANGES)}, sample, demo")
    if ctx.invoked_subcommand and (misplaced := _given(ctx)):
        raise click.UsageError(
            f"{', '.join(misplaced)} belongs to --generate; --rate and --json of `{ctx.invoked_subcommand}` stand behind its name"
        )
    if count is not None:
        begins = start.replace(tzinfo=UTC) if start else START
        plan = Plan(exchange, count, seed, symbols, duplicates, bad, begins)
        with _running(as_json) as report:
            send_generated(ctx.obj.settings(), plan, rate, report)


def _given(ctx: click.Context) -> list[str]:
    """The options that were given, as a person writes them."""
    given = [option for option in ctx.command.params if ctx.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE]
    return [option.opts[0] for option in given]


@produce.command()
@sending
@click.pass_obj
def sample(home: Home, rate: float | None, as_json: bool) -> None:
    """Send the real trades that are shipped: 8,000 of Binance and 38 of Kraken."""
    with _running(as_json) as report:
        send_sample(home.settings(), rate, report)


@produce.command()
@sending
@click.pass_obj
def demo(home: Home, rate: float | None, as_json: bool) -> None:
    """Send what `tradelake demo` sends: the shipped trades, some of them twice, and ten broken messages. --rate is each exchange's."""
    from tradelake.demo.traffic import Traffic  # which stands on this package

    with _running(as_json) as report, Traffic(home.settings(), rate) as traffic:
        traffic.send_reported(report)


def _recording(exchange: str) -> click.Command:
    @click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
    @click.option("--speed", type=POSITIVE, callback=finite, help="Times as fast as the frames were received: 1, 10, 0.5.")
    @sending
    @click.pass_obj
    def command(home: Home, files: Sequence[str], speed: float | None, rate: float | None, as_json: bool) -> None:
        if speed and rate:
            raise click.UsageError("say either --rate or --speed")
        with _running(as_json) as report:
            replay(home.settings(), exchange, files, rate, report, _complain, speed)

    about = f"Send the {exchange} trades of recorded frames: one JSON object a line, gzip or not, - for standard input."
    return click.command(exchange, help=about)(command)


for _exchange in EXCHANGES:
    produce.add_command(_recording(_exchange))


def _complain(line: Unreadable) -> None:
    screen.print(f"unreadable: {line}", markup=False, soft_wrap=True)


@contextmanager
def _running(as_json: bool) -> Iterator[Report]:
    """A report that is shown while it fills and printed in the end; Ctrl-C or SIGTERM ends the sending, a second one everything."""
    report = Report()

    def interrupt(number: int, frame: Any) -> None:
        report.interrupted = True
        restore()

    def restore() -> None:
        for one, handler in before.items():
            signal.signal(one, handler)

    before = {one: signal.signal(one, interrupt) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Progress(SpinnerColumn(), Sent(report), console=screen, transient=True, disable=not screen.is_terminal) as progress:
            progress.add_task("")
            yield report
    finally:
        restore()
    click.echo(_json(report) if as_json else _line(report))
    _check(report)


def _json(report: Report) -> str:
    return json.dumps(asdict(report) | {"seconds": round(report.seconds, 3), "rate": round(report.rate, 1)})


def _line(report: Report) -> str:
    """The result for people."""
    counts = {"frames skipped": report.skipped, "unreadable lines": report.unreadable, "bad": report.bad, "duplicates": report.duplicates}
    others = "".join(f", {count:,} {what}" for what, count in counts.items() if count)
    return f"sent {report.sent:,} messages in {report.seconds:.1f} s ({report.rate:,.0f}/s){others}"


def _check(report: Report) -> None:
    problems = {
        f"{report.failed:,} messages were not delivered; see `tradelake status`": report.failed,
        f"{report.unreadable:,} unreadable lines, named above; the others were sent": report.unreadable,
        "interrupted; what was sent until then is delivered": report.interrupted,
    }
    if any(problems.values()):
        raise Failure("; ".join(text for text, there in problems.items() if there))
