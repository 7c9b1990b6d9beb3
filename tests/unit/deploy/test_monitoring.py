"""Grafana's files fit each other; tests/e2e/test_34_dashboard.py asks the running jobs for the metrics."""

import json

import yaml

from tests.unit.deploy.compose import ROOT, read

GRAFANA = ROOT / "docker" / "grafana"


def test_panels_have_places_and_numbers_of_their_own_and_a_source_that_there_is() -> None:
    panels = json.loads((GRAFANA / "pipeline.json").read_text())["panels"]
    (source,) = yaml.safe_load((GRAFANA / "datasource.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in panels} == {source["uid"]}
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def test_grafana_finds_its_files_and_prometheus() -> None:
    compose = read()
    (provider,) = yaml.safe_load((GRAFANA / "dashboards.yml").read_text())["providers"]
    mounted = {volume.split(":")[1] for volume in compose.services["grafana"].volumes}
    assert f"{provider['options']['path']}/pipeline.json" in mounted
    (source,) = yaml.safe_load((GRAFANA / "datasource.yml").read_text())["datasources"]
    assert source["url"] == f"http://prometheus:{compose.services['prometheus'].ports[0].split(':')[2]}"
