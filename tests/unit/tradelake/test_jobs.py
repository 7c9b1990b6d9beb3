from pathlib import Path

import pytest
from click.testing import CliRunner

from tradelake.home import Home
from tradelake.jobs import _reason, submit


def test_a_refusal_of_the_job_is_what_a_person_reads() -> None:
    printed = "WARNING: x\nrefused: gold would start without state\nResume it: a\nOr insist: b\n\tat java.base/x\nCaused by: exit 2"
    assert _reason(printed) == "gold would start without state\nResume it: a\nOr insist: b"


def test_without_a_refusal_the_last_cause_is_given() -> None:
    assert _reason("noise\nCaused by: first\n\tat x\nCaused by: second\n\tat y\n") == "Caused by: second"
    assert _reason("") == "flink run failed without a word"


def test_an_unknown_job_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = CliRunner().invoke(submit, ["silver"], obj=Home(tmp_path))
    assert ran.exit_code == 2
    assert "no job is called silver; there are bronze-binance" in ran.output
