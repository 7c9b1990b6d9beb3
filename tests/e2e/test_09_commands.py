"""What the commands promise: exit codes, one clear line for what a person can mend, and nothing done twice."""

import socket
from collections.abc import Iterator

import psutil
import pytest

from tests.e2e.stack import Stack
from tests.truth.lake import TABLES

PARTS = ("zookeeper", "kafka", "s3", "catalog", "registry", "jobmanager", "taskmanager")


@pytest.mark.processes_only
def test_up_a_second_time_is_harmless(pipeline: Stack) -> None:
    before = {part["name"]: part["pid"] for part in pipeline.status()["parts"]}, pipeline.counts()
    jobs = {name: job["jid"] for name, job in pipeline.jobs().items()}
    assert pipeline.tradelake("up").stdout.startswith("already up")
    assert ({part["name"]: part["pid"] for part in pipeline.status()["parts"]}, pipeline.counts()) == before
    assert {name: job["jid"] for name, job in pipeline.jobs().items()} == jobs


@pytest.mark.processes_only
def test_status_names_every_part_and_every_job(pipeline: Stack) -> None:
    status = pipeline.status()
    assert status["running"] is True
    assert {part["name"]: part["state"] for part in status["parts"]} == dict.fromkeys(PARTS, "RUNNING")
    assert {job["name"]: job["state"] for job in status["jobs"]} == dict.fromkeys(pipeline.job_names, "RUNNING")
    assert all(psutil.pid_exists(part["pid"]) and part["memory"] > 0 for part in status["parts"])
    printed = pipeline.tradelake("status").stdout
    assert all(name in printed for name in (*PARTS, *pipeline.job_names))


@pytest.mark.processes_only
@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_a_log(pipeline: Stack, part: str) -> None:
    assert len(pipeline.tradelake("logs", part, "--lines", 3).stdout.splitlines()) == 3


@pytest.mark.processes_only
def test_the_whole_stack_needs_less_than_eight_gigabytes(pipeline: Stack) -> None:
    assert sum(part["memory"] for part in pipeline.status()["parts"]) < 8e9


@pytest.mark.processes_only
def test_everything_listens_on_the_loopback_address_only(pipeline: Stack) -> None:
    places = {
        (part_of(process), connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port)
        for process in pipeline.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or (connection.type == socket.SOCK_DGRAM and not connection.raddr)
    }
    assert {part for part, _, _ in places} >= set(PARTS)
    assert [place for place in places if place[1] not in ("127.0.0.1", "::1")] == []


def part_of(process: psutil.Process) -> str:
    return process.environ().get("TRADELAKE_PART", "")


def test_topics_a_second_time_all_exist(pipeline: Stack) -> None:
    before = {topic: pipeline.broker.offsets(topic) for topic in pipeline.topics.values()}
    lines = pipeline.tradelake("topics", "create").stdout.splitlines()
    assert lines
    assert all(line.startswith("exists: ") for line in lines)
    assert {topic: pipeline.broker.offsets(topic) for topic in pipeline.topics.values()} == before


