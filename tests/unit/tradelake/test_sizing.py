"""The sizes that docs/kubernetes.md shows."""

import pytest

from conf.settings import load_pipeline
from tests.conftest import ROOT
from tests.unit.deploy.flink_deployment import deployments
from tradelake import sizing
from tradelake.sizing import Inputs, row, size

RATES = (1_000, 10_000, 100_000)


def test_slots_are_what_half_busy_cores_carry() -> None:
    inputs = Inputs(
        cpu_seconds={"bronze": 2, "silver": 10, "gold": 20}, busy=0.5, exchanges=2, taskmanager_mb={"bronze": 1, "silver": 10, "gold": 100}
    )
    found = size(200_000, inputs)
    assert found.slots == {"bronze": 1, "silver": 2, "gold": 8}
    assert found.cores == pytest.approx(0.4 + 2 + 4)
    assert found.memory_mb == 2 * 1 + 2 * 20 + 800 + 5 * inputs.jobmanager_mb
    assert found.partitions == 4


def test_state_grows_with_rate_and_time() -> None:
    found = size(1_000, Inputs(key_bytes=100, ttl_hours=1, message_bytes=50, retention_hours=2))
    assert (found.state_gb, found.kafka_gb) == (pytest.approx(0.36), pytest.approx(0.36))


def test_the_smallest_cluster_has_a_slot_for_each_job() -> None:
    assert size(1, Inputs()).slots == {"bronze": 1, "silver": 1, "gold": 1}


def test_the_memory_is_that_of_the_manifests() -> None:
    for name, deployment in deployments().items():
        assert Inputs().taskmanager_mb[name.split("-")[0]] == deployment.spec.taskManager.resource.megabytes
        assert Inputs().jobmanager_mb == deployment.spec.jobManager.resource.megabytes


def test_hours_and_exchanges_are_the_pipelines() -> None:
    pipeline = load_pipeline()
    assert Inputs().ttl_hours == pipeline.jobs.gold.ttl.total_seconds() / 3600
    assert {exchange.retention.total_seconds() / 3600 for exchange in pipeline.exchanges.values()} == {Inputs().retention_hours}
    assert len(pipeline.exchanges) == Inputs().exchanges


def test_the_page_shows_what_the_command_prints() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    assert f"| {' | '.join(sizing.COLUMNS)} |" in page
    for rate in RATES:
        assert f"| {' | '.join(row(size(rate, Inputs())))} |" in page


def test_the_command_takes_rates_and_says_that_it_computed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing.output, "width", 200)
    assert sizing.main(["5000", "--ttl-hours", "1"]) == 0
    printed = capsys.readouterr().out
    assert "computed, not measured on a cluster" in printed
    assert "5,000" in printed
    with pytest.raises(SystemExit) as wrong:
        sizing.main(["0"])
    assert wrong.value.code == 2
