"""A writer's schema, made ready for reading its records."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastavro import parse_schema

from udfs.extent import Schema, count_nodes
from udfs.rejected import Rejected

T = TypeVar("T")

MAX_NESTING = 64
IGNORED = ("logicalType", "default", "__fastavro_parsed", "__named_schemas")
"""The rules want plain numbers, a default is the reader's affair, and fastavro must not believe that it knows the schema already."""


@dataclass(eq=False)
class WriterSchema:
    """A schema of the registry: parsed by fastavro, with room for what is compiled from it."""

    schema_id: int
    fullname: str
    parsed: Schema
    names: dict[str, Schema]
    nodes: int
    _compiled: dict[Any, Any] = field(default_factory=dict, repr=False)

    def compiled(self, compile: Callable[["WriterSchema"], T]) -> T:
        """What `compile` makes of this schema, made once."""
        if compile not in self._compiled:
            self._compiled[compile] = compile(self)
        made: T = self._compiled[compile]
        return made


def parse(schema_id: int, text: str) -> WriterSchema:
    """The writer's schema of this JSON text.

    Raises:
        Rejected: `incompatible_schema`: it is no Avro record.
    """
    try:
        parsed = parse_schema(_plain(json.loads(text), 0))
        named: dict[str, Schema] = parsed["__named_schemas"]
        for schema in named.values():
            _check_fields(schema)
            _check_size(schema)
        return WriterSchema(schema_id, parsed["name"], parsed, named, count_nodes(parsed))
    except Exception as error:
        raise Rejected("incompatible_schema", f"{type(error).__name__}: {error}", schema_id) from error


def _plain(schema: Any, depth: int) -> Any:
    """The schema without what a writer's schema is not asked for."""
    if depth > MAX_NESTING:
        raise ValueError(f"nested more than {MAX_NESTING} levels deep")
    if isinstance(schema, dict):
        return {key: _plain(value, depth + 1) for key, value in schema.items() if key not in IGNORED}
    return [_plain(item, depth + 1) for item in schema] if isinstance(schema, list) else schema


def _check_fields(schema: Schema) -> None:
    names = [field["name"] for field in schema.get("fields", ())]
    if len(names) != len(set(names)):
        raise ValueError(f"{schema['name']} has two fields of one name")


def _check_size(schema: Schema) -> None:
    """A size that is no Java int is none; the decoders would believe it."""
    if schema["type"] == "fixed" and not (type(schema["size"]) is int and 0 <= schema["size"] < 2**31):
        raise ValueError(f"{schema['name']} has {schema['size']!r:.40} bytes")
