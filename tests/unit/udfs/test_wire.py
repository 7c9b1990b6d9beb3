import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs import wire
from udfs.rejected import Rejected


@given(st.integers(-(2**31), 2**31 - 1), st.binary(max_size=40))
def test_what_is_joined_splits_again(schema_id, record):
    assert wire.split(wire.join(schema_id, record)) == (schema_id, record)


def test_the_id_is_big_endian():
    assert wire.split(b"\x00\x00\x01\x02\x03rest") == (0x010203, b"rest")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "null_value"),
        (b"", "truncated"),
        (b"\x00\x00\x00\x00", "truncated"),
        (b"\x07\x00", "truncated"),
        (b"\x01\x00\x00\x00\x01", "bad_magic_byte"),
    ],
)
def test_a_header_that_is_none(raw, reason):
    with pytest.raises(Rejected) as caught:
        wire.split(raw)
    assert (caught.value.error_type, caught.value.error_reason, caught.value.schema_id) == ("decode", reason, None)
