import hashlib
import uuid

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.identity import fingerprint, fingerprint_column, hash_column, message_id, message_id_column, natural_key

times = st.integers(0, 4_102_444_800_000_000)
rows = st.lists(st.tuples(times, st.text(max_size=30), st.booleans()), min_size=1, max_size=20)

BINANCE = (1723161255342000, natural_key("BINANCE", "BTCUSDT", 3735683259))
KRAKEN = (
    1617666461465618,
    natural_key("KRAKEN", "XBT/USD", "1617666461.465618", "58721.20000", "0.02798644", "s", "m", "", 0),
)


def test_golden_message_ids_of_the_contract():
    assert message_id(*BINANCE, numbered=True) == "0191346a-1dae-8000-8432-f9987a13c001"
    assert message_id(*KRAKEN, numbered=False) == "0178a46f-4f19-826a-9d12-3898e564c79f"


def test_a_numbered_trade_has_one_id_in_milliseconds_and_microseconds():
    time_us, key = BINANCE
    assert message_id(time_us + 999, key, numbered=True) == message_id(time_us, key, numbered=True)
    assert message_id(time_us + 1000, key, numbered=True) != message_id(time_us, key, numbered=True)


def test_fingerprint_is_the_start_of_the_keys_sha256():
    assert fingerprint(KRAKEN[1]) == hashlib.sha256(KRAKEN[1].encode()).hexdigest()[:12] == "9d123898e564"


@given(times, st.text(), st.booleans())
def test_message_id_is_a_uuid8_that_holds_time_and_hash(time_us, key, numbered):
    made = uuid.UUID(message_id(time_us, key, numbered=numbered))
    digest = int(hashlib.sha256(key.encode()).hexdigest()[:16], 16)
    assert (made.version, made.variant) == (8, uuid.RFC_4122)
    assert made.int >> 80 == time_us // 1000
    assert made.int >> 64 & 0xFFF == (0 if numbered else time_us % 1000)
    assert made.int % 2**62 == digest % 2**62


@given(times, times, st.text(), st.text())
def test_message_ids_grow_with_time(one, other, key, other_key):
    if one // 1000 < other // 1000:
        assert message_id(one, key, numbered=False) < message_id(other, other_key, numbered=False)


@given(rows)
def test_columns_make_the_same_ids(made):
    time_us, keys, numbered = zip(*made, strict=True)
    hashes = hash_column(pa.array(keys, pa.string()))
    ids = message_id_column(np.array(time_us, np.int64), hashes, np.array(numbered))
    assert ids.to_pylist() == [message_id(t, key, numbered=n) for t, key, n in made]
    assert fingerprint_column(hashes).to_pylist() == [fingerprint(key) for key in keys]


@pytest.mark.parametrize("column", [hash_column(pa.array([], pa.string()))])
def test_an_empty_column_has_no_ids(column):
    assert message_id_column(np.array([], np.int64), column, True).to_pylist() == []
