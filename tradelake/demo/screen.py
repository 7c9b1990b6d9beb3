"""What a person sees while the demo runs, and at its end."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tradelake.demo.progress import Progress, Reject
from tradelake.demo.traffic import Sending
from tradelake.latency import HOPS, Hop

LINE_EVERY_S = 5
"""Where the screen cannot be redrawn, a line is printed this often."""
LAYERS = {
    "bronze": "every message, byte for byte",
    "silver": "the valid trades, in one common form",
    "dlq": "the rejected messages (dead-letter queue)",
    "gold": "every trade once, all exchanges",
}
HOP_NAMES = {
    "kafka_to_bronze": "Kafka to bronze",
    "bronze_to_silver": "bronze to silver",
    "silver_to_gold": "silver to gold",
    "end_to_end": "all the way: Kafka to gold",
}
TARGETS_S = {"kafka_to_bronze": 10, "bronze_to_silver": 60, "silver_to_gold": 60, "end_to_end": 300}
"""What the reference system promises."""

QUESTION = "SELECT symbol, count(*), max(price) FROM gold_crypto_trades GROUP BY symbol"


@dataclass
class View:
    """All that the screen shows."""

    sending: Sending
    tables: dict[str, int] = field(default_factory=dict)
    """Rows in the tables: `bronze`, `silver`, `dlq`, `gold`."""
    progress: Progress = field(default_factory=Progress)
    rejects: list[Reject] = field(default_factory=list)
    hops: dict[str, Hop] = field(default_factory=dict)
    waiting_for: str = ""

    def of_this_run(self, layer: str) -> int:
        return self.progress.rejected if layer == "dlq" else int(getattr(self.progress, layer))


@contextmanager
def live(view: View, console: Console) -> Iterator[None]:
    """Keep `view` on the screen, redrawn in place; nothing where the console is no terminal (see `Lines`)."""
    if not console.is_terminal:
        yield
        return
    with Live(get_renderable=lambda: render(view), console=console, refresh_per_second=4):
        yield


class Lines:
    """The same as plain lines, for a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console, self._printed, self._last = console, 0.0, ""

    def show(self, view: View) -> None:
        line = summary(view)
        if not self._console.is_terminal and line != self._last and time.monotonic() - self._printed >= LINE_EVERY_S:
            self._console.print(f"  {line}", soft_wrap=True)
            self._printed, self._last = time.monotonic(), line


def summary(view: View) -> str:
    """One line: where this run's messages are."""
    p = view.progress
    return (
        f"sent {view.sending.sent:,} of {view.sending.total:,} · bronze {p.bronze:,} · silver {p.silver:,} · rejected {p.rejected:,} · "
        f"repeats removed {p.repeats:,} · gold {p.gold:,} of {p.trades:,} trades"
    )


def render(view: View) -> Group:
    sending = view.sending
    bar = Table.grid(padding=(0, 2))
    sent = f"{sending.sent:,} of {sending.total:,} messages, {sending.rate:,.0f}/s"
    bar.add_row("  sent to Kafka", ProgressBar(total=sending.total, completed=sending.sent, width=30), sent)
    details = Table.grid(padding=(0, 2))
    details.add_row("  repeats removed", f"{view.progress.repeats:,} [dim](trades that were sent again, as after a reconnect)[/]")
    details.add_row("  rejected for", by_reason(view.rejects) or "[dim]nothing yet[/]")
    details.add_row("  latency so far", _latency(view.hops) or "[dim]known once the first rows are committed[/]")
    details.add_row("  waiting for", f"[bold]{view.waiting_for}[/]")
    return Group(Text(""), bar, layers(view), details)


def layers(view: View) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for name in ("layer", "what it holds"):
        table.add_column(name)
    for name in ("this demo", "in all"):
        table.add_column(name, justify="right")
    for layer, meaning in LAYERS.items():
        table.add_row(layer, meaning, f"{view.of_this_run(layer):,}", f"{view.tables.get(layer, 0):,}")
    return table


def by_reason(rejects: list[Reject]) -> str:
    return ", ".join(f"{escape(reject.reason)} {reject.messages:,}" for reject in rejects)


def rejects_table(rejects: list[Reject]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for name in ("what is wrong", "reason"):
        table.add_column(name, no_wrap=True)
    table.add_column("messages", justify="right")
    table.add_column("one of them")
    for reject in rejects:
        table.add_row(Text(reject.type), Text(reject.reason), f"{reject.messages:,}", Text(reject.example or ""))
    return table


def totals_table(before: dict[str, int], after: dict[str, int]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for name in ("layer", "what it holds"):
        table.add_column(name, no_wrap=True)
    for name in ("new rows", "in all"):
        table.add_column(name, justify="right")
    for layer, meaning in LAYERS.items():
        table.add_row(layer, meaning, f"{after[layer] - before[layer]:,}", f"{after[layer]:,}")
    return table


def _latency(hops: dict[str, Hop]) -> str:
    known = {name: hop for name, hop in hops.items() if hop.p99_s is not None}
    return " · ".join(f"{HOP_NAMES[name]} {hop.p99_s:.1f} s" for name, hop in known.items()) + (" [dim](p99)[/]" if known else "")


def hops_table(hops: dict[str, Hop]) -> Table:
    """p50 and p99 of each hop beside the reference system's target."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("hop", no_wrap=True)
    for name in ("rows", "p50", "p99", "target"):
        table.add_column(name, justify="right")
    for name in HOPS:
        hop = hops[name]
        table.add_row(HOP_NAMES[name], f"{hop.rows:,}", _seconds(hop.p50_s), _seconds(hop.p99_s), f"{TARGETS_S[name]} s")
    return table


def unmeasured(hops: dict[str, Hop]) -> str:
    """One line that says which rows the table lacks; nothing when it has all."""
    rows = ", ".join(f"{hops[name].unmeasured:,} rows of {HOP_NAMES[name]}" for name in HOPS if hops[name].unmeasured)
    return rows and f"Not measured: {rows}; their snapshot is from before this demo, or has expired."


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"


def closing(web_ui: str, program: str) -> str:
    """What to try next; `program` is how a person calls tradelake."""
    web_ui, program = escape(web_ui), escape(program)
    commands = {
        f"{program} query --list": "questions that are ready to ask, as in: query --name last_trades",
        f'{program} query "{QUESTION}"': "a question of your own, in SQL",
        f"{program} produce --generate 100000 --rate 1000": "more trades, made up",
        f"{program} status": "the processes and the jobs",
        f"{program} down": "stop everything and keep the data (down --purge deletes it)",
    }
    tries = "\n".join(f"  # {meaning}\n  {command}" for command, meaning in commands.items())
    return f"The stack goes on running; Flink shows its jobs at {web_ui}\n\n[bold]What to try next[/]\n{tries}"


def program() -> str:
    """The command as it can be typed from the current folder."""
    called = Path(sys.argv[0]).absolute()
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else called.name
