"""The tables: created from `sql/tables/`, compared with it when they exist already.

Flink itself reads the statements, once into the lake and once into its catalog in memory; what the two catalogs then say of a table is
compared. So the SQL is the one description of the tables.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import click
from rich.markup import escape

import sql
from conf.settings import Pipeline, Settings
from tradelake.console import Failure, output, step
from tradelake.flink import java_environment
from tradelake.home import Home
from tradelake.lake import catalog


@dataclass
class Table:
    """What was found and done. `misfits` stop a job or a query; `notes` do not."""

    name: str
    created: bool
    misfits: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def table_kinds(pipeline: Pipeline) -> dict[str, str]:
    """Table name -> file below `sql/tables/` that describes it."""
    return {
        **{f"bronze_{exchange}_trades": "bronze" for exchange in pipeline.exchanges},
        **{f"silver_{exchange}_trades": "silver" for exchange in pipeline.exchanges},
        "silver_dlq_trades": "dlq",
        "gold_crypto_trades": "gold",
    }


@click.group()
def tables() -> None:
    """The lake's tables."""


@tables.command()
@click.pass_obj
def create(home: Home) -> None:
    """Create the tables that do not exist, and say what differs in those that do.

    Exits with 1 when an existing table does not fit; nothing of it is changed.
    """
    started = time.monotonic()
    found = create_tables(home.settings())
    for table in found:
        output.print(f"{escape(table.name)}: {'created' if table.created else 'exists'}{'' if table.misfits else ' and fits'}")
        for note in table.notes:
            output.print(f"    {escape(note)}")
    output.print(f"{len(found)} tables after {time.monotonic() - started:.1f} s")
    misfits = [f"{table.name}: {misfit}" for table in found for misfit in table.misfits]
    if misfits:
        raise Failure("these tables do not fit, rename or alter them:\n" + "\n".join(misfits))


def create_tables(settings: Settings) -> list[Table]:
    """Create and compare, in a process of its own: the Java machine that does it ends with it.

    Raises:
        Failure: the catalog does not answer, or refuses.
    """
    catalog(settings)  # a login that is refused is one line here; Flink would print all options of the catalog with it
    with step("tables"), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_create_tables, settings).result()


def _create_tables(settings: Settings) -> list[Table]:
    java_environment()
    from pyflink.table import EnvironmentSettings, TableEnvironment  # starts nothing; heavy, and only wanted here

    flink = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
    environment, database = settings.environment, settings.pipeline.database
    name = environment.catalog.name
    for file, parameters in (
        ("catalog", {"name": name, "properties": sql.options(environment.catalog_properties())}),
        ("database", {"catalog": name, "database": database}),
    ):
        for statement in sql.statements(file, **parameters):
            try:
                flink.execute_sql(statement)
            except Exception as error:  # of PyFlink, or of Py4J: as it is, it shows all options of the catalog
                raise Failure(f"the catalog at {environment.catalog.uri} cannot be opened: {sql.cause(error)}") from None
    flink.use_catalog("default_catalog")
    existing = set(flink._j_tenv.getCatalog(name).get().listTables(database))
    return [
        _create_table(flink, f"{name}.{database}.{table}", kind, table in existing)
        for table, kind in table_kinds(settings.pipeline).items()
    ]


def _create_table(flink: Any, path: str, kind: str, exists: bool) -> Table:
    name = path.rpartition(".")[2]
    if not exists:
        flink.execute_sql(sql.statements(f"tables/{kind}", table=path)[0])
        return Table(name, created=True)
    described = f"default_catalog.default_database.{name}"
    flink.execute_sql(sql.statements(f"tables/{kind}", table=described)[0])
    misfits, notes = compare_columns(_columns(flink, described), _columns(flink, path))
    partitions = _definition(flink, described)[0], _definition(flink, path)[0]
    if partitions[0] != partitions[1]:
        misfits.append(f"is partitioned by {', '.join(partitions[1]) or 'nothing'}, should be by {', '.join(partitions[0])}")
    wanted, has = _definition(flink, described)[1], _definition(flink, path)[1]
    notes += [
        f"property {key} is {has.get(key, 'not set')}, by sql/tables/{kind}.sql it is {value}"
        for key, value in wanted.items()
        if has.get(key) != value
    ]
    return Table(name, created=False, misfits=misfits, notes=notes)


def compare_columns(wanted: dict[str, str], has: dict[str, str]) -> tuple[list[str], list[str]]:
    """Misfits and notes of a table that `has` columns (name -> type) and should have the `wanted` ones."""
    misfits = [f"column {column} is missing" for column in wanted if column not in has]
    misfits += [f"column {column} is {has[column]}, should be {kind}" for column, kind in wanted.items() if has.get(column, kind) != kind]
    return misfits, [f"column {column} is not described in sql/tables/" for column in has if column not in wanted]


def _columns(flink: Any, path: str) -> dict[str, str]:
    """Name -> type. Iceberg's maps never have NULL keys, Flink's may: no difference to a row that is written."""
    with flink.execute_sql(f"DESCRIBE {path}").collect() as rows:
        return {row[0]: row[1].replace(" NOT NULL", "") for row in rows}


def _definition(flink: Any, path: str) -> tuple[list[str], dict[str, str]]:
    """Partition keys and properties."""
    catalog, database, name = path.split(".")
    from pyflink.java_gateway import get_gateway

    table = flink._j_tenv.getCatalog(catalog).get().getTable(get_gateway().jvm.org.apache.flink.table.catalog.ObjectPath(database, name))
    # Iceberg does not say a table's format version among its properties.
    return list(table.getPartitionKeys()), {key: value for key, value in table.getOptions().items() if key != "format-version"}
