"""One trade's whole life on one screen: bytes, verdict, rows, repeats, delays."""

import pytest

from tests.e2e import raw
from tests.e2e.stack import Stack

BRONZE = "bronze_binance_trades"
HOPS = ["kafka_to_bronze", "bronze_to_silver", "silver_to_gold", "end_to_end"]


def test_a_trade_is_followed_with_its_repeat(pipeline: Stack) -> None:
    one = raw.binance("TRACEDUSDT")
    first, second = pipeline.send_trades("binance", [one, one])
    pipeline.settle()
    (wanted,) = pipeline.truth("binance", [one])
    printed = pipeline.tradelake("trace", wanted["message_id"], "--json").json["messages"]
    assert [(m["topic"], m["partition"], m["offset"]) for m in printed] == [first, second]
    assert [(len(m["bronze"]), len(m["silver"]), len(m["dlq"]), len(m["gold"])) for m in printed] == [(1, 1, 0, 1), (1, 1, 0, 0)]
    for message in printed:
        assert message["verdict"] == "valid"
        assert message["schema_id"] == pipeline.schema_ids["binance"]
        assert message["record"] == one
        assert message["bronze"][0]["raw_bytes"] == pipeline.registry.encode(pipeline.schema_ids["binance"], one).hex()
        assert message["silver"][0]["message_id"] == wanted["message_id"]
    kept = printed[0]
    assert list(kept["hops_s"]) == HOPS
    assert all(seconds > 0 for seconds in kept["hops_s"].values())
    assert kept["hops_s"]["end_to_end"] == pytest.approx(sum(kept["hops_s"][hop] for hop in HOPS[:-1]))
    assert list(printed[1]["hops_s"]) == HOPS[:2]
    newest = {snapshot.snapshot_id for snapshot in pipeline.lake.table("gold_crypto_trades").snapshots()}
    assert kept["gold"][0]["snapshot"] in newest

    screen = pipeline.tradelake("trace", wanted["message_id"]).stdout
    assert f"{first.topic}:{first.partition}:{first.offset}  (the first message)" in screen
    assert f"{second.topic}:{second.partition}:{second.offset}  (repeat 1 of 1)" in screen
    by_place = pipeline.tradelake("trace", f"{second.topic}:{second.partition}:{second.offset}", "--json").json["messages"]
    assert by_place == printed


def test_a_rejected_message_names_its_rule_then_and_now(pipeline: Stack) -> None:
    (at,) = pipeline.send_trades("kraken", [raw.kraken("TRACED/USD", price="-1")])
    (nothing,) = pipeline.send("kraken", [(b"TRACED/USD", None)])
    pipeline.settle()
    (message,) = pipeline.tradelake("trace", f"{at.topic}:{at.partition}:{at.offset}", "--json").json["messages"]
    assert message["verdict"].startswith("rejected: price/price_not_positive")
    assert message["record"]["price"] == "-1"
    assert [(row["error_type"], row["error_reason"]) for row in message["dlq"]] == [("price", "price_not_positive")]
    assert list(message["hops_s"]) == HOPS[:2]
    screen = pipeline.tradelake("trace", f"{nothing.topic}:{nothing.partition}:{nothing.offset}").stdout
    assert "bytes     none (a tombstone)" in screen
    assert "verdict   rejected: decode/null_value" in screen


def test_what_is_not_there_is_said(pipeline: Stack) -> None:
    assert "no exchange has a topic elsewhere" in pipeline.tradelake("trace", "elsewhere:0:0", exit_code=1).stderr
    assert "the lake has no binance-trades:0:999999999" in pipeline.tradelake("trace", "binance-trades:0:999999999", exit_code=1).stderr
    assert "the lake has no " in pipeline.tradelake("trace", "0191346a-1dae-8000-8432-000000000000", exit_code=1).stderr
    assert "is no id of a trade" in pipeline.tradelake("trace", "ffffffff-ffff-8000-8432-000000000000", exit_code=1).stderr
    assert "is neither a message_id" in pipeline.tradelake("trace", "nonsense", exit_code=2).stderr


def test_rejected_messages_are_counted_listed_and_shown(pipeline: Stack) -> None:
    broken = pipeline.registry.encode(pipeline.schema_ids["binance"], raw.binance("LISTEDUSDT"))[:-40]
    before = {
        (row["type"], row["reason"]): row["messages"] for row in pipeline.tradelake("dlq", "list", "--json").json if row["from"] == BRONZE
    }
    (at,) = pipeline.send("binance", [(b"LISTEDUSDT", broken)])
    pipeline.settle()
    after = {
        (row["type"], row["reason"]): row["messages"] for row in pipeline.tradelake("dlq", "list", "--json").json if row["from"] == BRONZE
    }
    key = ("decode", "avro_decode_failed")
    assert after == before | {key: before.get(key, 0) + 1}
    (newest,) = pipeline.tradelake("dlq", "list", "--newest", "1", "--reason", "decode", "--since", "10 min", "--json").json
    assert (newest["topic"], newest["partition"], newest["offset"]) == at
    shown = pipeline.tradelake("dlq", "show", f"{at.topic}:{at.partition}:{at.offset}", "--json").json
    assert shown["schema"] == "com.k2.marketdata.raw.BinanceRawTrade"
    assert (shown["fields"]["event_type"], shown["fields"]["symbol"]) == ("trade", "LISTEDUSDT")
    assert "is_buyer_maker" not in shown["fields"]
    assert shown["raw_record"] == broken.hex()
    screen = pipeline.tradelake("dlq", "show", f"{at.topic}:{at.partition}:{at.offset}").stdout.splitlines()
    assert screen[-1 - (len(broken) - 1) // 16].startswith("00000000  " + broken[:16].hex(" "))
    assert "the dead-letter table has no" in pipeline.tradelake("dlq", "show", f"{at.topic}:{at.partition}:0", exit_code=1).stderr
