"""Where an Avro record ends, found by walking over its bytes without making anything of them.

A decoder believes what it reads: a count of 2^60 items of no size loops for ever, a schema that holds itself recurses until the
stack is gone. The walk goes first, and reads strictly by the Avro specification; the decoder then only sees what is bounded.
"""

from typing import Any

Schema = Any
"""A schema as `fastavro.parse_schema` returns it: text, list or dict."""

MAX_DEPTH = 64
SPARE_STEPS = 1000
STEPS_A_BYTE, MOST_STEPS_A_BYTE = 4, 64
LARGEST_ALLOWANCE = 1_000_000
"""Steps; where a byte stops being worth as many as the schema has nodes. No trade comes near, and it ends a bomb within seconds."""
SHIFTS = range(0, 70, 7)
FIXED_WIDTH = {"null": 0, "float": 4, "double": 8}


class Malformed(ValueError):
    """The bytes are not a record of the schema."""


def extent(body: bytes, schema: Schema, names: dict[str, Schema], nodes: int) -> int:
    """The length of the record that `body` starts with.

    Steps that take a byte are bounded by the bytes. Those that take none (null, a record) are counted; a flat record cannot have too many,
    since each has a node of its own.

    Args:
        names: full name -> definition of the schema's named types.
        nodes: of the schema, as `count_nodes` counts them.

    Raises:
        Malformed: it breaks off, holds what the specification forbids, or is nested or repeated beyond all measure.
    """
    allowance = min(min(nodes, MOST_STEPS_A_BYTE) * len(body), LARGEST_ALLOWANCE)
    walk = _Walk(body, names, SPARE_STEPS + STEPS_A_BYTE * len(body) + nodes + allowance)
    walk.skip(schema, 0)
    return walk.at


def count_nodes(schema: Schema) -> int:
    """The types that are written in a schema; a name is one, whatever it stands for."""
    if isinstance(schema, list):
        return 1 + sum(map(count_nodes, schema))
    if not isinstance(schema, dict):
        return 1
    within = [field["type"] for field in schema.get("fields", ())] + [schema[key] for key in ("items", "values") if key in schema]
    return 1 + sum(map(count_nodes, within))


class _Walk:
    def __init__(self, body: bytes, names: dict[str, Schema], spare: int) -> None:
        self.body, self.names = body, names
        self.at = 0
        self.spare = spare

    def skip(self, schema: Schema, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Malformed("nested beyond all measure")
        if isinstance(schema, list):
            return self.skip(schema[self._index(len(schema))], depth + 1)
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind in FIXED_WIDTH:
            self._step(FIXED_WIDTH[kind])
        elif kind == "boolean":
            self._index(2, zigzag=False)
        elif kind in ("int", "long"):
            self._long(32 if kind == "int" else 64)
        elif kind in ("string", "bytes"):
            self._text(kind)
        elif kind == "fixed":
            self._step(schema["size"])
        elif kind == "enum":
            self._index(len(schema["symbols"]))
        elif kind in ("record", "error"):
            self._step(0)
            for field in schema["fields"]:
                self.skip(field["type"], depth + 1)
        elif kind in ("array", "map"):
            self._blocks(schema, depth)
        else:
            self.skip(self.names[kind], depth)

    def _blocks(self, schema: Schema, depth: int) -> None:
        while count := self._long(64):
            end = self._long(64) + self.at if count < 0 else None
            for _ in range(abs(count)):
                if schema["type"] == "map":
                    self._text("string")
                self.skip(schema["items"] if schema["type"] == "array" else schema["values"], depth + 1)
            if end not in (None, self.at):
                raise Malformed("a block is not as long as it says")

    def _step(self, length: int) -> None:
        self.spare -= not length
        if self.spare < 0:
            raise Malformed("repeated beyond all measure")
        self._advance(length)

    def _text(self, kind: str) -> None:
        length, start = self._long(64), self.at
        self._advance(length)
        if kind == "string":
            str(memoryview(self.body)[start : self.at], "utf-8")

    def _index(self, choices: int, *, zigzag: bool = True) -> int:
        index = self._long(32) if zigzag else self._byte()
        if not 0 <= index < choices:
            raise Malformed(f"{index} is none of {choices} choices")
        return index

    def _long(self, bits: int) -> int:
        value = 0
        for shift, byte in zip(SHIFTS, self.body[self.at : self.at + len(SHIFTS)], strict=False):
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise Malformed("a number breaks off, or has more than ten bytes")
        if value >> bits:
            raise Malformed(f"a number of more than {bits} bits")
        self.at += shift // 7 + 1
        return (value >> 1) ^ -(value & 1)

    def _byte(self) -> int:
        self._advance(1)
        return self.body[self.at - 1]

    def _advance(self, length: int) -> None:
        if not 0 <= length <= len(self.body) - self.at:
            raise Malformed(f"{length} bytes wanted, {len(self.body) - self.at} left")
        self.at += length
