"""What may be asked, how it is answered, and that the shipped questions give the right answers."""

import csv
import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Any

import click
import duckdb
import pytest
from click.testing import CliRunner
from rich.console import Console

import sql
from conf.settings import PIPELINE, S3, Catalog, Environment, Settings, load_pipeline
from tests.unit.tradelake.tables_in_memory import answer, empty_tables, insert
from tradelake import lake
from tradelake.cli import tradelake
from tradelake.console import Failure
from tradelake.lake import Credentials, credentials
from tradelake.query import answer as answer_query
from tradelake.query import interruptible, message, questions, shipped
from tradelake.results import ROWS_SHOWN, print_rows, write_csv, write_json
from tradelake.statement import Refused, check

NO_BREAK = "\u00a0"
PROFILE = f"FROM{NO_BREAK}enable_profiling(format='json', save_location='/x')"
ALLOWED = [
    "SELECT 1",
    "-- why\nSELECT 1 ;",
    "WITH a AS (SELECT 1) FROM a",
    "FROM gold",
    "VALUES (1)",
    "(SELECT 1)",
    "DESCRIBE gold",
    "SHOW TABLES",
    "SUMMARIZE gold",
    "SELECT query FROM t",
    "SELECT '🙂' AS \"é\"",
    "FROM iceberg_snapshots(lake.market_data.gold_crypto_trades)",
    "EXPLAIN SELECT '🙂' -- é",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1",
    "EXPLAIN /* x */ ANALYZE -- y\n (SELECT 1)",
    f"SELECT '{NO_BREAK}', 'it''s{NO_BREAK}' AS \"a{NO_BREAK}b\"",
    "SELECT 'https://example.com/' AS a -- what? https://example.com/?",
]
REFUSED = [
    "",
    "SELECT 1; SELECT 2",
    "INSERT INTO gold VALUES (1)",
    "DELETE FROM gold",
    "CREATE TABLE a (b INT)",
    "DROP TABLE gold",
    "COPY (SELECT 1) TO 's3://bucket/file.csv'",
    "SET lock_configuration = false",
    "USE memory",
    "ATTACH 'file.db'",
    "INSTALL spatial",
    "CALL enable_logging()",
    "PREPARE a AS SELECT 1",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 's3://bucket/file.csv'",
    "EXPLAIN (ANALYZE) COPY (SELECT 1) TO 's3://bucket/file.csv'",
    "EXPLAIN/**/ANALYZE/**/INSERT INTO gold VALUES (1)",
    "/* /* */ EXPLAIN SELECT 1 -- */ EXPLAIN ANALYZE COPY (SELECT 1) TO 's3://bucket/file.csv'",
    "FROM enable_profiling(save_location = '/elsewhere/x.txt')",
    'FROM "Enable_Logging"()',
    "FROM system.main.enable_profiling()",
    "WITH a AS (FROM enable_profiling()) FROM a",
    "EXPLAIN ANALYZE FROM enable_profiling()",
    "DESCRIBE FROM enable_profiling()",
    "FROM query('FROM enable_profiling()')",
    "SELECT (SELECT max(x) FROM json_execute_serialized_sql('...') t(x))",
    f"EXPLAIN{NO_BREAK}ANALYZE{NO_BREAK}{PROFILE} SELECT 1",
    f"EXPLAIN{NO_BREAK}ANALYZE{NO_BREAK}CREATE{NO_BREAK}TEMP{NO_BREAK}TABLE{NO_BREAK}x{NO_BREAK}AS{NO_BREAK}SELECT 1",
    f"EXPLAIN ANALYZE{NO_BREAK}INSERT INTO gold SELECT 1",
    f"EXPLAIN{NO_BREAK}INSERT{NO_BREAK}INTO{NO_BREAK}gold{NO_BREAK}VALUES (1)",
    f"EXPLAIN{NO_BREAK}EXECUTE{NO_BREAK}x",
    f"{NO_BREAK}EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN\u2003ANALYZE\ufeffSELECT\u200b1",
    "FROM pandas_scan(NULL)",
    "FROM Arrow_Scan(1, 1, 1)",
    "FROM arrow_scan_dumb(1, 1, 1)",
    "FROM python_map_function(NULL)",
    "FROM read_text('s3://bucket/x?s3_endpoint=127.0.0.1:2/any/path&s3_use_ssl=false')",
    "FROM 'S3://bucket/x.csv?s3_endpoint=127.0.0.1:2'",
    "SELECT ['s3://bucket/x?s3_endpoint=127.0.0.1:2']",
    "FROM iceberg_load_table_response('lake.market_data.gold_crypto_trades')",
]
ENVIRONMENT = Environment.model_validate(
    {
        "kafka": {"bootstrap_servers": "127.0.0.1:1"},
        "registry": {"url": "http://127.0.0.1:1"},
        "catalog": {"uri": "http://127.0.0.1:1", "warehouse": "s3://bucket/"},
        "s3": {"endpoint": "http://127.0.0.1:1"},
        "flink": {"rest": "http://127.0.0.1:1", "state": "file:///tmp"},
    }
)
SECRET = "the-secret-itself"


