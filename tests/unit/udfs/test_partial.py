"""What can still be read of a record that is broken."""

import json

import pytest

from tests.unit.udfs.strategies import BINANCE, KRAKEN, SCHEMAS, avro
from udfs.partial import decode
from udfs.writer_schema import parse

BINANCE_WRITER, KRAKEN_WRITER, EVOLVED = (SCHEMAS.get(schema_id) for schema_id in (1, 3, 2))


def test_a_whole_record_is_read_to_its_end() -> None:
    body = avro(1, BINANCE)
    assert decode(body, BINANCE_WRITER) == (BINANCE, len(body), None)


def test_a_record_that_breaks_off_is_read_up_to_there() -> None:
    """The price is 14 bytes of text after its length; of those, five are there."""
    before = {name: BINANCE[name] for name in ("event_type", "event_time_ms", "symbol", "trade_id")}
    whole = avro(1, BINANCE)
    at = whole.index(b"61837.63")
    fields, read, problem = decode(whole[: at + 5], BINANCE_WRITER)
    assert (fields, read) == (before, at - 1)
    assert problem is not None
    assert problem.startswith("price: ")


def test_text_that_is_not_utf_8_ends_it_too() -> None:
    body = avro(3, KRAKEN).replace(b"58721.20000", b"58721.2\xff000")
    fields, _, problem = decode(body, KRAKEN_WRITER)
    assert fields == {"channel_id": 321}
    assert problem is not None
    assert problem.startswith("price: 'utf-8' codec can't decode byte 0xff")


def test_bytes_after_the_record_are_counted() -> None:
    body = avro(1, BINANCE)
    assert decode(body + b"xyz", BINANCE_WRITER) == (BINANCE, len(body), "3 bytes after the record")


def test_fields_are_the_writers() -> None:
    assert decode(avro(2, BINANCE), EVOLVED).fields["venue"] == "spot"


@pytest.mark.parametrize("body", [b"", b"\xff" * 20, b"\x80" * 12])
def test_nothing_can_be_read_of_garbage(body: bytes) -> None:
    fields, read, problem = decode(body, BINANCE_WRITER)
    assert (fields, read) == ({}, 0)
    assert problem is not None
    assert problem.startswith("event_type: ")


def test_a_bomb_is_not_unpacked() -> None:
    """Five bytes that promise 2^31 records of nothing."""
    nothing = {"type": "record", "name": "Nothing", "fields": []}
    fields = [{"name": "a", "type": "int"}, {"name": "b", "type": {"type": "array", "items": nothing}}]
    writer = parse(9, json.dumps({"type": "record", "name": "R", "fields": fields}))
    found, read, problem = decode(b"\x02\x80\x80\x80\x80\x10", writer)
    assert (found, read) == ({"a": 1}, 1)
    assert problem is not None
    assert problem.startswith("b: ")