@pytest.fixture
def misfit(pipeline: Stack, tmp_path: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with a database of its own, in which one table has a column too few and one of another type."""
    database = "misfits"
    file = pipeline.home / "misfits.yaml"
    file.write_text(pipeline.pipeline_file.read_text(encoding="utf-8").replace("database: market_data", f"database: {database}"))
    stack = pipeline.with_pipeline(file)
    stack.tradelake("tables", "create")
    with stack.lake.table("gold_crypto_trades").update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("vendor_data")
    with stack.lake.table("silver_dlq_trades").update_schema() as change:
        change.rename_column("error_reason", "why")
    yield stack
    catalog = stack.lake.catalog()
    for table in TABLES:
        catalog.drop_table((database, table))
    catalog.drop_namespace(database)
    file.unlink()


def test_tables_that_do_not_fit_are_named_with_what_differs_and_left_alone(misfit: Stack) -> None:
    schemas = {table: misfit.lake.table(table).schema() for table in TABLES}
    refused = misfit.tradelake("tables", "create", exit_code=1)
    assert "gold_crypto_trades: column vendor_data is missing" in refused.stderr
    assert "silver_dlq_trades: column error_reason is missing" in refused.stderr
    assert "bronze_binance_trades: exists and fits" in refused.stdout
    assert {table: misfit.lake.table(table).schema() for table in TABLES} == schemas


WRONG_USAGE = (
    ("no-such-command",),
    ("submit", "no-such-job"),
    ("stop", "no-such-job"),
    ("produce",),
    ("produce", "binance"),
    ("produce", "binance", "/no/such/file"),
    ("produce", "--generate", "0"),
    ("produce", "--generate", "1", "--duplicates", "2"),
    ("query",),
)
WRONG_USAGE_OF_PROCESSES = (("up", "--port-base", "seven"), ("logs", "no-such-part"))


@pytest.mark.parametrize(
    "arguments",
    [*WRONG_USAGE, *(pytest.param(arguments, marks=pytest.mark.processes_only) for arguments in WRONG_USAGE_OF_PROCESSES)],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_two_with_a_message(pipeline: Stack, arguments: tuple[str, ...]) -> None:
    ran = pipeline.tradelake(*arguments, exit_code=2)
    assert ran.stdout == ""
    assert "Error" in ran.stderr


FAILURES = {
    ("query", "SELECT * FROM no_such_table"): "no_such_table",
    ("submit", "gold"): "gold runs already",
}


@pytest.mark.parametrize("arguments", FAILURES, ids=" ".join)
def test_a_failure_is_exit_code_one_with_a_line_that_says_what(pipeline: Stack, arguments: tuple[str, ...]) -> None:
    ran = pipeline.tradelake(*arguments, exit_code=1)
    assert FAILURES[arguments] in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.processes_only
def test_up_at_other_ports_is_exit_code_one_with_a_line_that_says_what(pipeline: Stack) -> None:
    ran = pipeline.tradelake("up", "--port-base", "40000", exit_code=1)
    assert "is up, at port base" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_unreadable_line_is_named_and_the_others_are_sent(pipeline: Stack) -> None:
    before = pipeline.broker.count("kraken-trades")
    frame = '[321,[["1.0","2.0","1722470400.000001","b","m",""]],"trade","READ/USD"]'
    file = pipeline.home / "broken.ndjson"
    file.write_text(f'{{"recv_s":"1722470400.5","frame":{frame}}}\nnot JSON\n{{"recv_s":"1722470400.5","frame":{{"event":"heartbeat"}}}}\n')
    ran = pipeline.tradelake("produce", "kraken", file, exit_code=1)
    assert f"{file}, line 2" in ran.stderr
    assert "sent 1 messages" in ran.stdout
    assert "1 frames skipped" in ran.stdout
    assert pipeline.broker.count("kraken-trades") == before + 1


def test_generated_trades_are_the_same_for_the_same_seed(pipeline: Stack) -> None:
    sent = []
    for _ in range(2):
        ran = pipeline.tradelake("produce", "--generate", 300, "--seed", 9, "--symbols", "SEEDUSDT", "--bad", 0.1, "--json").json
        ranges = {int(partition): ends for partition, ends in ran["offsets"]["binance-trades"].items()}
        messages = pipeline.broker.messages("binance-trades")
        sent.append([(m.key, m.value) for m in messages if ranges[m.partition][0] <= m.offset < ranges[m.partition][1]])
    assert sent[0] == sent[1]
    assert sum(key == b"SEEDUSDT" for key, _ in sent[0]) == 300
    assert len(sent[0]) > 300


def test_the_commands_left_the_books_balanced(pipeline: Stack) -> None:
    pipeline.settle()
    assert pipeline.discrepancies() == []
