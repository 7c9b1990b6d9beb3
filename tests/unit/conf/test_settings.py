import traceback
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from conf.settings import (
    PIPELINE,
    Exchange,
    Feed,
    SettingsError,
    default_environment,
    duration,
    flink_duration,
    load,
    load_environment,
    load_pipeline,
    sql_interval,
)
from tests import third

EXAMPLE = PIPELINE.parent / "environments" / "example.yaml"


def changed(tmp_path: Path, key: str, value: object) -> Path:
    """The packaged pipeline file with one key, such as `jobs.gold.ttl`, set to another value."""
    content: Any = yaml.safe_load(PIPELINE.read_text())
    *path, last = key.split(".")
    inner = content
    for name in path:
        inner = inner[name]
    inner[last] = value
    file = tmp_path / "pipeline.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_the_packaged_settings_and_the_example_environment_are_accepted() -> None:
    settings = load(PIPELINE, EXAMPLE)
    assert settings.pipeline.job_names() == ["bronze-binance", "bronze-kraken", "silver-binance", "silver-kraken", "gold"]
    assert settings.pipeline.jobs.gold.ttl == timedelta(hours=24)
    assert settings.pipeline.limits.future_tolerance == timedelta(minutes=5)


def test_the_block_that_is_shipped_switched_off_is_a_third_exchange(tmp_path: Path) -> None:
    pipeline, usual = load_pipeline(third.write(tmp_path)), load_pipeline()
    assert list(usual.exchanges) == ["binance", "kraken"]
    assert list(pipeline.exchanges) == ["binance", "kraken", "coinbase"]
    feed = Feed(endpoints={"market_trades": "wss://advanced-trade-ws.coinbase.com"}, silence="15 s")
    assert pipeline.exchanges["coinbase"] == Exchange(topic="coinbase-trades", partitions=4, retention="7 d", feed=feed)
    assert pipeline.model_copy(update={"exchanges": usual.exchanges}) == usual


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("jobs.gold.ttl", "soon", "jobs.gold.ttl: not a duration"),
        ("jobs.gold.ttl", "0 s", "jobs.gold.ttl: not a duration"),
        ("jobs.gold.tll", "24 h", "jobs.gold.tll: unknown key"),
        ("jobs.silver.parallelism", 0, "jobs.silver.parallelism: "),
        ("jobs.silver.parallelism", "1", "jobs.silver.parallelism: "),
        ("exchanges.binance.topic", "two words", "exchanges.binance.topic: "),
        ("exchanges.binance.quote_assets", ["usdt"], "exchanges.binance.quote_assets.0: "),
        ("database", "x; DROP", "database: "),
        ("exchanges", {}, "exchanges: "),
        ("expiry.enabled", "perhaps", "expiry.enabled: "),
        ("jobs.gold.ttl", "9999999999 d", "jobs.gold.ttl: too long: at most 1000000 d"),
        ("jobs.gold.ttl", "9" * 400 + " ms", "jobs.gold.ttl: too long: at most 1000000 d"),
        ("jobs.gold.ttl", "9" * 5000 + " ms", "jobs.gold.ttl: too long: at most 1000000 d"),
        ("jobs.gold.ttl", "\u0663 s", "jobs.gold.ttl: not a duration"),
        ("jobs.gold.ttl", 5, "jobs.gold.ttl: not a duration"),
        ("jobs.gold.watermark", "100 d", "jobs.gold.watermark: too long: at most 99 d"),
        ("expiry.max_age", "500 ms", "expiry.max_age: not whole seconds"),
        ("expiry.every", "1500 ms", "expiry.every: not whole seconds"),
        ("exchanges.binance.topic", ".", "exchanges.binance.topic: Kafka allows no topic of this name"),
        ("exchanges.binance.topic", "..", "exchanges.binance.topic: Kafka allows no topic of this name"),
        ("exchanges.binance.topic", "x" * 250, "exchanges.binance.topic: "),
        ("exchanges.binance.topic", "kraken-trades", "exchanges: binance and kraken have one topic, kraken-trades"),
        ("exchanges.binance.topic", "kraken-trades\n", "exchanges.binance.topic: "),
        ("jobs.gold.parallelism", 17, "jobs.gold.max_parallelism: is below the job's parallelism, 17"),
        ("database", 5, "database: Input should be a valid string, put it in quotes (got 5)"),
        *[
            ("exchanges.binance.feed.endpoints.stream", url, "exchanges.binance.feed.endpoints.stream: not the address of a WebSocket: ")
            for url in ("https://a", "wss://", "a.b", "wss://a:x", "wss://a:99999", "wss://a/?b", "wss://a#b", "wss://[a")
        ],
        *[
            ("exchanges.kraken.feed.rest", url, "exchanges.kraken.feed.rest: not the address of a REST API: ")
            for url in ("wss://a", "https://", "a.b", "http://a.b", "https://a:x", "https://a/?b", "https://u:p@a", "http://[a", "")
        ],
        ("exchanges.kraken.feed.endpoints", {}, "exchanges.kraken.feed.endpoints: "),
        ("exchanges.kraken.feed.queue", 0, "exchanges.kraken.feed.queue: "),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, key: str, value: object, complaint: str) -> None:
    file = changed(tmp_path, key, value)
    with pytest.raises(SettingsError) as error:
        load_pipeline(file)
    assert str(error.value).startswith(f"{file}: {complaint}")


