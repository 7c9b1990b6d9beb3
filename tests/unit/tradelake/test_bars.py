"""The shipped questions about bars: rows of a bar unite to the bar of all its trades, however those were split, and came."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.truth.bars import WIDTHS, Bar, bars, place
from tests.truth.trades import Trade
from tests.unit.tradelake.tables_in_memory import answer, empty_tables, insert
from tradelake.query import shipped

T0 = 1_723_161_240_000_000  # 2024-08-08 23:54:00
MINUTE_US = 60_000_000
TAKEN = datetime(2024, 8, 9)
EIGHT = st.integers(1, 10**18 - 1).map(lambda units: Decimal(units).scaleb(-8))


def trade(number: int, at_us: int, price: str = "100", quantity: str = "1", **changes: Any) -> Trade:
    return {
        "message_id": str(UUID(int=number)),
        "exchange": "BINANCE",
        "symbol": "BTCUSDT",
        "currency": "USDT",
        "timestamp": at_us,
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "source_sequence": number,
        **changes,
    }


@st.composite
def split_trades(draw: st.DrawFn) -> list[list[Trade]]:
    """Groups of trades of a few bars; many at the same microsecond, with, without and with negative numbers."""
    count = draw(st.integers(1, 12))
    numbers = draw(st.permutations(range(count)))
    groups: list[list[Trade]] = [[] for _ in range(3)]
    for number in numbers:
        one = trade(
            number,
            T0 + draw(st.sampled_from([0, 1, 999_999, 1_000_000, MINUTE_US - 1, MINUTE_US])),
            source_sequence=draw(st.sampled_from([None, -3, 0, 7, 10**18, number])),
            symbol=draw(st.sampled_from(["BTCUSDT", "ETHUSDT"])),
        )
        one |= {"price": draw(EIGHT), "quantity": draw(EIGHT)}
        draw(st.sampled_from(groups)).append(one)
    return groups


def row(part: Sequence[Trade], bar: Bar, correction: bool = False) -> dict[str, Any]:
    """What the job writes of some trades of one bar."""
    first, *_, last = sorted([*part, *part], key=place)
    return {
        "exchange": bar.exchange,
        "symbol": bar.symbol,
        "currency": first["currency"],
        "width": bar.width,
        "window_start": moment(bar.start_us),
        **{name: getattr(bar, name) for name in ("open", "high", "low", "close", "volume", "notional", "vwap", "trades")},
        "first_timestamp": first["timestamp"],
        "first_sequence": place(first)[1] if place(first)[1] >= 0 else None,
        "first_message_id": first["message_id"],
        "last_timestamp": last["timestamp"],
        "last_sequence": place(last)[1] if place(last)[1] >= 0 else None,
        "last_message_id": last["message_id"],
        "correction": correction,
        "produced_at": TAKEN,
    }


def rows(trades: Iterable[Trade], correction: bool = False) -> list[dict[str, Any]]:
    trades = list(trades)
    return [row([one for one in trades if belongs(one, bar)], bar, correction) for bar in bars(trades)]


def belongs(one: Trade, bar: Bar) -> bool:
    start = one["timestamp"] - one["timestamp"] % WIDTHS[bar.width]
    return bool((one["exchange"], one["symbol"], start) == (bar.exchange, bar.symbol, bar.start_us))


def moment(us: int) -> datetime:
    return datetime.fromtimestamp(0, UTC).replace(tzinfo=None) + timedelta(microseconds=us)


def united(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    cursor = connection.execute(shipped("ohlcv"))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


def as_bar(one: dict[str, Any]) -> Bar:
    start_us = (one["window_start"] - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    named = {name: one[name] for name in ("open", "high", "low", "close", "volume", "notional", "vwap", "trades")}
    return Bar(one["exchange"], one["symbol"], one["width"], start_us, **named, first=one["first_message_id"], last=one["last_message_id"])


@pytest.fixture(scope="module")
def tables() -> duckdb.DuckDBPyConnection:
    return empty_tables()


@settings(deadline=None, max_examples=60)
@given(split_trades())
def test_rows_of_a_bar_unite_to_the_bar_of_all_its_trades(tables: duckdb.DuckDBPyConnection, groups: list[list[Trade]]) -> None:
    tables.execute("DELETE FROM gold_ohlcv")
    for number, group in enumerate(groups):
        insert(tables, "gold_ohlcv", *rows(group, correction=number > 0))
    found = [as_bar(one) for one in united(tables)]
    assert len(found) == len(set(found))
    assert set(found) == bars([one for group in groups for one in group])


def test_a_bars_corrections_are_counted_and_a_sum_that_did_not_fit_stays_unknown(tables: duckdb.DuckDBPyConnection) -> None:
    tables.execute("DELETE FROM gold_ohlcv")
    first, second = rows([trade(1, T0)]), rows([trade(2, T0)], correction=True)
    insert(tables, "gold_ohlcv", *first, *second, *(one | {"notional": None, "vwap": None} for one in second))
    bar, *_ = united(tables)
    assert (bar["corrections"], bar["trades"], bar["notional"], bar["vwap"]) == (2, 3, None, None)


@pytest.mark.parametrize(("price", "vwap"), [("1.00000001", "1.00000001"), ("1.00000000", "1.00000000")])
def test_a_price_between_two_is_rounded_half_up(tables: duckdb.DuckDBPyConnection, price: str, vwap: str) -> None:
    """Half of 1.00000000 and half of 1.00000001 is 1.000000005; a trade more at the lower price is less than that."""
    tables.execute("DELETE FROM gold_ohlcv")
    insert(tables, "gold_ohlcv", *rows([trade(1, T0, "1.00000000"), trade(2, T0, "1.00000001"), trade(3, T0, price, "0.00000001")]))
    assert {one["vwap"] for one in united(tables)} == {Decimal(vwap)}


def test_a_coin_that_is_dearer_than_on_the_other_exchanges_is_named_from_half_a_percent_on(tables: duckdb.DuckDBPyConnection) -> None:
    """Three exchanges: the others' price is theirs by volume. One minute below the limit, one on it, one that nobody else traded in."""
    tables.execute("DELETE FROM gold_ohlcv")
    kraken = {"exchange": "KRAKEN", "symbol": "BTCUSD", "currency": "USD"}
    another = {"exchange": "OTHER", "symbol": "BTCUSDC", "currency": "USDC"}
    below = [trade(1, T0, "100.49999999"), trade(2, T0, "100", **kraken)]
    on = [
        trade(3, T0 + MINUTE_US, "201"),
        trade(4, T0 + MINUTE_US, "190", "1", **kraken),
        trade(5, T0 + MINUTE_US, "202.5", "4", **another),
        trade(6, T0 + MINUTE_US, "1", symbol="ETHUSDT"),
    ]
    alone = [trade(7, T0 + 2 * MINUTE_US, "500")]
    insert(tables, "gold_ohlcv", *rows([*below, *on, *alone]))
    minute = moment(T0 + MINUTE_US)
    assert answer(tables, shipped("price_against_other_exchanges")) == [
        (minute, "BTC", "BINANCE", Decimal("201"), Decimal("200"), 50.0, 1, 2),
        (minute, "BTC", "KRAKEN", Decimal("190"), Decimal("202.2"), -603.36, 1, 2),
        (minute, "BTC", "OTHER", Decimal("202.5"), Decimal("195.5"), 358.06, 1, 2),
    ]


