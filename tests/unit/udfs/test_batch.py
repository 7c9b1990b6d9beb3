import json
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conf import schema
from tests.unit.udfs.strategies import (
    BINANCE,
    DECODERS,
    EXCHANGES,
    JUDGES,
    KRAKEN,
    RECORDS,
    SAMPLES,
    SCHEMAS,
    WRITERS_OF,
    as_batch_row,
    batch,
    message,
    verdict,
    with_type,
)
from tests.unit.udfs.test_judge import EXAMPLES, mutated
from udfs import wire
from udfs.batch import BATCH_TYPE, MAX_LENGTH, MAX_SCHEMAS, BatchDecoder
from udfs.judge import Judge
from udfs.rejected import Rejected
from udfs.schemas import SchemaCache

NAMES = sorted(EXCHANGES)


def judged(name, raw):
    """The judge's trade as the batch path says it, None when it is rejected."""
    try:
        return as_batch_row(*JUDGES[name].judge(raw, 0))
    except Rejected:
        return None


@pytest.fixture(autouse=True)
def _no_batch_fails_within(caplog):
    yield
    assert [record.message for record in caplog.records] == []


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=25)
def test_every_well_formed_trade_is_accepted_as_the_judge_accepts_it(name, data):
    messages = data.draw(st.lists(st.builds(message, st.sampled_from(WRITERS_OF[name]), RECORDS[name]), min_size=1, max_size=12))
    assert batch(name, messages) == [as_batch_row(*JUDGES[name].judge(raw, 0)) for raw in messages]


@pytest.mark.parametrize("name", NAMES)
def test_no_broken_message_is_accepted(name):
    messages = [raw for examples in EXAMPLES.values() for exchange, raw in examples if exchange == name]
    assert batch(name, messages) == [None] * len(messages)


@pytest.mark.parametrize("name", NAMES)
def test_mutated_bytes_are_accepted_as_the_judge_accepts_them_or_not_at_all(name):
    messages = list(mutated(seed=20240809, count=8000))
    rows = batch(name, messages)
    for row, raw in zip(rows, messages, strict=True):
        assert row is None or row == judged(name, raw), raw
    assert sum(row is not None for row in rows) > 150


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=25)
def test_records_of_any_values_are_accepted_as_the_judge_accepts_them_or_not_at_all(name, data):
    odd = st.fixed_dictionaries({}, optional=ODD[name])
    records = data.draw(st.lists(st.tuples(RECORDS[name], odd), min_size=1, max_size=6))
    messages = [message(WRITERS_OF[name][0], record | changes) for record, changes in records]
    for row, raw in zip(batch(name, messages), messages, strict=True):
        assert row is None or row == judged(name, raw)


int64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 10**14, 10**14 - 1, 2**55, 2**56, 4_102_444_800_000_000])
numeric = st.text("0123456789.-+eE\n ", max_size=22)
ODD = {
    "binance": {
        "event_type": st.text(max_size=8),
        "event_time_ms": int64,
        "symbol": st.text(max_size=5) | st.text("USDTBC10$", max_size=8),
        "trade_id": int64,
        "price": numeric,
        "quantity": numeric,
        "trade_time_ms": int64,
        "ingestion_timestamp": int64,
    },
    "kraken": {
        "channel_id": int64,
        "price": numeric,
        "volume": numeric,
        "timestamp": numeric,
        "side": st.text(max_size=2),
        "order_type": st.text(max_size=2),
        "misc": st.text(max_size=8),
        "pair": st.text("XBTDG/usd1", max_size=8),
        "ingestion_timestamp": int64,
        "trade_id": int64,
        "occurrence": st.integers(-(2**31), 2**31 - 1),
    },
    "coinbase": {
        "trade_id": int64,
        "product_id": st.text("XBTDG-usd1", max_size=8),
        "price": numeric,
        "size": numeric,
        "side": st.sampled_from(["BUY", "SELL", "buy", "", "UNKNOWN"]) | st.text(max_size=2),
        "time": st.from_regex(
            r"(19|20|21)[0-9]{2}-(0[0-9]|1[0-3])-([0-2][0-9]|3[0-2])[T ]([01][0-9]|2[0-5]):[0-6][0-9]:[0-6][0-9]"
            r"(\.[0-9]{0,10})?(Z|z|\+01:00)?",
            fullmatch=True,
        )
        | st.text(max_size=8),
        "event_type": st.text(max_size=8),
        "sequence_num": int64,
        "frame_time": st.text(max_size=8),
        "ingestion_timestamp": int64,
    },
}


