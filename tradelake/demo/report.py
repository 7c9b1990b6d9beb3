"""What came of a demo, for a person and for a program."""

from dataclasses import asdict, dataclass
from typing import Any

import duckdb

import sql
from conf.settings import Settings
from tradelake.console import output
from tradelake.demo.progress import Progress, read_rejects
from tradelake.demo.screen import closing, hops_table, program, rejects_table, totals_table, unmeasured
from tradelake.demo.traffic import Sending
from tradelake.latency import Hop
from tradelake.results import batches, print_rows


@dataclass(frozen=True)
class Outcome:
    """What a demo has done. `before` and `after` are rows in the tables by layer, `seconds` from the last message sent to all in place."""

    sending: Sending
    progress: Progress
    before: dict[str, int]
    after: dict[str, int]
    seconds: float


def report(settings: Settings, connection: duckdb.DuckDBPyConnection, outcome: Outcome, hops: dict[str, Hop]) -> None:
    """What came of it, for a person."""
    sent, progress = outcome.sending, outcome.progress
    new = outcome.after["gold"] - outcome.before["gold"]
    output.print(
        f"\n[bold]Done.[/] {sent.total:,} messages sent, {sent.rate:,.0f} a second; "
        f"all were in their places {outcome.seconds:.0f} s after the last."
    )
    output.print(totals_table(outcome.before, outcome.after))
    output.print(
        f"  {progress.silver:,} of the messages were valid. They are {progress.trades:,} different trades: "
        f"{progress.repeats:,} repeats were removed.\n"
        + (f"  {new:,} of these trades were new to gold." if new else "  Gold had all of these trades already: it did not grow.")
    )
    output.print("\n[bold]Rejected[/], kept with their reasons in the table silver_dlq_trades")
    output.print(rejects_table(read_rejects(connection, sent.since)))
    output.print("[bold]Last trades of gold[/]")
    cursor = connection.execute(sql.text("demo_last_trades"))
    print_rows([column[0] for column in cursor.description], [False] * 4 + [True] * 2, batches(cursor), output)
    output.print(
        "\n[bold]Latency[/] of all rows of this demo, from the commit that shows a row in one layer to the one that shows it in the next. "
        "Half of them took no longer than p50, 99 % no longer than p99; the targets are the reference system's."
    )
    output.print(hops_table(hops))
    if missing := unmeasured(hops):
        output.print(f"  {missing}\n", soft_wrap=True)
    output.print(closing(settings.environment.flink.rest, program()), soft_wrap=True)


def as_object(connection: duckdb.DuckDBPyConnection, outcome: Outcome, hops: dict[str, Hop]) -> dict[str, Any]:
    """What came of it, for a program: rows in the tables, seconds."""
    end_to_end = hops["end_to_end"]
    return {
        **outcome.after,
        "duplicates": outcome.after["silver"] - outcome.after["gold"],
        "p50_s": end_to_end.p50_s,
        "p99_s": end_to_end.p99_s,
        "sent": outcome.sending.total,
        "rejects": {reject.reason: reject.messages for reject in read_rejects(connection)},
        "hops": {name: asdict(hop) for name, hop in hops.items()},
    }
