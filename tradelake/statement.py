"""What may be asked of the lake: exactly one SELECT, or EXPLAIN of one, that calls nothing with effects outside of its answer."""

import json
from collections.abc import Iterator
from typing import Any

import duckdb

ALLOWED = "exactly one SELECT (also WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE), or EXPLAIN of one"
WITH_EFFECTS = frozenset(
    {
        "checkpoint",
        "disable_logging",
        "disable_profiling",
        "enable_logging",
        "enable_profiling",
        "force_checkpoint",
        "iceberg_to_ducklake",
        "remove_iceberg_schema_properties",
        "remove_iceberg_table_properties",
        "set_iceberg_schema_properties",
        "set_iceberg_table_properties",
        "truncate_duckdb_logs",
    }
)
"""Functions that a SELECT can call and that write files or change the engine."""
HIDING = frozenset({"json_execute_serialized_sql", "query"})
"""Functions that run a statement given as text, past this check."""


class Refused(ValueError):
    """A statement that is not allowed; the message says why."""


def check(statement: str) -> None:
    """Return if `statement` may run.

    Raises:
        Refused: it is none, more than one, of another kind, or calls a function that is shut off.
        duckdb.ParserException: it is not SQL.
    """
    parsed = duckdb.extract_statements(statement)
    if len(parsed) != 1:
        raise Refused(f"{len(parsed)} statements given")
    kind = parsed[0].type
    if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise Refused(f"{kind.name} is not allowed: the lake is read-only here")
    select = _explained(statement) if kind == duckdb.StatementType.EXPLAIN else statement
    for function in _functions(_syntax_tree(select)):
        if function.lower() in WITH_EFFECTS | HIDING:
            raise Refused(f"the function {function} is shut off")


def _explained(statement: str) -> str:
    """What an EXPLAIN explains, which EXPLAIN ANALYZE runs, a COPY or an INSERT too.

    DuckDB's own tokenizer finds the words, so that no comment can hide one.
    """
    text = statement.encode()
    starts = [offset for offset, _ in duckdb.tokenize(statement)]
    words = [
        text[start:end].split(b"--")[0].split(b"/*")[0].strip().lower() for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]
    first = 1
    if words[first] == b"analyze":
        first += 1
    elif words[first] == b"(" and words[first + 1] in (b"analyze", b"format"):
        first = words.index(b")") + 1
    return text[starts[first] :].decode()


def _syntax_tree(select: str) -> Any:
    """DuckDB's own tree of a SELECT: only a SELECT has one."""
    text = select.replace("'", "''")  # a parameter would make DuckDB import pandas, which takes a second
    with duckdb.connect() as parser:
        row = parser.execute(f"SELECT json_serialize_sql('{text}')").fetchone()
    tree = json.loads(row[0]) if row else {"error": True}
    if tree["error"]:
        raise Refused("this kind of statement is not allowed")
    return tree


def _functions(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        if "function_name" in tree:
            yield tree["function_name"]
        tree = list(tree.values())
    if isinstance(tree, list):
        for branch in tree:
            yield from _functions(branch)