WRAPPING = (1723161255342616 - 2**64) // 1000
"""A trade time that, taken a thousand times in 64 bits, would be a moment of 2024."""
TRAPS = {
    "an int of 33 bits": ("kraken", message(3, KRAKEN)[:-1] + b"\x80\x80\x80\x80\x20"),
    "a number that goes on after eight bytes": ("kraken", message(3, KRAKEN)[:5] + b"\x80" * 8 + message(3, KRAKEN)[7:]),
    "a time that wraps": ("binance", message(1, BINANCE | {"trade_time_ms": WRAPPING})),
    "a boolean of two": ("binance", message(1, BINANCE).replace(b"\x01\x02\x01", b"\x02\x02\x01")),
    "a branch too far": ("binance", message(1, BINANCE).replace(b"\x01\x02\x01", b"\x01\x04\x01")),
}


@pytest.mark.parametrize(("name", "raw"), TRAPS.values(), ids=TRAPS)
def test_what_looks_like_a_trade_when_read_carelessly(name, raw):
    good = message(1, BINANCE) if name == "binance" else message(3, KRAKEN)
    assert raw != good
    assert (judged(name, raw), batch(name, [raw, good])) == (None, [None, judged(name, good)])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_fields_under_another_name_are_another_record(name):
    renamed = SchemaCache({1: schema(name).replace("RawTrade", "Trade")}.get)
    raw = wire.join(1, message(WRITERS_OF[name][0], SAMPLES[name])[5:])
    assert BatchDecoder(EXCHANGES[name], renamed).decode(pa.array([raw])).to_pylist() == [None]
    with pytest.raises(Rejected, match="incompatible_schema"):
        Judge(EXCHANGES[name], renamed).judge(raw, 0)


def test_slices_nulls_and_chunks_are_read_where_they_are():
    messages = [None, message(1, BINANCE), b"\x00", message(1, BINANCE | {"price": "7"}), None, message(2, BINANCE), b""]
    whole = pa.array(messages, pa.binary())
    expected = [judged("binance", raw) for raw in messages]
    decoder = DECODERS["binance"]
    assert [row is None for row in expected] == [True, False, True, False, True, False, True]
    for start in range(len(messages)):
        for stop in range(start, len(messages) + 1):
            assert decoder.decode(whole[start:stop]).to_pylist() == expected[start:stop]
    chunked = pa.chunked_array([whole[:2], whole[2:2], whole[2:]])
    assert decoder.decode(chunked).to_pylist() == expected
    assert decoder.decode(whole.cast(pa.large_binary())).to_pylist() == expected


def test_a_null_that_hides_bytes_stays_null():
    raw = message(1, BINANCE)
    offsets, validity = np.array([0, len(raw), 2 * len(raw)], np.int32), pa.py_buffer(b"\x02")
    hidden = pa.Array.from_buffers(pa.binary(), 2, [validity, pa.py_buffer(offsets), pa.py_buffer(raw * 2)])
    assert DECODERS["binance"].decode(hidden).to_pylist() == [None, judged("binance", raw)]


@pytest.mark.parametrize("messages", [[], [None], [b""], [None, b"", b"\x00" * 5], [wire.join(99, b"x")]])
def test_a_batch_without_trades(messages):
    decoded = DECODERS["binance"].decode(pa.array(messages, pa.binary()))
    assert (decoded.type, decoded.to_pylist()) == (BATCH_TYPE, [None] * len(messages))


def test_schemas_are_mixed_in_one_batch():
    messages = [message(WRITERS_OF["kraken"][n % 3], KRAKEN | {"channel_id": n}) for n in range(50)] + [
        wire.join(99, b""),
        message(1, BINANCE),
    ]
    assert batch("kraken", messages) == [judged("kraken", raw) for raw in messages]
    assert [row and row["schema_id"] for row in batch("kraken", messages)][:4] == [3, 4, 5, 3]


def test_made_up_ids_neither_hide_trades_nor_cost_more_than_a_few_questions():
    asked = []

    def fetch(schema_id):
        asked.append(schema_id)
        return schema("binance") if schema_id == 1 else None

    made_up = [wire.join(1000 + n, b"x") for n in range(500)]
    decoded = BatchDecoder(EXCHANGES["binance"], SchemaCache(fetch)).decode(pa.array([*made_up, *[message(1, BINANCE)] * 2]))
    assert decoded.to_pylist()[-2:] == [judged("binance", message(1, BINANCE))] * 2
    assert len(asked) == MAX_SCHEMAS


def test_an_order_type_that_is_not_known_is_the_judges():
    raw = message(3, KRAKEN | {"order_type": "x"})
    assert (batch("kraken", [raw]), verdict("kraken", raw).trade_conditions) == ([None], ())


