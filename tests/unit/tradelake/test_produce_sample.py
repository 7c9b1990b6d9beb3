"""The shipped sample is the beginning of the recordings, field by field."""

from collections import Counter

from click.testing import CliRunner

from tradelake.produce.sample import __main__ as maker
from tradelake.produce.sample import sample_records

BINANCE = {"BTCUSDT": 5_000, "ETHUSDT": 3_000}
KRAKEN = {"XBT/USD": 22, "SC/EUR": 6, "XMR/USD": 4, "DASH/EUR": 3, "ALGO/XBT": 3}


def test_exact_counts():
    assert Counter(record["symbol"] for record in sample_records("binance")) == BINANCE
    assert Counter(record["pair"] for record in sample_records("kraken")) == KRAKEN


def test_it_stands_in_the_order_in_which_it_was_received():
    for exchange in ("binance", "kraken"):
        received = [record["ingestion_timestamp"] for record in sample_records(exchange)]
        assert received == sorted(received)


def test_it_equals_the_recordings(recordings):
    for symbol, count in BINANCE.items():
        recorded = [trade for trade in recordings.trades("binance") if trade["symbol"] == symbol]
        assert [trade for trade in sample_records("binance") if trade["symbol"] == symbol] == recorded[:count]
    assert sample_records("kraken") == recordings.trades("kraken")


def test_it_can_be_made_again(tmp_path):
    frame = '{"recv_ns":%d000,"frame":{"e":"trade","E":1,"s":"%s","t":1,"p":"1","q":"1","T":1,"m":true,"M":true}}\n'
    recording = tmp_path / "frames"
    recording.write_text("".join(frame % (received, symbol) for received, symbol in ((9, "ETHUSDT"), (8, "BTCUSDT"), (7, "BNBUSDT"))))
    result = CliRunner().invoke(maker.make, [str(recording), "--into", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (0, "binance: 2 trades\n")
    assert [row["symbol"] for row in maker.pq.read_table(tmp_path / "binance.parquet").to_pylist()] == ["BTCUSDT", "ETHUSDT"]
