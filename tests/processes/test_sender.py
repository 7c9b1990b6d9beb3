"""What arrives in Kafka: sent by the real client to librdkafka's own broker for tests, with a registry of a few lines."""

import io
import json
import os
import signal
import threading
import time

import click.testing
import pytest
from fastavro import parse_schema, schemaless_reader

import conf
from tradelake.console import Failure
from tradelake.home import Home
from tradelake.produce.commands import produce
from tradelake.produce.generator import Plan
from tradelake.produce.replay import replay, send_generated, send_sample
from tradelake.produce.sample import sample_records
from tradelake.produce.sender import OVERHEAD, Report, Sender
from udfs.exchange import MODULES

SCHEMAS = {exchange: parse_schema(json.loads(conf.schema(exchange))) for exchange in MODULES}
FRAME = '{"recv_ns":1723161254087896999,"frame":{"e":"trade","E":5,"s":"BTCUSDT","t":%d,"p":"1.5","q":"2.5","T":4,"m":true,"M":true}}\n'


def record(value: bytes, exchange: str) -> dict:
    assert value[:5] == b"\0\1\2\3\4"
    body = io.BytesIO(value[5:])
    decoded = schemaless_reader(body, SCHEMAS[exchange])
    assert body.read() == b""
    return decoded


def test_records_arrive_in_wire_format_keyed_by_symbol_with_the_time_of_sending(settings, arrived):
    before = int(time.time() * 1000)
    report = send_sample(settings)
    for exchange, field in ("binance", "symbol"), ("kraken", "pair"):
        messages = arrived(f"{exchange}-trades")
        expected = [(r[field].encode(), r) for r in sample_records(exchange)]
        sort = (lambda m: m[0]) if exchange == "binance" else (lambda m: (m[0], m[1]["timestamp"]))
        assert sorted(((key, record(value, exchange)) for key, value, _, _ in messages), key=sort) == sorted(expected, key=sort)
        assert all(before <= sent_at <= int(time.time() * 1000) for _, _, _, sent_at in messages)
    assert (report.sent, report.failed, report.skipped, report.unreadable) == (8_038, 0, 0, 0)
    counts = {topic: sum(last - first for first, last in offsets.values()) for topic, offsets in report.offsets.items()}
    assert counts == {"binance-trades": 8_000, "kraken-trades": 38}


def test_anything_can_be_sent_raw(settings, arrived):
    with Sender(settings, "binance") as sender:
        sender.send_raw(b"key", None)
        sender.send_raw(None, b"", {"who": b"me"})
        assert sender.flush() == 0
    assert {(key, value, str(headers)) for key, value, headers, _ in arrived("binance-trades")} == {
        (b"key", None, "None"),
        (None, b"", "[('who', b'me')]"),
    }


def test_what_is_no_trade_is_counted_and_the_rest_goes_on(settings, arrived, tmp_path):
    lines = [FRAME % 1, '{"recv_ns":1,"frame":{"e":"depth"}}\n', "garbage\n", FRAME % 2**63, FRAME.replace('"1.5"', "1.5") % 3, FRAME % 4]
    file = tmp_path / "frames"
    file.write_text("".join(lines))
    complaints = []
    report = replay(settings, "binance", [str(file)], complain=complaints.append)
    assert [complaint.line for complaint in complaints] == [3, 4, 5]
    assert (report.sent, report.skipped, report.unreadable) == (2, 1, 3)
    decoded = [record(value, "binance") for _, value, _, _ in arrived("binance-trades")]
    assert [(r["trade_id"], r["price"], r["ingestion_timestamp"]) for r in decoded] == [
        (1, "1.5", 1723161254087896),
        (4, "1.5", 1723161254087896),
    ]


def test_a_trade_too_large_for_a_message_is_an_unreadable_line_and_the_rest_goes_on(settings, arrived, tmp_path):
    largest = 1_000_000 - len(FRAME % 2)
    lines = [FRAME % 1, *[FRAME.replace("1.5", "1" * length) % 2 for length in (largest, 1_000_000)], FRAME % 3]
    file = tmp_path / "frames"
    file.write_text("".join(lines))
    complaints = []
    report = replay(settings, "binance", [str(file)], complain=complaints.append)
    assert [str(complaint) for complaint in complaints] == [
        f"{file}, line 3: no trade to send: a message of 1,000,083 bytes; message.max.bytes is 1,000,000"
    ]
    assert (report.sent, report.failed, report.unreadable) == (3, 0, 1)
    assert sorted(record(value, "binance")["trade_id"] for _, value, _, _ in arrived("binance-trades")) == [1, 2, 3]


def test_the_limit_of_a_message_is_the_clients(settings):
    kafka = settings.environment.kafka.model_copy(update={"options": {"message.max.bytes": "1010"}})
    settings = settings.model_copy(update={"environment": settings.environment.model_copy(update={"kafka": kafka})})
    trade = next(iter(sample_records("binance")))
    with Sender(settings, "binance") as sender:
        room = 1010 - OVERHEAD - sum(map(len, sender.encode(trade | {"price": "1" * 100}))) + 100
        sender.send(trade | {"price": "1" * room})
        with pytest.raises(Failure, match="takes no more messages"):
            sender.send_raw(b"key", b"x" * (1010 - OVERHEAD - 2))
        with pytest.raises(ValueError, match="a message of 1,011 bytes"):
            sender.encode(trade | {"price": "1" * (room + 1)})


