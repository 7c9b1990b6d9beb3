"""State is never lost by accident, and a wrong configuration stops before anything is submitted."""

import re
from pathlib import Path

import pytest
import yaml

from tests.e2e import raw
from tests.e2e.stack import BIN, Ran, Stack, run
from tests.truth.lake import GOLD


@pytest.mark.parametrize(("layer", "exchange"), [("bronze", "kraken"), ("silver", "kraken"), ("gold", "")])
def test_plain_flink_run_without_state_is_refused_while_the_table_has_rows(pipeline: Stack, layer: str, exchange: str) -> None:
    before = everything_submitted(pipeline)
    ran = pipeline.flink_run(layer, exchange)
    assert ran.exit_code != 0
    printed = ran.stdout + ran.stderr
    name = f"{layer}-{exchange}" if exchange else layer
    for part in (f"{name} would start without state", f"tradelake submit {name}", "flink run -s PATH", "--fresh-state"):
        assert part in printed
    assert everything_submitted(pipeline) == before


def everything_submitted(stack: Stack) -> set[str]:
    return {job["jid"] for job in stack.rest("/jobs/overview")["jobs"]}


def test_a_job_that_was_cancelled_resumes_from_its_newest_checkpoint(pipeline: Stack) -> None:
    before = pipeline.lake.count(GOLD)
    cancelled = pipeline.jobs()["gold"]["jid"]
    assert pipeline.flink("cancel", cancelled).exit_code == 0
    pipeline.wait("gold is cancelled", lambda: "gold" not in pipeline.jobs())
    missed = [raw.kraken("CANCELLED/USD") for _ in range(10)]
    pipeline.send_trades("kraken", missed)
    pipeline.tradelake("submit")
    restored = pipeline.rest(f"/jobs/{pipeline.jobs()['gold']['jid']}/checkpoints")["latest"]["restored"]
    assert f"/checkpoints/gold/{cancelled}/chk-" in restored["external_path"]
    pipeline.settle()
    assert pipeline.lake.count(GOLD) == before + len(missed) + 2
    assert pipeline.discrepancies() == []


def test_of_several_jobs_that_one_process_submits_a_refused_one_stops_no_other(pipeline: Stack) -> None:
    (state,) = re.findall(r"^silver-kraken: (file:\S+)$", pipeline.tradelake("stop", "silver-kraken").stdout, re.M)
    before = everything_submitted(pipeline)
    ran = pipeline.flink_run("several", "", "--submit", "gold", "--submit", f"silver-kraken --from-state {state}")
    assert ran.exit_code != 0
    told = [line for line in ran.stdout.splitlines() if line.startswith(("several: ", "refused: "))]
    assert [told[0], *told[2:]] == [
        "several: begin gold",
        "several: failed gold",
        "several: begin silver-kraken",
        "several: submitted silver-kraken",
    ]
    assert told[1].startswith("refused: gold would start without state")
    assert "1 of 2 jobs were not submitted" in ran.stdout + ran.stderr
    pipeline.wait_until_running()
    job = pipeline.jobs()["silver-kraken"]["jid"]
    assert everything_submitted(pipeline) == before | {job}
    assert pipeline.rest(f"/jobs/{job}/checkpoints")["latest"]["restored"]["external_path"].endswith(Path(state).name)


def test_submitting_what_runs_changes_nothing(pipeline: Stack) -> None:
    before = everything_submitted(pipeline)
    assert "0 submitted" in pipeline.tradelake("submit").stdout
    refused = pipeline.tradelake("submit", "gold", exit_code=1)
    assert "gold runs already" in refused.stderr
    assert everything_submitted(pipeline) == before


MISTAKES = {
    "an unknown key": ({"jobs": {"gold": {"tlt": "24 h"}}}, "jobs.gold.tlt: unknown key"),
    "a duration without a unit": ({"jobs": {"gold": {"ttl": 24}}}, "jobs.gold.ttl: not a duration"),
    "a parallelism of zero": ({"jobs": {"bronze": {"parallelism": 0}}}, "jobs.bronze.parallelism: "),
    "a quote asset in lower case": ({"exchanges": {"binance": {"quote_assets": ["usdt"]}}}, "exchanges.binance.quote_assets.0: "),
}


def merged(base: dict, change: dict) -> dict:  # type: ignore[type-arg]
    return base | {key: merged(base.get(key, {}), value) if isinstance(value, dict) else value for key, value in change.items()}


def mistaken(stack: Stack, folder: Path, mistake: str) -> tuple[Path, str]:
    """A pipeline file with a mistake, and the line that must name it."""
    change, complaint = MISTAKES[mistake]
    file = folder / "mistaken.yaml"
    file.write_text(yaml.safe_dump(merged(stack.pipeline, change)), encoding="utf-8")
    return file, f"{file}: {complaint}"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_pipeline_file_is_named_by_the_command_line(pipeline: Stack, tmp_path: Path, mistake: str) -> None:
    file, complaint = mistaken(pipeline, tmp_path, mistake)
    ran = run([str(BIN / "tradelake"), "--home", str(pipeline.home), "--conf", str(file), "submit"])
    assert (ran.exit_code, complaint in unfolded(ran)) == (1, True), ran.stderr


@pytest.mark.parametrize("mistake", ["an unknown key", "a duration without a unit"])
def test_a_mistake_in_the_pipeline_file_is_named_by_flink_run_before_it_submits(pipeline: Stack, tmp_path: Path, mistake: str) -> None:
    before = everything_submitted(pipeline)
    file, complaint = mistaken(pipeline, tmp_path, mistake)
    ran = pipeline.flink_run("gold", "", "--conf", file)
    assert ran.exit_code != 0
    assert complaint in unfolded(ran)
    assert everything_submitted(pipeline) == before


def unfolded(ran: Ran) -> str:
    return (ran.stdout + ran.stderr).replace("\n  ", " ")
