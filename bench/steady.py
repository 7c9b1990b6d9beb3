"""How far gold is behind a steady feed, and what that costs: latency over all rows, CPU from the kernel's accounts of each process.

The stack must be up, its jobs running: `tradelake up && tradelake submit`.
"""

import json
import subprocess
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
import psutil

from bench.measuring import TRADELAKE, cpu_by_part, cpu_of_machine
from tradelake.home import Home
from tradelake.latency import HOPS, Hop, measure

PATIENCE_S = 300


@click.command()
@click.option("--home", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path(".tradelake"), show_default=True)
@click.option("--rate", type=int, default=1_000, show_default=True, help="Trades a second.")
@click.option("--warm-up", type=int, default=120, show_default=True, help="Seconds at this rate before the measured ones.")
@click.option("--seconds", type=int, default=60, show_default=True, help="Seconds that are measured.")
def steady(home: Path, rate: int, warm_up: int, seconds: int) -> None:
    """Send generated trades at a rate, and print each hop's latency and the CPU of each part as JSON."""
    home = home.resolve()
    seed = int(time.time())
    if warm_up:
        produce(home, seed, rate, warm_up)
    before, machine, clock, since = cpu_by_part(home), cpu_of_machine(), time.monotonic(), datetime.now(UTC)
    produce(home, seed + 1, rate, seconds)
    elapsed = time.monotonic() - clock
    after, shares = cpu_by_part(home), {name: value - machine[name] for name, value in cpu_of_machine().items()}
    hops = wait_for_all(home, since, rate * seconds)
    used = {part: round((after[part] - before[part]) / elapsed, 3) for part in sorted(after)}
    figures = {
        "rate": rate,
        "seconds": round(elapsed, 1),
        "cores": psutil.cpu_count(),
        "machine": {name: round(value / elapsed / (psutil.cpu_count() or 1), 3) for name, value in shares.items()},
        "cpu_cores_by_part": {**used, "all parts": round(sum(used.values()), 3)},
        "hops": {name: asdict(hops[name]) for name in HOPS},
    }
    click.echo(json.dumps(figures, indent=2))


def produce(home: Path, seed: int, rate: int, seconds: int) -> None:
    command = [TRADELAKE, "--home", home, "produce", "--generate", rate * seconds, "--seed", seed, "--rate", rate]
    subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)


def wait_for_all(home: Path, since: datetime, rows: int) -> dict[str, Hop]:
    settings, deadline = Home(home).settings(), time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        hops = measure(settings, since)
        if hops["end_to_end"].rows >= rows:
            return hops
        time.sleep(5)
    raise SystemExit(f"gold has {hops['end_to_end'].rows} of {rows} rows after {PATIENCE_S} s")


if __name__ == "__main__":
    steady()
