"""What really runs: the graph and the metrics of the jobs on the cluster, and what their checkpoints hold."""

import re
import subprocess
import sys
from collections import Counter
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
FIRST_OF_EACH = re.compile(r"^\w+__keep_the_first_of_each_message_id")
EXPLAIN = """
import sys
from pyflink.table import ExplainDetail
from flink_jobs import bronze, gold, silver
from flink_jobs.job import parser, refuse_updates, start, with_exchange
for layer, build, given in (
    ("bronze", bronze.build, ["--exchange", "kraken"]), ("silver", silver.build, ["--exchange", "kraken"]), ("gold", gold.build, [])
):
    options = with_exchange(parser(layer, "")) if given else parser(layer, "")
    run, _ = start(options, layer, [*sys.argv[1:], *given])
    print("plan of", layer)
    print(build(run).explain(ExplainDetail.CHANGELOG_MODE))
dlq, updating = run.table("silver_dlq_trades"), run.tables.create_statement_set()
counts = f"SELECT error_reason, COUNT(*) FROM {dlq} /*+ OPTIONS('streaming'='true') */ GROUP BY error_reason"
updating.add_insert_sql(f"INSERT INTO {dlq} (error_reason, kafka_offset) {counts}")
try:
    refuse_updates(run, updating)
except SystemExit as refusal:
    print("plan of updates is refused with exit code", refusal.code)
"""


def plan(stack: Stack, job: str) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = stack.rest(f"/jobs/{stack.jobs()[job]['jid']}/plan")["plan"]["nodes"]
    return nodes


def text(nodes: list[dict[str, Any]]) -> str:
    return "\n".join(node["description"] for node in nodes)


def test_five_jobs_run_under_their_stable_names(pipeline: Stack) -> None:
    assert sorted(pipeline.jobs()) == ["bronze-binance", "bronze-kraken", "gold", "silver-binance", "silver-kraken"]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_one_silver_job_decodes_once_and_feeds_both_tables_through_a_side_output(pipeline: Stack, exchange: str) -> None:
    description = text(plan(pipeline, f"silver-{exchange}"))
    assert description.count("PythonCalc") == 1
    for sink in (SILVER[exchange], f"{SILVER[exchange]}-judged", DLQ):
        assert description.count(f"silver-{exchange}-{sink}: Writer<br/>") == 1
    judge = re.findall(r"\+- judge<br/>(.*)", description)
    assert len(judge) == 1
    assert re.search(rf"[:+]- side output<br/>.*\+- silver-{exchange}-{DLQ}: Writer<br/>", judge[0]), "the side output leads there"


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_only_doubtful_messages_reach_the_judge_and_only_its_rejects_the_dead_letter_table(pipeline: Stack, exchange: str) -> None:
    """Counted by the running operators since the job began; nothing has restarted it."""
    job = f"silver-{exchange}"
    rejected = sum(source == BRONZE[exchange] for source in pipeline.lake.rows(DLQ, ("bronze_source",))["bronze_source"].to_pylist())
    (valid,) = pipeline.metrics(job, "judge.judged_valid").values() or (0,)
    (judged,) = pipeline.metrics(job, "judge.numRecordsIn").values()
    assert judged == rejected + valid
    assert judged < pipeline.lake.count(BRONZE[exchange])


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_one_checkpoint_commits_silver_and_rejects_together(pipeline: Stack, exchange: str) -> None:
    for _ in range(20):  # one after the other, so that every commit of bronze that has one kind has the other too
        pipeline.send_trades(exchange, [raw.trade(exchange, {"binance": "COMMITUSDT", "kraken": "COMMIT/USD"}[exchange])], partition=0)
        pipeline.send(exchange, [(b"k", b"\x01")], partition=0)
    pipeline.arrive()
    job = pipeline.jobs()[f"silver-{exchange}"]["jid"]
    commits = [checkpoints(pipeline, table, job) for table in (SILVER[exchange], DLQ)]
    assert commits[0] & commits[1]


def checkpoints(stack: Stack, table: str, job: str) -> set[int]:
    """The checkpoints of this job that are committed to a table, by the marks in its snapshots."""
    summaries = [dict(snapshot.summary.additional_properties) for snapshot in stack.lake.table(table).snapshots() if snapshot.summary]
    return {
        int(s["flink.max-committed-checkpoint-id"])
        for s in summaries
        if s.get("flink.job-id") == job and int(s.get("added-records", 0)) > 0
    }


def test_gold_keeps_the_first_of_equal_trades_in_an_insert_only_graph(pipeline: Stack) -> None:
    description = text(plan(pipeline, "gold"))
    assert description.count("Deduplicate(keep=[FirstRow], key=[message_id], order=[PROCTIME], outputInsertOnly=[true])") == len(EXCHANGES)
    assert not re.search("ChangelogNormalize|SinkMaterializer|LastRow|Rank", description)
    for exchange in EXCHANGES:
        assert description.count(f"gold-{GOLD}-{exchange}: Writer<br/>") == 1


