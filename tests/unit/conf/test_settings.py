from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from conf.settings import (
    PIPELINE,
    SettingsError,
    default_environment,
    duration,
    flink_duration,
    load,
    load_environment,
    load_pipeline,
    sql_interval,
)

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
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, key: str, value: object, complaint: str) -> None:
    file = changed(tmp_path, key, value)
    with pytest.raises(SettingsError) as error:
        load_pipeline(file)
    assert str(error.value).startswith(f"{file}: {complaint}")


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
    ("text", "interval"), [("5 min", "0 00:05:00"), ("90 s", "0 00:01:30"), ("26 h", "1 02:00:00"), ("59 s", "0 00:00:59")]
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
