import json
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf import schema
from tests.unit.udfs.strategies import (
    BINANCE,
    COINBASE,
    EXCHANGES,
    EXTRA,
    JUDGES,
    KRAKEN,
    PARSED,
    RECORDS,
    SAMPLES,
    WRITERS_OF,
    avro,
    evolved,
    message,
    verdict,
    with_type,
)
from udfs import wire
from udfs.judge import Judge, Judged
from udfs.rejected import ERROR_TYPES, Rejected
from udfs.rules import Limits
from udfs.schemas import SchemaCache

NOW = BINANCE["ingestion_timestamp"]
GOOD = message(1, BINANCE)
DAY_MS = 86_400_000


def binance(**changes):
    return "binance", message(1, BINANCE | changes)


def kraken(**changes):
    return "kraken", message(3, KRAKEN | changes)


def coinbase(**changes):
    return "coinbase", message(6, COINBASE | changes)


EXAMPLES = {
    "null_value": [("binance", None), ("kraken", None), ("coinbase", None)],
    "truncated": [("binance", b""), ("binance", b"\x00"), ("kraken", GOOD[:4]), ("binance", b"\x01\x02")],
    "bad_magic_byte": [("binance", b"\x01" + GOOD[1:]), ("kraken", b"{}{}{}")],
    "unknown_schema_id": [("binance", wire.join(99, GOOD[5:])), ("binance", wire.join(-1, b"")), ("kraken", wire.join(0, b""))],
    "incompatible_schema": [("kraken", GOOD), ("binance", message(3, KRAKEN)), ("binance", wire.join(4, b"")), ("coinbase", GOOD)],
    "avro_decode_failed": [("binance", GOOD[:-1]), ("binance", GOOD[:5]), ("kraken", message(3, KRAKEN)[:40])],
    "trailing_bytes": [("binance", GOOD + b"\x00"), ("kraken", message(3, KRAKEN) + b"more")],
    "price_not_a_number": [binance(price="1e400"), kraken(price="NaN"), coinbase(price="1,5")],
    "price_not_positive": [binance(price="0"), kraken(price="-1.5"), coinbase(price="0.00")],
    "price_out_of_range": [binance(price="1" * 40), kraken(price="0.000000001")],
    "quantity_not_a_number": [binance(quantity=""), kraken(volume="Infinity"), coinbase(size="")],
    "quantity_not_positive": [binance(quantity="0.00000000"), kraken(volume="-0"), coinbase(size="0")],
    "quantity_out_of_range": [binance(quantity="10000000000"), kraken(volume="1.000000001"), coinbase(size="10000000000")],
    "timestamp_unreadable": [
        binance(trade_time_ms=-62_135_596_800_000),
        binance(trade_time_ms=253_402_300_799_000),
        binance(trade_time_ms=2**63 - 1),
        binance(trade_time_ms=-(2**63)),
        binance(ingestion_timestamp=-(2**63)),
        binance(ingestion_timestamp=2**63 - 1),
        kraken(timestamp="yesterday"),
        kraken(timestamp="1617666461.4656180"),
        kraken(ingestion_timestamp=0),
        coinbase(time=""),
        coinbase(time="1675973975.351234"),
        coinbase(time="2023-02-09T20:19:35.351234"),
        coinbase(time="2023-02-29T20:19:35Z"),
        coinbase(time="2023-02-09T20:19:35.1234567890Z"),
        coinbase(time="1999-12-31T23:59:59.999999999Z"),
    ],
    "timestamp_in_future": [
        binance(trade_time_ms=NOW // 1000 + 300_001),
        kraken(timestamp="1617666761.507300"),
        coinbase(time="2023-02-09T20:24:35.402114Z"),
    ],
    "timestamp_too_old": [
        binance(trade_time_ms=NOW // 1000 - 365 * DAY_MS),
        kraken(timestamp="1586130461.507298"),
        coinbase(time="2022-02-09T20:19:35.402112999Z"),
    ],
    "symbol_missing": [binance(symbol=""), kraken(pair=""), coinbase(product_id="")],
    "symbol_unreadable": [
        binance(symbol="btcusdt"),
        binance(symbol="USDT"),
        binance(symbol="BTCXYZ"),
        kraken(pair="XBTUSD"),
        coinbase(product_id="BTC-PERP-INTX"),
    ],
    "side_unknown": [kraken(side=""), kraken(side="B"), kraken(side="buy"), coinbase(side="buy"), coinbase(side="UNKNOWN_ORDER_SIDE")],
}
HEADER_UNREADABLE = {"null_value", "truncated", "bad_magic_byte"}


def test_every_reason_has_an_example():
    assert set(EXAMPLES) == set(ERROR_TYPES)


@pytest.mark.parametrize("reason", EXAMPLES)
def test_each_example_is_rejected_for_exactly_its_reason(reason):
    for name, raw in EXAMPLES[reason]:
        with pytest.raises(Rejected) as caught:
            JUDGES[name].judge(raw, 0)
        schema_id = None if reason in HEADER_UNREADABLE else wire.split(raw)[0]
        assert (caught.value.error_type, caught.value.error_reason, caught.value.schema_id) == (ERROR_TYPES[reason], reason, schema_id)


BROKEN_IN_ORDER = {
    "binance": [
        ("price_not_a_number", {"price": "x"}),
        ("quantity_not_positive", {"quantity": "0"}),
        ("timestamp_too_old", {"trade_time_ms": NOW // 1000 - 366 * DAY_MS}),
        ("symbol_missing", {"symbol": ""}),
    ],
    "kraken": [
        ("price_out_of_range", {"price": "9" * 11}),
        ("quantity_not_a_number", {"volume": "x"}),
        ("timestamp_unreadable", {"timestamp": ""}),
        ("symbol_unreadable", {"pair": "x"}),
        ("side_unknown", {"side": "x"}),
    ],
    "coinbase": [
        ("price_out_of_range", {"price": "9" * 11}),
        ("quantity_not_a_number", {"size": "x"}),
        ("timestamp_unreadable", {"time": ""}),
        ("symbol_unreadable", {"product_id": "x"}),
        ("side_unknown", {"side": "x"}),
    ],
}


@pytest.mark.parametrize("name", BROKEN_IN_ORDER)
def test_the_first_rule_broken_names_the_row(name):
    rules = BROKEN_IN_ORDER[name]
    for first, (reason, _) in enumerate(rules):
        record = SAMPLES[name].copy()
        for _, change in rules[first:]:
            record |= change
        raw = message(WRITERS_OF[name][0], record)
        assert verdict(name, raw) == reason
        assert verdict(name, raw + b"\x00") == "trailing_bytes"
        assert verdict(name, raw[:-1]) == "avro_decode_failed"
        assert verdict(name, wire.join(99, raw[5:])) == "unknown_schema_id"
        assert verdict(name, b"\x01" + raw[1:5]) == "bad_magic_byte"
        assert verdict(name, b"\x01" + raw[1:4]) == "truncated"


def test_a_good_message_is_a_trade_with_the_id_of_its_schema():
    judged = JUDGES["binance"].judge(message(2, BINANCE), 42)
    assert judged == Judged(EXCHANGES["binance"].to_trade(BINANCE, 42), 2)
    assert judged.trade.platform_sequence == 42


@given(st.data(), st.sampled_from(sorted(RECORDS)))
def test_a_record_comes_out_of_avro_as_it_went_in(data, name):
    record = data.draw(RECORDS[name])
    expected = EXCHANGES[name].to_trade(record, 7)
    for schema_id in (3, 5) if name == "kraken" else WRITERS_OF[name]:
        assert verdict(name, message(schema_id, record), 7) == expected


@given(RECORDS["kraken"])
def test_what_the_first_kraken_schema_did_not_write_has_its_default(record):
    expected = EXCHANGES["kraken"].to_trade(record | {"trade_id": None, "occurrence": 0}, 7)
    assert verdict("kraken", message(4, record), 7) == expected


def one_writer(text, body):
    """What becomes of `body`, written with this schema of the Binance feed."""
    judge = Judge(EXCHANGES["binance"], SchemaCache({1: text}.get))
    try:
        return judge.judge(wire.join(1, body), 0).trade
    except Rejected as rejected:
        return rejected.error_reason


BODY = GOOD[5:]
TRADE = EXCHANGES["binance"].to_trade(BINANCE, 0)


PRICE = b"\x1c61837.63000000"


@pytest.mark.parametrize(
    ("type", "written"),
    [
        ("bytes", PRICE),
        ({"type": "string", "avro.java.string": "String"}, PRICE),
        ({"type": "string", "logicalType": "uuid"}, PRICE),
        (["null", "string"], b"\x02" + PRICE),
        (["string", "long"], b"\x00" + PRICE),
    ],
)
def test_a_writer_whose_price_can_be_read_as_text(type, written):
    assert one_writer(with_type(schema("binance"), "price", type), BODY.replace(PRICE, written)) == TRADE


@pytest.mark.parametrize("logical", ["timestamp-millis", "timestamp-micros", "time-micros", "local-timestamp-micros"])
def test_a_logical_type_of_the_writer_leaves_the_number_a_number(logical):
    text = with_type(schema("binance"), "trade_time_ms", {"type": "long", "logicalType": logical})
    assert one_writer(text, BODY) == TRADE
    assert one_writer(text, avro(1, BINANCE | {"trade_time_ms": 2**63 - 1})) == "timestamp_unreadable"


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("price", "double"),
        ("price", ["null", "long"]),
        ("price", {"type": "enum", "name": "P", "symbols": ["A"]}),
        ("trade_id", "string"),
        ("trade_id", "float"),
        ("is_buyer_maker", "int"),
        ("symbol", {"type": "array", "items": "string"}),
        ("is_best_match", "string"),
    ],
)
def test_a_field_of_another_type_is_incompatible_whatever_the_bytes_are(name, type):
    text = with_type(schema("binance"), name, type)
    assert {one_writer(text, body) for body in (b"", BODY, BODY + b"\x00")} == {"incompatible_schema"}


def test_a_field_that_is_not_written_and_has_no_default_is_incompatible():
    parsed = json.loads(schema("binance"))
    parsed["fields"] = [field for field in parsed["fields"] if field["name"] != "price"]
    assert one_writer(json.dumps(parsed), BODY) == "incompatible_schema"


def test_a_branch_that_the_reader_has_not_is_incompatible():
    text = with_type(schema("binance"), "event_type", ["null", "string"])
    assert one_writer(text, b"\x00" + BODY[6:]) == "incompatible_schema"
    assert one_writer(text, b"\x02" + BODY) == TRADE


HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
ENDLESS = {"type": "record", "name": "Endless", "fields": [{"name": "next", "type": "Endless"}]}
ATTACKS = {
    "billions of nulls": ({"type": "array", "items": "null"}, HUGE + b"\x00"),
    "billions of empty records": ({"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}}, HUGE + b"\x00"),
    "a map of nothing": ({"type": "map", "values": "null"}, HUGE + b"\x00" * 100),
    "a text of all memory": ("string", HUGE),
    "bytes of all memory": ("bytes", HUGE),
    "a list as long as the message": (NODE, b"\x02" * 500_000 + b"\x00"),
    "a record that holds itself": (ENDLESS, b""),
    "text that is not UTF-8": ("string", b"\x02\xff"),
    "half a surrogate pair": ("string", b"\x06\xed\xa0\x80"),
    "a number without end": ("long", b"\xff" * 500_000),
}


HEAD = BODY.index(b"BTCUSDT") + len("BTCUSDT")
"""Where `evolved` puts its field."""


def with_field(type, field):
    """A judge of a writer that has one field more, and a message of it whose field is these bytes."""
    text = evolved(schema("binance"), [{"name": "extra", "type": type}])
    return Judge(EXCHANGES["binance"], SchemaCache({1: text}.get)), wire.join(1, BODY[:HEAD] + field + BODY[HEAD:])


HARMLESS = [
    ({"type": "array", "items": "null"}, b"\x06\x00"),
    ({"type": "array", "items": "long"}, b"\x01\x02\x02\x00"),
    ({"type": "map", "values": "null"}, b"\x02\x02a\x00"),
    ("string", b"\x04\xc3\xa4"),
    (NODE, b"\x02\x02\x00"),
    ("long", HUGE),
]


@pytest.mark.parametrize(("type", "field"), HARMLESS)
def test_a_field_that_the_reader_has_not_is_left_out(type, field):
    judge, raw = with_field(type, field)
    assert judge.judge(raw, 0).trade == TRADE


@pytest.mark.parametrize(("type", "field"), ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_a_rejection_that_takes_a_small_multiple_of_its_size(type, field):
    judge, raw = with_field(type, field)
    tracemalloc.start()
    with pytest.raises(Rejected, match="avro_decode_failed"):
        judge.judge(raw, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000 + 8 * len(raw)


def test_a_million_digits_are_only_read():
    length = 1_000_000
    assert verdict(*binance(price="9" * length)) == "price_out_of_range"
    assert verdict(*binance(quantity="1." + "0" * length)) == EXCHANGES["binance"].to_trade(BINANCE | {"quantity": "1"}, 0)
    assert verdict(*kraken(timestamp="1" * length)) == "timestamp_unreadable"


def mutated(seed, count):
    """Messages of every writer with bytes flipped, dropped, inserted, cut, and swapped with those of another message."""
    chance = random.Random(seed)
    good = [
        message(schema_id, record | EXTRA) for schema_id, record in [(i, SAMPLES[name]) for name in WRITERS_OF for i in WRITERS_OF[name]]
    ]
    for _ in range(count):
        raw = bytearray(chance.choice(good))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(raw))
            match chance.randrange(5):
                case 0:
                    raw[at] ^= 1 << chance.randrange(8)
                case 1:
                    raw[at] = chance.choice(b"\x00\x01\x02\x7f\x80\xff.-0bsX/")
                case 2:
                    del raw[at : at + chance.randint(1, 3)]
                case 3:
                    raw[at:at] = chance.randbytes(chance.randint(1, 3))
                case _:
                    raw[at:] = chance.choice(good)[at:]
            raw = raw or bytearray(b"\x00")
        yield bytes(raw)


@pytest.mark.parametrize("name", JUDGES)
def test_mutated_bytes_are_a_storable_trade_or_a_rejection_and_nothing_else(name):
    verdicts = [verdict(name, raw) for raw in mutated(seed=20240808, count=6000)]
    trades = [found for found in verdicts if not isinstance(found, str)]
    assert len(trades) > 100
    assert len({found for found in verdicts if isinstance(found, str)}) > 8
    for trade in trades:
        assert_storable(trade)


@given(st.none() | st.binary(max_size=200), st.sampled_from([*PARSED, 99]), st.booleans(), st.sampled_from(sorted(JUDGES)))
def test_any_bytes_are_a_trade_or_a_rejection(raw, schema_id, headed, name):
    found = verdict(name, wire.join(schema_id, raw or b"") if headed else raw)
    assert found in ERROR_TYPES or assert_storable(found) is None


@given(st.text(max_size=20), st.text(max_size=20), st.integers(-(2**63), 2**63 - 1))
def test_whatever_the_feed_writes_can_be_stored(free_text, order_type, number):
    assert_storable(verdict(*binance(event_type=free_text, trade_id=number, event_time_ms=number)))
    assert_storable(verdict(*kraken(misc=free_text, order_type=order_type, trade_id=number, channel_id=number)))
    assert_storable(verdict(*kraken(misc=free_text, order_type=order_type, occurrence=number % 2**31)))
    assert_storable(verdict(*coinbase(event_type=free_text, frame_time=free_text, trade_id=number, sequence_num=number)))


def assert_storable(trade):
    for text in (trade.message_id, trade.trade_id, trade.symbol, trade.currency, trade.vendor_data, *trade.trade_conditions):
        text.encode("utf-8")
    for number in (trade.timestamp, trade.ingestion_timestamp, trade.platform_sequence, trade.source_sequence or 0):
        assert -(2**63) <= number < 2**63
    assert json.loads(trade.vendor_data)
    assert 0 < trade.price < 10**10
    assert 0 < trade.quantity < 10**10


def test_the_limits_are_the_exchanges():
    strict = EXCHANGES["binance"].__class__("binance", PARSED[1], Limits(0, 0), EXCHANGES["binance"].quote_assets)
    with pytest.raises(Rejected, match="timestamp_in_future"):
        Judge(strict, SchemaCache({1: schema("binance")}.get)).judge(GOOD, 0)
