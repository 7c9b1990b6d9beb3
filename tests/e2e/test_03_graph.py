"""What really runs: the graph and the metrics of the jobs on the cluster, and what their checkpoints hold."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conf.settings import PIPELINE
from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import BRONZE, DLQ, GOLD, SILVER
from tradelake.flink import client_variables
from tradelake.home import Home

EXCHANGES = ("binance", "kraken")
EXPLAIN = """
import sys
from pyflink.table import ExplainDetail
from flink_jobs import bronze, gold, silver
from flink_jobs.job import parser, start, with_exchange
layer, exchange, *rest = sys.argv[1:]
build = {"bronze": bronze, "silver": silver, "gold": gold}[layer].build
options = parser(layer, "") if layer == "gold" else with_exchange(parser(layer, ""))
run, _ = start(options, layer, [*rest, *(["--exchange", exchange] if exchange else [])])
print(build(run).explain(ExplainDetail.CHANGELOG_MODE))
"""


def plan(stack: Stack, job: str) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = stack.rest(f"/jobs/{stack.jobs()[job]['jid']}/plan")["plan"]["nodes"]
    return nodes


def text(nodes: list[dict[str, Any]]) -> str:
    return "\n".join(node["description"] for node in nodes)


def metrics(stack: Stack, job: str, ending: str) -> dict[str, int]:
    """The metrics of a running job whose name ends so: operator's metric -> sum over its subtasks."""
    found: dict[str, int] = {}
    job_id = stack.jobs()[job]["jid"]
    for vertex in stack.rest(f"/jobs/{job_id}")["vertices"]:
        path = f"/jobs/{job_id}/vertices/{vertex['id']}/subtasks/metrics"
        names = [metric["id"] for metric in stack.rest(path) if metric["id"].endswith(ending)]
        for metric in stack.rest(f"{path}?get={','.join(names)}") if names else []:
            found[metric["id"]] = int(metric["sum"])
    return found


def test_five_jobs_run_under_their_stable_names(pipeline: Stack) -> None:
    assert sorted(pipeline.jobs()) == ["bronze-binance", "bronze-kraken", "gold", "silver-binance", "silver-kraken"]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_one_silver_job_decodes_once_and_feeds_both_tables_through_a_side_output(pipeline: Stack, exchange: str) -> None:
    description = text(plan(pipeline, f"silver-{exchange}"))
    assert description.count("PythonCalc") == 1
    assert len(re.findall(r"\bjudge\b", description)) == 1
    for table in (SILVER[exchange], DLQ):
        assert len(re.findall(rf"Sink\b[^\n]*{table}[^\n]*Writer", description)) == 1, description


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_only_doubtful_messages_reach_the_judge_and_only_its_rejects_the_dead_letter_table(pipeline: Stack, exchange: str) -> None:
    """Counted by the running operators since the job began; nothing has restarted it."""
    job = f"silver-{exchange}"
    rejected = sum(source == BRONZE[exchange] for source in pipeline.lake.rows(DLQ, ("bronze_source",))["bronze_source"].to_pylist())
    (valid,) = metrics(pipeline, job, "judge.judged_valid").values() or (0,)
    (judged,) = metrics(pipeline, job, "judge.numRecordsIn").values()
    assert judged == rejected + valid
    assert judged < pipeline.lake.count(BRONZE[exchange])


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_one_checkpoint_commits_silver_and_rejects_together(pipeline: Stack, exchange: str) -> None:
    bad = [(b"k", b"\x01")] * 20
    good = [raw.trade(exchange, {"binance": "COMMITUSDT", "kraken": "COMMIT/USD"}[exchange]) for _ in bad]
    pipeline.send_trades(exchange, good[:1], partition=0)
    pipeline.arrive()
    pipeline.send(exchange, bad, partition=0)
    pipeline.send_trades(exchange, good, partition=0)
    pipeline.arrive()
    job = pipeline.jobs()[f"silver-{exchange}"]["jid"]
    commits = [checkpoints(pipeline, table, job) for table in (SILVER[exchange], DLQ)]
    assert commits[0] & commits[1]


