"""All of the settings, as package data, and their one reader: `conf.settings`."""

from importlib.resources import files
from importlib.resources.abc import Traversable

FOLDER: Traversable = files(__name__)


def schema(exchange: str, version: str = "") -> str:
    """The Avro schema (JSON text) of an exchange's raw trade: the reader's, or an earlier `version` such as `"v1"`."""
    return FOLDER.joinpath("schemas", f"{exchange}_raw_trade{version and '.' + version}.avsc").read_text(encoding="utf-8")
