"""docker-compose.yml, started with a Docker engine: what it brings up holds every trade of the demo once, and what is broken."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from testcontainers.compose import DockerCompose

from tests.e2e.containers import NO_ENGINE, composed, engine_answers, write_secrets
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.processes_only  # a whole project by itself: the containers of --stack=containers have its ports

SENT = {"trades": 8_038, "different": 8_038, "rejected": 10, "received": 8_218}
COUNTS = (
    "SELECT (SELECT count(*) FROM gold_crypto_trades) AS trades, (SELECT count(DISTINCT message_id) FROM gold_crypto_trades) AS different, "
    "(SELECT count(*) FROM silver_dlq_trades) AS rejected, "
    "(SELECT count(*) FROM bronze_binance_trades) + (SELECT count(*) FROM bronze_kraken_trades) AS received"
)


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[DockerCompose]:
    """The default profile in a project of its own, with secrets of its own; afterwards nothing of it is left."""
    if not engine_answers():
        pytest.skip(NO_ENGINE)
    with composed("tradelake-test", write_secrets(tmp_path / "env"), wait=False) as compose:
        yield compose


def ask(compose: DockerCompose, question: str) -> dict[str, int]:
    answer, _, _ = compose.exec_in_container(["tradelake", "query", "--json", question], "jobmanager")
    row: dict[str, int] = json.loads(answer)[0]
    return row


def test_compose_up_brings_every_trade_of_the_demo_to_gold_once(compose: DockerCompose) -> None:
    def produced() -> bool:
        ended = [one for one in compose.get_containers(include_all=True) if one.State == "exited"]
        failed = [one.Service for one in ended if one.ExitCode != 0]
        assert not failed, f"docker compose logs {' '.join(map(str, failed))}"
        return "produce" in [one.Service for one in ended]

    wait_until("everything is sent", produced, lambda: [(c.Service, c.State, c.Health) for c in compose.get_containers(include_all=True)])
    wait_until("gold has it", lambda: ask(compose, COUNTS) == SENT, lambda: ask(compose, COUNTS))
