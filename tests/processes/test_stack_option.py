"""`pytest --stack=containers` where no Docker engine is: says so, skips, and does not fail."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODULES = ("test_07_gold.py", "test_11_down_up.py", "test_32_object_store.py")


def run(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {"PATH": str(tmp_path)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_without_an_engine_it_says_so_and_skips(tmp_path: Path) -> None:
    ran = run(tmp_path, "--stack=containers", *(f"tests/e2e/{module}" for module in MODULES))
    assert ran.returncode == pytest.ExitCode.OK, ran.stdout
    assert "stack: no Docker engine with Compose answers: what needs one is skipped" in ran.stdout
    assert set(re.findall(r"^SKIPPED \[\d+\] \S+: (.*)$", ran.stdout, re.MULTILINE)) == {
        "no Docker engine with Compose answers",
        "needs the processes of the local stack",
    }
    assert "1 passed" in ran.stdout


def test_containers_have_no_home_that_can_be_named(tmp_path: Path) -> None:
    ran = run(tmp_path, "--stack=containers", f"--stack-home={tmp_path}", "tests/e2e/test_07_gold.py")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--stack-home is for --stack=processes" in ran.stderr


def test_there_is_no_third_kind_of_stack(tmp_path: Path) -> None:
    ran = run(tmp_path, "--stack=vagrant", "tests/e2e/test_07_gold.py")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "choose from" in ran.stderr