def test_a_row_of_unusual_length_is_the_judges():
    long = message(1, BINANCE | {"quantity": "1." + "0" * MAX_LENGTH})
    assert batch("binance", [long, message(1, BINANCE)]) == [None, judged("binance", message(1, BINANCE))]
    assert verdict("binance", long) == EXCHANGES["binance"].to_trade(BINANCE | {"quantity": "1"}, 0)


@pytest.mark.parametrize(
    ("field", "type"),
    [
        ("price", "bytes"),
        ("price", ["string", "long"]),
        ("trade_id", ["null", "long", "string"]),
        ("is_best_match", {"type": "array", "items": "null"}),
        ("symbol", "double"),
    ],
)
def test_a_writer_that_takes_more_than_copying_is_the_judges(field, type):
    decoder = BatchDecoder(EXCHANGES["binance"], SchemaCache({1: with_type(schema("binance"), field, type)}.get))
    assert decoder.decode(pa.array([message(1, BINANCE)])).to_pylist() == [None]


def test_a_smaller_number_and_an_optional_text_of_the_writer_are_read():
    text = with_type(with_type(schema("binance"), "trade_id", "int"), "event_type", ["string", "null"])
    decoder = BatchDecoder(EXCHANGES["binance"], SchemaCache({1: text}.get))
    body = message(1, BINANCE | {"trade_id": 77})[5:]
    present, absent = wire.join(1, b"\x00" + body), wire.join(1, b"\x02" + body[6:])
    expected = as_batch_row(EXCHANGES["binance"].to_trade(BINANCE | {"trade_id": 77}, 0), 1)
    assert decoder.decode(pa.array([present, absent])).to_pylist() == [expected, None]


NESTED = {"type": "record", "name": "V0", "fields": [{"name": "v", "type": ["null", "long"]}]}
for level in range(1, 4):
    NESTED = {"type": "record", "name": f"V{level}", "fields": [{"name": "v", "type": NESTED}]}


def compatible(fields, written):
    """A decoder and a judge of a writer with more fields, and a message of it."""
    parsed = json.loads(schema("binance"))
    cache = SchemaCache({1: json.dumps(parsed | {"fields": parsed["fields"] + fields})}.get)
    return BatchDecoder(EXCHANGES["binance"], cache), Judge(EXCHANGES["binance"], cache), message(1, BINANCE) + written


@pytest.mark.parametrize("type", ["null", {"type": "fixed", "name": "Nothing", "size": 0}])
def test_many_added_fields_of_no_size_are_read_by_both(type):
    types = [type, *[type if isinstance(type, str) else type | {"name": f"Nothing{n}"} for n in range(1500)]]
    decoder, judge, raw = compatible([{"name": f"n{n}", "type": type} for n, type in enumerate(types)], b"")
    expected = as_batch_row(*judge.judge(raw, 0))
    assert expected == judged("binance", message(1, BINANCE))
    assert decoder.decode(pa.array([raw])).to_pylist() == [expected]


def test_an_added_field_of_many_nested_items_is_the_judges():
    field = {"name": "more", "type": {"type": "array", "items": NESTED}}
    decoder, judge, raw = compatible([field], b"\xd0\x0f" + b"\x00" * 1001)
    assert as_batch_row(*judge.judge(raw, 0)) == judged("binance", message(1, BINANCE))
    assert decoder.decode(pa.array([raw])).to_pylist() == [None]


@pytest.mark.parametrize("size", [-3, 2**31, 2**63 - 1, True, 3.0, "3"])
def test_a_fixed_of_no_size_there_is_rejects_its_schema(size):
    decoder, judge, raw = compatible([{"name": "x", "type": {"type": "fixed", "name": "X", "size": size}}], b"\x00")
    assert decoder.decode(pa.array([raw, raw[:-4]])).to_pylist() == [None, None]
    with pytest.raises(Rejected, match="incompatible_schema"):
        judge.judge(raw, 0)


def test_a_failure_within_is_the_judges_and_is_logged(monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("disk")

    decoder = BatchDecoder(EXCHANGES["binance"], SCHEMAS)
    monkeypatch.setattr(decoder, "_trades", fail)
    assert decoder.decode(pa.array([message(1, BINANCE)])).to_pylist() == [None]
    assert [record.message for record in caplog.records] == ["a batch of 1 messages of schema 1 is left to the judge"]
    caplog.clear()


def test_travels_to_a_worker():
    decoder = pickle.loads(pickle.dumps(BatchDecoder(EXCHANGES["binance"], SchemaCache(FETCH))))
    assert decoder.decode(pa.array([message(1, BINANCE)])).null_count == 0


class _Fetch:
    def __call__(self, schema_id):
        return schema("binance")


FETCH = _Fetch()
