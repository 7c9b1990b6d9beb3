"""`tradelake backfill`: what is missing is found, asked for, and sent; or said why not."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task
from rich.text import Text

import conf
from conf.settings import Settings, microseconds, rest_address
from tradelake.as_of import Moment
from tradelake.backfill import held
from tradelake.backfill.api import Api, GivenUp, Refused
from tradelake.backfill.apis import APIS
from tradelake.backfill.client import Client, Key
from tradelake.backfill.fill import Fill
from tradelake.backfill.holes import requests
from tradelake.backfill.report import EPOCH, Gap, Report, Span, iso
from tradelake.console import Failure, screen
from tradelake.feed.commands import Duration
from tradelake.feed.gaps import Hole
from tradelake.home import Home
from tradelake.produce.sender import Sender
from udfs.exchange import exchange as exchange_of
from udfs.rules import Limits

LARGEST = 2**63 - 1
NO_HOLES = "{exchange}'s numbers have holes of their own, so that none of them tells a missing trade: use --from TIME --to TIME"
Command = Callable[..., Any]


class Address(click.ParamType[str]):
    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return rest_address(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True)
class Wanted:
    """What a person asks for: gaps, ids or a time; of these all (`everything`), or what the lake lacks."""

    symbols: tuple[str, ...] | None
    gaps: bool
    since: datetime | None
    ids: Hole | None
    time_us: tuple[int, int] | None
    everything: bool


class Filled(ProgressColumn):
    """What came so far. Reads the report by itself."""

    def __init__(self, report: Report) -> None:
        self._report = report
        super().__init__()

    def render(self, task: Task) -> Text:
        report = self._report
        missing = sum(gap.missing for gap in report.gaps)
        reached = "".join(f", {span.symbol} has come to {iso(span.reached_us)}" for span in report.spans if not span.asked and span.sent)
        left = f", {missing:,} to come" if report.gaps else reached
        return Text(f"{report.fetched:,} trades in {report.requests:,} requests{left}")


@click.group()
def backfill() -> None:
    """Ask an exchange's REST API for trades that no feed told, and send them to Kafka.

    \b
    tradelake backfill binance --gaps                                            every hole that the lake has
    tradelake backfill binance --gaps --since 2h --symbols BTCUSDT --dry-run     what that would ask for
    tradelake backfill binance --symbols BTCUSDT --from-id 17 --to-id 21
    tradelake backfill kraken --symbols BTC/USD --from 2026-08-08T10:00:00Z --to 2026-08-08T11:00:00Z

    They take the way of all trades: the same topic, the same records, the same message_ids. What the lake has already is not sent again,
    so that an interrupted backfill is simply run again. What the exchange does not give is named, and the exit code is 1.
    """


def _options(api: Api) -> Callable[[Command], Command]:
    number = click.IntRange(0, LARGEST)
    key = [
        click.option(
            "--api-key-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help=f"A file that holds an API key, where the exchange asks for one. [default: ${api.key_variable}, if it is set]",
        )
    ]
    options = [
        click.option("--symbols", metavar="A,B,...", help=f"As the feed writes them: {api.example}. With --gaps: all, by default."),
        click.option("--gaps", is_flag=True, help="What the lake misses between two numbers of a symbol."),
        click.option(
            "--since", type=Moment(), help="With --gaps: only holes before a trade that came since: 2026-08-08T23:54:15Z, or 2 h."
        ),
        click.option("--from-id", type=number, help="The first number that is wanted."),
        click.option("--to-id", type=number, help="The last one."),
        click.option("--from", "begins", type=Moment(), help="From this time on: 2026-08-08T23:54:15Z, or how long ago: 5 min, 2 h."),
        click.option("--to", "ends", type=Moment(), help="Before this time. [default: now]"),
        click.option(
            "--all",
            "everything",
            is_flag=True,
            help="Send what the lake has too, without asking it. Gold knows a repeat for as long as jobs.gold.ttl.",
        ),
        click.option(
            "--most", type=click.IntRange(1), default=1_000_000, show_default=True, help="Ask for no more missing trades than so many."
        ),
        click.option("--dry-run", is_flag=True, help="Say what would be asked for, and send nothing."),
        click.option(
            "--patience",
            type=Duration(),
            default="10min",
            show_default=True,
            help="If the exchange wants to be left alone for longer, end.",
        ),
        click.option("--url", type=Address(), help=f"Another address. [default: exchanges.{api.exchange}.feed.rest of --conf]"),
        *(key if api.key_variable else []),
        click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object."),
    ]

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _command_of(api: Api) -> click.Command:
    @_options(api)
    @click.pass_obj
    def command(
        home: Home,
        /,
        dry_run: bool,
        as_json: bool,
        most: int,
        patience: timedelta,
        url: str | None,
        api_key_file: Path | None = None,
        **given: Any,
    ) -> None:
        wanted = _wanted(api, **given)
        settings = home.settings()
        key = _key(api, api_key_file)
        report = Report(api.exchange, dry_run)
        with ExitStack() as stack:
            client = stack.enter_context(Client(api, _address(home, api, url), key, patience.total_seconds(), report, _say))
            lake = stack.enter_context(held.opened(home, settings, api.exchange)) if not wanted.everything else None
            try:
                with screen.status("looking for what is missing"):
                    _plan(api, wanted, lake, client, report)
            except Refused as error:
                raise Failure(f"{api.exchange} refuses: {error}") from error
            except GivenUp as error:
                raise Failure(str(error)) from error
            if not dry_run and (missing := sum(gap.missing for gap in report.gaps)) > most:
                raise Failure(f"{missing:,} trades are missing: name fewer --symbols or a later --since, or allow it with --most {missing}")
            if not dry_run and (report.gaps or report.spans):
                _fill(api, client, settings, lake, report)
        report.end()
        click.echo(json.dumps(asdict(report)) if as_json else "\n".join(_lines(api, report)))
        _check(report)

    about = f"Ask {api.exchange} for trades that no feed told, and send them to its topic."
    return click.command(api.exchange, help=about, short_help=f"Ask {api.exchange}.")(command)


for _api in APIS.values():
    backfill.add_command(_command_of(_api))


def _wanted(
    api: Api,
    symbols: str | None,
    gaps: bool,
    since: datetime | None,
    from_id: int | None,
    to_id: int | None,
    begins: datetime | None,
    ends: datetime | None,
    everything: bool,
) -> Wanted:
    """What the options say together; wrong usage where they say nothing, or more than one thing."""
    ids, time = (from_id, to_id) != (None, None), (begins, ends) != (None, None)
    ways = "--gaps, --from-id and --to-id, or --from (and --to)" if api.by_id else "--from (and --to)"
    if api.by_id is None and (gaps or ids):
        raise click.UsageError(NO_HOLES.format(exchange=api.exchange))
    if gaps + ids + time != 1:
        raise click.UsageError(f"say one of {ways}")
    if since and not gaps:
        raise click.UsageError("--since belongs to --gaps: for a time of your own use --from TIME")
    if everything and gaps:
        raise click.UsageError("--gaps is what the lake misses: it does not go with --all")
    if symbols is None and not gaps:
        raise click.UsageError(f"--symbols is missing: {api.example},...")
    return Wanted(
        symbols=None if symbols is None else _symbols(api, symbols),
        gaps=gaps,
        since=since,
        ids=_ids(from_id, to_id) if ids else None,
        time_us=_time(begins, ends) if time else None,
        everything=everything,
    )


def _symbols(api: Api, text: str) -> tuple[str, ...]:
    symbols = tuple(text.split(","))
    if len(set(symbols)) < len(symbols) or not all(map(api.symbol.fullmatch, symbols)):
        raise click.UsageError(f"--symbols is a list of different symbols as {api.exchange} writes them, with commas: {api.example},...")
    for why in filter(None, map(api.written, symbols)):
        raise click.UsageError(f"--symbols: {why}")
    return symbols


def _ids(first: int | None, last: int | None) -> Hole:
    if first is None or last is None:
        raise click.UsageError("--from-id and --to-id go together")
    if last < first:
        raise click.UsageError(f"--to-id {last} is below --from-id {first}")
    return Hole(first, last)


def _time(begins: datetime | None, ends: datetime | None) -> tuple[int, int]:
    if begins is None:
        raise click.UsageError("--to needs a --from")
    since, until = ((time - EPOCH) // timedelta(microseconds=1) for time in (begins, ends or datetime.now(UTC)))
    if until <= since:
        raise click.UsageError(f"--to {iso(until)} is not after --from {iso(since)}")
    return since, until


def _address(home: Home, api: Api, url: str | None) -> str:
    block = home.pipeline().exchange(api.exchange).feed
    address = url or (block.rest if block else None)
    if address is None:
        raise Failure(f"{home.pipeline_file}: exchanges.{api.exchange}.feed.rest is missing: add it, or name an address with --url")
    return address


def _key(api: Api, file: Path | None) -> Key | None:
    if file:
        return Key.from_file(file)
    text = os.environ.get(api.key_variable) if api.key_variable else None
    return Key.of(text, f"${api.key_variable}") if text else None


def _plan(api: Api, wanted: Wanted, lake: held.Lake | None, client: Client, report: Report) -> None:
    """Write into the report what is to be asked for. By time, the exchange is asked which ids that are."""
    if wanted.gaps:
        assert lake is not None
        report.gaps += [_gap(symbol, hole) for symbol, hole in lake.gaps(wanted.symbols, wanted.since)]
        return
    for symbol in wanted.symbols or ():
        if api.by_id is None:
            assert wanted.time_us is not None
            report.spans.append(Span(symbol, *wanted.time_us, reached_us=wanted.time_us[0]))
            continue
        ids = api.by_id.ids(client, symbol, *wanted.time_us) if wanted.time_us else wanted.ids
        if ids is not None:
            report.gaps += [_gap(symbol, hole) for hole in (lake.holes(symbol, ids) if lake else [ids])]


def _gap(symbol: str, hole: Hole) -> Gap:
    return Gap(symbol, hole.first, hole.last, [hole])


def _fill(api: Api, client: Client, settings: Settings, lake: held.Lake | None, report: Report) -> None:
    limits = settings.pipeline.limits
    judge = exchange_of(
        api.exchange,
        conf.schema(api.exchange),
        Limits(microseconds(limits.future_tolerance), microseconds(limits.max_age)),
        settings.pipeline.exchange(api.exchange).quote_assets,
    )
    with Sender(settings, api.exchange) as sender:
        with _shown(report):
            known = {"held": lake.held} if lake else {}
            Fill(api, client, judge, sender, report, **known).run()
        with screen.status("delivering what was fetched"):
            report.failed = sender.flush()
        report.sent = sender.sent - report.failed


@contextmanager
def _shown(report: Report) -> Iterator[None]:
    with Progress(SpinnerColumn(), Filled(report), console=screen, transient=True, disable=not screen.is_terminal) as progress:
        progress.add_task("")
        yield


def _say(text: str) -> None:
    screen.print(f"{datetime.now(UTC):%H:%M:%S}  {text}", markup=False, soft_wrap=True)


def _lines(api: Api, report: Report) -> Iterable[str]:
    """The result for people."""
    if report.dry_run:
        yield from _planned(api, report)
        return
    if not report.gaps and not report.spans:
        yield "nothing is missing"
        return
    for gap in report.gaps:
        if gap.missing < gap.wanted:
            yield f"filled: {gap.symbol} {_named(Hole(gap.first, gap.last))}, {gap.wanted - gap.missing:,} trades"
        if gap.left:
            yield f"not filled: {gap.symbol} {', '.join(map(_named, gap.left))}: {'; '.join(gap.reasons)}"
    for span in report.spans:
        yield f"{span.symbol} {iso(span.since_us)} to {iso(span.until_us)}: {span.sent:,} trades"
        if span.reasons:
            where = "" if span.asked else f", from {iso(span.reached_us)} on"
            yield f"not complete: {span.symbol}{where}: {'; '.join(span.reasons)}"
    others = {"had already": report.held, "missing still": report.missing, "not delivered": report.failed, "asked again": report.retries}
    more = "".join(f", {count:,} {what}" for what, count in others.items() if count)
    yield f"{report.sent:,} trades sent, {report.requests:,} requests in {report.seconds:.1f} s{more}"


def _planned(api: Api, report: Report) -> Iterable[str]:
    for gap in report.gaps:
        yield f"{gap.symbol} {_named(Hole(gap.first, gap.last))}: {gap.wanted:,} trades"
    for span in report.spans:
        yield f"{span.symbol} {iso(span.since_us)} to {iso(span.until_us)}: a request for each {api.page:,} trades, and one more"
    if report.spans:
        yield f"at least {2 * len(report.spans)} requests, {api.pause_s:g} s apart: how many trades there were, only the exchange knows"
        return
    trades = sum(gap.wanted for gap in report.gaps)
    count = planned_requests(api, report.gaps)
    yield f"{len(report.gaps):,} gaps, {trades:,} trades, {count:,} requests of weight {api.weight}, at least {count * api.pause_s:.0f} s"


def planned_requests(api: Api, gaps: Iterable[Gap]) -> int:
    by_symbol: dict[str, list[Gap]] = {}
    for gap in gaps:
        by_symbol.setdefault(gap.symbol, []).append(gap)
    return sum(requests(some, api.page) for some in by_symbol.values())


def _named(hole: Hole) -> str:
    return f"id {hole.first}" if hole.size == 1 else f"ids {hole.first}-{hole.last}"


def _check(report: Report) -> None:
    if report.dry_run or report.complete:
        return
    problems = {
        f"{report.failed:,} messages were not delivered; see `tradelake status`": report.failed,
        "interrupted; what was fetched until then is delivered, and the same command asks for the rest": report.interrupted,
        f"{report.missing:,} trades are still missing: the reasons stand above": report.missing and not report.interrupted,
        "not all of the time is complete: the reasons stand above": any(span.reasons for span in report.spans) and not report.interrupted,
    }
    raise Failure("; ".join(text for text, there in problems.items() if there))
