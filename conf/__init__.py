"""All of the settings, as package data, and their one reader: `conf.settings`."""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable

FOLDER: Traversable = files(__name__)


def schema(exchange: str, version: str = "") -> str:
    """The Avro schema (JSON text) of an exchange's raw trade: the reader's, or an earlier `version` such as `"v1"`."""
    return FOLDER.joinpath("schemas", f"{exchange}_raw_trade{version and '.' + version}.avsc").read_text(encoding="utf-8")


def schema_versions(exchange: str) -> tuple[str, ...]:
    """What `schema` takes, in the order of the evolution: `("v1", "")` where there is an earlier version, the reader's last."""
    names = [file.name for file in FOLDER.joinpath("schemas").iterdir()]
    earlier = [match[1] for name in names if (match := re.fullmatch(rf"{exchange}_raw_trade\.(v[0-9]+)\.avsc", name))]
    return (*sorted(earlier, key=lambda version: int(version[1:])), "")
