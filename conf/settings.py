"""The one reader and checker of the settings.

`pipeline.yaml` says what the pipeline does, an environment's file says where it runs. Both are read once, at start, checked
completely, and passed down as frozen objects. A mistake is a `SettingsError` that names the file and the key.
"""

import os
import re
import reprlib
from datetime import date, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from conf import FOLDER
from conf.yaml_file import problem, read_yaml, short

UNITS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
SECOND = timedelta(seconds=1)
LONGEST = timedelta(days=1_000_000)
"""In microseconds it fits the 64 bits of the engines."""
LONGEST_WATERMARK = timedelta(days=99)
"""An SQL interval has two digits of days."""
MISTAKES_SHOWN = 10
SECRET = re.compile(r"\$\{(?P<kind>env|file):(?P<name>[^{}]+)\}")
M = TypeVar("M", bound=BaseModel)
PIPELINE = Path(str(FOLDER)) / "pipeline.yaml"


class SettingsError(ValueError):
    """A settings file that cannot be used: says which file, which key, and what is wrong with it."""


def duration(text: object) -> timedelta:
    """`"5 min"` as a timedelta. Units: ms, s, min, h, d."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch("0*([1-9][0-9]*) *(ms|s|min|h|d)", text) if isinstance(text, str) else None
    if not match:
        raise ValueError("not a duration: write a whole number and a unit, as in 500 ms, 5 s, 5 min, 24 h, 7 d")
    if len(match[1]) > len(str(milliseconds(LONGEST))) or int(match[1]) * UNITS[match[2]] > milliseconds(LONGEST):
        raise ValueError(f"too long: at most {LONGEST.days} d")
    return timedelta(milliseconds=int(match[1]) * UNITS[match[2]])


def whole_seconds(value: timedelta) -> timedelta:
    if value < SECOND or value % SECOND:
        raise ValueError("not whole seconds: Iceberg takes no fraction of one, write 1 s or more")
    return value


def interval_fits(value: timedelta) -> timedelta:
    if value > LONGEST_WATERMARK:
        raise ValueError(f"too long: at most {LONGEST_WATERMARK.days} d")
    return value


def topic_name(name: str) -> str:
    if name in (".", ".."):
        raise ValueError("Kafka allows no topic of this name")
    return name


def _of_a_server(url: str) -> SplitResult | None:
    """The parts of an address that is a scheme, a host, and a port and a path at most; None of any other."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return parts if parts.hostname and port != 0 and not parts.query and not parts.fragment else None


def web_socket_address(url: str) -> str:
    """The address, without a slash at its end."""
    parts = _of_a_server(url)
    if not parts or parts.scheme not in ("ws", "wss"):
        raise ValueError("not the address of a WebSocket: write wss://HOST, with :PORT and /PATH where it has them")
    return url.rstrip("/")


def rest_address(url: str) -> str:
    """The address, without a slash at its end. A key may go there: beyond this machine it must be encrypted."""
    parts = _of_a_server(url)
    encrypted_or_here = parts and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname)))
    if not parts or not encrypted_or_here or parts.username:
        raise ValueError(
            "not the address of a REST API: write https://HOST, with :PORT and /PATH where it has them; http is for 127.0.0.1 alone"
        )
    return url.rstrip("/")


def flink_duration(value: timedelta) -> str:
    """The duration as Flink and Iceberg read it, in milliseconds."""
    return f"{milliseconds(value)} ms"


def sql_interval(value: timedelta) -> str:
    """The duration as an SQL interval DAY TO SECOND: `"0 00:05:00"`, `"0 00:00:00.500"`."""
    minutes, seconds = divmod(value.seconds, 60)
    fraction = f".{value.microseconds // 1000:03}" if value.microseconds else ""
    return f"{value.days} {minutes // 60:02}:{minutes % 60:02}:{seconds:02}{fraction}"


def milliseconds(value: timedelta) -> int:
    return value // timedelta(milliseconds=1)


def microseconds(value: timedelta) -> int:
    return value // timedelta(microseconds=1)


