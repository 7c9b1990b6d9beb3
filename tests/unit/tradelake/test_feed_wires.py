"""What each exchange is asked, and what its documented answers mean."""

import json

import pytest

from tradelake.feed.wire import Accepted, Busy, Ending, Refused
from tradelake.feed.wires import WIRES
from udfs.exchange import MODULES

BINANCE = WIRES["binance"]["stream"]
V2, V1 = WIRES["kraken"]["v2"], WIRES["kraken"]["v1"]
COINBASE = WIRES["coinbase"]["market_trades"]


def test_every_exchange_has_a_wire_whose_example_is_a_symbol():
    assert set(WIRES) == set(MODULES)
    assert all(wire.symbol.fullmatch(wire.example) for wires in WIRES.values() for wire in wires.values())
    assert list(WIRES["kraken"]) == ["v2", "v1"]


def test_binance_is_asked_for_streams_in_lower_case_a_part_at_a_time():
    requests = BINANCE.requests([f"A{n}USDT" for n in range(450)])
    assert [json.loads(request.text)["id"] for request in requests] == [1, 2, 3]
    assert [len(request.symbols) for request in requests] == [200, 200, 50]
    assert all(request.answers == 1 for request in requests)
    (one,) = BINANCE.requests(["BTCUSDT", "ETHUSDT"])
    assert json.loads(one.text) == {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "ethusdt@trade"], "id": 1}


def test_kraken_is_asked_for_a_snapshot_and_answers_for_each_symbol():
    (v2,), (v1,) = V2.requests(["BTC/USD", "ETH/USD"]), V1.requests(["XBT/USD", "ETH/USD"])
    assert json.loads(v2.text) == {
        "method": "subscribe",
        "params": {"channel": "trade", "symbol": ["BTC/USD", "ETH/USD"], "snapshot": True},
    }
    assert json.loads(v1.text) == {"event": "subscribe", "pair": ["XBT/USD", "ETH/USD"], "subscription": {"name": "trade"}}
    assert v2.answers == v1.answers == 2
    assert [request.answers for request in V2.requests([f"A{n}/USD" for n in range(60)])] == [50, 10]


def test_coinbase_is_asked_for_heartbeats_and_then_for_trades_a_part_at_a_time():
    heartbeats, first, second = COINBASE.requests([f"A{n}-USD" for n in range(150)])
    assert (json.loads(heartbeats.text), heartbeats.symbols) == ({"type": "subscribe", "channel": "heartbeats"}, ())
    assert [len(request.symbols) for request in (first, second)] == [100, 50]
    assert all(request.answers == 1 for request in (heartbeats, first, second))
    _, one = COINBASE.requests(["ETH-USD", "BTC-USD"])
    assert json.loads(one.text) == {"type": "subscribe", "product_ids": ["ETH-USD", "BTC-USD"], "channel": "market_trades"}


@pytest.mark.parametrize(
    ("wire", "text", "meaning"),
    [
        (BINANCE, '{"result": null, "id": 1}', Accepted()),
        (BINANCE, '{"code": 2, "msg": "Invalid request: too many parameters", "id": 1}', Refused("Invalid request: too many parameters")),
        (BINANCE, '{"error": {"code": 2, "msg": "Invalid request"}, "id": 1}', Refused("Invalid request")),
        (BINANCE, '{"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1770123456789}}', Ending()),
        (BINANCE, '{"e": "serverShutdown", "E": 1770123456789}', Ending()),
        (BINANCE, '{"stream": "btcusdt@trade", "data": {"e": "trade", "id": null, "result": null}}', None),
        (BINANCE, '{"result": ["btcusdt@trade"], "id": 3}', None),
        (BINANCE, "[]", None),
        (
            V2,
            '{"method":"subscribe","result":{"channel":"trade","snapshot":true,"symbol":"MATIC/USD"},"success":true,'
            '"time_in":"2023-09-25T09:04:31.742599Z","time_out":"2023-09-25T09:04:31.742648Z"}',
            Accepted(),
        ),
        (
            V2,
            '{"error":"Currency pair not supported ABC/USD","method":"subscribe","success":false,"symbol":"ABC/USD"}',
            Refused("Currency pair not supported ABC/USD", "ABC/USD"),
        ),
        (V2, '{"error":"Malformed request","method":"subscribe","success":false}', Refused("Malformed request")),
        (V2, '{"Error":"Exceeded msg rate"}', Busy("Exceeded msg rate")),
        (V2, '{"method":"pong"}', None),
        (V2, '{"channel":"heartbeat"}', None),
        (V2, '{"channel":"status","type":"update","data":[{"system":"online"}]}', None),
        (V2, '{"channel":"trade","type":"update","data":[]}', None),
        (V2, "null", None),
        (
            V1,
            '{"channelID":337,"channelName":"trade","event":"subscriptionStatus","pair":"XBT/EUR","status":"subscribed",'
            '"subscription":{"name":"trade"}}',
            Accepted(),
        ),
        (
            V1,
            '{"errorMessage":"Currency pair not supported ABC/USD","event":"subscriptionStatus","pair":"ABC/USD","status":"error"}',
            Refused("Currency pair not supported ABC/USD", "ABC/USD"),
        ),
        (V1, '{"errorMessage":"Exceeded msg rate","event":"subscriptionStatus","status":"error"}', Busy("Exceeded msg rate")),
        (V1, '{"event":"heartbeat"}', None),
        (V1, '{"event":"systemStatus","status":"online"}', None),
        (V1, '[337,[],"trade","XBT/USD"]', None),
        (
            COINBASE,
            '{"channel":"subscriptions","client_id":"","timestamp":"2023-02-09T20:33:57.609931463Z","sequence_num":0,'
            '"events":[{"subscriptions":{"market_trades":["ETH-USD"]}}]}',
            Accepted(),
        ),
        (COINBASE, '{"type":"error","message":"channel is not valid"}', Refused("channel is not valid")),
        (COINBASE, '{"type":"error","message":"Too many requests"}', Busy("Too many requests")),
        (COINBASE, '{"channel":"heartbeats","events":[{"heartbeat_counter":"3049"}]}', None),
        (COINBASE, '{"channel":"market_trades","events":[]}', None),
        (COINBASE, '{"channel":"status","events":[]}', None),
        (COINBASE, "[]", None),
    ],
)
def test_an_answer_is_understood(wire, text, meaning):
    assert wire.control(json.loads(text)) == meaning
