"""What benchmarks share: CPU from the kernel's accounts of each process, a yardstick of this machine's speed, results in a folder."""

import json
import platform
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import psutil

import conf
from tradelake.stack.processes import PART, of_home

TRADELAKE = Path(sys.executable).with_name("tradelake")
YARDSTICK_ROWS = 200_000


def cpu_by_part(home: Path) -> dict[str, float]:
    """CPU seconds so far of each part's living processes, of their ended children as far as they were waited for."""
    seconds: dict[str, float] = defaultdict(float)
    for process in of_home(home):
        with suppress(psutil.Error):
            times, part = process.cpu_times(), process.environ()[PART]
            seconds[part] += times.user + times.system
            if part == "taskmanager" and "python" in process.name():
                seconds["taskmanager (python)"] += times.user + times.system
    return seconds


def cpu_of_machine() -> dict[str, float]:
    """CPU seconds of all cores: what ran, what a hypervisor gave to others, and the share of ended children of this process."""
    times, children = psutil.cpu_times(), psutil.Process().cpu_times()
    busy = times.user + times.nice + times.system + times.irq + times.softirq
    return {"busy": busy, "producer": children.children_user + children.children_system, "stolen": times.steal}


def memory_by_part(home: Path) -> dict[str, int]:
    """Resident bytes of each part now."""
    held: dict[str, int] = defaultdict(int)
    for process in of_home(home):
        with suppress(psutil.Error):
            held[process.environ()[PART]] += process.memory_info().rss
    return dict(held)


def yardstick() -> float:
    """CPU seconds that bare fastavro takes to decode a million Binance trades, on this machine, now."""
    schema = fastavro.parse_schema(json.loads(conf.schema("binance")))
    body = BytesIO()
    trade = {
        "event_type": "trade",
        "event_time_ms": 1_723_161_255_343,
        "symbol": "BTCUSDT",
        "trade_id": 3_735_683_259,
        "price": "61837.63000000",
        "quantity": "0.00092000",
        "trade_time_ms": 1_723_161_255_342,
        "is_buyer_maker": True,
        "is_best_match": True,
        "ingestion_timestamp": 1_723_161_255_343_000,
    }
    fastavro.schemaless_writer(body, schema, trade)
    encoded, started = body.getvalue(), time.process_time()
    for _ in range(YARDSTICK_ROWS):
        fastavro.schemaless_reader(BytesIO(encoded), schema, None)
    return (time.process_time() - started) / YARDSTICK_ROWS * 1e6


def tradelake(home: Path, *arguments: object) -> str:
    """Run a command on the stack; what it printed.

    Raises:
        SystemExit: it failed; what it complained of is shown.
    """
    ran = subprocess.run([str(TRADELAKE), "--home", str(home), *map(str, arguments)], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"tradelake {' '.join(map(str, arguments))} failed:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def machine() -> dict[str, Any]:
    """What it ran on."""
    memory = psutil.virtual_memory().total
    return {
        "cores": psutil.cpu_count(),
        "memory_gb": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def keep(name: str, figures: Mapping[str, Any], into: Path) -> Path:
    """Write a run's figures as JSON."""
    into.mkdir(parents=True, exist_ok=True)
    file = into / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return file