@pytest.mark.parametrize("statement", ALLOWED)
def test_a_select_and_its_explanation_are_allowed(statement: str) -> None:
    check(statement)


@pytest.mark.parametrize("statement", REFUSED)
def test_whatever_could_have_an_effect_is_refused(statement: str) -> None:
    with pytest.raises(Refused):
        check(statement)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config=lake._engine(str(tmp_path_factory.mktemp("spill"))))
    for extension in lake.EXTENSIONS:
        connection.execute(f"LOAD '{lake.extension_file(extension)}'")
    lake._lock(connection, ENVIRONMENT)
    return connection


@pytest.mark.parametrize(
    "statement",
    [
        "FROM read_text('/etc/hostname')",
        "FROM read_text('s3://other-bucket/file')",
        "FROM read_text('http://127.0.0.1:2/')",
        "FROM glob('/*')",
        "COPY (SELECT 1) TO '/elsewhere/file.csv'",
        "ATTACH '/elsewhere/file.db'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "INSTALL spatial",
    ],
)
def test_a_locked_connection_reaches_nothing_but_the_lake(locked: duckdb.DuckDBPyConnection, statement: str) -> None:
    with pytest.raises(duckdb.Error, match=r"disabled|locked|Permission"):
        locked.execute(statement)


@contextmanager
def server() -> Iterator[tuple[str, list[str]]]:
    """The address of a server that has nothing, and the paths that were asked of it."""
    asked: list[str] = []

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as running:
        Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{running.server_port}", asked
        running.shutdown()


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    with server() as running:
        yield running


