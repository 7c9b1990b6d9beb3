"""Rows of a query as a person, a program or a spreadsheet reads them.

No digit is lost: decimals are text in JSON, timestamps keep their microseconds and are UTC, bytes are hexadecimal.
"""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

ROWS_SHOWN = 1000
WIDEST_VALUE = 60
WIDEST_TABLE = 5000
BATCH = 10_000

Row = Sequence[Any]


def batches(cursor: Any) -> Iterator[Row]:
    """The rows of an executed cursor, fetched `BATCH` at a time."""
    while rows := cursor.fetchmany(BATCH):
        yield from rows


def plain(value: Any) -> Any:
    """A value as JSON can hold it: numbers that JSON readers would round become text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return format(value, "f")
        case bytes() | bytearray():
            return value.hex()
        case datetime():
            return value.isoformat(timespec="microseconds")
        case date() | time():
            return value.isoformat()
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {str(plain(key)): plain(item) for key, item in value.items()}
    return str(value)


def shown(value: Any) -> str:
    """A value as one line of text for a person."""
    match plain(value):
        case None:
            return ""
        case bool() as truth:
            return str(truth).lower()
        case list() | dict() as nested:
            return json.dumps(nested, ensure_ascii=False)
        case simple:
            return str(simple).replace("T", " ", 1) if isinstance(value, datetime) else str(simple)


def write_json(columns: Sequence[str], rows: Iterable[Row], file: TextIO) -> None:
    """One array of objects, a row a line."""
    separator = "["
    for row in rows:
        file.write(separator + json.dumps(dict(zip(columns, map(plain, row), strict=True)), ensure_ascii=False))
        separator = ",\n "
    file.write("]\n" if separator != "[" else "[]\n")


def write_csv(columns: Sequence[str], rows: Iterable[Row], file: TextIO) -> None:
    """RFC 4180 with a header line; NULL is an empty field, a list or a map is JSON."""
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_field(value) for value in row] for row in rows)


def _field(value: Any) -> Any:
    simple = plain(value)
    return json.dumps(simple, ensure_ascii=False) if isinstance(simple, (list, dict, bool)) else simple


def print_rows(columns: Sequence[str], numeric: Sequence[bool], rows: Iterator[Row], console: Console) -> None:
    """A table, or a block a row where a terminal is too narrow for one; at most `ROWS_SHOWN` rows."""
    cells = [[_cut(shown(value)) for value in row] for row in islice(rows, ROWS_SHOWN)]
    table, wide = _table(columns, numeric, cells), Console(file=console.file, width=WIDEST_TABLE)
    width = wide.measure(table).maximum
    if width <= console.width or not console.is_terminal:
        wide.print(table)
    else:
        _print_blocks(columns, cells, console)
    more = next(rows, None) is not None
    console.print(f"first {ROWS_SHOWN:,} rows; LIMIT, --csv or --json show others" if more else _count(len(cells)), style="dim")


def _table(columns: Sequence[str], numeric: Sequence[bool], cells: list[list[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(Text(name), justify="right" if right else "left", no_wrap=True)
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _print_blocks(columns: Sequence[str], cells: list[list[str]], console: Console) -> None:
    margin = max(map(len, columns))
    for number, row in enumerate(cells, 1):
        console.print(f"row {number}", style="bold")
        for name, cell in zip(columns, row, strict=True):
            console.print(Text(f"  {name:<{margin}}  {cell}"), soft_wrap=True)


def _cut(text: str) -> str:
    line = text.replace("\n", "\u23ce")
    return line if len(line) <= WIDEST_VALUE else f"{line[: WIDEST_VALUE - 1]}…"


def _count(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}"
