"""Bronze: one exchange's Kafka topic into its bronze table, bytes untouched.

flink run -py flink_jobs/bronze.py --exchange binance --conf conf/pipeline.yaml
"""

from collections.abc import Sequence

from pyflink.table import StatementSet

import sql
from conf.settings import flink_duration
from flink_jobs.job import Run, Wiring, finish, parser, require_tables, sink_options, start, with_exchange

LABELS = {"Calc": ["add ingestion time"]}


def build(run: Run) -> StatementSet:
    pipeline, kafka = run.settings.pipeline, run.settings.environment.kafka
    table = f"bronze_{run.exchange}_trades"
    source, insert = sql.statements(
        "bronze",
        job=run.name,
        topic=pipeline.exchange(run.exchange).topic,
        kafka_options=sql.options(
            {f"properties.{key}": value for key, value in {"bootstrap.servers": kafka.bootstrap_servers, **kafka.options}.items()}
        ),
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
