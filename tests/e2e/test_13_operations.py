"""What people do with running jobs, and what they see of them in Flink's web UI."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.lake import DLQ
from tradelake.flink import client_variables
from tradelake.home import Home

VERTICES = {
    "bronze-kraken": ["Source: kraken-trades -> add ingestion time -> bronze-kraken-bronze_kraken_trades: Writer"],
    "silver-kraken": [
        "Source: bronze_kraken_trades -> decode batch -> decoded -> ("
        "decoded, doubtful or not -> keep what is doubtful -> doubtful -> judge -> ("
        "side output -> judged invalid -> rejected to dead letters -> silver-kraken-silver_dlq_trades: Writer, "
        "judged valid -> judged to silver -> silver-kraken-silver_kraken_trades-judged: Writer), "
        "decoded, certain or not -> certain to silver -> silver-kraken-silver_kraken_trades: Writer)",
    ],
    "gold": [
        f"Source: silver_{exchange}_trades -> {exchange}: event time -> {exchange}: watermark -> {exchange}: arrival -> "
        f"{exchange}: keep the first of each message_id -> {exchange}: date and hour -> gold-gold_crypto_trades-{exchange}: Writer"
        for exchange in ("binance", "kraken")
    ],
}
ASK = """
import sys
from flink_jobs.job import _has_rows, parser, start, warn_of_a_twin, with_exchange
run, _ = start(with_exchange(parser("silver", "")), "silver", sys.argv[1:])
warn_of_a_twin(run)
for source in ("bronze_kraken_trades", "bronze_nobody"):
    print(source, _has_rows(run, "silver_dlq_trades", {"bronze_source": source}))
