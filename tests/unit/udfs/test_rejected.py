import pickle

import pytest

from udfs.rejected import ERROR_TYPES, Rejected

CONTRACT = {
    "decode": ["null_value", "bad_magic_byte", "truncated", "avro_decode_failed", "trailing_bytes"],
    "schema": ["unknown_schema_id", "incompatible_schema"],
    "price": ["price_not_a_number", "price_not_positive", "price_out_of_range"],
    "quantity": ["quantity_not_a_number", "quantity_not_positive", "quantity_out_of_range"],
    "timestamp": ["timestamp_unreadable", "timestamp_in_future", "timestamp_too_old"],
    "symbol": ["symbol_missing", "symbol_unreadable"],
    "side": ["side_unknown"],
}


def test_reasons_and_their_types_are_those_of_the_contract():
    assert {reason: kind for kind, reasons in CONTRACT.items() for reason in reasons} == ERROR_TYPES


def test_an_unknown_reason_is_a_mistake_in_the_code():
    with pytest.raises(KeyError):
        Rejected("price_too_nice", "")


def test_survives_pickling_with_the_schema_id_set_later():
    rejected = Rejected("price_not_positive", "-1")
    rejected.schema_id = 7
    copy = pickle.loads(pickle.dumps(rejected))
    assert (copy.error_type, copy.error_reason, copy.error_detail, copy.schema_id) == ("price", "price_not_positive", "-1", 7)


@pytest.mark.parametrize(("detail", "kept"), [("x" * 300, "x" * 200), ("\ud800é\0", "?é\0"), ("", "")])
def test_detail_is_short_text_that_utf8_can_hold(detail, kept):
    assert Rejected("null_value", detail).error_detail == kept
