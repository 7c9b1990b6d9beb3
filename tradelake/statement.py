"""What may be asked of the lake: exactly one SELECT, or EXPLAIN of one, that calls nothing with effects outside of its answer."""

import json
import re
import unicodedata
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
OF_PYTHON = frozenset({"arrow_scan", "arrow_scan_dumb", "pandas_scan", "python_map_function"})
"""Functions that take an address in memory for a table; a wrong one ends the process."""
OF_THE_CATALOG = frozenset({"iceberg_load_table_response"})
"""Functions that show the catalog's own answers, and with them the credentials that a catalog may hand out."""
SHUT_OFF = WITH_EFFECTS | HIDING | OF_PYTHON | OF_THE_CATALOG
ADDRESS_WITH_SETTINGS = re.compile(r"[a-z][a-z0-9+.-]*://.*\?", re.IGNORECASE | re.DOTALL)
"""What DuckDB could take for an address and its settings, such as another `s3_endpoint`."""
INVISIBLE = ("Cc", "Cf", "Zl", "Zp", "Zs")
"""Unicode's control, format and separator characters."""


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
    _check_spaces(statement)
    kind = parsed[0].type
    if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise Refused(f"{kind.name} is not allowed: the lake is read-only here")
    select = _explained(statement) if kind == duckdb.StatementType.EXPLAIN else statement
    for key, value in _texts(_syntax_tree(select)):
        if key == "function_name" and value.lower() in SHUT_OFF:
            raise Refused(f"the function {value} is shut off")
        if ADDRESS_WITH_SETTINGS.match(value):
            raise Refused("an address with a question mark in it is not allowed")


def _check_spaces(statement: str) -> None:
    """Refuse invisible characters outside of quotes: DuckDB's parser takes some for a space, its tokenizer takes them for letters."""
    for token in _tokens(statement):
        if token.startswith((b"'", b'"')):
            continue
        for character in token.decode():
            if character not in " \t\n\r\f\v" and unicodedata.category(character) in INVISIBLE:
                raise Refused(f"the character U+{ord(character):04X} stands outside of quotes, write a plain space")


def _tokens(statement: str) -> Iterator[bytes]:
    """Each token as DuckDB's own tokenizer finds it, with the spaces and comments behind it."""
    text = statement.encode()
    starts = [offset for offset, _ in duckdb.tokenize(statement)]
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        yield text[start:end]


def _explained(statement: str) -> str:
    """What an EXPLAIN explains, which EXPLAIN ANALYZE runs, a COPY or an INSERT too.

    DuckDB's own tokenizer finds the words, so that no comment can hide one.
    """
    tokens = list(_tokens(statement))
    words = [token.split(b"--")[0].split(b"/*")[0].strip().lower() for token in tokens]
    if words[0] != b"explain":
        raise Refused("an EXPLAIN must begin with that word")
    first = 1
    if words[first] == b"analyze":
        first += 1
    elif words[first] == b"(" and words[first + 1] in (b"analyze", b"format"):
        first = words.index(b")") + 1
    return b"".join(tokens[first:]).decode()


def _syntax_tree(select: str) -> Any:
    """DuckDB's own tree of a SELECT: only a SELECT has one."""
    text = select.replace("'", "''")  # a parameter would make DuckDB import pandas, which takes a second
    with duckdb.connect() as parser:
        row = parser.execute(f"SELECT json_serialize_sql('{text}')").fetchone()
    tree = json.loads(row[0]) if row else {"error": True}
    if tree["error"]:
        raise Refused("this kind of statement is not allowed")
    return tree


def _texts(tree: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in the tree, and the key that it stands at."""
    if isinstance(tree, str):
        yield key, tree
    elif isinstance(tree, dict):
        for name, branch in tree.items():
            yield from _texts(branch, name)
    elif isinstance(tree, list):
        for branch in tree:
            yield from _texts(branch, key)
