"""Gold: all exchanges' silver tables into one, without a single duplicate.

flink run -py flink_jobs/gold.py --conf conf/pipeline.yaml
"""

from collections.abc import Sequence

from pyflink.table import StatementSet

import sql
from conf.settings import flink_duration, sql_interval
from flink_jobs.graph import Labels
from flink_jobs.job import Run, Wiring, finish, parser, require_tables, sink_options, source_options, start

TABLE = "gold_crypto_trades"


def build(run: Run) -> StatementSet:
    pipeline, environment, gold = run.settings.pipeline, run.settings.environment, run.settings.pipeline.jobs.gold
    # Processing time since a trade was first seen; a duplicate does not renew it. The STATE_TTL hint is not heard by this operator.
    run.tables.get_config().set("table.exec.state.ttl", flink_duration(gold.ttl))
    statements = run.tables.create_statement_set()
    for exchange in pipeline.exchanges:
        (source,) = sql.statements(
            "gold_source",
            exchange=exchange,
            table=f"silver_{exchange}_trades",
            database=pipeline.database,
            catalog=environment.catalog.name,
            properties=sql.options({k: v for k, v in environment.catalog_properties().items() if k != "type"}),
            source_options=sql.options(source_options(gold.monitor_interval)),
            watermark=sql_interval(gold.watermark),
        )
        run.tables.execute_sql(source)
        (insert,) = sql.statements(
            "gold",
            gold=run.table(TABLE),
            sink_options=sql.options(sink_options(run, TABLE, expire=exchange == next(iter(pipeline.exchanges)), part=exchange)),
            silver=f"default_catalog.default_database.silver_{exchange}",
        )
        statements.add_insert_sql(insert)
    return statements


def labels(exchanges: Sequence[str]) -> Labels:
    """What the operators of `build` are called."""
    return {
        "Calc": [f"{exchange}: {step}" for exchange in exchanges for step in ("event time", "arrival", "date and hour")],
        "WatermarkAssigner": [f"{exchange}: watermark" for exchange in exchanges],
        "Deduplicate": [f"{exchange}: keep the first of each message_id" for exchange in exchanges],
    }


def main(argv: Sequence[str] | None = None) -> None:
    run, given = start(parser("gold", __doc__.splitlines()[0]), "gold", argv)
    exchanges = list(run.settings.pipeline.exchanges)
    silver = [f"silver_{exchange}_trades" for exchange in exchanges]
    require_tables(run, *silver, TABLE)
    finish(run, build(run), Wiring(silver, TABLE, labels(exchanges)), given.fresh_state)


if __name__ == "__main__":
    main()
