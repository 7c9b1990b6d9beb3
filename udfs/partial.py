"""A record that cannot be read, read as far as it goes: for a person who wants to know what is wrong with it."""

from io import BytesIO
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader

from udfs.extent import extent
from udfs.writer_schema import WriterSchema


class Partial(NamedTuple):
    """`fields`: those that could be read, by name. `read`: the bytes that they take. `problem`: why the next could not, None at the end."""

    fields: dict[str, Any]
    read: int
    problem: str | None


def decode(body: bytes, writer: WriterSchema) -> Partial:
    """The first fields of a record, as its writer's schema has them, up to the one that cannot be read. Never raises for any bytes."""
    ends, problem = _ends(body, writer)
    for count in range(len(ends), 0, -1):
        schema = {key: value for key, value in writer.parsed.items() if not key.startswith("__")} | {
            "fields": writer.parsed["fields"][:count]
        }
        try:
            fields = schemaless_reader(BytesIO(body[: ends[count - 1]]), parse_schema(schema), None)
        except Exception as error:
            problem = f"{writer.parsed['fields'][count - 1]['name']}: {type(error).__name__}: {error}"
        else:
            return Partial(dict(fields), ends[count - 1], problem or _left(body, ends[-1]))
    return Partial({}, 0, problem or _left(body, 0))


def _ends(body: bytes, writer: WriterSchema) -> tuple[list[int], str | None]:
    """Where each field ends, as far as they can be walked over, and why not further."""
    ends: list[int] = []
    for field in writer.parsed["fields"]:
        at = ends[-1] if ends else 0
        try:
            ends.append(at + extent(body[at:], field["type"], writer.names, writer.nodes))
        except (ValueError, RecursionError) as error:
            return ends, f"{field['name']}: {error}"
    return ends, None


def _left(body: bytes, read: int) -> str | None:
    return f"{len(body) - read} bytes after the record" if len(body) > read else None
