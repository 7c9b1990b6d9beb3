"""A job does not know where it runs: that stands in one file for each place, which its options name."""

import re
from argparse import ArgumentParser
from pathlib import Path

import pytest

from conf.settings import PIPELINE, Environment, load_environment
from flink_jobs.job import parser, with_exchange

ROOT = Path(__file__).parents[3]
PLACES = sorted((PIPELINE.parent / "environments").glob("*.yaml"))
ADDRESS = re.compile(r"\w+://|localhost|\b\d+\.\d+\.\d+\.\d+\b|\b(kafka|registry|catalog|s3|jobmanager|zookeeper):\d")


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.stem)
def test_each_place_is_one_file_with_every_endpoint(place: Path) -> None:
    assert {name for name, value in load_environment(place) if value} == set(Environment.model_fields)


def test_no_address_stands_where_the_jobs_are() -> None:
    files = [file for room in ("flink_jobs", "udfs", "sql") for file in (ROOT / room).rglob("*") if file.suffix in (".py", ".sql")]
    assert len(files) > 50
    assert {(file.name, match[0]) for file in files for match in ADDRESS.finditer(file.read_text(encoding="utf-8"))} == set()


@pytest.mark.parametrize("options", [with_exchange(parser("bronze", "")), parser("gold", "")], ids=["with an exchange", "without"])
def test_every_option_of_a_job_is_explained_by_help_and_in_the_documentation(options: ArgumentParser) -> None:
    table = (ROOT / "docs" / "running.md").read_text(encoding="utf-8").split("| option of a job |")[1].split("\n\n")[0]
    for action in options._actions:
        assert action.help, action.option_strings
        assert "-h" in action.option_strings or f"`{action.option_strings[0]}" in table, action.option_strings
