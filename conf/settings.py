"""The one reader and checker of the settings.

`pipeline.yaml` says what the pipeline does, an environment's file says where it runs. Both are read once, at start, checked
completely, and passed down as frozen objects. A mistake is a `SettingsError` that names the file and the key.
"""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from conf import FOLDER

UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
M = TypeVar("M", bound=BaseModel)
PIPELINE = Path(str(FOLDER)) / "pipeline.yaml"


class SettingsError(ValueError):
    """A settings file that cannot be used: says which file, which key, and what is wrong with it."""


def duration(text: object) -> timedelta:
    """`"5 min"` as a timedelta. Units: ms, s, min, h, d."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(r"(\d+)\s*(ms|s|min|h|d)", str(text))
    if not match or int(match[1]) == 0:
        raise ValueError("not a duration: write a whole number and a unit, as in 500 ms, 5 s, 5 min, 24 h, 7 d")
    return timedelta(seconds=int(match[1]) * UNITS[match[2]])


def flink_duration(value: timedelta) -> str:
    """The duration as Flink and Iceberg read it, in milliseconds."""
    return f"{milliseconds(value)} ms"


def sql_interval(value: timedelta) -> str:
    """The duration as an SQL interval DAY TO SECOND: `"0 00:05:00"`."""
    minutes, seconds = divmod(value.seconds, 60)
    return f"{value.days} {minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def milliseconds(value: timedelta) -> int:
    return value // timedelta(milliseconds=1)


def microseconds(value: timedelta) -> int:
    return value // timedelta(microseconds=1)


Duration = Annotated[timedelta, BeforeValidator(duration)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=1, strict=True)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Exchange(Strict):
    """One exchange's topic, and what its symbols can end with."""

    topic: Topic
    partitions: Count = 4
    retention: Duration
    quote_assets: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9]+$")], ...] = ()


class Limits(Strict):
    future_tolerance: Duration
    max_age: Duration


class Job(Strict):
    parallelism: Count = 1
    max_parallelism: Count | None = None
    checkpoint_interval: Duration


class BronzeJob(Job):
    partition_discovery: Duration


class SilverJob(Job):
    monitor_interval: Duration


class GoldJob(Job):
    monitor_interval: Duration
    ttl: Duration
    watermark: Duration


class Jobs(Strict):
    bronze: BronzeJob
    silver: SilverJob
    gold: GoldJob


class Expiry(Strict):
    enabled: Annotated[bool, Field(strict=True)] = True
    max_age: Duration
    retain_last: Count
    every: Duration


class Pipeline(Strict):
    """What the pipeline does: the content of `pipeline.yaml`."""

    database: Identifier
    exchanges: Annotated[dict[Identifier, Exchange], Field(min_length=1)]
    limits: Limits
    jobs: Jobs
    expiry: Expiry

    def job_names(self) -> list[str]:
        """Every job of the pipeline, in the order of the data: `bronze-binance`, ..., `gold`."""
        return [f"{layer}-{exchange}" for layer in ("bronze", "silver") for exchange in self.exchanges] + ["gold"]

    def exchange(self, name: str) -> Exchange:
        try:
            return self.exchanges[name]
        except KeyError:
            raise SettingsError(f"exchanges.{name}: no such exchange; there are {', '.join(self.exchanges)}") from None


class Kafka(Strict):
    bootstrap_servers: str
    options: dict[str, str] = {}


class Registry(Strict):
    url: str
    options: dict[str, str] = {}


class Catalog(Strict):
    name: Identifier = "iceberg"
    uri: str
    warehouse: str
    options: dict[str, str] = {}


class S3(Strict):
    """The object store. Keys never stand here: they come from the AWS credential chain, or from `credentials_file`."""

    endpoint: str | None = None
    region: str = "us-east-1"
    path_style_access: bool = True
    credentials_file: Path | None = None


class Flink(Strict):
    rest: str
    state: str
    """Folder or object-store address below which each job keeps its checkpoints and savepoints."""


class Environment(Strict):
    """Where the pipeline runs: the content of an environment's file."""

    kafka: Kafka
    registry: Registry
    catalog: Catalog
    s3: S3 = S3()
    flink: Flink

    def catalog_properties(self) -> dict[str, str]:
        """The lake's catalog in the words of Iceberg's Java library. No key of the object store is among them."""
        return {
            "type": "iceberg",
            "catalog-type": "rest",
            "uri": self.catalog.uri,
            "warehouse": self.catalog.warehouse,
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            **({"s3.endpoint": self.s3.endpoint} if self.s3.endpoint else {}),
            "s3.path-style-access": str(self.s3.path_style_access).lower(),
            "client.region": self.s3.region,
            **self.catalog.options,
        }


class Settings(Strict):
    pipeline: Pipeline
    environment: Environment


def default_environment() -> Path:
    """`$TRADELAKE_ENVIRONMENT`, or the file that `tradelake up` wrote into its state folder (`$TRADELAKE_HOME`)."""
    named = os.environ.get("TRADELAKE_ENVIRONMENT")
    return Path(named) if named else Path(os.environ.get("TRADELAKE_HOME", ".tradelake")) / "environment.yaml"


def load_pipeline(path: Path = PIPELINE) -> Pipeline:
    return _load(path, Pipeline)


def load_environment(path: Path) -> Environment:
    if not path.exists():
        raise SettingsError(f"{path}: no such file; `tradelake up` writes one for the local stack, conf/environments/ has examples")
    return _load(path, Environment)


def load(pipeline: Path, environment: Path) -> Settings:
    """Both files, checked.

    Raises:
        SettingsError: a file is missing or unreadable, or a key is unknown, missing or wrong; the message names file and key.
    """
    return Settings(pipeline=load_pipeline(pipeline), environment=load_environment(environment))


def _load(path: Path, model: type[M]) -> M:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: holds no keys; expected {', '.join(model.model_fields)}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SettingsError("\n".join(f"{path}: {_key(e['loc'])}: {_reason(e)}" for e in error.errors())) from error


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "[key]")


def _reason(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    if error["type"] == "missing":
        return "is missing"
    return f"{error['msg'].removeprefix('Value error, ')} (got {error['input']!r})"
