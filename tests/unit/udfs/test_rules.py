from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.udfs.strategies import DAY, LIMITS, MINUTE, amounts
from udfs.column_rules import decimals, times_fit
from udfs.rejected import Rejected
from udfs.rules import check_price, check_quantity, check_time

NOW = 1_723_161_255_342_000
LARGEST = "9999999999.99999999"


def reason(function, *arguments):
    with pytest.raises(Rejected) as caught:
        function(*arguments)
    return caught.value.error_reason


NOT_A_NUMBER = [
    "", " ", "-", ".", "1.", ".5", "+1", "1e5", "1E400", "NaN", "nan", "Infinity", "-Infinity", "0x10", "1_000", "1,5", " 1", "1 ",
    "1\n", "--1", "1.2.3", "\N{ARABIC-INDIC DIGIT ONE}", "\N{FULLWIDTH DIGIT ONE}", "1\0", "None",
]  # fmt: skip
NOT_POSITIVE = ["0", "-0", "0.0", "0.00000000", "-1", "-0.00000001", "-99999999999", "-0.000000001", "000", "0.000000000000"]
OUT_OF_RANGE = ["10000000000", "0.000000001", "1.123456789", "9" * 40, "0." + "1" * 40, "9" * 1_000_000, "1." + "0" * 100_000 + "1"]


@pytest.mark.parametrize(("check", "what"), [(check_price, "price"), (check_quantity, "quantity")])
def test_each_reason_of_a_number(check, what):
    assert {reason(check, text) for text in NOT_A_NUMBER} == {f"{what}_not_a_number"}
    assert {reason(check, text) for text in NOT_POSITIVE} == {f"{what}_not_positive"}
    assert {reason(check, text) for text in OUT_OF_RANGE} == {f"{what}_out_of_range"}


@pytest.mark.parametrize("text", [LARGEST, "0.00000001", "0.000023750", "1" + "0" * 9 + "." + "0" * 40, "0" * 50 + "7.5"])
def test_a_value_that_fits_exactly_is_kept_exactly(text):
    assert check_price(text) == Decimal(text)
    assert check_price(text).as_tuple().exponent == -8


@given(amounts())
def test_every_amount_that_fits_equals_its_text(text):
    assert check_price(text) == check_quantity(text) == Decimal(text)
    values, good = decimals(pa.array([text]))
    assert (values[0].as_py(), good.tolist()) == (Decimal(text), [True])


@given(st.lists(st.text("0123456789.-e\n ", max_size=24), max_size=8))
def test_the_column_accepts_no_number_that_the_rule_rejects(texts):
    values, good = decimals(pa.array(texts, pa.string()))
    for text, value, accepted in zip(texts, values.to_pylist(), good, strict=True):
        if accepted:
            assert value == check_price(text)


def test_the_column_rejects_what_the_rule_rejects():
    texts = NOT_A_NUMBER + NOT_POSITIVE + OUT_OF_RANGE
    assert not decimals(pa.array(texts))[1].any()


TIMES = [
    (NOW, NOW, None),
    (NOW + 5 * MINUTE, NOW, None),
    (NOW + 5 * MINUTE + 1, NOW, "timestamp_in_future"),
    (NOW - 365 * DAY, NOW, None),
    (NOW - 365 * DAY - 1, NOW, "timestamp_too_old"),
    (946_684_800_000_000, 946_684_800_000_000, None),
    (946_684_799_999_999, 946_684_800_000_000, "timestamp_unreadable"),
    (946_684_800_000_000, 946_684_799_999_999, "timestamp_unreadable"),
    (4_102_444_799_999_999, 4_102_444_799_999_999, None),
    (4_102_444_800_000_000, 4_102_444_799_999_999, "timestamp_unreadable"),
    (4_102_444_799_999_999, 4_102_444_800_000_000, "timestamp_unreadable"),
    (-(2**63), 2**63 - 1, "timestamp_unreadable"),
    (2**63 - 1, -(2**63), "timestamp_unreadable"),
    (NOW, 0, "timestamp_unreadable"),
    (-62_135_596_800_000_000, NOW, "timestamp_unreadable"),
    (253_402_300_799_000_000, NOW, "timestamp_unreadable"),
]


@pytest.mark.parametrize(("trade_us", "ingestion_us", "expected"), TIMES)
def test_a_trade_is_judged_against_its_own_ingestion(trade_us, ingestion_us, expected):
    if expected:
        assert reason(check_time, trade_us, ingestion_us, LIMITS) == expected
    else:
        assert check_time(trade_us, ingestion_us, LIMITS) == trade_us


def test_the_column_agrees_on_every_time():
    trade_us, ingestion_us, expected = zip(*TIMES, strict=True)
    assert times_fit(np.array(trade_us), np.array(ingestion_us), LIMITS).tolist() == [reason is None for reason in expected]
