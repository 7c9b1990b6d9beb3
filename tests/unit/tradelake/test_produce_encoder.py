"""Columns become the same bytes that fastavro writes record by record."""

import io
import json
from decimal import Decimal

import numpy as np
import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

import conf
from tradelake.produce.encoder import Decimals, Text, encode

LONGS = st.integers(-(2**63), 2**63 - 1)
UNITS = st.integers(0, 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
SCHEMA = {
    "type": "record",
    "name": "Row",
    "fields": [
        {"name": "number", "type": "long"},
        {"name": "text", "type": "string"},
        {"name": "decimal", "type": "string"},
        {"name": "flag", "type": "boolean"},
        {"name": "maybe", "type": ["null", "long"]},
        {"name": "never", "type": ["long", "null"]},
    ],
}


def written(schema: dict, record: dict) -> bytes:
    out = io.BytesIO()
    schemaless_writer(out, parse_schema(schema), record)
    return out.getvalue()


@given(st.lists(st.tuples(LONGS, TEXTS, UNITS, st.booleans()), min_size=1, max_size=20), st.integers(1, 18))
def test_equals_fastavro(rows, places):
    numbers, texts, units, flags = (list(column) for column in zip(*rows, strict=True))
    columns = {
        "number": np.array(numbers, np.int64),
        "text": Text(texts, np.arange(len(rows))),
        "decimal": Decimals(np.array(units, np.int64), places),
        "flag": np.array(flags),
        "maybe": np.array(numbers, np.int64),
        "never": None,
    }
    expected = [
        {"number": n, "text": t, "decimal": f"{Decimal(u).scaleb(-places):.{places}f}", "flag": f, "maybe": n, "never": None}
        for n, t, u, f in rows
    ]
    assert encode(SCHEMA, columns, len(rows), b"head") == [b"head" + written(SCHEMA, record) for record in expected]


@pytest.mark.parametrize("exchange", ["binance", "kraken"])
def test_the_schemas_of_the_exchanges_can_be_encoded(exchange):
    schema = json.loads(conf.schema(exchange))
    by_type = {"string": Text(("x",), np.zeros(1, np.int64)), "boolean": np.ones(1, np.bool_)}
    columns = {f["name"]: None if isinstance(f["type"], list) else by_type.get(f["type"], np.ones(1, np.int64)) for f in schema["fields"]}
    values = {"string": "x", "boolean": True, "long": 1, "int": 1}
    record = {f["name"]: None if isinstance(f["type"], list) else values[f["type"]] for f in schema["fields"]}
    assert encode(schema, columns, 1) == [written(schema, record)]


def test_a_column_of_the_wrong_kind_is_refused():
    schema = {"type": "record", "name": "Row", "fields": [{"name": "flag", "type": "boolean"}]}
    with pytest.raises(ValueError, match=r"field flag \(boolean\) cannot be written from Text"):
        encode(schema, {"flag": Text(("x",), np.zeros(1, np.int64))}, 1)
