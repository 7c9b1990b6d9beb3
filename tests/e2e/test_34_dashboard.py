"""What the dashboard asks for is what the running jobs export."""

import json
import re

import httpx
import pytest

from tests.conftest import ROOT
from tests.e2e.stack import Stack

pytestmark = pytest.mark.processes_only

DASHBOARD = ROOT / "docker" / "grafana" / "pipeline.json"


def exported(stack: Stack) -> dict[str, set[str]]:
    """Metric -> the labels that it has, of both of Flink's processes."""
    ports = json.loads((stack.home / "ports.json").read_text())
    text = "".join(
        httpx.get(f"http://127.0.0.1:{ports[f'{part}-prometheus']}/metrics", timeout=30, trust_env=False).text
        for part in ("jobmanager", "taskmanager")
    )
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} ", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def test_every_metric_and_label_of_the_dashboard_exists(pipeline: Stack) -> None:
    queries = [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"flink_\w+", query)}
    assert len(asked) >= 15
    pipeline.send("kraken", [(None, b"no message of ours")])  # nothing is counted as rejected before the first
    pipeline.wait("all are exported", lambda: asked <= exported(pipeline).keys())
    metrics = exported(pipeline)
    for query in queries:
        labels = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")} | set(
            re.findall(r"(\w+)=~?\"", query)
        )
        for name in re.findall(r"flink_\w+", query):
            assert labels <= metrics[name], f"{name} has no {labels - metrics[name]}"
