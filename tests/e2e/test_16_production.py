"""docs/production.md as it stands there: each command of its checklist, and what it must print."""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT
from tests.e2e.stack import BIN, Stack, clean_environment
from tradelake.stack.ports import DEFAULT_BASE

pytestmark = pytest.mark.processes_only

TEXT = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
CHECKLIST = TEXT[: TEXT.index("## Upgrades")]


class Step(NamedTuple):
    box: str
    command: str
    printed: list[str]


def steps(text: str) -> list[Step]:
    """Every command of the `console` blocks, with the lines below it."""
    found = []
    for box in re.split(r"^- \[ \] ", text, flags=re.MULTILINE)[1:]:
        name = re.match(r"\*\*(.*?)\*\*", box)
        assert name, box
        for block in re.findall(r"^  ```console\n(.*?)^  ```", box, re.MULTILINE | re.DOTALL):
            for command, printed in re.findall(r"^  \$ (.*)\n((?:  (?!\$ ).*\n)*)", block, re.MULTILINE):
                found.append(Step(name[1].rstrip("."), command, [line.removeprefix("  ") for line in printed.splitlines()]))
    return found


STEPS = steps(CHECKLIST)


def test_every_box_is_a_command_and_what_it_must_print() -> None:
    boxes = [name.rstrip(".") for name in re.findall(r"^- \[ \] \*\*(.*?)\*\*", TEXT, re.MULTILINE)]
    assert boxes == [
        "CPU and memory", "Storage", "Network", "Configuration", "Where state is", "Credentials", "Monitoring",
        "Alerts, and who gets them", "Logs", "Runbooks", "Checkpoints and savepoints", "Table maintenance",
        "Smoke test", "Failure and recovery", "Sustained load", "Data quality",
    ]  # fmt: skip
    assert list(dict.fromkeys(step.box for step in STEPS)) == boxes
    assert [step for step in STEPS if not step.printed] == []


@pytest.fixture(scope="module")
def used(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stack, Path]:
    """The stack with the demo's messages in it, ten of them broken; and a folder for what the commands write."""
    stack.tradelake("produce", "demo")
    stack.settle()
    return stack, tmp_path_factory.mktemp("production")


@pytest.mark.parametrize("step", STEPS, ids=[f"{number:02} {step.box}" for number, step in enumerate(STEPS)])
def test_a_command_prints_what_it_must(used: tuple[Stack, Path], step: Step) -> None:
    stack, folder = used
    variables = {
        "TRADELAKE_HOME": str(stack.home),
        "TRADELAKE_CONF": str(stack.pipeline_file),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    base = int(stack.environment["flink"]["rest"].rpartition(":")[2])
    command = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{int(found[1]) - DEFAULT_BASE + base}", step.command)
    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=clean_environment() | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert missing(step.printed, ran.stdout) == [], ran.stdout + ran.stderr


def missing(wanted: list[str], printed: str) -> list[str]:
    """The lines that are not there, in this order. `...` stands for anything, a line of it alone for any lines; spaces do not count."""
    left, lines = iter(printed.splitlines()), []
    for line in wanted:
        if line != "...":
            pattern = ".*".join(map(re.escape, spaced(line).split("...")))
            if not any(re.fullmatch(pattern, spaced(found)) for found in left):
                lines.append(line)
    return lines


def spaced(line: str) -> str:
    return " ".join(line.split())
