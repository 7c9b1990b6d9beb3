"""Rejected messages are replayed exactly once, however often and by how many. Last: the tests' own books do not know of replays."""

import secrets
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import fastavro

from tests.e2e import raw
from tests.e2e.stack import Stack
from tests.truth.kafka import HEADER
from tests.truth.lake import BRONZE, DLQ, GOLD, SILVER
from tests.truth.trades import Raw

COUNT = 30
COIN = f"REPLAYED{secrets.token_hex(3).upper()}"
"""One that no earlier run on this stack has replayed."""
PAIR, SYMBOL = f"{COIN}/USD", f"{COIN}USD"
RECORD = "silver_dlq_replays"


def in_silver(stack: Stack) -> list[str]:
    return sorted(stack.lake.rows(SILVER["kraken"], ("message_id",), f"symbol = '{SYMBOL}'")["message_id"].to_pylist())


FIELD = "replayed"


def evolved(stack: Stack) -> dict[str, Any]:
    """The newest schema with a field more."""
    schema = stack.registry.schema(stack.registry.ids(f"{stack.topics['kraken']}-value")[-1])
    fields = [{name: known[name] for name in known if not name.startswith("__")} for known in schema["fields"] if known["name"] != FIELD]
    namespace, _, name = schema["name"].rpartition(".")
    return {
        "type": "record",
        "name": name,
        "namespace": namespace,
        "fields": [*fields, {"name": FIELD, "type": "string", "default": str(raw.number())}],
    }


def written(schema: dict[str, Any], schema_id: int, record: Raw) -> bytes:
    """A message of a schema that the registry may not have."""
    body = BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), record)
    return HEADER.pack(0, schema_id) + body.getvalue()


def test_what_a_schema_was_missing_for_goes_to_silver_and_gold_once_it_is_there(pipeline: Stack) -> None:
    """They carry the id that the registry gives next; ten of them are broken besides, and stay rejected."""
    since = datetime.now(UTC).isoformat()  # messages of other tests may become valid by the schema, too
    schema = evolved(pipeline)
    subject = f"{pipeline.topics['kraken']}-value"
    registered = pipeline.registry.register(f"elsewhere-{raw.number()}", schema | {"name": "Elsewhere"}).json()["id"]
    coming = registered + 1
    trades: list[Raw] = [raw.kraken(PAIR) for _ in range(COUNT)]
    broken: list[Raw] = [raw.kraken(PAIR, price="0") for _ in range(10)]
    values = [written(schema, coming, one | {FIELD: ""}) for one in trades + broken]
    pipeline.send("kraken", [(PAIR.encode(), value) for value in values])
    pipeline.settle()
    assert in_silver(pipeline) == []
    assert pipeline.registry.register(subject, schema).json()["id"] == coming

    gold, dlq = pipeline.lake.count(GOLD), pipeline.lake.count(DLQ)
    options = ("--reason", "unknown_schema_id", "--since", since, "--json")
    planned = pipeline.tradelake("dlq", "replay", *options, "--dry-run").json
    assert planned["replayed"] == COUNT
    still = {one["reason"]: one["messages"] for one in planned["still_rejected"]}  # those of other tests among them
    assert still["price_not_positive"] >= 10
    assert in_silver(pipeline) == []
    two = [pipeline.start("dlq", "replay", *options) for _ in range(2)]  # at the same time
    printed = [process.communicate()[0] for process in two]
    assert [process.returncode for process in two] == [0, 0], printed
    assert pipeline.tradelake("dlq", "replay", *options).json["replayed"] == 0
    wanted = sorted(trade["message_id"] for trade in pipeline.truth("kraken", trades))
    assert in_silver(pipeline) == wanted
    pipeline.wait_for_counts(**{GOLD: gold + COUNT})
    assert sorted(pipeline.lake.rows(GOLD, ("message_id",), f"symbol = '{SYMBOL}'")["message_id"].to_pylist()) == wanted
    assert pipeline.lake.count(DLQ) == dlq
    assert len(set(pipeline.lake.rows(RECORD)["kafka_offset"].to_pylist())) >= COUNT / 4
    # What a test before has let in by another rule is older.
    report = pipeline.tradelake("audit", "--since", since, "--sample", "all", "--json").json
    assert [finding for finding in report["findings"] if not finding["notice"]] == []


def test_a_row_of_silver_is_what_the_job_would_have_made(pipeline: Stack) -> None:
    """All columns but those of the moment."""
    (replayed, *_) = pipeline.lake.rows(SILVER["kraken"], ("*",), f"symbol = '{SYMBOL}'").sort_by("offset").to_pylist()
    where = f"partition = {replayed['partition']} AND offset = {replayed['offset']}"
    (bronze,) = pipeline.lake.rows(BRONZE["kraken"], ("*",), where).to_pylist()
    assert replayed["kafka_timestamp"] == bronze["kafka_timestamp"]
    assert replayed["bronze_ingestion_timestamp"] == bronze["ingestion_timestamp"]
    assert replayed["platform_sequence"] == replayed["offset"]
    assert replayed["schema_id"] == int.from_bytes(bronze["raw_bytes"][1:5], "big")
    assert [name for name, value in replayed.items() if value is None] == ["source_sequence"]
