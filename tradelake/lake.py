"""The lake, read from outside Flink: DuckDB for questions, pyiceberg for metadata.

A connection can read the lake's tables and nothing else: no local file, no other address, no change of a setting, no write.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import duckdb
import httpx

from conf.settings import S3, Catalog, Environment, Settings, is_loopback
from tradelake.as_of import NEWEST, pin
from tradelake.console import Failure

if TYPE_CHECKING:
    from pyiceberg.catalog.rest import RestCatalog

EXTENSIONS = ("httpfs", "avro", "iceberg")
"""DuckDB's own signed extensions, in the order in which they need each other."""
PATIENCE_S = 5
"""How long one request to the catalog or to the object store may take."""
ENGINE = {
    "memory_limit": "1GB",
    "threads": "2",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
    "http_timeout": str(PATIENCE_S),
    "http_retries": "1",
    "TimeZone": "UTC",
}


@dataclass(frozen=True)
class Credentials:
    """Keys of the object store; never part of a message or of a representation."""

    key_id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def credentials(s3: S3, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """`s3.credentials_file`, else `AWS_ACCESS_KEY_ID` and its like, else the user's AWS credentials file; None when there is none.

    Raises:
        Failure: the named file is missing or holds no keys.
    """
    if s3.credentials_file is not None:
        return _from_file(s3.credentials_file, "default")
    if "AWS_ACCESS_KEY_ID" in environ and "AWS_SECRET_ACCESS_KEY" in environ:
        return Credentials(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], environ.get("AWS_SESSION_TOKEN"))
    shared = Path(environ.get("AWS_SHARED_CREDENTIALS_FILE", Path.home() / ".aws" / "credentials"))
    return _from_file(shared, environ.get("AWS_PROFILE", "default")) if shared.exists() else None


def _from_file(file: Path, profile: str) -> Credentials:
    """One profile of an AWS shared-credentials file."""
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
        section = parser[profile]
        return Credentials(section["aws_access_key_id"], section["aws_secret_access_key"], section.get("aws_session_token"))
    except OSError as error:
        raise Failure(f"{file}: cannot be read ({error.strerror}); `tradelake up` writes the local stack's keys") from error
    except ConfigError as error:
        raise Failure(f"{file}: is not an AWS credentials file") from error
    except KeyError as error:
        raise Failure(f"{file}: has no {error.args[0]} in profile {profile}") from error


