"""Bars: open, high, low, close and volume of gold's trades, a second, a minute and an hour wide (docs/bars.md).

flink run -py flink_jobs/ohlcv.py --conf conf/pipeline.yaml
"""

from collections.abc import Sequence

from pyflink.table import StatementSet

import sql
from conf.settings import milliseconds, sql_interval
from flink_jobs.job import Run, Wiring, finish, once, parser, require_tables, sink_options, source_options, start

TABLE, GOLD = "gold_ohlcv", "gold_crypto_trades"
WIDTHS = ("1s", "1m", "1h")
LABELS = {
    "WatermarkAssigner": ["watermark"],
    "OverAggregate": ["latest trade so far"],
    "TableToDataSteam": ["placed"],
    "view": ["placed, in open windows or not"],
    "Calc": [
        *("event time", "arrival", "place among the trades, open or closed"),
        *(label for width in WIDTHS for label in (f"{width}: in an open window", f"{width}: bar")),
        *(f"{width}: after its window" for width in WIDTHS),
        "correction",
    ],
    "GroupWindowAggregate": [*(f"{width}: window" for width in WIDTHS), "gather corrections"],
}
STATEFUL = {"OverAggregate": ["latest"], "GroupWindowAggregate": [*(f"window-{width}" for width in WIDTHS), "corrections"]}


def build(run: Run) -> StatementSet:
    environment, ohlcv, tables = run.settings.environment, run.settings.pipeline.jobs.ohlcv, run.tables
    assert ohlcv is not None  # `start` refuses settings without it
    (source,) = sql.statements(
        "ohlcv_source",
        table=GOLD,
        database=run.settings.pipeline.database,
        catalog=environment.catalog.name,
        properties=sql.options({k: v for k, v in environment.catalog_properties().items() if k != "type"}),
        source_options=sql.options(source_options(ohlcv.monitor_interval)),
        watermark=sql_interval(ohlcv.watermark),
    )
    placed, *views, insert = sql.statements(
        "ohlcv",
        ohlcv=run.table(TABLE),
        sink_options=sql.options(sink_options(run, TABLE)),
        watermark_ms=milliseconds(ohlcv.watermark),
        corrections=sql_interval(ohlcv.corrections),
    )
    tables.execute_sql(source)
    tables.create_temporary_view("placed", once(run, tables.sql_query(placed), "event_time"))
    for view in views:
        tables.execute_sql(view)
    statements = tables.create_statement_set()
    statements.add_insert_sql(insert)
    return statements


def main(argv: Sequence[str] | None = None) -> None:
    run, given = start(parser("ohlcv", __doc__.splitlines()[0]), "ohlcv", argv)
    require_tables(run, GOLD, TABLE)
    finish(run, build(run), Wiring([GOLD], TABLE, LABELS, stateful=STATEFUL, one_watermark=True), given.fresh_state)


if __name__ == "__main__":
    main()