def checkpoints(stack: Stack, table: str, job: str) -> set[int]:
    """The checkpoints of this job that are committed to a table, by the marks in its snapshots."""
    summaries = [dict(snapshot.summary.additional_properties) for snapshot in stack.lake.table(table).snapshots() if snapshot.summary]
    return {int(s["flink.max-committed-checkpoint-id"]) for s in summaries if s.get("flink.job-id") == job and int(s["added-records"]) > 0}


def test_gold_keeps_the_first_of_equal_trades_in_an_insert_only_graph(pipeline: Stack) -> None:
    description = text(plan(pipeline, "gold"))
    assert len(re.findall(r"Deduplicate\(keep=\[FirstRow\], key=\[message_id\], order=\[PROCTIME\]", description)) == 1, description
    assert not re.search("ChangelogNormalize|SinkMaterializer|LastRow|Rank", description)
    assert len(re.findall(rf"Sink\b[^\n]*{GOLD}[^\n]*Writer", description)) == 1, description


def test_golds_state_is_rocksdb_with_a_ttl(pipeline: Stack) -> None:
    job = pipeline.jobs()["gold"]["jid"]
    assert pipeline.rest(f"/jobs/{job}/checkpoints/config")["state_backend"] == "EmbeddedRocksDBStateBackend"
    open_databases = [
        file for file in (pipeline.home / "flink" / "tmp").rglob("CURRENT") if "Deduplicate" in str(file) or "op_" in str(file)
    ]
    assert len(open_databases) == 1
    state = newest_checkpoint(pipeline, "gold").read_bytes()
    assert b"deduplicate-state" in state
    assert b"TtlSerializer" in state


def newest_checkpoint(stack: Stack, job: str) -> Path:
    latest = stack.rest(f"/jobs/{stack.jobs()[job]['jid']}/checkpoints")["latest"]["completed"]
    return Path(latest["external_path"].removeprefix("file:")) / "_metadata"


def test_duplicates_that_the_running_gold_removed_are_those_that_silver_has(pipeline: Stack) -> None:
    """Rows into the deduplication less rows out of it, since the job began; nothing has restarted it."""
    pipeline.settle()
    silver = sum(pipeline.lake.counts(SILVER.values()).values())
    gold = pipeline.lake.count(GOLD)
    (came_in,) = (value for name, value in metrics(pipeline, "gold", "numRecordsIn").items() if "Deduplicate" in name)
    (went_out,) = (value for name, value in metrics(pipeline, "gold", "numRecordsOut").items() if "Deduplicate" in name)
    assert (came_in, went_out) == (silver, gold)


def test_parallelism_and_intervals_are_those_of_the_pipeline_file(pipeline: Stack) -> None:
    assert pipeline.pipeline_file != PIPELINE
    for name in pipeline.job_names:
        job = pipeline.jobs()[name]["jid"]
        layer = pipeline.pipeline["jobs"][name.partition("-")[0]]
        assert pipeline.rest(f"/jobs/{job}/checkpoints/config")["interval"] == 1000
        vertices = pipeline.rest(f"/jobs/{job}")["vertices"]
        assert {vertex["parallelism"] for vertex in vertices} == {layer["parallelism"]}
        assert {vertex["maxParallelism"] for vertex in vertices} == {layer.get("max_parallelism", 128)}


@pytest.mark.parametrize(("layer", "exchange"), [("bronze", "kraken"), ("silver", "kraken"), ("gold", "")])
def test_the_plan_of_every_layer_inserts_and_never_updates(pipeline: Stack, layer: str, exchange: str) -> None:
    home = Home(pipeline.home, pipeline.pipeline_file)
    given = [layer, exchange, "--conf", str(pipeline.pipeline_file), "--environment", str(home.environment_file)]
    ran = subprocess.run([sys.executable, "-c", EXPLAIN, *given], env=client_variables(home), capture_output=True, text=True, check=True)
    modes = re.findall(r"changelogMode=\[([^\]]*)\]", ran.stdout)
    assert modes
    assert set(modes) == {"I"}