@contextmanager
def connect(settings: Settings, spill: Path | None = None, as_of: datetime | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection on which the tables answer by their plain names, as they are when a statement begins.

    A statement is a transaction of DuckDB, and reads of every table the snapshot that was the newest when it began.

    Args:
        spill: an existing folder for what does not fit into memory; default: the system's temporary folder.
        as_of: read all tables as they were at this moment instead.

    Raises:
        Failure: the catalog or the object store does not answer, or what `as_of` needs has expired.
    """
    pass_by_proxies(settings.environment)
    check_reachable(settings.environment)
    with tempfile.TemporaryDirectory(prefix="tradelake-spill-", dir=spill) as folder, duckdb.connect(config=_engine(folder)) as connection:
        for extension in EXTENSIONS:
            connection.execute(f"LOAD {_literal(str(extension_file(extension)))}")
        with lake_failures(settings.environment):
            _attach(connection, settings, as_of)
        _lock(connection, settings.environment)
        yield connection


def _engine(folder: str) -> dict[str, str | bool | int | float | list[str]]:
    return {**{key: value for key, value in ENGINE.items() if not _of_extension(key)}, "temp_directory": folder}


def _of_extension(setting: str) -> bool:
    """Whether a setting exists only once an extension is loaded."""
    return setting.startswith("http_") or setting == "TimeZone"


def _attach(connection: duckdb.DuckDBPyConnection, settings: Settings, as_of: datetime | None) -> None:
    environment, database = settings.environment, settings.pipeline.database
    name = "lake" if as_of is None else NEWEST
    for key, value in ENGINE.items():
        if _of_extension(key):
            connection.execute(f"SET {key} = {_literal(value)}")
    connection.execute(f"CREATE SECRET (TYPE s3, {_s3_options(environment.s3)})")
    authorization = "AUTHORIZATION_TYPE 'none'"
    if login := _login(environment.catalog):
        try:
            connection.execute(f"CREATE SECRET catalog_login (TYPE iceberg, {login})")
        except duckdb.Error as error:  # it asks for the token at once
            raise Failure(f"the catalog at {environment.catalog.uri} does not let us in: {str(error).splitlines()[0]}") from None
        authorization = "SECRET catalog_login"
    connection.execute(
        f"ATTACH {_literal(environment.catalog.warehouse)} AS {name} (TYPE iceberg, ENDPOINT {_literal(environment.catalog.uri)}, "
        f"{authorization}, ACCESS_DELEGATION_MODE 'none', READ_ONLY)"
    )
    try:
        connection.execute(f"USE {name}.{database}")
    except duckdb.CatalogException as error:
        raise Failure(f"the catalog has no database {database}; `tradelake tables create` makes it") from error
    if as_of is not None:
        pin(connection, database, as_of)


def _login(catalog: Catalog) -> str:
    """The OAuth2 options of Iceberg's REST clients in DuckDB's words; nothing for a catalog that asks nobody who they are."""
    given = catalog.options
    if token := given.get("token"):
        return f"TOKEN {_literal(token)}"
    if not (credential := given.get("credential")):
        return ""
    client_id, colon, secret = credential.partition(":")
    if not colon:
        client_id, secret = "", credential
    options = {
        "CLIENT_ID": client_id,
        "CLIENT_SECRET": secret,
        "OAUTH2_SERVER_URI": given.get("oauth2-server-uri", f"{catalog.uri.rstrip('/')}/v1/oauth/tokens"),
        "OAUTH2_SCOPE": given.get("scope", "catalog"),
    }
    return ", ".join(f"{key} {_literal(value)}" for key, value in options.items())


def _s3_options(s3: S3) -> str:
    keys, endpoint = credentials(s3), urlsplit(s3.endpoint or "")
    options = {
        "KEY_ID": keys.key_id if keys else None,
        "SECRET": keys.secret if keys else None,
        "SESSION_TOKEN": keys.token if keys else None,
        "REGION": s3.region,
        "ENDPOINT": endpoint.netloc or None,
        "URL_STYLE": "path" if s3.path_style_access else "vhost",
        "USE_SSL": "false" if endpoint.scheme == "http" else "true",
    }
    return ", ".join(f"{key} {_literal(value)}" for key, value in options.items() if value is not None)


def _lock(connection: duckdb.DuckDBPyConnection, environment: Environment) -> None:
    """Shut the connection off from everything but the warehouse's bucket and the catalog, for good."""
    connection.execute("SET s3_url_compatibility_mode = true")  # otherwise `s3://bucket/x?s3_endpoint=...` reaches any address
    bucket = urlsplit(environment.catalog.warehouse).netloc
    allowed = (f"s3://{bucket}/", f"{environment.catalog.uri.rstrip('/')}/")
    connection.execute(f"SET allowed_directories = [{', '.join(map(_literal, allowed))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def extension_file(name: str) -> Path:
    """The extension inside its installed wheel, of this very DuckDB."""
    spec = find_spec(f"duckdb_extension_{name}")
    if spec is None or not spec.submodule_search_locations:
        raise Failure(f"duckdb-extension-{name} is not installed; run `make setup`")
    return Path(spec.submodule_search_locations[0]) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def pass_by_proxies(environment: Environment, environ: MutableMapping[str, str] = os.environ) -> None:
    """Have this machine's own addresses asked directly, whatever HTTP_PROXY says.

    NO_PROXY is what httpx, DuckDB and pyiceberg all heed, and the last two have no setting for it.
    """
    given = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    known = [host.strip() for host in given.split(",") if host.strip()]
    hosts = {urlsplit(address or "").hostname or "" for address in (environment.catalog.uri, environment.s3.endpoint)}
    missing = sorted(host for host in hosts if is_loopback(host) and host not in known)
    if missing and known != ["*"]:
        environ["no_proxy"] = environ["NO_PROXY"] = ",".join([*known, *missing])


def check_reachable(environment: Environment) -> None:
    """One request each to the catalog and to the object store's own address, because DuckDB waits longer and says less.

    Raises:
        Failure: no answer within `PATIENCE_S`.
    """
    addresses = {"catalog": f"{environment.catalog.uri.rstrip('/')}/v1/config", "object store": environment.s3.endpoint}
    for what, address in addresses.items():
        try:
            if address:
                httpx.get(address, timeout=PATIENCE_S)
        except httpx.HTTPError as error:
            raise Failure(f"the {what} at {address} does not answer ({error}); is the stack up? `tradelake status` shows it") from error


@contextmanager
def lake_failures(environment: Environment) -> Iterator[None]:
    """Turn DuckDB's errors of catalog and object store into one line."""
    try:
        yield
    except (duckdb.IOException, duckdb.HTTPException, duckdb.InvalidInputException) as error:
        where = f"catalog {environment.catalog.uri}, object store {environment.s3.endpoint or 'AWS'}"
        raise Failure(f"the lake cannot be read ({where}): {str(error).splitlines()[0]}") from error


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def catalog(settings: Settings) -> "RestCatalog":
    """pyiceberg's catalog, for metadata.

    Raises:
        Failure: the catalog or the object store does not answer.
    """
    from pyiceberg.catalog.rest import RestCatalog  # a second of imports that a query need not wait for

    environment = settings.environment
    pass_by_proxies(environment)
    check_reachable(environment)
    keys = credentials(environment.s3)
    properties = {
        "uri": environment.catalog.uri,
        "warehouse": environment.catalog.warehouse,
        "s3.endpoint": environment.s3.endpoint,
        "s3.region": environment.s3.region,
        "s3.force-virtual-addressing": str(not environment.s3.path_style_access).lower(),
        "s3.access-key-id": keys.key_id if keys else None,
        "s3.secret-access-key": keys.secret if keys else None,
        "s3.session-token": keys.token if keys else None,
        **environment.catalog.options,
    }
    with catalog_failures(environment):
        return RestCatalog(environment.catalog.name, **{key: value for key, value in properties.items() if value is not None})


@contextmanager
def catalog_failures(environment: Environment, again: str = "") -> Iterator[None]:
    """Turn what pyiceberg's catalog raises for a server that refuses, or does not answer, into one line, `again` at its end."""
    from pyiceberg.exceptions import RESTError
    from requests import RequestException

    try:
        yield
    except (RESTError, RequestException) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise Failure(f"the catalog at {environment.catalog.uri} cannot be used: {lines[0]}{again and f'; {again}'}") from error