@pytest.mark.parametrize("key", ["expiry.max_age", "expiry.every", "jobs.gold.parallelism"])
def test_the_smallest_and_the_largest_value_are_accepted(tmp_path: Path, key: str) -> None:
    load_pipeline(changed(tmp_path, key, 16 if key.endswith("parallelism") else "1 s"))


SECRET = "hunter2"
PASSWORD_IN_OPTIONS_OR_NEAR_A_MISTAKE = [
    ("kafka", "{bootstrap_servers: b, options: {sasl.password: 8675309}}", "kafka.options.sasl.password: Input should be a valid string"),
    ("kafka", "{bootstrap_servers: b, options: {sasl.password: [hunter2]}}", "kafka.options.sasl.password: "),
    ("registry", "{url: u, options: 'user:hunter2'}", "registry.options: "),
    ("registry", "{url: u, options: [hunter2]}", "registry.options: "),
    ("registry", "[{options: hunter2}]", "registry: "),
    ("kafka", "{options: {sasl.password: *hunter2 }}", "line 1, column 34: found undefined alias ..."),
    ("kafka", "{options: {sasl.password: !hunter2 }}", "line 1, column 34: could not determine a constructor for the tag ..."),
    ("kafka", "{options: {sasl.password: 'hunter2}}", "line "),
    ("kafka", "{options: {sasl.password: !!int hunter2}}", "line 1, column 34: a value that is no int, put it in quotes"),
    ("kafka", "{options: {sasl.password: hunter2: 8675309}}", "line "),
]


@pytest.mark.parametrize(("key", "value", "complaint"), PASSWORD_IN_OPTIONS_OR_NEAR_A_MISTAKE)
def test_what_stands_below_options_is_never_shown(tmp_path: Path, key: str, value: str, complaint: str) -> None:
    file = tmp_path / "environment.yaml"
    file.write_text(f"{key}: {value}\n")
    with pytest.raises(SettingsError) as error:
        load_environment(file)
    assert f"{file}: " in str(error.value)
    assert complaint in str(error.value)
    shown = "".join(traceback.format_exception(error.value))
    assert SECRET not in shown
    assert "8675309" not in shown


ALIAS_BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(f"{n}: &{n} [{', '.join([f'*{m}'] * 8)}]\n" for m, n in pairwise("abcdefghij"))


@pytest.mark.parametrize("value", ["*j", "'" + "x " * 20_000 + "'", "{a: *j, b: *j}"])
@pytest.mark.parametrize("key", ["database", "expiry", "exchanges"])
def test_a_huge_value_makes_no_huge_message(tmp_path: Path, key: str, value: str) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(f"{ALIAS_BOMB}{key}: {value}\n")
    with pytest.raises(SettingsError, match=f"{file}: {key}[.:]") as error:
        load_pipeline(file)
    assert len(str(error.value)) < 5_000


