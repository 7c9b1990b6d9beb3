"""`tradelake query`: questions to the lake, in SQL, answered by DuckDB."""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from threading import Event
from typing import Any

import click
import duckdb

import sql
from conf.settings import Settings
from tradelake.as_of import NEWEST, Moment, shown
from tradelake.console import Failure, output, screen
from tradelake.home import Home
from tradelake.lake import connect, lake_failures
from tradelake.results import Row, batches, print_rows, write_csv, write_json
from tradelake.statement import ALLOWED, Refused, check

NUMBERS = ("DECIMAL", "DOUBLE", "FLOAT", "HUGEINT", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UHUGEINT", "UBIGINT", "UINTEGER")
OF_THE_PRESENT = ("ICEBERG_SCAN in referenced view", '"filename" not found')
"""Signs in DuckDB's messages of what a table as of a moment does not have."""
NO_PAST = (
    f"\nMetadata functions and the column filename are there only for tables as they are now: {NEWEST}.{{}}.TABLE, or without --as-of."
)


@click.command()
@click.argument("statement", required=False, metavar="[SQL]")
@click.option("-f", "--file", type=click.File(encoding="utf-8"), help="Read the SQL from a file, or from standard input (-).")
@click.option("--name", help="Ask one of the questions that are shipped; --list shows them.")
@click.option("--list", "listed", is_flag=True, help="List the questions that are shipped.")
@click.option("--as-of", type=Moment(), metavar="TIME", help="Read all tables as they were then: 2026-08-08T23:54:15Z, or 5 min.")
@click.option("--json", "form", flag_value="json", help="One array of objects.")
@click.option("--csv", "form", flag_value="csv", help="RFC 4180, with a header line.")
@click.pass_obj
def query(home: Home, statement: str | None, file: Any, name: str | None, listed: bool, as_of: datetime | None, form: str | None) -> None:
    """Ask the lake a question in SQL (DuckDB's dialect).

    \b
    Tables: bronze_EXCHANGE_trades, silver_EXCHANGE_trades, silver_dlq_trades, gold_crypto_trades
            (EXCHANGE: one of the pipeline file, such as binance, kraken)
    tradelake query "SELECT exchange, count(*) FROM gold_crypto_trades GROUP BY exchange"
    tradelake query --name last_trades

    Every query reads one consistent state: of each table the snapshot that was the newest when the query began, or at the TIME of --as-of.

    TIME is ISO 8601 with its zone (2026-08-08T23:54:15Z, ...+02:00; a time without one is refused), or how long ago: 90 s, 5 min, 2 h,
    1 d. It is compared with the times of commits, not of trades: a row is there from the commit that made it visible. A table that had no
    commit yet, or that was created later, is empty. Old snapshots expire (expiry.max_age in the pipeline file, 6 h by default): beyond
    them the query is refused, and says how far back it can go. newest.DATABASE.TABLE is the table as it is now, to compare with.

    Exactly one SELECT, or EXPLAIN of one; nothing can be written, and no local file or other address can be read. Exact in every form: in
    JSON decimals are strings, timestamps ISO 8601 (UTC, microseconds), bytes hexadecimal strings, lists arrays; in CSV NULL is an empty
    field.
    """
    if sum(map(bool, (statement, file, name, listed))) != 1:
        raise click.UsageError("give one of: the SQL, --file, --name, --list")
    if listed and as_of:
        raise click.UsageError("--list asks nothing that --as-of could change")
    if listed:
        for known, question in questions().items():
            click.echo(f"{known:<{max(map(len, questions()))}}  {question}")
        return
    run(home, sql.for_each(shipped(name), home.pipeline().exchanges) if name else given(file, statement), form, as_of)


def given(file: Any, statement: str | None) -> str:
    """The SQL of the file or of the argument; wrong usage if it is not UTF-8."""
    try:
        text: str = file.read() if file else str(statement)
        text.encode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        where = f"{file.name} is" if file else "it is"
        raise click.UsageError(f"the SQL must be UTF-8, {where} not: {error.reason} at {error.start}") from None
    return text


def run(home: Home, text: str, form: str | None, as_of: datetime | None = None) -> None:
    """Check a statement, run it, and print its rows as `form` says: json, csv or, by default, a table."""
    check_statement(text)
    settings = home.settings()
    with connect(settings, spill_folder(home), as_of) as connection:
        if as_of:
            screen.print(f"as of {shown(as_of)}")
        try:
            interruptible(connection, lambda stop: answer(connection, text, settings, form, stop))
        except duckdb.Error as error:
            hint = as_of and any(sign in str(error) for sign in OF_THE_PRESENT)
            raise Failure(message(error) + (NO_PAST.format(settings.pipeline.database) if hint else "")) from error


def interruptible(connection: duckdb.DuckDBPyConnection, work: Callable[[Event], None]) -> None:
    """Do it in another thread, telling it when to stop: while DuckDB computes in this one, Python hears no Ctrl-C."""
    stop = Event()
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(work, stop)
        try:
            working.result()
        except KeyboardInterrupt:
            stop.set()
            connection.interrupt()
            raise


def answer(connection: duckdb.DuckDBPyConnection, text: str, settings: Settings, form: str | None, stop: Event) -> None:
    cursor = execute(connection, text, settings)
    columns = [column[0] for column in cursor.description]
    if form == "json" and (twice := [name for name, times in Counter(columns).items() if times > 1]):
        raise click.UsageError(f"an object has each name once, and several columns are called {', '.join(twice)}: name them with AS")
    numeric = [str(column[1]).split("(")[0] in NUMBERS for column in cursor.description]
    write(columns, numeric, takewhile(lambda row: not stop.is_set(), batches(cursor)), form)


def check_statement(text: str) -> None:
    """Return if the statement may run; wrong usage otherwise."""
    try:
        check(text)
    except Refused as refused:
        raise click.UsageError(f"{refused}; allowed is {ALLOWED}") from refused
    except duckdb.Error as error:
        raise Failure(message(error)) from error


def execute(connection: duckdb.DuckDBPyConnection, text: str, settings: Settings) -> Any:
    try:
        return connection.execute(text)
    except (duckdb.IOException, duckdb.HTTPException):
        with lake_failures(settings.environment):
            raise


def write(columns: Sequence[str], numeric: Sequence[bool], rows: Iterator[Row], form: str | None) -> None:
    if form == "json":
        write_json(columns, rows, sys.stdout)
    elif form == "csv":
        write_csv(columns, rows, sys.stdout)
    elif columns[0] == "explain_key":
        for row in rows:
            click.echo(row[1])
    else:
        print_rows(columns, numeric, rows, output)


def spill_folder(home: Home) -> Path:
    """Where a query may put what memory does not hold: inside the state folder, if there is one."""
    return home.path if home.path.is_dir() else Path(tempfile.gettempdir())


def message(error: duckdb.Error) -> str:
    """DuckDB's message without its stack trace and without empty lines."""
    return "\n".join(line for line in str(error).split("Stack Trace")[0].splitlines() if line.strip())


def questions() -> dict[str, str]:
    """The shipped queries: name -> the question, which is the first line of its file."""
    found = sorted(file.name for file in files(sql).joinpath("queries").iterdir() if file.name.endswith(".sql"))
    names = [name.removesuffix(".sql") for name in found]
    return {name: shipped(name).splitlines()[0].removeprefix("--").strip() for name in names}


def shipped(name: str) -> str:
    """The SQL of a shipped query."""
    file = files(sql).joinpath("queries", f"{name}.sql")
    if not name.replace("_", "").isalnum() or not file.is_file():
        raise click.BadParameter(f"no query is called {name}; `tradelake query --list` shows them", param_hint="--name")
    return file.read_text(encoding="utf-8")
