"""Bronze: one exchange's Kafka topic into its bronze table, bytes untouched.

flink run -py flink_jobs/bronze.py --exchange binance --conf conf/pipeline.yaml
"""

import re
from collections.abc import Sequence

from pyflink.table import StatementSet

import sql
from conf.settings import Kafka, flink_duration
from flink_jobs.job import Run, Wiring, finish, parser, require_tables, sink_options, start, with_exchange

KAFKAS_CLASS = re.compile(r"(?<![\w.])org\.apache\.kafka\.")
SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka."
LABELS = {"Calc": ["add ingestion time"]}


def source_properties(kafka: Kafka) -> dict[str, str]:
    """The properties of the source's client. The connector has Kafka's classes under a name of its own, login modules among them."""
    options = {key: KAFKAS_CLASS.sub(SHADED, value) for key, value in kafka.options.items()}
    return {"bootstrap.servers": kafka.bootstrap_servers, **options}


def build(run: Run) -> StatementSet:
    pipeline, kafka = run.settings.pipeline, run.settings.environment.kafka
    table = f"bronze_{run.exchange}_trades"
    source, insert = sql.statements(
        "bronze",
        job=run.name,
        topic=pipeline.exchange(run.exchange).topic,
        kafka_options=sql.options({f"properties.{key}": value for key, value in source_properties(kafka).items()}),
        partition_discovery=flink_duration(pipeline.jobs.bronze.partition_discovery),
        bronze=run.table(table),
        sink_options=sql.options(sink_options(run, table)),
    )
    run.tables.execute_sql(source)
    statements = run.tables.create_statement_set()
    statements.add_insert_sql(insert)
    return statements


def main(argv: Sequence[str] | None = None) -> None:
    options = with_exchange(parser("bronze", __doc__.splitlines()[0]))
    run, given = start(options, "bronze", argv)
    table = f"bronze_{run.exchange}_trades"
    require_tables(run, table)
    finish(run, build(run), Wiring([run.settings.pipeline.exchange(run.exchange).topic], table, LABELS), given.fresh_state)


if __name__ == "__main__":
    main()
