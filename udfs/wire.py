"""The Confluent wire format: a zero byte, the schema id (4 bytes, big-endian), then the Avro record."""

import struct

from udfs.rejected import Rejected

MAGIC = 0
HEADER = struct.Struct(">bi")


def split(raw: bytes | None) -> tuple[int, bytes]:
    """The schema id and the record's bytes of one Kafka value.

    Raises:
        Rejected: `null_value`, `truncated` or `bad_magic_byte`.
    """
    if raw is None:
        raise Rejected("null_value")
    if len(raw) < HEADER.size:
        raise Rejected("truncated", f"{len(raw)} bytes, the header has {HEADER.size}")
    magic, schema_id = HEADER.unpack_from(raw)
    if magic != MAGIC:
        raise Rejected("bad_magic_byte", f"first byte is 0x{raw[0]:02x}")
    return schema_id, raw[HEADER.size :]


def join(schema_id: int, record: bytes) -> bytes:
    """The Kafka value of an Avro record."""
    return HEADER.pack(MAGIC, schema_id) + record
