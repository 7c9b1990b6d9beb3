"""A job whose checkpoints and savepoints stand in the object store."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import raw
from tests.e2e.stack import Ran, Stack, run
from tests.truth.lake import GOLD

pytestmark = pytest.mark.processes_only

STATE = "s3://flink/state"


@dataclass(frozen=True)
class OnS3:
    """The stack, with an environment's file that names the object store for its jobs' state."""

    stack: Stack
    environment: Path

    def tradelake(self, *arguments: object) -> Ran:
        ran = run(self.stack.command(*arguments), TRADELAKE_ENVIRONMENT=str(self.environment))
        assert ran.exit_code == 0, ran.stdout + ran.stderr
        return ran

    def stop_gold(self) -> str:
        return stopped(self.tradelake("stop", "gold"))


def stopped(ran: Ran) -> str:
    """The savepoint that gold was stopped with."""
    printed = re.search(r"^gold: (\S+)$", ran.stdout, re.MULTILINE)
    assert printed, ran.stdout
    return printed[1]


@pytest.fixture(scope="module")
def on_s3(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnS3]:
    """Gold's state moves to the object store, and back again."""
    file = tmp_path_factory.mktemp("s3") / "environment.yaml"
    flink = stack.environment["flink"] | {"state": STATE}
    file.write_text(yaml.safe_dump(stack.environment | {"flink": flink}), encoding="utf-8")
    moved = OnS3(stack, file)
    moved.tradelake("restore", "gold", stopped(stack.tradelake("stop", "gold")))
    yield moved
    stack.tradelake("restore", "gold", moved.stop_gold(), "--older")  # than what stands on this machine: no newer than that in the store


def checkpoints(stack: Stack) -> dict[str, Any]:
    latest: dict[str, Any] = stack.rest(f"/jobs/{stack.jobs()['gold']['jid']}/checkpoints")["latest"]
    return latest


def send(stack: Stack) -> int:
    """Trades, each twice; the rows that gold then has more, with the fences of `settle`."""
    trades = [raw.kraken("STORED/USD") for _ in range(50)]
    stack.send_trades("kraken", trades + trades)
    return len(trades) + 2


def test_checkpoints_stand_in_the_object_store_and_every_trade_is_there_once(on_s3: OnS3) -> None:
    stack = on_s3.stack
    before = stack.lake.count(GOLD)
    more = send(stack)
    stack.settle()
    assert stack.lake.count(GOLD) == before + more
    assert stack.discrepancies() == []
    job = stack.jobs()["gold"]["jid"]
    completed = checkpoints(stack)["completed"]["external_path"]
    assert completed.startswith(f"{STATE}/checkpoints/gold/{job}/chk-")
    stored = stack.home / "s3" / "flink" / "state" / "checkpoints" / "gold" / job
    assert any(stored.glob("chk-*/_metadata"))
    assert any((stored / "shared").iterdir())  # RocksDB's files, uploaded once for all checkpoints
    assert not (stack.home / "flink" / "state" / "checkpoints" / "gold" / job).exists()


def test_gold_resumes_from_its_savepoint_in_the_object_store(on_s3: OnS3) -> None:
    stack = on_s3.stack
    before = stack.lake.count(GOLD)
    savepoint = on_s3.stop_gold()
    assert savepoint.startswith(f"{STATE}/savepoints/gold/savepoint-")
    more = send(stack)
    on_s3.tradelake("submit", "gold")
    assert checkpoints(stack)["restored"]["external_path"] == savepoint
    stack.settle()
    assert stack.lake.count(GOLD) == before + more
    assert stack.discrepancies() == []


def test_a_cancelled_gold_resumes_from_its_newest_checkpoint_in_the_object_store(on_s3: OnS3) -> None:
    stack = on_s3.stack
    before, cancelled = stack.lake.count(GOLD), stack.jobs()["gold"]["jid"]
    assert stack.flink("cancel", cancelled).exit_code == 0
    stack.wait("gold is cancelled", lambda: "gold" not in stack.jobs())
    more = send(stack)
    on_s3.tradelake("submit", "gold")
    assert checkpoints(stack)["restored"]["external_path"].startswith(f"{STATE}/checkpoints/gold/{cancelled}/chk-")
    stack.settle()
    assert stack.lake.count(GOLD) == before + more
    assert stack.discrepancies() == []


def test_the_stores_key_is_in_no_configuration_and_no_command_line(on_s3: OnS3) -> None:
    stack = on_s3.stack
    lines = (stack.home / "secrets" / "aws-credentials").read_text(encoding="utf-8").splitlines()
    keys = [line.split("=")[1].strip() for line in lines if "=" in line]
    shown = [str(stack.rest("/jobmanager/config")), (stack.home / "flink" / "conf" / "config.yaml").read_text(encoding="utf-8")]
    shown += [" ".join(process.cmdline()) for process in stack.processes()]
    assert [key for key in keys if any(key in text for text in shown)] == []