"""


@pytest.mark.processes_only
def test_a_job_that_starts_anew_leaves_no_connection_to_zookeeper_behind(pipeline: Stack) -> None:
    """Iceberg's sinks keep the locks of their tables' maintenance there."""
    before = connections_to_zookeeper(pipeline)
    assert before > len(pipeline.job_names)
    pipeline.tradelake("upgrade", "bronze-kraken")
    pipeline.wait("the connections of before", lambda: connections_to_zookeeper(pipeline) == before)


def connections_to_zookeeper(stack: Stack) -> int:
    port = int(stack.environment["flink"]["zookeeper"].rpartition(":")[2])
    connections = [one for process in stack.processes() for one in process.net_connections("tcp")]
    return sum(one.status == psutil.CONN_ESTABLISHED and one.raddr.port == port for one in connections if one.raddr)


@pytest.mark.parametrize("job", VERTICES)
def test_the_graph_is_named_for_a_reader(pipeline: Stack, job: str) -> None:
    vertices = [vertex["name"] for vertex in pipeline.rest(f"/jobs/{pipeline.jobs()[job]['jid']}")["vertices"]]
    assert [name for name in VERTICES[job] if name not in vertices] == [], vertices
    assert not re.search(r"Calc\[|\*anonymous|TableToData", " ".join(vertices))


def test_the_job_shows_what_it_runs_with(pipeline: Stack) -> None:
    shown = pipeline.rest(f"/jobs/{pipeline.jobs()['gold']['jid']}/config")["execution-config"]["user-config"]
    assert shown.items() >= {"job": "gold", "database": "market_data", "ttl": "86400000 ms", "conf": str(pipeline.pipeline_file)}.items()


@pytest.mark.processes_only
def test_a_savepoint_is_made_while_the_job_goes_on_and_the_web_ui_lists_it(pipeline: Stack) -> None:
    job = pipeline.jobs()["gold"]["jid"]
    printed = pipeline.tradelake("savepoint", "gold").stdout
    place = re.search(r"^gold: (file:\S+)$", printed, re.M)
    assert place
    assert f"/#/job/running/{job}/checkpoints" in printed
    assert Path(place[1].removeprefix("file:"), "_metadata").is_file()
    assert pipeline.jobs()["gold"]["jid"] == job
    latest = pipeline.rest(f"/jobs/{job}/checkpoints")["latest"]["savepoint"]
    assert (latest["external_path"], latest["is_savepoint"]) == (place[1], True)


def test_jobs_are_listed_with_their_pages(pipeline: Stack) -> None:
    rows = pipeline.tradelake("jobs", "--json").json
    assert [row["job"] for row in rows] == pipeline.job_names
    assert {row["state"] for row in rows} == {"RUNNING"}
    assert {row["page"].rsplit("/", 2)[1] for row in rows} == {job["jid"] for job in pipeline.jobs().values()}
    assert all(row["running_s"] >= 0 and row["checkpoint_age_s"] < 600 for row in rows)
    shown = pipeline.tradelake("jobs").stdout.splitlines()
    assert [line.split()[-1] for line in shown[1:]] == [row["page"] for row in rows]  # each whole, however wide the terminal


def test_gold_is_rescaled_and_goes_back_to_its_settings_by_an_upgrade(pipeline: Stack) -> None:
    """A repeat of what was sent before shows that the state of every key came along, whichever task has it now."""
    trades = [raw.kraken("RESCALED/USD") for _ in range(20)]
    pipeline.send_trades("kraken", trades)
    pipeline.settle()
    for command, tasks in ((["rescale", "gold", "2"], 2), (["upgrade", "gold"], 1)):
        pipeline.tradelake(*command)
        assert parallelism(pipeline, "gold") == {tasks}
        assert restored(pipeline, "gold")["is_savepoint"]
        pipeline.send_trades("kraken", trades)
        pipeline.settle()
        assert pipeline.discrepancies() == []


def parallelism(stack: Stack, job: str) -> set[int]:
    """Of the operators that are not bound to one task: sinks commit in one."""
    vertices = stack.rest(f"/jobs/{stack.jobs()[job]['jid']}")["vertices"]
    return {vertex["parallelism"] for vertex in vertices if "Writer" in vertex["name"]}


def restored(stack: Stack, job: str) -> dict[str, Any]:
    answer: dict[str, Any] = stack.rest(f"/jobs/{stack.jobs()[job]['jid']}/checkpoints")["latest"]["restored"]
    return answer


def test_what_does_not_fit_is_refused_while_the_job_still_runs(pipeline: Stack) -> None:
    before = pipeline.jobs()["gold"]["jid"]
    assert "at most 16: jobs.gold.max_parallelism" in pipeline.tradelake("rescale", "gold", "17", exit_code=1).stderr
    assert "too few for a parallelism of 16" in pipeline.tradelake("rescale", "gold", "16", exit_code=1).stderr
    assert "gold runs already" in pipeline.tradelake("restore", "gold", exit_code=1).stderr
    assert pipeline.jobs()["gold"]["jid"] == before


def test_only_the_newest_state_is_restored(pipeline: Stack) -> None:
    printed = pipeline.tradelake("savepoint", "gold").stdout
    (older,) = re.findall(r"^gold: ((?:file|s3):\S+)$", printed, re.M)
    pipeline.settle()
    job = pipeline.jobs()["gold"]["jid"]
    assert f"\n  {pipeline.environment['flink']['rest']}/#/job/completed/{job}/checkpoints\n" in pipeline.tradelake("stop", "gold").stdout
    assert pipeline.rest(f"/jobs/{job}")["state"] == "FINISHED"
    assert "does not run" in pipeline.tradelake("savepoint", "gold", exit_code=1).stderr
    refused = pipeline.tradelake("restore", "gold", older, exit_code=1).stderr.replace("\n", "")
    newest = re.search(r"newest state of gold, which is (\S+):", refused)
    assert newest
    pipeline.tradelake("restore", "gold", newest[1])
    assert restored(pipeline, "gold")["external_path"].rstrip("/").endswith(newest[1].rsplit("/", 1)[1])
    pipeline.settle()
    assert pipeline.discrepancies() == []


def test_a_job_warns_of_its_twin_and_knows_its_rejects_among_those_of_others(pipeline: Stack) -> None:
    pipeline.send("kraken", [(b"k", b"\x01")])
    pipeline.settle()
    assert pipeline.lake.count(DLQ) > 0
    command = [sys.executable, "-c", ASK, "--exchange", "kraken", "--conf", str(pipeline.pipeline_file)]
    command += ["--environment", str(pipeline.home / "environment.yaml")]
    ran = subprocess.run(command, env=client_variables(Home(pipeline.home)), capture_output=True, text=True, check=False)
    assert f"warning: silver-kraken runs already, as {pipeline.jobs()['silver-kraken']['jid']}" in ran.stderr
    assert ran.stdout.split() == ["bronze_kraken_trades", "True", "bronze_nobody", "False"], ran.stderr