@pytest.mark.parametrize("no_proxy", ["", "example.com"])
def test_this_machines_own_lake_is_asked_past_a_proxy(
    elsewhere: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://{elsewhere[0]}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, no_proxy)
    with server() as (address, asked):
        at = {"catalog": {"uri": f"http://{address}", "warehouse": "s3://bucket/"}, "s3": {"endpoint": f"http://{address}"}}
        settings = Settings(pipeline=load_pipeline(), environment=Environment.model_validate(ENVIRONMENT.model_dump() | at))
        with pytest.raises(duckdb.Error, match="404"), lake.connect(settings):
            pass
        with pytest.raises(Failure, match=r"^the catalog at"):
            lake.catalog(settings)
    assert elsewhere[1] == []
    assert [path.partition("?")[0] for path in asked] == ["/v1/config", "/", "/v1/config"] * 2


@pytest.mark.parametrize(
    ("given", "wanted"),
    [({}, "127.0.0.1"), ({"NO_PROXY": "a, b"}, "a,b,127.0.0.1"), ({"no_proxy": "127.0.0.1"}, None), ({"no_proxy": "*"}, None)],
)
def test_hosts_that_pass_by_proxies_already_stay(given: dict[str, str], wanted: str | None) -> None:
    environ = dict(given)
    lake.pass_by_proxies(ENVIRONMENT, environ)
    assert environ == ({"no_proxy": wanted, "NO_PROXY": wanted} if wanted else given)


def test_a_store_elsewhere_is_asked_through_the_proxy() -> None:
    environ: dict[str, str] = {}
    at = {"catalog": {"uri": "http://catalog:8181", "warehouse": "s3://bucket/"}, "s3": {}}
    lake.pass_by_proxies(Environment.model_validate(ENVIRONMENT.model_dump() | at), environ)
    assert environ == {}


@pytest.mark.parametrize("file", ["'s3://bucket/x?{}'", "'s3://bucket/' || 'x?{}'", "'s3://bucket/*?{}'"])
def test_an_address_can_not_name_another_store(locked: duckdb.DuckDBPyConnection, elsewhere: tuple[str, list[str]], file: str) -> None:
    address, asked = elsewhere
    settings = f"s3_endpoint={address}/any/path&s3_use_ssl=false&s3_url_style=path"
    with pytest.raises(duckdb.Error):
        locked.execute(f"FROM read_text({file.format(settings)})")
    assert asked == []


def test_a_variable_of_python_is_no_table(locked: duckdb.DuckDBPyConnection) -> None:
    found = duckdb.connect().sql("SELECT 1 AS a")
    assert found is not None
    with pytest.raises(duckdb.CatalogException):
        locked.execute("FROM found")


def test_the_secret_can_not_be_asked_for(tmp_path: Path) -> None:
    s3 = S3(endpoint="http://127.0.0.1:1", credentials_file=aws_file(tmp_path))
    connection = duckdb.connect(config=lake._engine(str(tmp_path)))
    connection.execute(f"LOAD '{lake.extension_file('httpfs')}'")
    connection.execute(f"CREATE SECRET (TYPE s3, {lake._s3_options(s3)})")
    lake._lock(connection, ENVIRONMENT)
    shown = str(answer(connection, "FROM duckdb_secrets()")) + str(answer(connection, "FROM duckdb_settings()"))
    assert "key_id=KEY" in shown
    assert SECRET not in shown
    with pytest.raises(duckdb.Error, match="disabled"):
        connection.execute("FROM duckdb_secrets(redact = false)")


def aws_file(folder: Path, content: str = f"[default]\naws_access_key_id = KEY\naws_secret_access_key = {SECRET}\n") -> Path:
    file = folder / "credentials"
    file.write_text(content, encoding="utf-8")
    return file


def test_keys_come_from_the_named_file_before_the_environment(tmp_path: Path) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "other"}
    assert credentials(S3(credentials_file=aws_file(tmp_path)), environ) == Credentials("KEY", SECRET)
    assert credentials(S3(), environ) == Credentials("other", "other")


