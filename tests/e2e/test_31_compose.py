"""docker-compose.yml, started with a Docker engine: what it brings up holds every sample trade once."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from testcontainers.compose import DockerCompose

from tests.conftest import ROOT
from tests.e2e.waiting import wait_until

SAMPLE = 8_038
COUNTS = (
    "SELECT (SELECT count(*) FROM gold_crypto_trades) AS trades, (SELECT count(DISTINCT message_id) FROM gold_crypto_trades) AS different, "
    "(SELECT count(*) FROM silver_dlq_trades) AS rejected"
)


def compose_answers() -> bool:
    """Whether there is an engine, and a Compose that speaks to it."""
    try:
        commands = (["docker", "info"], ["docker", "compose", "version"])
        return all(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in commands)
    except OSError:
        return False


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerCompose]:
    """The default profile in a project of its own, with secrets of its own; afterwards nothing of it is left."""
    if not compose_answers():
        pytest.skip("no Docker engine with Compose answers")
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "tradelake-test")
    secrets = tmp_path / "env"
    secrets.write_text((ROOT / ".env.example").read_text().replace("=\n", f"={'0' * 40}\n"))
    with DockerCompose(ROOT, build=True, wait=False, env_file=str(secrets)) as stack:
        yield stack


def ask(compose: DockerCompose, question: str) -> dict[str, int]:
    answer, _, _ = compose.exec_in_container(["tradelake", "query", "--json", question], "jobmanager")
    row: dict[str, int] = json.loads(answer)[0]
    return row


def test_compose_up_brings_every_sample_trade_to_gold_once(compose: DockerCompose) -> None:
    def produced() -> bool:
        ended = [one for one in compose.get_containers(include_all=True) if one.State == "exited"]
        failed = [one.Service for one in ended if one.ExitCode != 0]
        assert not failed, f"docker compose logs {' '.join(map(str, failed))}"
        return "produce" in [one.Service for one in ended]

    wait_until("the sample is sent", produced, lambda: [(c.Service, c.State, c.Health) for c in compose.get_containers(include_all=True)])
    expected = {"trades": SAMPLE, "different": SAMPLE, "rejected": 0}
    wait_until("gold has it", lambda: ask(compose, COUNTS) == expected, lambda: ask(compose, COUNTS))
