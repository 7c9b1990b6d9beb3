from io import BytesIO

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.extent import Malformed, count_nodes, extent

NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
EVERYTHING = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Everything",
        "fields": [
            {"name": "n", "type": "null"},
            {"name": "b", "type": "boolean"},
            {"name": "i", "type": "int"},
            {"name": "l", "type": "long"},
            {"name": "f", "type": "float"},
            {"name": "d", "type": "double"},
            {"name": "s", "type": "string"},
            {"name": "y", "type": "bytes"},
            {"name": "x", "type": {"type": "fixed", "name": "X", "size": 3}},
            {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
            {"name": "u", "type": ["null", "string", "X"]},
            {"name": "a", "type": {"type": "array", "items": ["null", "long"]}},
            {"name": "m", "type": {"type": "map", "values": "E"}},
            {"name": "r", "type": NODE},
        ],
    }
)


def node(depth):
    return {"next": node(depth - 1) if depth else None}


everything = st.fixed_dictionaries(
    {
        "n": st.none(),
        "b": st.booleans(),
        "i": st.integers(-(2**31), 2**31 - 1),
        "l": st.integers(-(2**63), 2**63 - 1),
        "f": st.floats(width=32),
        "d": st.floats(),
        "s": st.text(max_size=80),
        "y": st.binary(max_size=80),
        "x": st.binary(min_size=3, max_size=3),
        "e": st.sampled_from("AB"),
        "u": st.none() | st.text(max_size=5),
        "a": st.lists(st.none() | st.integers(-9, 9), max_size=5),
        "m": st.dictionaries(st.text(max_size=5), st.sampled_from("AB"), max_size=3),
        "r": st.integers(0, 9).map(node),
    }
)


def walk(schema, body):
    parsed = fastavro.parse_schema(schema)
    return extent(body, parsed, parsed.get("__named_schemas", {}) if isinstance(parsed, dict) else {}, count_nodes(parsed))


def record(name, *types):
    return {"type": "record", "name": name, "fields": [{"name": f"f{n}", "type": type} for n, type in enumerate(types)]}


@given(everything, st.binary(max_size=5))
def test_a_record_ends_where_its_writer_stopped(record, rest):
    body = BytesIO()
    fastavro.schemaless_writer(body, EVERYTHING, record)
    assert walk(EVERYTHING, body.getvalue() + rest) == len(body.getvalue())
    if body.getvalue():
        with pytest.raises((Malformed, UnicodeDecodeError)):
            walk(EVERYTHING, body.getvalue()[:-1])


HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
"""2^63 - 1."""
NULLS = {"type": "array", "items": "null"}
WIDE = {"type": "record", "name": "A0", "fields": []}
for level in range(1, 40):
    WIDE = {"type": "record", "name": f"A{level}", "fields": [{"name": "l", "type": WIDE}, {"name": "r", "type": f"A{level - 1}"}]}
ATTACKS = {
    "billions of nulls": (NULLS, HUGE + b"\x00"),
    "billions of nulls in a block of no bytes": (NULLS, b"\xfd\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00"),
    "the lowest count of all": (NULLS, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00"),
    "billions of empty records": ({"type": "array", "items": {"type": "record", "name": "R", "fields": []}}, HUGE + b"\x00"),
    "many blocks of nulls": (NULLS, b"\xce\x0f" * 1000 + b"\x00"),
    "a record that holds itself": ({"type": "record", "name": "R", "fields": [{"name": "r", "type": "R"}]}, b""),
    "a list as long as the message": (NODE, b"\x02" * 1_000_000 + b"\x00"),
    "arrays within arrays": (
        {"type": "record", "name": "R", "fields": [{"name": "r", "type": {"type": "array", "items": "R"}}]},
        b"\x02" * 1_000_000,
    ),
    "a tree of 2^40 empty records": (WIDE, b""),
    "a tree of 2^40 empty records for each byte": (record("T", {"type": "array", "items": WIDE}), HUGE + b"\x00" * 50_000),
    "a thousand nulls for each byte": ({"type": "array", "items": record("R", *["null"] * 1000, "boolean")}, HUGE + b"\x00" * 50_000),
    "a million blocks of empty records": ({"type": "array", "items": record("R", "null", record("S"))}, b"\xce\x0f" * 50_000),
    "a text of all bytes there are": ("string", HUGE),
    "bytes of less than none": ("bytes", b"\x01"),
    "a map with a text of 2 GB": ({"type": "map", "values": "null"}, b"\x02\xfe\xff\xff\xff\x0f"),
    "a fixed of 2 GB": ({"type": "fixed", "name": "F", "size": 2**31}, b"12345"),
    "a number without end": ("long", b"\xff" * 1_000_000),
    "a number of 65 bits": ("long", b"\xff" * 9 + b"\x03"),
    "an int of 33 bits": ("int", b"\x80\x80\x80\x80\x20"),
    "no boolean": ("boolean", b"\x02"),
    "a branch too far": (["null", "long"], b"\x04"),
    "a branch before the first": (["null", "long"], b"\x01"),
    "a symbol too far": ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\x02"),
    "a block shorter than it says": ({"type": "array", "items": "long"}, b"\x01\x04\x02\x00"),
    "text that is not UTF-8": ("string", b"\x04\xc3\x28"),
    "half a surrogate pair": ("string", b"\x06\xed\xa0\x80"),
}


@pytest.mark.parametrize(("schema", "body"), ATTACKS.values(), ids=ATTACKS)
def test_no_attack_is_walked_to_its_end(schema, body):
    with pytest.raises((Malformed, UnicodeDecodeError)):
        walk(schema, body)


def test_numbers_at_their_limits():
    assert walk("long", HUGE) == 10
    assert walk("long", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") == 10
    assert walk("int", b"\xff\xff\xff\xff\x0f") == 5
    assert walk("long", b"\x80\x80\x80\x00") == 4


def nested(depth):
    return record(f"V{depth}", nested(depth - 1) if depth else ["null", "long"])


PLAUSIBLE = {
    "many fields of no size": (record("R", *["null"] * 5000), b""),
    "fixed bytes of no size": (record("R", *[{"type": "fixed", "name": f"F{n}", "size": 0} for n in range(2000)]), b""),
    "records around each item": ({"type": "array", "items": nested(3)}, b"\xd0\x0f" + b"\x00" * 1001),
    "many records around each item": ({"type": "array", "items": nested(12)}, b"\xd0\x0f" + b"\x00" * 1001),
    "fields of no size in each item": ({"type": "array", "items": record("R", *["null"] * 20, "boolean")}, b"\xd0\x0f" + b"\x00" * 1001),
}


@pytest.mark.parametrize(("schema", "body"), PLAUSIBLE.values(), ids=PLAUSIBLE)
def test_what_its_schema_explains_is_not_beyond_measure(schema, body):
    assert walk(schema, body) == len(body)


def test_nodes_are_the_types_that_are_written():
    assert count_nodes(fastavro.parse_schema(NODE)) == 4
    assert count_nodes(fastavro.parse_schema({"type": "map", "values": ["null", {"type": "array", "items": "long"}]})) == 5
