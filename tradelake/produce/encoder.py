"""Avro records by columns: the bytes of many flat records at once, equal to what fastavro writes one by one.

A column becomes `Cells`: for every row the same number of bytes side by side, and which of them count. Records are the counting bytes
of all columns, read row by row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
VARINT_BITS = 7
LONG_BITS = 64
DIGITS = 19
"""Decimal digits of the largest long."""


class Cells(NamedTuple):
    """Bytes (rows x width), and which of them belong to the value."""

    data: NDArray[np.uint8]
    counts: NDArray[np.bool_]


@dataclass(frozen=True)
class Text:
    """A text column by dictionary: row i is `table[codes[i]]`."""

    table: Sequence[str]
    codes: Int64


@dataclass(frozen=True)
class Decimals:
    """Decimal text with a fixed number of places: row i is `units[i]` (not negative) over ten to the power of `places`."""

    units: Int64
    places: int


Column = Int64 | NDArray[np.bool_] | Text | Decimals | None


def encode(schema: Mapping[str, Any], columns: Mapping[str, Column], rows: int, header: bytes = b"") -> list[bytes]:
    """The records of a flat schema, each behind `header`.

    Args:
        schema: of a record whose fields are string, long, int, boolean, or a union of null and one of these.
        columns: by field name, `rows` values each; None is a column of nulls.

    Raises:
        ValueError: a field has a type that is not known here, or null where there must be a value.
    """
    cells = [_repeat(header, rows), *(_field(field, columns[field["name"]], rows) for field in schema["fields"])]
    counts = np.concatenate([c.counts for c in cells], axis=1)
    blob = np.concatenate([c.data for c in cells], axis=1)[counts].tobytes()
    ends = np.cumsum(counts.sum(axis=1)).tolist()
    return [blob[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _field(field: Mapping[str, Any], column: Column, rows: int) -> Cells:
    kind = field["type"]
    if not isinstance(kind, list):
        return _value(field["name"], kind, column)
    branch = kind.index("null") if column is None else next(i for i, k in enumerate(kind) if k != "null")
    union = _repeat(bytes([branch * 2]), rows)
    return union if column is None else _beside(union, _value(field["name"], kind[branch], column))


def _value(name: str, kind: str, column: Column) -> Cells:
    match kind, column:
        case "string", Text():
            return _text(column)
        case "string", Decimals():
            return _decimals(column)
        case "long" | "int", np.ndarray():
            return _varint(column.astype(np.int64))
        case "boolean", np.ndarray():
            return _whole(column.astype(np.uint8).reshape(-1, 1))
    raise ValueError(f"field {name} ({kind}) cannot be written from {type(column).__name__}")


def _varint(values: Int64) -> Cells:
    """Zigzag, then seven bits a byte, the lowest first; all but the last byte have their highest bit set."""
    zigzag = ((values << 1) ^ (values >> (LONG_BITS - 1))).view(np.uint64)
    width = max(1, -(-int(zigzag.max(initial=0)).bit_length() // VARINT_BITS))
    rest = zigzag[:, None] >> (np.arange(width, dtype=np.uint64) * np.uint64(VARINT_BITS))
    more = rest > 0x7F
    counts = np.ones(rest.shape, np.bool_)
    counts[:, 1:] = more[:, :-1]
    return Cells(((rest & 0x7F) | (more.astype(np.uint64) << np.uint64(VARINT_BITS))).astype(np.uint8), counts)


def _text(column: Text) -> Cells:
    values = [text.encode() for text in column.table]
    width = max(len(value) for value in values)
    data = np.frombuffer(b"".join(value.ljust(width, b"\0") for value in values), np.uint8).reshape(len(values), width)
    lengths = np.array([len(value) for value in values], np.int64)
    table = _beside(_varint(lengths), Cells(data, np.arange(width) < lengths[:, None]))
    return Cells(table.data[column.codes], table.counts[column.codes])


def _decimals(column: Decimals) -> Cells:
    """Without zeros before the first digit of the whole part; the point counts always."""
    powers = 10 ** np.arange(DIGITS - 1, -1, -1, dtype=np.int64)
    quotients = column.units[:, None] // powers
    digits = (quotients % 10 + ord("0")).astype(np.uint8)
    counts = quotients > 0
    counts[:, DIGITS - 1 - column.places :] = True
    point = DIGITS - column.places
    text = Cells(np.insert(digits, point, ord("."), axis=1), np.insert(counts, point, True, axis=1))
    return _beside(_varint(text.counts.sum(axis=1)), text)


def _repeat(value: bytes, rows: int) -> Cells:
    return _whole(np.tile(np.frombuffer(value, np.uint8), (rows, 1)))


def _whole(data: NDArray[np.uint8]) -> Cells:
    return Cells(data, np.ones(data.shape, np.bool_))


def _beside(left: Cells, right: Cells) -> Cells:
    return Cells(np.concatenate([left.data, right.data], axis=1), np.concatenate([left.counts, right.counts], axis=1))
