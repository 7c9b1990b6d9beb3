"""How large a cluster must be for so many trades a second: computed from what was measured on one machine, not measured on a cluster.

python -m tradelake.sizing 1000 10000 100000
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.table import Table

from tradelake.console import output

LAYERS = ("bronze", "silver", "gold")


@dataclass(frozen=True)
class Inputs:
    """What the figures are computed from. Change what you have measured yourself.

    Attributes:
        cpu_seconds: of JobManager, TaskManager and Python worker for a million rows of each layer, on one machine, the worse ends of the
            measured ranges (bronze 2.9, silver 12-14, gold 17-30 with RocksDB).
        busy: how much of a slot's core is planned for; the rest is for catching up after an outage, and for checkpoints.
        key_bytes: of RocksDB on disk for a key of gold's deduplication, twice what was measured (13,234,223 bytes of state for 434,140
            keys, 30.5 each) for what compaction has yet to remove.
        message_bytes: of one message in Kafka, compressed in batches of 5 ms; the largest that was measured (at 1,000/s: 30.7 of
            Binance, recorded; 46.0 of Kraken, generated).
        exchanges: among which the trades are spread evenly.
        ttl_hours, retention_hours: of gold's state (`jobs.gold.ttl`) and of the topics (`exchanges.*.retention`).
        taskmanager_mb, jobmanager_mb: of one slot of each layer, and of each job (kubernetes/).
    """

    cpu_seconds: dict[str, float] = field(default_factory=lambda: {"bronze": 2.9, "silver": 14.0, "gold": 30.0})
    busy: float = 0.5
    key_bytes: int = 61
    message_bytes: int = 46
    exchanges: int = 2
    ttl_hours: int = 24
    retention_hours: int = 7 * 24
    taskmanager_mb: dict[str, int] = field(default_factory=lambda: {"bronze": 1536, "silver": 1792, "gold": 2048})
    jobmanager_mb: int = 1600


@dataclass(frozen=True)
class Size:
    """Slots are of one job: there are as many bronze and silver jobs as exchanges. Memory in MB, the others in GB."""

    rate: int
    slots: dict[str, int]
    cores: float
    memory_mb: int
    partitions: int
    state_gb: float
    kafka_gb: float


def size(rate: int, inputs: Inputs) -> Size:
    """What `rate` trades a second need, all exchanges together."""
    jobs = {layer: 1 if layer == "gold" else inputs.exchanges for layer in LAYERS}
    cores = {layer: rate / jobs[layer] * inputs.cpu_seconds[layer] / 1e6 for layer in LAYERS}
    slots = {layer: max(1, math.ceil(cores[layer] / inputs.busy)) for layer in LAYERS}
    memory = sum(jobs[layer] * (slots[layer] * inputs.taskmanager_mb[layer] + inputs.jobmanager_mb) for layer in LAYERS)
    return Size(
        rate=rate,
        slots=slots,
        cores=sum(jobs[layer] * cores[layer] for layer in LAYERS),
        memory_mb=memory,
        partitions=max(4, slots["bronze"]),
        state_gb=rate * 3600 * inputs.ttl_hours * inputs.key_bytes / 1e9,
        kafka_gb=rate * 3600 * inputs.retention_hours * inputs.message_bytes / 1e9,
    )


COLUMNS = (
    "trades/s",
    "cores for rows",
    "slots a job: bronze, silver, gold",
    "memory",
    "partitions a topic",
    "gold's state",
    "Kafka, one replica",
)


def row(size: Size) -> tuple[str, ...]:
    """As the columns say."""
    return (
        f"{size.rate:,}",
        f"{size.cores:.2f}",
        ", ".join(str(size.slots[layer]) for layer in LAYERS),
        f"{size.memory_mb / 1024:.1f} GB",
        str(size.partitions),
        f"{size.state_gb:,.1f} GB",
        f"{size.kafka_gb:,.1f} GB",
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tradelake.sizing", description="How large a cluster must be. Computed from measurements on one machine."
    )
    parser.add_argument(
        "rates", nargs="*", type=int, default=[1_000, 10_000, 100_000], metavar="RATE", help="trades a second, all exchanges"
    )
    parser.add_argument("--ttl-hours", type=int, default=Inputs.ttl_hours, help="jobs.gold.ttl (default: %(default)s)")
    parser.add_argument("--exchanges", type=int, default=Inputs.exchanges, help="among which the trades are spread (default: %(default)s)")
    given = parser.parse_args(argv)
    if min([given.ttl_hours, given.exchanges, *given.rates]) < 1:
        parser.error("rates, hours and exchanges are 1 or more")
    inputs = Inputs(ttl_hours=given.ttl_hours, exchanges=given.exchanges)
    table = Table(*COLUMNS, title="computed, not measured on a cluster")
    for rate in given.rates:
        table.add_row(*row(size(rate, inputs)))
    output.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
