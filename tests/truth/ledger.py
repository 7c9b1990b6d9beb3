"""The books of the whole pipeline: what went in came out, once, on every layer. By coordinates and ids, not by totals."""

from collections.abc import Iterable, Mapping

import duckdb
import pyarrow as pa

from tests.truth.kafka import Broker, Message
from tests.truth.lake import DLQ, GOLD, V2_COLUMNS, Lake, bronze, silver

COORDINATES = 'topic, "partition", "offset"'
COLUMNS = ", ".join(f'"{column}"' for column in V2_COLUMNS)
BRONZE_DIFFERS = """
    a.raw_bytes IS DISTINCT FROM b.raw_bytes OR a.message_key IS DISTINCT FROM b.message_key
    OR epoch_ms(a.kafka_timestamp) <> b.timestamp_ms OR len(map_keys(a.headers)) <> b.headers"""
SILVER_DIFFERS = """
    a.kafka_timestamp <> b.kafka_timestamp OR a.bronze_ingestion_timestamp IS DISTINCT FROM b.ingestion_timestamp
    OR a.platform_sequence <> a."offset" """
KAFKA = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp_ms", pa.int64()),
        ("message_key", pa.binary()),
        ("raw_bytes", pa.binary()),
        ("headers", pa.int64()),
        ("schema_id", pa.int64()),
    ]
)


def _missing(of: str, in_: str) -> str:
    return f"SELECT count(*) FROM {of} ANTI JOIN {in_} USING ({COORDINATES})"


def _doubled(table: str) -> str:
    return f"SELECT count(*) - count(DISTINCT ({COORDINATES})) FROM {table}"


def _joined(a: str, b: str, differ: str) -> str:
    return f"SELECT count(*) FROM {a} AS a JOIN {b} AS b USING ({COORDINATES}) WHERE {differ}"


QUESTIONS = {
    "Kafka messages are not in bronze": _missing("kafka", "bronze"),
    "bronze rows are not in Kafka": _missing("bronze", "kafka"),
    "bronze rows too many for their coordinates": _doubled("bronze"),
    "bronze rows differ from their Kafka message": _joined("bronze", "kafka", BRONZE_DIFFERS),
    "bronze rows are neither in silver nor rejected": _missing("bronze", "judged"),
    "silver or rejected rows are not in bronze": _missing("judged", "bronze"),
    "silver or rejected rows too many for their coordinates": _doubled("judged"),
    "silver rows differ from their bronze row": _joined("silver", "bronze", SILVER_DIFFERS),
    "silver rows name another schema than their message": _joined("silver", "kafka", "a.schema_id <> b.schema_id"),
    "rejected rows differ from their message": _joined("dlq", "kafka", "a.raw_record IS DISTINCT FROM b.raw_bytes"),
    "gold rows too many for their message_id": "SELECT count(*) - count(DISTINCT message_id) FROM gold",
    "trades of silver are not in gold": "SELECT count(*) FROM (SELECT message_id FROM silver EXCEPT SELECT message_id FROM gold)",
    "gold rows are no row of silver": f"SELECT count(*) FROM (SELECT {COLUMNS} FROM gold EXCEPT SELECT {COLUMNS} FROM silver)",
    "gold rows stand in another hour than their trade": """
        SELECT count(*) FROM gold
        WHERE exchange_date <> make_timestamp("timestamp")::DATE OR exchange_hour <> hour(make_timestamp("timestamp"))""",
    "silver rows stand on another day than their trade": """
        SELECT count(*) FROM silver WHERE exchange_date <> make_timestamp("timestamp")::DATE""",
}


def discrepancies(lake: Lake, broker: Broker, topics: Mapping[str, str]) -> list[str]:
    """What is not as it must be, a line each; nothing for a pipeline at rest that lost, doubled and changed nothing.

    Args:
        topics: of every exchange of the pipeline.
    """
    dlq = lake.rows(DLQ)
    coordinates = {"kafka_topic": "topic", "kafka_partition": "partition", "kafka_offset": "offset"}
    return audit(
        {
            "kafka": table_of(message for topic in topics.values() for message in broker.messages(topic)),
            "bronze": pa.concat_tables([lake.rows(bronze(exchange)) for exchange in topics]),
            "silver": pa.concat_tables([lake.rows(silver(exchange)) for exchange in topics], promote_options="default"),
            "dlq": dlq.rename_columns([coordinates.get(name, name) for name in dlq.column_names]),
            "gold": lake.rows(GOLD),
        }
    )


def audit(tables: Mapping[str, pa.Table]) -> list[str]:
    """The answers to `QUESTIONS` that are not zero.

    Args:
        tables: kafka, bronze, silver, dlq (its coordinates under the names of the other tables) and gold.
    """
    books = duckdb.connect()
    books.execute("SET TimeZone = 'UTC'")
    for name, table in tables.items():
        books.register(name, table)
    books.execute(f"CREATE VIEW judged AS SELECT {COORDINATES} FROM silver UNION ALL SELECT {COORDINATES} FROM dlq")
    answers = {what: books.sql(question).fetchall()[0][0] for what, question in QUESTIONS.items()}
    return [f"{count} {what}" for what, count in answers.items() if count]


def table_of(messages: Iterable[Message]) -> pa.Table:
    return pa.Table.from_pylist([_row(message) for message in messages], KAFKA)


def _row(message: Message) -> dict[str, object]:
    value = message.value
    return {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "timestamp_ms": message.timestamp_ms,
        "message_key": message.key,
        "raw_bytes": value,
        "headers": len(dict(message.headers)),
        "schema_id": None if value is None or len(value) < 5 else int.from_bytes(value[1:5], "big", signed=True),
    }