def test_many_mistakes_are_counted(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"and 990 more mistakes$") as error:
        load_pipeline(changed(tmp_path, "exchanges.binance.quote_assets", ["x"] * 1_000))
    assert len(str(error.value).splitlines()) == 11


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("2024-99-99", "line 2, column 4: a value that is no timestamp, put it in quotes if it is text"),
        ("!!float x", "line 2, column 4: a value that is no float"),
        ("9" * 5_000, "line 2, column 4: a value that is no int"),
        ("!!timestamp x", "line 2, column 4: a value that is no timestamp"),
        ('!!int ""', "line 2, column 4: a value that is no int"),
        ("!!bool x", "line 2, column 4: a value that is no bool"),
        ("[1, {b: !!bool x}]", "line 2, column 12: a value that is no bool"),
        ("[" * 1_000, "line 3, column 1: nested too deeply"),
        ("\x07", "position "),
        ("{b: 1, b: 2}", "line 2, column 11: the key b stands here a second time"),
        ("1\na: 2", "line 3, column 1: the key a stands here a second time"),
        ("{[1]: 2}", "line 2, column 5: found unhashable key"),
    ],
)
def test_yaml_that_can_not_be_used_is_refused_with_its_position(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(f"# a\na: {content}\n")
    with pytest.raises(SettingsError) as error:
        load_pipeline(file)
    assert str(error.value).startswith(f"{file}: is not YAML that can be used: {complaint}")


def test_a_merged_key_is_not_given_twice(tmp_path: Path) -> None:
    text = PIPELINE.read_text().replace("  kraken:\n", "  kraken:\n    <<: *b\n").replace("  binance:\n", "  binance: &b\n")
    file = tmp_path / "pipeline.yaml"
    file.write_text(text)
    assert load_pipeline(file).exchanges["kraken"].topic == "kraken-trades"


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text("database: market_data\n")
    with pytest.raises(SettingsError, match=r"limits: is missing"):
        load_pipeline(file)


@pytest.mark.parametrize("content", ["", "- a\n", "a: b: c\n", "\xff"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(SettingsError, match=str(file)):
        load_pipeline(file)


def test_a_missing_environment_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="tradelake up"):
        load_environment(tmp_path / "environment.yaml")


def test_an_unknown_exchange_is_refused_with_those_that_exist() -> None:
    with pytest.raises(SettingsError, match=r"exchanges\.coinbase: no such exchange; there are binance, kraken"):
        load_pipeline().exchange("coinbase")


@pytest.mark.parametrize(("text", "seconds"), [("500 ms", 0.5), ("5 s", 5), ("5min", 300), ("24 h", 86400), ("7 d", 604800)])
def test_durations_read_as_flink_writes_them(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)
    assert flink_duration(duration(text)) == f"{int(seconds * 1000)} ms"


@pytest.mark.parametrize(
    ("text", "interval"),
    [("5 min", "0 00:05:00"), ("90 s", "0 00:01:30"), ("26 h", "1 02:00:00"), ("59 s", "0 00:00:59"), ("90500 ms", "0 00:01:30.500")],
)
def test_durations_read_as_sql_intervals(text: str, interval: str) -> None:
    assert sql_interval(duration(text)) == interval


def test_catalog_properties_hold_no_key_of_the_object_store() -> None:
    properties = load_environment(EXAMPLE).catalog_properties()
    assert properties["uri"] == "http://catalog:8181"
    assert properties["s3.endpoint"] == "http://store:9000"
    assert not [name for name in properties if "key" in name or "secret" in name]


def test_the_environment_is_found_where_the_stack_wrote_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADELAKE_ENVIRONMENT", raising=False)
    monkeypatch.setenv("TRADELAKE_HOME", "/srv/lake")
    assert default_environment() == Path("/srv/lake/environment.yaml")
    monkeypatch.setenv("TRADELAKE_ENVIRONMENT", "/etc/lake.yaml")
    assert default_environment() == Path("/etc/lake.yaml")


def environment_with(tmp_path: Path, option: str) -> Path:
    content = yaml.safe_load(EXAMPLE.read_text())
    content["kafka"]["options"] = {"sasl.jaas.config": option}
    file = tmp_path / "environment.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_a_secret_may_stand_in_a_variable_or_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_PASSWORD", "${env:HOME} is text here")
    (tmp_path / "another password").write_text("two\nlines\n")
    file = environment_with(tmp_path, f"a=${{env:A_PASSWORD}} b=${{file:{tmp_path}/another password}} c=$HOME ${{HOME}} ${{vault:x}}")
    wanted = "a=${env:HOME} is text here b=two\nlines c=$HOME ${HOME} ${vault:x}"
    assert load_environment(file).kafka.options == {"sasl.jaas.config": wanted}


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("${env:NOT_SET_AT_ALL}", "the variable NOT_SET_AT_ALL is not set"),
        ("${file:/nowhere/to/be found}", "the file /nowhere/to/be found cannot be read: No such file or directory"),
    ],
)
def test_a_secret_that_is_not_there_is_named(tmp_path: Path, option: str, complaint: str) -> None:
    file = environment_with(tmp_path, f"{SECRET} {option}")
    with pytest.raises(SettingsError) as error:
        load_environment(file)
    assert str(error.value) == f"{file}: kafka.options.sasl.jaas.config: {complaint}"
