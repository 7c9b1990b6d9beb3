"""Silver: one exchange's bronze rows decoded, mapped and judged, into its silver table or the dead-letter table.

flink run -py flink_jobs/silver.py --exchange binance --conf conf/pipeline.yaml
"""

from collections.abc import Sequence

from pyflink.java_gateway import get_gateway
from pyflink.table import StatementSet, Table
from pyflink.table.udf import udf

import conf
import sql
from conf.settings import microseconds
from flink_jobs.job import Run, Wiring, finish, parser, refuse, require_tables, sink_options, source_options, start, with_exchange
from flink_jobs.operators import BATCH_TYPE, JUDGED, REJECTED, Decide, Decode, Rules
from udfs.rules import Limits

DLQ = "silver_dlq_trades"
LABELS = {
    "PythonCalc": ["decode batch"],
    "TableToDataSteam": ["decoded", "doubtful"],
    "view": ["decoded, doubtful or not", "decoded, certain or not", "judged valid", "judged invalid"],
    "Calc": ["keep what is doubtful", "certain to silver", "judged to silver", "rejected to dead letters"],
    "Map": ["side output"],
}


def build(run: Run) -> StatementSet:
    silver, bronze = f"silver_{run.exchange}_trades", f"bronze_{run.exchange}_trades"
    decode, doubtful, to_silver, judged_to_silver, to_dlq = sql.statements(
        "silver",
        exchange=run.exchange.upper(),
        bronze=run.table(bronze),
        bronze_name=bronze,
        silver=run.table(silver),
        dlq=run.table(DLQ),
        source_options=sql.options(source_options(run.settings.pipeline.jobs.silver.monitor_interval)),
        silver_options=sql.options(sink_options(run, silver)),
        judged_options=sql.options(sink_options(run, silver, expire=False, part="judged")),
        dlq_options=sql.options(sink_options(run, DLQ, expire=run.exchange == next(iter(run.settings.pipeline.exchanges)))),
    )
    tables, rules = run.tables, _rules(run)
    tables.create_temporary_function("decode_trade", udf(Decode(rules), result_type=BATCH_TYPE, func_type="pandas"))
    tables.create_temporary_view("decoded", _once(run, tables.sql_query(decode)))
    judged = tables.to_data_stream(tables.sql_query(doubtful)).process(Decide(rules), JUDGED).name("judge").uid("judge")
    tables.create_temporary_view("judged", tables.from_data_stream(judged))
    tables.create_temporary_view("rejected", tables.from_data_stream(judged.get_side_output(REJECTED)))
    statements = tables.create_statement_set()
    statements.add_insert_sql(to_silver)
    statements.add_insert_sql(judged_to_silver)
    statements.add_insert_sql(to_dlq)
    return statements


def _once(run: Run, decoded: Table) -> Table:
    """The table as a stream of Flink's own rows: filtered twice, it is decoded once; as a view it would be decoded for each filter."""
    j_env, j_table = run.tables._j_tenv, decoded._j_table
    row_data = get_gateway().jvm.Class.forName("org.apache.flink.table.data.RowData")
    row_type = j_table.getResolvedSchema().toPhysicalRowDataType().bridgedTo(row_data)
    return Table(j_env.fromDataStream(j_env.toDataStream(j_table, row_type)), run.tables)


def _rules(run: Run) -> Rules:
    pipeline, registry = run.settings.pipeline, run.settings.environment.registry
    return Rules(
        exchange=run.exchange,
        reader_schema=conf.schema(run.exchange),
        quote_assets=pipeline.exchange(run.exchange).quote_assets,
        limits=Limits(microseconds(pipeline.limits.future_tolerance), microseconds(pipeline.limits.max_age)),
        registry_url=registry.url,
        registry_options=registry.options,
    )


def main(argv: Sequence[str] | None = None) -> None:
    options = with_exchange(parser("silver", __doc__.splitlines()[0]))
    run, given = start(options, "silver", argv)
    table = f"silver_{run.exchange}_trades"
    try:
        _rules(run).open()  # what is wrong with the registry's options would else be found by the workers, again and again
    except ValueError as error:
        refuse(f"registry.options: {error}")
    bronze = f"bronze_{run.exchange}_trades"
    require_tables(run, bronze, table, DLQ)
    finish(run, build(run), Wiring([bronze], table, LABELS, {DLQ: {"bronze_source": bronze}}), given.fresh_state)


if __name__ == "__main__":
    main()