def test_without_a_named_file_the_users_profile_counts(tmp_path: Path) -> None:
    file = aws_file(tmp_path, "[work]\naws_access_key_id = KEY\naws_secret_access_key = a%b\naws_session_token = T\n")
    assert credentials(S3(), {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_PROFILE": "work"}) == Credentials("KEY", "a%b", "T")
    assert credentials(S3(), {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}) is None


@pytest.mark.parametrize("content", [f"aws_secret_access_key = {SECRET}", f"[default]\naws_secret_access_key = {SECRET}", "[other]\n"])
def test_a_file_without_keys_is_named_and_shows_nothing(tmp_path: Path, content: str) -> None:
    file = aws_file(tmp_path, content)
    with pytest.raises(Failure, match=str(file)) as failure:
        credentials(S3(credentials_file=file))
    assert SECRET not in str(failure.value)


def test_a_key_never_shows_in_a_representation() -> None:
    assert repr(Credentials("KEY", SECRET, SECRET)) == "Credentials(key_id='KEY')"


VALUES = {
    "price": (Decimal("0.00002375"), "0.00002375"),
    "whole": (Decimal("1E+3"), "1000"),
    "big": (2**70, 2**70),
    "when": (datetime(2024, 8, 8, 23, 54, 15, 342000), "2024-08-08T23:54:15.342000"),
    "zoned": (datetime(2024, 8, 8, 23, 54, 15, 1, UTC), "2024-08-08T23:54:15.000001+00:00"),
    "second": (datetime(2024, 8, 8, 23, 54, 15), "2024-08-08T23:54:15.000000"),
    "day": (date(2024, 8, 8), "2024-08-08"),
    "raw": (b"\x00\xff", "00ff"),
    "nested": (["limit", None], ["limit", None]),
    "headers": ({"a": b"\x01"}, {"a": "01"}),
    "nothing": (None, None),
    "no_number": (float("nan"), "nan"),
    "flag": (True, True),
    "text": ('say "é"\n', 'say "é"\n'),
}


def test_json_keeps_every_digit() -> None:
    file = io.StringIO()
    write_json(list(VALUES), [[value for value, _ in VALUES.values()]] * 2, file)
    assert json.loads(file.getvalue(), parse_float=Decimal) == [{name: wanted for name, (_, wanted) in VALUES.items()}] * 2


def test_json_of_no_rows_is_an_empty_array() -> None:
    file = io.StringIO()
    write_json(["a"], [], file)
    assert file.getvalue() == "[]\n"


def test_csv_is_rfc_4180() -> None:
    file = io.StringIO()
    write_csv(["a", "b", "c", "d"], [(Decimal("1.10"), None, 'x,"y"\n', ["limit"])], file)
    assert file.getvalue() == 'a,b,c,d\r\n1.10,,"x,""y""\n","[""limit""]"\r\n'
    assert list(csv.reader(io.StringIO(file.getvalue(), newline=""))) == [["a", "b", "c", "d"], ["1.10", "", 'x,"y"\n', '["limit"]']]


def printed(columns: list[str], rows: list[Any], width: int = 80, terminal: bool = False) -> str:
    file = io.StringIO()
    print_rows(columns, [False] * len(columns), iter(rows), Console(file=file, width=width, force_terminal=terminal, color_system=None))
    return file.getvalue()


def test_a_table_shows_values_as_they_are_and_cuts_long_ones() -> None:
    row = (Decimal("0.10000000"), datetime(2024, 8, 8, 1, 2, 3, 4), b"\xab", "[red]x[/]", "y" * 100)
    text = printed(["a", "b", "c", "d", "e"], [row])
    for shown in ("0.10000000", "2024-08-08 01:02:03.000004", " ab ", "[red]x[/]", "y" * 59 + "…", "1 row\n"):
        assert shown in text
    assert "y" * 60 not in text


def test_what_is_too_wide_for_a_terminal_stands_below_one_another() -> None:
    text = printed(["first", "b"], [("x" * 50, "y" * 50)], width=60, terminal=True)
    assert text.splitlines() == ["row 1", "  first  " + "x" * 50, "  b      " + "y" * 50, "1 row"]


def test_a_table_ends_after_a_thousand_rows_and_says_so() -> None:
    text = printed(["number"], [(n,) for n in range(ROWS_SHOWN + 5)])
    assert "999" in text
    assert "1000" not in text.replace("1,000", "")
    assert "first 1,000 rows" in text


def ask(tmp_path: Path, *arguments: str, given: bytes = b"") -> Any:
    (tmp_path / "environment.yaml").write_text(ENVIRONMENT.model_dump_json(exclude_none=True), encoding="utf-8")
    return CliRunner().invoke(tradelake, ["--home", str(tmp_path), "--conf", str(PIPELINE), "query", *arguments], input=given)


def test_a_refused_statement_is_wrong_usage_and_says_what_is_allowed(tmp_path: Path) -> None:
    result = ask(tmp_path, "DROP TABLE gold_crypto_trades")
    assert result.exit_code == 2
    assert "DROP is not allowed" in result.output
    assert "exactly one SELECT" in result.output


def test_wrong_sql_gives_the_message_of_duckdb(tmp_path: Path) -> None:
    result = ask(tmp_path, "SELECT FROM WHERE")
    assert isinstance(result.exception, Failure)
    assert str(result.exception).startswith("Parser Error")
    assert "\n\n" not in str(result.exception)


@pytest.mark.parametrize("source", ["argument", "file", "standard input"])
def test_sql_that_is_not_utf_8_is_wrong_usage_in_one_line(tmp_path: Path, source: str) -> None:
    (tmp_path / "x.sql").write_bytes(b"SELECT '\xff'")
    arguments = {"argument": ["SELECT '\udcff'"], "file": ["-f", str(tmp_path / "x.sql")], "standard input": ["-f", "-"]}
    result = ask(tmp_path, *arguments[source], given=b"SELECT '\xff'")
    assert result.exit_code == 2
    assert "Error: the SQL must be UTF-8, " in result.output.splitlines()[-1]


def test_no_statement_or_two_are_wrong_usage(tmp_path: Path) -> None:
    assert ask(tmp_path).exit_code == 2
    assert ask(tmp_path, "SELECT 1", "--name", "last_trades").exit_code == 2
    assert ask(tmp_path, "--name", "../catalog").exit_code == 2


@pytest.mark.parametrize("time", ["2999-01-01T00:00:00Z", "2026-08-08T23:54:15", "yesterday"])
def test_a_time_that_cannot_be_asked_for_is_wrong_usage(tmp_path: Path, time: str) -> None:
    result = ask(tmp_path, "SELECT 1", "--as-of", time)
    assert result.exit_code == 2
    assert "Invalid value for '--as-of'" in result.output


def test_the_list_of_questions_has_no_past(tmp_path: Path) -> None:
    assert ask(tmp_path, "--list", "--as-of", "5 min").exit_code == 2


def test_a_catalog_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    result = ask(tmp_path, "SELECT 1")
    assert isinstance(result.exception, Failure)
    assert "the catalog at http://127.0.0.1:1/v1/config does not answer" in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_message_has_no_stack_trace() -> None:
    assert message(duckdb.InternalException("INTERNAL Error: x\n\nStack Trace:\n\n/lib/a.so(+0x1)")) == "INTERNAL Error: x"


def test_every_shipped_query_begins_with_its_question_and_is_allowed() -> None:
    assert len(questions()) >= 12
    for name, question in questions().items():
        assert "?" in question, name
        check(sql.for_each(shipped(name), ("binance", "kraken", "coinbase")))


T0 = 1_723_161_255_342_000  # 2024-08-08 23:54:15.342


def trade(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "message_id": f"id-{number}",
        "trade_id": f"BINANCE-{number}",
        "symbol": "BTCUSDT",
        "exchange": "BINANCE",
        "timestamp": T0,
        "price": Decimal("8000000000.00000001"),
        "quantity": Decimal("2.5"),
        "currency": "USDT",
        "side": "BUY",
        "source_sequence": number,
        "ingestion_timestamp": T0 + 1_500,
        **changes,
    }


def gold(number: int, **changes: Any) -> dict[str, Any]:
    return {**trade(number, **changes), "exchange_date": date(2024, 8, 8), "exchange_hour": 23}


@pytest.fixture
def tables() -> duckdb.DuckDBPyConnection:
    """Three trades of BTCUSDT, one of them with an id after a gap, and one of Kraken's; a repeat in silver; an offset missing in bronze."""
    kraken = {"exchange": "KRAKEN", "symbol": "BTCUSD", "currency": "USD", "trade_id": "KRAKEN-x", "source_sequence": None}
    connection = empty_tables()
    insert(
        connection,
        "gold_crypto_trades",
        gold(1),
        gold(2, side="SELL", price=Decimal("4000000000.00000001")),
        gold(7, timestamp=T0 + 60_000_000),
        gold(4, **kraken, price=Decimal("9000000000")),
    )
    insert(connection, "silver_binance_trades", trade(1), trade(1), trade(2), trade(7))
    insert(connection, "silver_kraken_trades", trade(4, **kraken))
    for offset in (0, 1, 1, 4):
        insert(connection, "bronze_binance_trades", {"topic": "binance-trades", "partition": 0, "offset": offset})
    for number, reason in enumerate(("price_not_positive", "truncated", "price_not_positive")):
        row = {"error_type": reason.split("_")[0], "error_reason": reason, "error_detail": f"detail {number}"}
        insert(
            connection,
            "silver_dlq_trades",
            {**row, "bronze_source": "bronze_binance_trades", "error_timestamp": datetime(2026, 1, 1 + number)},
        )
    return connection


MINUTE = datetime(2024, 8, 8, 23, 54)
AT = datetime(2024, 8, 8, 23, 54, 15, 342000)
LATER = datetime(2024, 8, 8, 23, 55, 15, 342000)
ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "busiest_seconds": [
        (AT.replace(microsecond=0), "BINANCE", 2, 1),
        (AT.replace(microsecond=0), "KRAKEN", 1, 1),
        (LATER.replace(microsecond=0), "BINANCE", 1, 1),
    ],
    "duplicates_in_gold": [("BINANCE", 3, 3, 0), ("KRAKEN", 1, 1, 0)],
    "duplicates_in_silver": [("BINANCE", 4, 3, 1, 2), ("KRAKEN", 1, 1, 0, 1)],
    "gaps_in_binance_ids": [("BTCUSDT", 3, 6, 4, AT, LATER)],
    "kafka_offsets_of_bronze": [("binance-trades", 0, 0, 4, 4, 2, 1)],
    "lateness": [("BINANCE", "BTCUSDT", 3, 1.5, 1.5, 1.5), ("KRAKEN", "BTCUSD", 1, 1.5, 1.5, 1.5)],
    "rejects_by_reason": [
        ("bronze_binance_trades", "price", "price_not_positive", 2, datetime(2026, 1, 3), "detail 2"),
        ("bronze_binance_trades", "truncated", "truncated", 1, datetime(2026, 1, 2), "detail 1"),
    ],
    "spread_between_exchanges": [
        ("BTC", "BINANCE", Decimal("8000000000.00000001"), "KRAKEN", Decimal("9000000000"), Decimal("999999999.99999999"), 1250.0, 60.0)
    ],
    "trades_by_side": [
        ("BINANCE", "BTCUSDT", "BUY", 2, Decimal("5"), 66.67),
        ("BINANCE", "BTCUSDT", "SELL", 1, Decimal("2.5"), 33.33),
        ("KRAKEN", "BTCUSD", "BUY", 1, Decimal("2.5"), 100.0),
    ],
    "volume_by_exchange_and_hour": [
        ("BINANCE", date(2024, 8, 8), 23, "BTCUSDT", 3, Decimal("7.5"), Decimal("50000000000.000000075"), "USDT"),
        ("KRAKEN", date(2024, 8, 8), 23, "BTCUSD", 1, Decimal("2.5"), Decimal("22500000000"), "USD"),
    ],
    "vwap_by_symbol_and_minute": [
        (MINUTE, "BINANCE", "BTCUSDT", 6000000000.0, Decimal("4000000000.00000001"), Decimal("8000000000.00000001"), 2),
        (MINUTE, "KRAKEN", "BTCUSD", 9000000000.0, Decimal("9000000000"), Decimal("9000000000"), 1),
        (
            MINUTE.replace(minute=55),
            "BINANCE",
            "BTCUSDT",
            8000000000.0,
            Decimal("8000000000.00000001"),
            Decimal("8000000000.00000001"),
            1,
        ),
    ],
}
OF_THE_CATALOG = {"latency_by_layer", "partitions_and_file_sizes", "snapshots"}
"""Questions to Iceberg's metadata: they need a catalog, and are asked by the end-to-end tests."""


@pytest.mark.parametrize("name", ANSWERS)
def test_a_shipped_query_answers_exactly(tables: duckdb.DuckDBPyConnection, name: str) -> None:
    assert answer(tables, sql.for_each(shipped(name), ("binance", "kraken"))) == ANSWERS[name]


def test_last_trades_begin_with_the_newest(tables: duckdb.DuckDBPyConnection) -> None:
    rows = answer(tables, shipped("last_trades"))
    assert [row[-1] for row in rows] == ["BINANCE-7", "KRAKEN-x", "BINANCE-2", "BINANCE-1"]
    assert rows[0] == (LATER, "BINANCE", "BTCUSDT", "BUY", Decimal("8000000000.00000001"), Decimal("2.5"), "BINANCE-7")


def test_every_shipped_query_has_a_test() -> None:
    assert questions().keys() == ANSWERS.keys() | {"last_trades"} | OF_THE_CATALOG


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Ctrl-C a fifth of a second after it is called; heard also where the tests were started in the background, with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_a_query_that_computes(ctrl_c: Callable[[], None]) -> None:
    connection = duckdb.connect()
    endless = "SELECT count(*) FROM range(1000000000) AS a, range(1000000) AS b WHERE a.range * b.range % 7 = 1"
    with pytest.raises(KeyboardInterrupt):
        interruptible(connection, lambda stop: (ctrl_c(), print(connection.execute(endless)))[1])


def test_ctrl_c_ends_a_query_that_prints(ctrl_c: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    rows, settings = "SELECT range AS a FROM range(1000000000)", Settings(pipeline=load_pipeline(), environment=ENVIRONMENT)
    with pytest.raises(KeyboardInterrupt):
        interruptible(connection := duckdb.connect(), lambda stop: (ctrl_c(), answer_query(connection, rows, settings, "csv", stop))[1])
    assert 0 < len(capsys.readouterr().out) < 1_000_000_000


def test_an_object_cannot_have_a_name_twice() -> None:
    settings = Settings(pipeline=load_pipeline(), environment=ENVIRONMENT)
    with pytest.raises(click.UsageError, match="called a, B: name them with AS"):
        answer_query(duckdb.connect(), 'SELECT 1 AS a, 2 AS a, 4 AS "B", 5 AS "B"', settings, "json", Event())


@pytest.mark.parametrize(
    ("options", "login"),
    [
        ({}, ""),
        ({"scope": "catalog"}, ""),
        ({"token": "it's"}, "TOKEN 'it''s'"),
        (
            {"credential": "me:a:b", "scope": "PRINCIPAL_ROLE:ALL", "oauth2-server-uri": "https://who/tokens"},
            "CLIENT_ID 'me', CLIENT_SECRET 'a:b', OAUTH2_SERVER_URI 'https://who/tokens', OAUTH2_SCOPE 'PRINCIPAL_ROLE:ALL'",
        ),
        (
            {"credential": "secret"},
            "CLIENT_ID '', CLIENT_SECRET 'secret', OAUTH2_SERVER_URI 'http://catalog:8181/v1/oauth/tokens', OAUTH2_SCOPE 'catalog'",
        ),
    ],
)
def test_the_login_to_the_catalog_is_that_of_icebergs_clients(options: dict[str, str], login: str) -> None:
    assert lake._login(Catalog(uri="http://catalog:8181/", warehouse="s3://bucket/", options=options)) == login
