"""A skip that nobody agreed to fails the run: pytest itself, run on a folder with the project's conftest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Agreed

ROOT = Path(__file__).parents[2]
AGREED = "- {test: test_some.py::test_agreed, reason: no such hardware here}\n"
TEST = 'import pytest\n\ndef test_agreed():\n    pytest.skip("no such hardware here")\n'


def run(folder: Path, skips: str, **modules: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "skips.yaml").write_text(skips, encoding="utf-8")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_an_agreed_skip_passes(tmp_path: Path) -> None:
    ran = run(tmp_path, AGREED, test_some=TEST)
    assert ran.returncode == pytest.ExitCode.OK, ran.stdout
    assert "1 skipped" in ran.stdout


PATTERN = Agreed("e2e/*", "no engine here", "--stack=containers")


@pytest.mark.parametrize(
    ("agreed", "test", "reason", "stack"),
    [
        (PATTERN, "e2e/test_some.py::test_one[a]", "no engine here", "processes"),
        (PATTERN, "unit/test_some.py::test_one[a]", "no engine here", "containers"),
        (PATTERN, "e2e/test_some.py::test_one[a]", "another", "containers"),
        (Agreed("e2e/*", "no engine here"), "e2e/test_some.py::test_one[a]", "no engine here", "containers"),
    ],
    ids=["without the option", "another test", "another reason", "a pattern without an option"],
)
def test_a_pattern_agrees_in_runs_with_its_option_alone(agreed: Agreed, test: str, reason: str, stack: str) -> None:
    assert not agreed.fits(test, reason, {"--stack": stack}.__getitem__)
    assert PATTERN.fits("e2e/test_some.py::test_one[a]", "no engine here", {"--stack": "containers"}.__getitem__)


def test_any_other_skip_fails_the_run_and_is_named(tmp_path: Path) -> None:
    ran = run(
        tmp_path,
        AGREED.replace("no such", "another"),
        test_some=TEST,
        test_other="import pytest\npytest.skip('never mind', allow_module_level=True)\n",
    )
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout
    assert "test_some.py::test_agreed was skipped (no such hardware here)" in ran.stdout
    assert "test_other.py was skipped (never mind)" in ran.stdout