def test_a_minute_is_compared_with_the_hour_before_it_where_that_is_known(tables: duckdb.DuckDBPyConnection) -> None:
    """12 in the hour before is 0.2 a minute: 1 is five times that. The same an hour after the first minute, and one minute sooner."""
    tables.execute("DELETE FROM gold_ohlcv")

    def of(symbol: str, *volumes: tuple[int, str]) -> list[Trade]:
        return [trade(n, T0 + minute * MINUTE_US, "5", volume, symbol=symbol) for n, (minute, volume) in enumerate(volumes)]

    known = of("KNOWNUSDT", (0, "10"), (30, "2"), (60, "1"), (61, "0.24999999"), (200, "3"))
    sooner = of("SOONERUSDT", (0, "10"), (30, "2"), (59, "9"))
    less = of("LESSUSDT", (0, "10"), (30, "2"), (60, "0.99999999"))
    insert(tables, "gold_ohlcv", *rows([*known, *sooner, *less]))
    assert answer(tables, shipped("volume_against_its_past")) == [
        (moment(T0 + 60 * MINUTE_US), "BINANCE", "KNOWNUSDT", Decimal("1"), Decimal("12"), 5.0, 1),
    ]


@pytest.fixture
def both(tables: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Gold and the bars of the same trades; the newest closes all but its own windows."""
    trades = [trade(1, T0, "3"), trade(2, T0 + 1, "4"), trade(3, T0 + 5_000_000, "5"), trade(4, T0 + 3 * 3600 * 1_000_000)]
    tables.execute("DELETE FROM gold_ohlcv; DELETE FROM gold_crypto_trades")
    insert(tables, "gold_crypto_trades", *({**one, "gold_ingestion_timestamp": TAKEN} for one in trades))
    insert(tables, "gold_ohlcv", *rows(trades[:3]))
    return tables


def differing(tables: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return [(found[2], *found[4:7]) for found in answer(tables, shipped("bars_that_differ_from_gold"))]


def test_equal_bars_differ_in_nothing(both: duckdb.DuckDBPyConnection) -> None:
    assert differing(both) == []


def test_a_trade_that_bars_lack_is_named_in_each_width(both: duckdb.DuckDBPyConnection) -> None:
    insert(both, "gold_crypto_trades", {**trade(9, T0 + 7), "gold_ingestion_timestamp": TAKEN})
    assert differing(both) == [(width, "another number of trades", had, had + 1) for width, had in (("1h", 3), ("1m", 3), ("1s", 2))]
    insert(both, "gold_ohlcv", *rows([trade(9, T0 + 7)], correction=True))
    assert differing(both) == []


def test_bars_without_trades_and_trades_without_bars_are_named(both: duckdb.DuckDBPyConnection) -> None:
    both.execute("DELETE FROM gold_ohlcv WHERE width = '1h'")
    assert differing(both) == [("1h", "there is no bar", None, 3)]
    both.execute("DELETE FROM gold_crypto_trades WHERE source_sequence = 3")
    assert differing(both) == [
        ("1h", "there is no bar", None, 2),
        ("1m", "another number of trades", 3, 2),
        ("1s", "gold has no trade", 1, None),
    ]


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume", "notional"])
def test_a_value_that_is_another_is_named(both: duckdb.DuckDBPyConnection, column: str) -> None:
    both.execute(f"UPDATE gold_ohlcv SET {column} = {column} + 0.00000001 WHERE width = '1m'")
    assert differing(both) == [("1m", "other values", 3, 3)]


def test_what_may_be_on_its_way_is_left_out(both: duckdb.DuckDBPyConnection) -> None:
    """A trade that gold has only just taken; and windows that no trade has closed."""
    now = datetime.now(UTC).replace(tzinfo=None)
    insert(both, "gold_crypto_trades", {**trade(9, T0 + 7), "gold_ingestion_timestamp": now})
    assert differing(both) == []
