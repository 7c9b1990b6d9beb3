"""`tradelake feed` and `tradelake record`: an exchange's trades as they happen."""

import asyncio
import json
import shlex
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task
from rich.text import Text

from conf import settings
from conf.settings import PIPELINE, duration, web_socket_address
from tradelake.console import Failure, screen
from tradelake.feed.feed import Feed, Timing
from tradelake.feed.gaps import Hole
from tradelake.feed.kafka import KafkaSink
from tradelake.feed.recorder import Recorder
from tradelake.feed.report import Report
from tradelake.feed.wire import Wire
from tradelake.feed.wires import WIRES
from tradelake.home import Home, default_home
from tradelake.produce.sender import Sender

STOPPING = (signal.SIGINT, signal.SIGTERM)
Command = Callable[..., Any]
WINDOW_S = 5.0
"""The rate that is shown is that of so many seconds."""


class Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        try:
            return duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Address(click.ParamType[str]):
    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return web_socket_address(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Seen(ProgressColumn):
    """What came so far, and how much of it in the last seconds. Reads the report by itself."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._marks = [(time.monotonic(), 0)]
        super().__init__()

    def render(self, task: Task) -> Text:
        now, trades = time.monotonic(), self._report.trades
        self._marks = [mark for mark in self._marks if mark[0] > now - WINDOW_S] or self._marks[-1:]
        since, before = self._marks[0]
        self._marks.append((now, trades))
        rate = (trades - before) / (now - since) if now > since else 0.0
        return Text(f"{trades:,} trades ({rate:,.0f}/s) in {self._report.frames:,} frames{_others(self._report)}")


def _symbols(wire: Wire, text: str) -> tuple[str, ...]:
    symbols = tuple(text.split(","))
    if len(set(symbols)) < len(symbols) or not all(map(wire.symbol.fullmatch, symbols)):
        raise click.UsageError(f"--symbols is a list of different symbols as {wire.exchange} writes them, with commas: {wire.example},...")
    if len(symbols) > wire.most_symbols:
        raise click.UsageError(f"one connection takes {wire.most_symbols:,} symbols: give the others to a second process")
    return symbols


def _live(exchange: str) -> Callable[[Command], Command]:
    """The options of everything that listens to this exchange."""
    wires = WIRES[exchange]
    first = next(iter(wires.values()))
    options = [
        click.option("--symbols", required=True, metavar="A,B,...", help=f"As the exchange writes them: {first.example}."),
        click.option("--wire", type=click.Choice(list(wires)), default=next(iter(wires)), show_default=True, help="The wire format.")
        if len(wires) > 1
        else None,
        click.option("--url", type=Address(), help=f"Another address. [default: exchanges.{exchange}.feed.endpoints of --conf]"),
        click.option(
            "--silence",
            type=Duration(),
            help="A connection without a frame for so long is given up: 30s, 2min. [default: that of --conf]",
        ),
        click.option("--for", "lasting", type=Duration(), help="Stop by itself after so long: 1min, 2h. [default: at Ctrl-C or SIGTERM]"),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object."),
    ]

    def decorate(command: Command) -> Command:
        for option in filter(None, reversed(options)):
            command = option(command)
        return command

    return decorate


@click.group()
def feed() -> None:
    """Send an exchange's trades to Kafka as they happen, until Ctrl-C or SIGTERM.

    A connection that is lost is made again and subscribed again; before one is cut as planned, a second one is open, and both are
    read for some seconds. The repeats that this makes never reach gold. A stop ends with everything delivered, and a summary; a second
    Ctrl-C ends at once, and loses what is not delivered.

    `tradelake topics create` comes before it; `tradelake record` writes the same frames into files.
    """


@click.group()
def record() -> None:
    """Write an exchange's frames into files as they come, until Ctrl-C or SIGTERM. It needs no stack.

    The files are what `tradelake produce EXCHANGE FILE...` sends, at the speed of then (`--speed 1`), or at any other.
    """


def _feed_of(exchange: str) -> click.Command:
    @_live(exchange)
    @click.pass_obj
    def command(home: Home, /, as_json: bool, **given: Any) -> None:
        settings = home.settings()
        block = settings.pipeline.exchange(exchange).feed
        wire, symbols, url, plan = _plan(home, exchange, block, **given)
        report = Report()
        with Sender(settings, exchange, queue=plan.queue) as sender:
            sink = KafkaSink(sender, report, _say)
            live = Feed(wire, url, symbols, Timing.of(plan), sink, report, _say, partial(_filled_by, home, exchange))
            _run(live, sink, report, given["lasting"], as_json)

    about = f"Send {exchange}'s trades of these symbols to its topic."
    return click.command(exchange, help=about)(command)


def _record_of(exchange: str) -> click.Command:
    @_live(exchange)
    @click.option("--into", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder; it is made.")
    @click.option("--rotate", type=Duration(), default="1h", show_default=True, help="A new file after so long.")
    @click.pass_obj
    def command(home: Home, /, as_json: bool, into: Path, rotate: timedelta, **given: Any) -> None:
        block = home.pipeline().exchange(exchange).feed
        wire, symbols, url, plan = _plan(home, exchange, block, **given)
        report = Report()
        sink = Recorder(into, exchange, rotate.total_seconds(), report)
        _run(Feed(wire, url, symbols, Timing.of(plan), sink, report, _say), sink, report, given["lasting"], as_json)

    about = f"Write {exchange}'s frames of these symbols into files."
    return click.command(exchange, help=about)(command)


for _exchange in WIRES:
    feed.add_command(_feed_of(_exchange))
    record.add_command(_record_of(_exchange))


def _plan(
    home: Home,
    exchange: str,
    block: settings.Feed | None,
    symbols: str,
    url: str | None,
    silence: timedelta | None,
    lasting: timedelta | None,
    wire: str | None = None,
) -> tuple[Wire, tuple[str, ...], str, settings.Feed]:
    """What the options and the settings say together: wire, symbols, address, and all the rest."""
    name = wire or next(iter(WIRES[exchange]))
    chosen = WIRES[exchange][name]
    wanted = _symbols(chosen, symbols)
    address = url or (block.endpoints.get(name) if block else None)
    if address is None:
        raise Failure(f"{home.pipeline_file}: exchanges.{exchange}.feed.endpoints.{name} is missing: add it, or name an address with --url")
    plan = block or settings.Feed(endpoints={name: address})
    return chosen, wanted, address, plan.model_copy(update={"silence": silence}) if silence else plan


def _run(live: Feed, sink: KafkaSink | Recorder, report: Report, lasting: timedelta | None, as_json: bool) -> None:
    """Run until stopped; keep all that came; say what it was."""
    try:
        with Progress(SpinnerColumn(), Seen(report), console=screen, transient=True, disable=not screen.is_terminal) as progress:
            progress.add_task("")
            asyncio.run(_until_stopped(live, lasting))
    except KeyboardInterrupt:
        raise  # asked twice: nothing is waited for
    except BaseException:
        sink.close()
        raise
    with screen.status("delivering what was received"):
        sink.close()
    report.seconds, report.holes = round(time.monotonic() - report.started, 3), live.holes()
    click.echo(json.dumps(asdict(report)) if as_json else _line(report))
    if report.failed:
        raise Failure(f"{report.failed:,} messages were not delivered; see `tradelake status`")


async def _until_stopped(live: Feed, lasting: timedelta | None) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    stopped = False

    def restore() -> None:
        for one in STOPPING:
            loop.remove_signal_handler(one)
            signal.signal(one, signal.default_int_handler)  # a second one ends everything

    def stop() -> None:
        nonlocal stopped
        stopped = True
        restore()
        _say("stopping: what was received is kept")
        task.cancel()

    for one in STOPPING:
        loop.add_signal_handler(one, stop)
    try:
        async with asyncio.timeout(lasting.total_seconds() if lasting else None):
            await live.run()
    except TimeoutError:
        return
    except asyncio.CancelledError:
        if not stopped:
            raise
    finally:
        restore()


def _filled_by(home: Home, exchange: str, symbol: str, hole: Hole) -> str:
    """The command that asks the exchange for what is missing, from wherever it is run."""
    where = [] if home.path == default_home().absolute() else ["--home", str(home.path)]
    what = [] if home.pipeline_file == PIPELINE.absolute() else ["--conf", str(home.pipeline_file)]
    ids = ["--symbols", symbol, "--from-id", str(hole.first), "--to-id", str(hole.last)]
    return shlex.join(["tradelake", *where, *what, "backfill", exchange, *ids])


def _say(text: str) -> None:
    screen.print(f"{datetime.now(UTC):%H:%M:%S}  {text}", markup=False, soft_wrap=True)


def _line(report: Report) -> str:
    """The summary for people."""
    sent = f", {report.sent:,} sent" if report.sent else ""
    files = f"; files: {', '.join(report.files)}" if report.files else ""
    return f"{report.trades:,} trades in {report.frames:,} frames in {report.seconds:.1f} s{sent}{_others(report)}{files}"


def _others(report: Report) -> str:
    counts = {
        "reconnects": report.reconnects,
        "renewals": report.renewals,
        "malformed frames": report.malformed,
        "gaps": report.gaps,
        "trades missing": report.missing,
        "waits for Kafka": report.waits,
        "not delivered": report.failed,
        "symbols refused": len(report.refused),
    }
    return "".join(f", {count:,} {what}" for what, count in counts.items() if count)
