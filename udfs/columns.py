"""A batch of flat Avro records, decoded column by column into the fields of the reader's schema.

A flat record holds primitive values, enums, fixed bytes, and unions of null with one of these. Any other schema has no `RecordReader`,
and its records are the exact decoder's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from udfs.cursor import Bools, Cursor
from udfs.extent import Schema

READABLE_AS = {"string": {"string"}, "long": {"long", "int"}, "int": {"int"}, "boolean": {"boolean"}}
"""The reader's kind -> the writer's kinds that become it unchanged."""
WIDTHS = {"null": 0, "float": 4, "double": 8}
KINDS = {"string", "bytes", "long", "int", "boolean", "enum", "fixed", *WIDTHS}


@dataclass(frozen=True)
class Field:
    """A field of a flat schema. `null_branch`: the place of null in its union. `size`: bytes of a fixed width, or symbols of an enum."""

    name: str
    kind: str
    null_branch: int | None
    size: int


@dataclass(frozen=True)
class Column:
    """A reader's field over all rows: int64, bool or a pyarrow string array. Where `null` is True, any value stands there."""

    values: Any
    null: Bools


@dataclass(frozen=True)
class RecordReader:
    """Reads records of one writer's schema.

    Attributes:
        written: the writer's fields.
        wanted: the reader's fields.
        defaults: the reader's defaults, by the names that the writer does not write.
    """

    written: list[Field]
    wanted: list[Field]
    defaults: dict[str, Any]

    def read(self, rows: pa.BinaryArray, skip: int) -> tuple[Bools, dict[str, Column]]:
        """Which rows were read with certainty, and the reader's fields by name; the first `skip` bytes of each row are left out."""
        cursor = Cursor(rows, skip)
        read = {field.name: _read(cursor, field) for field in self.written}
        cursor.ok &= cursor.at == cursor.end
        columns = {field.name: self._column(cursor, field, read) for field in self.wanted}
        for field in self.written:
            if field.kind == "string" and field.name not in columns:
                cursor.texts(read[field.name][0])  # what is not read must be valid text all the same
        return cursor.ok, columns

    def _column(self, cursor: Cursor, field: Field, read: dict[str, tuple[Any, Bools]]) -> Column:
        rows = len(cursor.ok)
        if field.name in self.defaults:
            return _constant(field, self.defaults[field.name], rows)
        values, null = read[field.name]
        if field.null_branch is None:
            cursor.ok &= ~null
        return Column(cursor.texts(values) if field.kind == "string" else values, null)


def compile(writer: Schema, reader: Schema) -> RecordReader | None:
    """What reads the writer's records as the reader's, or None when that takes more than copying values."""
    written, wanted = _flat(writer), _flat(reader)
    if written is None or wanted is None or any("aliases" in field for field in reader["fields"]):
        return None
    kinds = {field.name: field for field in written}
    missing = {field["name"]: field["default"] for field in reader["fields"] if field["name"] not in kinds and "default" in field}
    if all(field.name in missing or _copies(kinds.get(field.name), field) for field in wanted):
        return RecordReader(written, wanted, missing)
    return None


def _copies(written: Field | None, wanted: Field) -> bool:
    return written is not None and written.kind in READABLE_AS.get(wanted.kind, ())


def _flat(schema: Schema) -> list[Field] | None:
    fields = [_field(field["name"], field["type"]) for field in schema["fields"]]
    return None if None in fields else [field for field in fields if field]


def _field(name: str, schema: Schema) -> Field | None:
    null_branch = None
    if isinstance(schema, list):
        if len(schema) != 2 or schema.count("null") != 1:
            return None
        null_branch = schema.index("null")
        schema = schema[1 - null_branch]
    kind = schema["type"] if isinstance(schema, dict) else schema
    if not isinstance(kind, str) or kind not in KINDS:
        return None
    size = len(schema["symbols"]) if kind == "enum" else schema["size"] if kind == "fixed" else WIDTHS.get(kind, 0)
    return Field(name, kind, null_branch, size)


def _read(cursor: Cursor, field: Field) -> tuple[Any, Bools]:
    """A field of all rows (a span, int64 or bool; None where no reader can want it), and which rows are null."""
    null = np.zeros(len(cursor.ok), bool) if field.null_branch is None else cursor.null(field.null_branch)
    where = ~null
    if field.kind in ("string", "bytes"):
        return cursor.span(where), null
    if field.kind == "boolean":
        return cursor.boolean(where), null
    if field.kind == "long":
        return cursor.long(where), null
    if field.kind == "int":
        return cursor.short(where), null
    if field.kind == "enum":
        cursor.choice(field.size, where)
    else:
        cursor.skip(field.size, where)
    return None, null


def _constant(field: Field, value: Any, rows: int) -> Column:
    null = np.full(rows, value is None)
    if field.kind == "string":
        return Column(pa.array([value or ""] * rows, pa.string()), null)
    return Column(np.full(rows, value or 0, bool if field.kind == "boolean" else np.int64), null)
