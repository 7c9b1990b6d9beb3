"""`udfs.rules` for whole columns: what is accepted here is accepted there, with equal values. When in doubt, not here."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.cursor import Bools, Longs
from udfs.rejected import Rejected
from udfs.rules import EARLIEST_US, LATEST_US, SCALE, WHOLE_DIGITS, Limits

DECIMAL = pa.decimal128(WHOLE_DIGITS + SCALE, SCALE)
FITTING = rf"^[0-9]{{1,{WHOLE_DIGITS}}}(\.[0-9]{{1,{SCALE}}})?$"
ZEROS_BEYOND = rf"^([0-9]{{1,{WHOLE_DIGITS}}}\.[0-9]{{{SCALE}}})0+$"
"""Decimals beyond the scale that say nothing: `0.000023750`."""


def decimals(texts: pa.StringArray) -> tuple[pa.Decimal128Array, Bools]:
    """The positive DECIMAL(18, 8) of each text, and where there is one; elsewhere zero or null."""
    fits = pc.match_substring_regex(texts, FITTING)
    if not pc.all(fits).as_py():
        texts = pc.replace_substring_regex(texts, ZEROS_BEYOND, r"\1")
        fits = pc.match_substring_regex(texts, FITTING)
    values = pc.if_else(fits, texts, "0").cast(DECIMAL)
    return values, mask(pc.greater(values, pa.scalar(0, DECIMAL)))


def times_fit(timestamp_us: Longs, ingestion_us: Longs, limits: Limits) -> Bools:
    """Where `check_time` has nothing to say."""
    fits: Bools = _readable(timestamp_us) & _readable(ingestion_us)
    age = np.where(fits, ingestion_us, 0) - np.where(fits, timestamp_us, 0)
    within: Bools = (-age <= limits.future_tolerance_us) & (age <= limits.max_age_us)
    return fits & within


def per_distinct(texts: pa.StringArray, function: Callable[[str], Any], type: pa.DataType) -> pa.Array:
    """`function` of each text, called once for each distinct one; null where it is None or rejects."""
    encoded = texts.dictionary_encode()
    return pa.array([_or_none(function, text) for text in encoded.dictionary.to_pylist()], type).take(encoded.indices)


def mask(values: pa.Array) -> Bools:
    """A boolean array without nulls, for numpy."""
    bools: Bools = values.to_numpy(zero_copy_only=False)
    return bools


def _readable(time_us: Longs) -> Bools:
    return (time_us >= EARLIEST_US) & (time_us < LATEST_US)


def _or_none(function: Callable[[str], Any], text: str) -> Any:
    try:
        return function(text)
    except Rejected:
        return None