def test_no_row_of_silver_or_gold_is_handed_from_one_thread_to_another_on_its_way(pipeline: Stack) -> None:
    """One task reads, deduplicates and writes an exchange's trades; silver's certain trades go from bronze to their file in one."""
    ways = [("gold", f"silver_{exchange}_trades", f"gold-{GOLD}-{exchange}: Writer") for exchange in EXCHANGES]
    ways += [(f"silver-{exchange}", BRONZE[exchange], f"silver-{exchange}-{SILVER[exchange]}: Writer") for exchange in EXCHANGES]
    for job, source, sink in ways:
        (task,) = (node["description"] for node in plan(pipeline, job) if f"{sink}<br/>" in node["description"])
        assert source in task, job


@pytest.mark.processes_only
def test_golds_state_is_rocksdb_with_a_ttl(pipeline: Stack) -> None:
    job = pipeline.jobs()["gold"]["jid"]
    assert pipeline.rest(f"/jobs/{job}/checkpoints/config")["state_backend"] == "EmbeddedRocksDBStateBackend"
    options = (pipeline.home / "flink" / "tmp").rglob(f"job_{job}_op_KeyedProcessOperator_*/db/OPTIONS-*")
    assert len({file.parent for file in options if '[CFOptions "deduplicate-state"]' in file.read_text()}) == len(EXCHANGES)
    state = newest_checkpoint(pipeline, "gold")
    assert b"deduplicate-state" in state
    assert b"org.apache.flink.runtime.state.ttl.TtlStateFactory$TtlSerializerSnapshot" in state


def newest_checkpoint(stack: Stack, job: str) -> bytes:
    """The metadata of the newest checkpoint; a newer one may take its place while it is looked for."""
    while True:
        latest = stack.rest(f"/jobs/{stack.jobs()[job]['jid']}/checkpoints")["latest"]["completed"]
        try:
            return (Path(latest["external_path"].removeprefix("file:")) / "_metadata").read_bytes()
        except FileNotFoundError:
            continue


def test_duplicates_that_the_running_gold_removed_are_those_that_silver_has(pipeline: Stack) -> None:
    """Rows into the deduplication less rows out of it, since the job began; nothing has restarted it."""
    pipeline.settle()
    silver = sum(pipeline.lake.counts(SILVER.values()).values())
    gold = pipeline.lake.count(GOLD)
    counted = {"Deduplicate.numRecordsIn": silver, "Deduplicate.numRecordsOut": gold}
    pipeline.wait("the counters equal the tables", lambda: deduplication(pipeline) == counted)


def deduplication(stack: Stack) -> dict[str, int]:
    found = stack.metrics("gold", "numRecordsIn") | stack.metrics("gold", "numRecordsOut")
    counted: Counter[str] = Counter()
    for name, count in found.items():
        if FIRST_OF_EACH.match(name):
            counted[FIRST_OF_EACH.sub("Deduplicate", name)] += count
    return dict(counted)


def test_parallelism_and_intervals_are_those_of_the_pipeline_file(pipeline: Stack) -> None:
    assert pipeline.pipeline_file != PIPELINE
    for name in pipeline.job_names:
        job = pipeline.jobs()[name]["jid"]
        layer = pipeline.pipeline["jobs"][name.partition("-")[0]]
        assert pipeline.rest(f"/jobs/{job}/checkpoints/config")["interval"] == 1000
        vertices = pipeline.rest(f"/jobs/{job}")["vertices"]
        assert {vertex["parallelism"] for vertex in vertices} == {layer["parallelism"]}
        keyed = [vertex["maxParallelism"] for vertex in vertices if "Writer" in vertex["name"] or "Deduplicate" in vertex["name"]]
        assert set(keyed) == {layer.get("max_parallelism", 128)}


@pytest.fixture(scope="module")
def plans(stack: Stack) -> dict[str, str]:
    """Layer -> what Flink says of its plan; and what the jobs say of a plan with updates."""
    home = Home(stack.home, stack.pipeline_file)
    command = [sys.executable, "-c", EXPLAIN, "--conf", str(stack.pipeline_file), "--environment", str(home.environment_file)]
    ran = subprocess.run(command, env=client_variables(home), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    _, *parts = ran.stdout.split("plan of ")
    return {part.split()[0]: part for part in parts}


@pytest.mark.parametrize("layer", ["bronze", "silver", "gold"])
def test_the_plan_of_every_layer_inserts_and_never_updates(plans: dict[str, str], layer: str) -> None:
    steps = [line for line in plans[layer].splitlines() if "changelogMode=[" in line and "Sink(" not in line]
    assert len(steps) > 1
    assert [step for step in steps if "changelogMode=[I]" not in step] == []


def test_a_plan_that_updates_is_refused(plans: dict[str, str]) -> None:
    assert plans["updates"].strip() == "updates is refused with exit code 2"
