"""The independent reading itself: its golden values, and that it is independent."""

import ast
from pathlib import Path

import pytest

from tests.truth.identity import message_id
from tests.truth.recordings import Recordings
from tests.truth.trades import trade

TRUTH = Path(__file__).parents[2] / "truth"
SAMPLE = Path(__file__).parents[3] / "tradelake" / "produce" / "sample"
OURS = {"udfs", "tradelake", "flink_jobs", "sql", "conf"}


@pytest.mark.parametrize(
    ("time_us", "key", "has_trade_id", "expected"),
    [
        (1723161255342000, "BINANCE|BTCUSDT|3735683259", True, "0191346a-1dae-8000-8432-f9987a13c001"),
        (1617666461465618, "KRAKEN|XBT/USD|1617666461.465618|58721.20000|0.02798644|s|m||0", False, "0178a46f-4f19-826a-9d12-3898e564c79f"),
    ],
)
def test_message_ids_are_the_contracts(time_us: int, key: str, has_trade_id: bool, expected: str) -> None:
    assert message_id(time_us, key, has_trade_id) == expected


def test_nothing_of_the_project_is_imported() -> None:
    modules = sorted(TRUTH.glob("*.py"))
    assert len(modules) >= 6
    imported = {name for module in modules for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))) for name in names(node)}
    assert {name.split(".")[0] for name in imported} & OURS == set()
    assert {name for name in imported if name.startswith("tests.")} <= {f"tests.truth.{module.stem}" for module in modules}


def names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_no_float_is_made() -> None:
    calls = {
        node.func.id
        for module in TRUTH.glob("*.py")
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "float" not in calls


@pytest.mark.parametrize("shipped", [False, True], ids=["recordings", "sample"])
def test_recordings_have_their_exact_counts_and_no_trade_twice(recordings: Recordings, shipped: bool) -> None:
    chosen = Recordings.sample(SAMPLE) if shipped else recordings
    read = {exchange: chosen.trades(exchange) for exchange in chosen.counts}
    assert {exchange: len(trades) for exchange, trades in read.items()} == chosen.counts
    ids = {trade(exchange, raw, ("USDT", "USDC"))["message_id"] for exchange, trades in read.items() for raw in trades}
    assert len(ids) == chosen.total