def test_generated_trades_repeats_and_bad_messages_all_arrive(settings, arrived):
    report = send_generated(settings, Plan("kraken", 2_000, seed=1, duplicates=0.25, bad=0.05))
    values = [value for _, value, _, _ in arrived("kraken-trades")]
    assert report.sent == len(values) == 2_000 + report.duplicates + report.bad
    assert report.duplicates > 400
    assert report.bad > 50


def test_the_demos_messages_repeats_and_bad_ones_all_arrive(home, arrived):
    sent = json.loads(run(home, "demo", "--json").stdout)
    assert {name: sent[name] for name in ("sent", "duplicates", "bad", "failed")} == {
        "sent": 8_218, "duplicates": 170, "bad": 10, "failed": 0,
    }  # fmt: skip
    values = {exchange: [value for _, value, _, _ in arrived(f"{exchange}-trades")] for exchange in ("binance", "kraken")}
    assert {exchange: len(some) for exchange, some in values.items()} == {"binance": 8_168, "kraken": 50}


def test_a_missing_topic_is_named(settings):
    exchanges = {**settings.pipeline.exchanges, "binance": settings.pipeline.exchanges["binance"].model_copy(update={"topic": "nowhere"})}
    elsewhere = settings.model_copy(update={"pipeline": settings.pipeline.model_copy(update={"exchanges": exchanges})})
    with pytest.raises(Failure, match="there is no topic nowhere; run `tradelake topics create`"):
        Sender(elsewhere, "binance")


def test_the_rate_is_kept(settings):
    before = time.thread_time()
    report = send_generated(settings, Plan("binance", 1_000), rate=1_000)
    assert report.seconds >= 0.999
    assert time.thread_time() - before < 0.5, "it waits, and does not keep a core busy with waiting"


def test_an_interrupted_report_ends_the_sending(settings, arrived):
    report = send_generated(settings, Plan("binance", 50, duplicates=1, bad=1), report=Report(interrupted=True))
    assert (report.sent, report.duplicates, report.bad) == (1, 0, 0)
    assert len(arrived("binance-trades")) == 1


def test_lost_messages_are_counted_and_end_the_sending(settings):
    sender = Sender(settings, "binance")
    sender.send_raw(b"key", b"x" * 10)
    sender._producer.purge(in_queue=True, in_flight=True, blocking=True)
    report = Report(sent=1)
    sender.finish(report)
    assert (report.sent, report.failed) == (0, 1)


def run(home: Home, *arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(produce, arguments, obj=home)


def test_the_result_is_one_line_or_one_json_object(home, tmp_path):
    file = tmp_path / "frames"
    file.write_text(FRAME % 1 + FRAME % 2)
    plain, as_json = run(home, "binance", str(file)), run(home, "binance", str(file), "--json")
    assert (plain.exit_code, as_json.exit_code) == (0, 0)
    assert plain.stdout.startswith("sent 2 messages in ")
    assert plain.stdout.count("\n") == 1
    answer = json.loads(as_json.stdout)
    assert {name: answer[name] for name in ("sent", "skipped", "unreadable", "bad", "duplicates", "failed", "interrupted")} == {
        "sent": 2, "skipped": 0, "unreadable": 0, "bad": 0, "duplicates": 0, "failed": 0, "interrupted": False,
    }  # fmt: skip
    assert sum(last - first for first, last in answer["offsets"]["binance-trades"].values()) == 2


def test_an_unreadable_line_fails_the_command_after_the_rest_was_sent(home, tmp_path, capfd):
    file = tmp_path / "frames"
    file.write_text("garbage\n" + FRAME % 1)
    result = run(home, "binance", str(file))
    assert isinstance(result.exception, Failure)
    assert str(result.exception) == "1 unreadable lines, named above; the others were sent"
    assert result.stdout.startswith("sent 1 messages")


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_delivers_and_reports_what_was_sent(home, arrived, asked):
    timer = threading.Timer(1.0, os.kill, (os.getpid(), asked))
    timer.start()
    result = run(home, "--generate", "100000", "--rate", "100", "--json")
    sent = json.loads(result.stdout)["sent"]
    assert str(result.exception) == "interrupted; what was sent until then is delivered"
    assert 0 < sent < 100_000
    assert len(arrived("binance-trades")) == sent


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--generate", "0"],
        ["--generate", "5", "sample"],
        ["--generate", "5", "--duplicates", "1.1"],
        ["--generate", "5", "--duplicates", "-0.1"],
        ["--generate", "5", "--bad", "nan"],
        ["--generate", "5", "--rate", "0"],
        *[
            [*command, "--rate", rate]
            for command in (["--generate", "5"], ["sample"], ["binance", "-"])
            for rate in ("nan", "inf", "1e999")
        ],
        ["--generate", "5", "--symbols", "A,,B"],
        ["--generate", "5", "--symbols", "A,A"],
        ["--generate", "5", "--exchange", "nyse"],
        ["--generate", "5", "--start", "yesterday"],
        ["binance"],
        ["binance", "/no/such/file"],
    ],
)
def test_wrong_usage_is_refused(tmp_path, arguments):
    assert run(Home(tmp_path), *arguments).exit_code == 2


@pytest.mark.parametrize(("given", "named"), [(["--json"], "--json"), (["--seed", "3", "--rate", "5"], "--seed, --rate")])
def test_an_option_before_the_name_of_what_is_sent_is_not_passed_over(home, given, named):
    ran = click.testing.CliRunner().invoke(produce, [*given, "sample"], obj=home)
    assert ran.exit_code == 2
    assert f"{named} belongs to --generate" in ran.output
