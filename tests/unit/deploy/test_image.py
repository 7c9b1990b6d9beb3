"""Dockerfile, scripts and locks fit each other, as far as that can be seen without building; tests/e2e/test_30_image.py installs."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.deploy.compose import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SCRIPTS = sorted((ROOT / "docker").glob("*.sh"))
LOCKED = re.compile(
    r"^([a-z0-9][a-z0-9._-]*(?:\[[a-z,]+\])?==[^ \\]+)[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def locked(name: str) -> dict[str, str]:
    """Requirement -> its hashes."""
    return dict(LOCKED.findall((ROOT / name).read_text(encoding="utf-8")))


def test_every_base_image_is_pinned_by_an_exact_tag() -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", DOCKERFILE, re.MULTILINE)
    assert len(stages) == DOCKERFILE.count("FROM ")
    assert all(re.search(r":[0-9]+\.[0-9]+\.[0-9]+(-slim-bookworm)?$", image) for image, _ in stages), stages


def test_uv_is_the_makefiles() -> None:
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert version
    assert re.findall(r"\buv==(\S+)", DOCKERFILE) == [version[1]]


def test_the_image_does_not_run_as_root() -> None:
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["flink"]
    assert DOCKERFILE.index("\nUSER flink") > DOCKERFILE.rindex("\nRUN ")


def test_everything_that_the_dockerfile_copies_goes_to_the_engine() -> None:
    copied = {name for names in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for name in names.split()}
    sent = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert copied <= set(sent)
    assert all((ROOT / name).exists() for name in sent)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_script_is_valid_and_can_be_run(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert script.stat().st_mode & 0o111
    assert script.read_text().startswith("#!/usr/bin/env bash\n")


@pytest.mark.parametrize("arguments", [(), ("packages", "."), ("tradelake", ".", "x"), ("else", ".", "x")])
def test_wrong_usage_of_the_install_script_changes_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    run = subprocess.run([ROOT / "docker" / "install.sh", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("usage: docker/install.sh ")
    assert not list(tmp_path.iterdir())


def test_the_runtime_lock_is_the_lock_without_what_development_needs() -> None:
    everything, runtime = locked("requirements.lock"), locked("requirements-runtime.lock")
    assert runtime.items() <= everything.items()
    assert {re.split(r"[\[=]", name)[0] for name in everything.keys() - runtime.keys()} >= {"pytest", "mypy", "ruff", "testcontainers"}
    assert "apache-flink==2.1.3" in runtime
    assert len(runtime) == len(re.findall(r"^[a-z]\S+==", (ROOT / "requirements-runtime.lock").read_text(), re.MULTILINE))


def test_secrets_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    script = tmp_path / "docker" / "write-env.sh"
    script.write_bytes((ROOT / "docker" / "write-env.sh").read_bytes())
    example = (ROOT / ".env.example").read_text()
    (tmp_path / ".env.example").write_text(example)
    assert subprocess.run(["bash", script], capture_output=True, check=False).returncode == 0
    made = (tmp_path / ".env").read_text()
    assert re.sub("=[0-9a-f]{40}$", "=", made, flags=re.MULTILINE) == example
    values = re.findall("=(.{40})$", made, re.MULTILINE)
    assert len(set(values)) == example.count("=\n")
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    again = subprocess.run(["bash", script], capture_output=True, text=True, check=False)
    assert (again.returncode, (tmp_path / ".env").read_text()) == (1, made)
    assert again.stderr.startswith(".env is there already, and stays")