Duration = Annotated[timedelta, BeforeValidator(duration)]
WholeSeconds = Annotated[Duration, AfterValidator(whole_seconds)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$"), AfterValidator(topic_name)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=1, strict=True)]
WebSocketAddress = Annotated[str, AfterValidator(web_socket_address)]
RestAddress = Annotated[str, AfterValidator(rest_address)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Feed(Strict):
    """The exchange's own addresses: its WebSocket, as `tradelake feed` and `record` use it, and its REST API, as `backfill` does.

    Attributes:
        endpoints: an address for each wire format; the first is used unless another is asked for.
        silence: how long a connection may bring no frame before it is given up.
        renew: how old a connection becomes before another takes its place; None for as old as the exchange lets it.
        overlap: how long both are read when one takes the other's place.
        longest_pause: between two attempts to connect.
        queue: messages that wait for Kafka before the reading waits too.
        rest: the address of the REST API, for what the WebSocket did not tell.
    """

    endpoints: Annotated[dict[Identifier, WebSocketAddress], Field(min_length=1)]
    silence: Duration = timedelta(seconds=30)
    renew: Duration | None = None
    overlap: Duration = timedelta(seconds=5)
    longest_pause: Duration = timedelta(seconds=60)
    queue: Count = 10_000
    rest: RestAddress | None = None


class Exchange(Strict):
    """One exchange's topic, what its symbols can end with, and where its trades come from."""

    topic: Topic
    partitions: Count = 4
    retention: Duration
    quote_assets: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9]+$")], ...] = ()
    feed: Feed | None = None


class Limits(Strict):
    future_tolerance: Duration
    max_age: Duration


class Job(Strict):
    parallelism: Count = 1
    max_parallelism: Annotated[Count, Field(validate_default=True)] = 128
    """Bounds later scaling, and cannot change under existing state. Flink itself would take 128 for a job as small as these."""
    checkpoint_interval: Duration

    @field_validator("max_parallelism")
    @classmethod
    def not_below_parallelism(cls, bound: int, info: ValidationInfo) -> int:
        if bound < info.data.get("parallelism", 1):
            raise ValueError(f"is below the job's parallelism, {info.data['parallelism']}")
        return bound


class BronzeJob(Job):
    partition_discovery: Duration


class SilverJob(Job):
    monitor_interval: Duration


class GoldJob(Job):
    monitor_interval: Duration
    ttl: Duration
    watermark: Annotated[Duration, AfterValidator(interval_fits)]


class Jobs(Strict):
    bronze: BronzeJob
    silver: SilverJob
    gold: GoldJob


class Expiry(Strict):
    enabled: Annotated[bool, Field(strict=True)] = True
    max_age: WholeSeconds
    retain_last: Count
    every: WholeSeconds


class Pipeline(Strict):
    """What the pipeline does: the content of `pipeline.yaml`."""

    database: Identifier
    exchanges: Annotated[dict[Identifier, Exchange], Field(min_length=1)]
    limits: Limits
    jobs: Jobs
    expiry: Expiry

    @field_validator("exchanges")
    @classmethod
    def a_topic_each(cls, exchanges: dict[str, Exchange]) -> dict[str, Exchange]:
        """Kafka itself takes `a.b` and `a_b` for one name."""
        owners: dict[str, str] = {}
        for name, exchange in exchanges.items():
            owner = owners.setdefault(exchange.topic.replace(".", "_"), name)
            if owner != name:
                raise ValueError(f"{owner} and {name} have one topic, {exchange.topic}: give each its own")
        return exchanges

    def job_names(self) -> list[str]:
        """Every job of the pipeline, in the order of the data: `bronze-binance`, ..., `gold`."""
        return [f"{layer}-{exchange}" for layer in ("bronze", "silver") for exchange in self.exchanges] + ["gold"]

    def exchange(self, name: str) -> Exchange:
        try:
            return self.exchanges[name]
        except KeyError:
            raise SettingsError(f"exchanges.{name}: no such exchange; there are {', '.join(self.exchanges)}") from None


def with_secrets(text: str) -> str:
    """The text, each `${env:NAME}` in it replaced by that variable, each `${file:PATH}` by that file's text without its last newline."""
    return SECRET.sub(lambda match: _secret(match["kind"], match["name"]), text)


def _secret(kind: str, name: str) -> str:
    if kind == "env":
        if name not in os.environ:
            raise ValueError(f"the variable {name} is not set")
        return os.environ[name]
    try:
        return Path(name).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, ValueError) as error:
        raise ValueError(f"the file {name} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None


Options = dict[str, Annotated[str, AfterValidator(with_secrets)]]
"""Further properties of a client: where passwords go. They need not stand in the file: see `with_secrets`."""


class Kafka(Strict):
    bootstrap_servers: str
    options: Options = {}
    """In the words of Kafka's Java client, which Flink has; `tradelake.kafka_client` translates them for ours."""


class Registry(Strict):
    url: str
    options: Options = {}


class Catalog(Strict):
    name: Identifier = "iceberg"
    uri: str
    warehouse: str
    options: Options = {}


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
    zookeeper: str | None = None
    """`host:port,...`, where jobs that share a JobManager keep the locks of Iceberg's maintenance (docs/decisions/0011)."""


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


def is_loopback(host: str | None) -> bool:
    """Whether this is an address of this very machine: no proxy of the surroundings may be asked for it."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


class Settings(Strict):
    pipeline: Pipeline
    environment: Environment


def default_environment() -> Path:
    """`$TRADELAKE_ENVIRONMENT`, or the file that `tradelake up` wrote into its state folder (`$TRADELAKE_HOME`)."""
    named = os.environ.get("TRADELAKE_ENVIRONMENT")
    return Path(named) if named else Path(os.environ.get("TRADELAKE_HOME") or ".tradelake") / "environment.yaml"


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
        content = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not UTF-8: byte {error.start}: {error.reason}") from None  # the cause holds the whole file
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: is not YAML that can be used: {problem(error)}") from None  # the cause quotes the file
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: holds no keys; expected {', '.join(model.model_fields)}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SettingsError(_mistakes(path, error)) from None  # the cause shows every value, passwords too


def _mistakes(path: Path, error: ValidationError) -> str:
    """A line each, for the first of them."""
    mistakes = error.errors()
    lines = [f"{path}: {_key(mistake['loc'])}: {_reason(mistake)}" for mistake in mistakes[:MISTAKES_SHOWN]]
    more = len(mistakes) - len(lines)
    return "\n".join([*lines, f"{path}: and {more} more mistakes"] if more else lines)


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(short(str(part)) for part in location if part != "[key]")


def _reason(mistake: Any) -> str:
    if mistake["type"] == "extra_forbidden":
        return "unknown key"
    if mistake["type"] == "missing":
        return "is missing"
    reason, given = mistake["msg"].removeprefix("Value error, "), mistake["input"]
    if mistake["type"] == "string_type" and isinstance(given, (int, float, date)):
        reason += ", put it in quotes"
    if "options" in mistake["loc"] or isinstance(given, (dict, list)):  # where passwords stand
        return str(reason)
    return f"{reason} (got {reprlib.repr(given)})"
