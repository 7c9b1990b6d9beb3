"""How fast each layer works off a backlog, and what that costs: rows from the first to the last commit, CPU from the kernel's accounts.

A stack of its own is started, warmed up, filled while no job runs, and worked off one layer after the other; then once more by all at
once. All of that twice, with a third of the backlog and with the whole: what a job costs to start and to compile is in both, and falls
out of the difference. Every figure is also given as a multiple of what bare fastavro needs to decode the same trades, measured in the same
run: machines differ.
"""

import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bench.measuring import cpu_by_part, cpu_of_machine, keep, machine, memory_by_part, tradelake, yardstick
from tradelake.home import Home
from tradelake.lake import catalog

LAYERS = {"bronze-binance": "bronze_binance_trades", "silver-binance": "silver_binance_trades", "gold": "gold_crypto_trades"}
ALL = "all at once"
FLINK = ("jobmanager", "taskmanager")
POLL_S = 1.0
PATIENCE_S = 1800
WARM_UP = 200_000


@click.command()
@click.option("--trades", type=click.IntRange(min=30_000), default=3_000_000, show_default=True, help="Trades in the larger backlog.")
@click.option("--duplicates", type=click.FloatRange(0, 0.9), default=0.0, show_default=True, help="The share of them that was sent before.")
@click.option("--port-base", type=int, default=21_500, show_default=True)
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), default=Path(".bench"), show_default=True)
def backlog(trades: int, duplicates: float, port_base: int, into: Path) -> None:
    """Work off two backlogs of generated trades, one layer after the other and all at once."""
    with stack(port_base) as home:
        say("warm-up")
        tradelake(home, "submit")
        send(home, WARM_UP, 0.0)
        wait_for_gold(home, WARM_UP)
        before = yardstick()
        tradelake(home, "stop")
        small, large = (worked_off(home, some, duplicates) for some in (trades // 3, trades))
        after = yardstick()
        figures: dict[str, Any] = {
            "trades": trades,
            "duplicates": duplicates,
            "machine": machine(),
            "fastavro_cpu_s_per_million": {"before": round(before, 2), "after": round(after, 2)},
            "small": small,
            "large": large,
            "each_more": {name: each_more(small[name], large[name], (before + after) / 2) for name in large},
            "audit": json.loads(tradelake(home, "audit", "--json"))["clean"],
        }
    show(figures)
    click.echo(f"{keep('backlog', figures, into)}")


def worked_off(home: Path, trades: int, duplicates: float) -> dict[str, Any]:
    """A backlog through each layer by itself, and another one through all at once; figures by layer."""
    say(f"{trades:,} trades to Kafka")
    send(home, trades, duplicates)
    figures = {}
    for job, table in LAYERS.items():
        say(job)
        figures[job] = layer(home, [job], table)
        tradelake(home, "stop")
    say(f"{trades:,} trades more, for all at once")
    send(home, trades, duplicates)
    figures[ALL] = layer(home, list(LAYERS), LAYERS["gold"])
    tradelake(home, "stop")
    return figures


def each_more(small: dict[str, Any], large: dict[str, Any], fastavro: float) -> dict[str, Any]:
    """CPU seconds of each million rows more, and as a multiple of bare fastavro: without what a job costs once."""
    cost = (large["flink_cpu_s"] - small["flink_cpu_s"]) / (large["rows"] - small["rows"]) * 1e6
    return {"cpu_s_per_million": round(cost, 2), "of_fastavro": round(cost / fastavro, 2)}


@contextmanager
def stack(port_base: int) -> Iterator[Path]:
    """A stack with topics and tables, and nothing of it afterwards."""
    home = Path(tempfile.mkdtemp(prefix="tradelake-bench-")) / "home"
    try:
        for command in (("up", "--port-base", port_base), ("topics", "create"), ("tables", "create")):
            tradelake(home, *command)
        yield home
    finally:
        tradelake(home, "down", "--purge")


def send(home: Path, trades: int, duplicates: float) -> None:
    seed = secrets.randbelow(2**31)
    tradelake(home, "produce", "--generate", trades, "--seed", seed, *(["--duplicates", duplicates] if duplicates else []))


def layer(home: Path, jobs: list[str], table: str) -> dict[str, Any]:
    """Start jobs, and wait until a table gets no more rows of what there was when they were started."""
    rows_before, snapshots_before = rows_of(home, table), len(commits(home, table))
    cpu, whole, started = cpu_by_part(home), cpu_of_machine(), time.monotonic()
    tradelake(home, "submit", *jobs)
    submitted = time.monotonic() - started
    wait_until_settled(home, table)
    used = {part: seconds - cpu.get(part, 0.0) for part, seconds in cpu_by_part(home).items()}
    busy = cpu_of_machine()["busy"] - whole["busy"]
    made = commits(home, table)[snapshots_before:]
    rows = rows_of(home, table) - rows_before
    seconds = (made[-1][0] - made[0][0]).total_seconds() if len(made) > 1 else 0.0
    of_flink = sum(used.get(part, 0.0) for part in FLINK)
    return {
        "rows": rows,
        "commits": len(made),
        "submitted_s": round(submitted, 1),
        "rows_per_s": round((rows - made[0][1]) / seconds) if seconds else None,
        "flink_cpu_s": round(of_flink, 2),
        "cpu_s_per_million": round(of_flink / rows * 1e6, 2),
        "cpu_by_part": {part: round(value, 1) for part, value in sorted(used.items()) if value >= 0.1},
        "machine_cpu_s": round(busy, 1),
        "memory_mb": {part: held >> 20 for part, held in sorted(memory_by_part(home).items())},
    }


def commits(home: Path, table: str) -> list[tuple[datetime, int]]:
    """When each snapshot with rows was committed, and how many rows it added; oldest first."""
    settings = Home(home).settings()
    snapshots = catalog(settings).load_table((settings.pipeline.database, table)).snapshots()
    added = [(s.timestamp_ms, int((s.summary and s.summary["added-records"]) or 0)) for s in snapshots]
    return [(datetime.fromtimestamp(at / 1000, UTC), rows) for at, rows in added if rows]


def rows_of(home: Path, table: str) -> int:
    return sum(rows for _, rows in commits(home, table))


def wait_until_settled(home: Path, table: str) -> None:
    """Until the table's job has committed, and then nothing more for ten seconds."""
    deadline, last, since, began = time.monotonic() + PATIENCE_S, rows_of(home, table), time.monotonic(), False
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        if (now := rows_of(home, table)) != last:
            last, since, began = now, time.monotonic(), True
        elif began and time.monotonic() - since > 10:
            return
    raise SystemExit(f"{table} has {last} rows after {PATIENCE_S} s, and none came")


def wait_for_gold(home: Path, rows: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while rows_of(home, LAYERS["gold"]) < rows:
        if time.monotonic() > deadline:
            raise SystemExit(f"gold has not {rows} rows after {PATIENCE_S} s")
        time.sleep(POLL_S)


def say(what: str) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S}  {what}", err=True)


def show(figures: dict[str, Any]) -> None:
    """A line a layer."""
    click.echo(f"{'':<16}{'rows':>12}{'rows/s':>10}{'CPU-s/M':>10}{'each more':>11}{'x fastavro':>12}")
    for name, one in figures["large"].items():
        speed, more = f"{one['rows_per_s']:,}" if one["rows_per_s"] else "-", figures["each_more"][name]
        line = f"{one['cpu_s_per_million']:>10}{more['cpu_s_per_million']:>11}{more['of_fastavro']:>12}"
        click.echo(f"{name:<16}{one['rows']:>12,}{speed:>10}{line}")
    click.echo("CPU-s/M: a million rows with the start of the job; each more: without it")
    click.echo(f"bare fastavro: {figures['fastavro_cpu_s_per_million']} CPU-s a million; audit clean: {figures['audit']}")


if __name__ == "__main__":
    backlog()
