"""The batch path: a column of Kafka values becomes a column of trades, with NULL for every row that is not certain.

The judge decides about those. Whatever is accepted here is accepted there, with equal values.
"""

import logging

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs import columns, wire
from udfs.column_rules import DECIMAL
from udfs.columns import RecordReader
from udfs.cursor import Bools
from udfs.exchange import Exchange
from udfs.rejected import Rejected
from udfs.schemas import SchemaCache
from udfs.writer_schema import WriterSchema

log = logging.getLogger(__name__)

BATCH_TYPE = pa.struct(
    [
        ("message_id", pa.string()),
        ("trade_id", pa.string()),
        ("symbol", pa.string()),
        ("timestamp", pa.int64()),
        ("price", DECIMAL),
        ("quantity", DECIMAL),
        ("currency", pa.string()),
        ("side", pa.string()),
        ("trade_condition", pa.string()),
        ("source_sequence", pa.int64()),
        ("ingestion_timestamp", pa.int64()),
        ("vendor_data", pa.string()),
        ("schema_id", pa.int32()),
    ]
)
"""The V2 columns of a trade, without those that SQL makes of constants and the offset, and the writer's schema."""

MAX_SCHEMAS = 8
"""Schemas of one batch that are decoded here; made-up ids are many, and each would cost a pass."""
MAX_LENGTH = 4096
"""Bytes of a row that is decoded here; a trade has about a hundred."""


class BatchDecoder:
    """Decodes batches of one exchange's messages."""

    def __init__(self, exchange: Exchange, schemas: SchemaCache) -> None:
        self._exchange, self._schemas = exchange, schemas

    def decode(self, raw: pa.Array | pa.ChunkedArray, offset: pa.Array | None = None) -> pa.StructArray:
        """The trades of the Kafka values `raw` (binary): an array of `BATCH_TYPE`, NULL where the judge has to decide.

        Args:
            offset: Kafka offsets; no column here is made of them.
        """
        rows = raw.combine_chunks() if isinstance(raw, pa.ChunkedArray) else raw
        rows = rows.cast(pa.binary())
        ids, readable = _schema_ids(rows)
        found, counts = np.unique(ids[readable], return_counts=True)
        place = np.full(len(rows), -1, np.int64)
        parts: list[pa.StructArray] = []
        for schema_id in found[np.argsort(-counts)][:MAX_SCHEMAS]:
            at = np.flatnonzero(readable & (ids == schema_id))
            part = self._group(int(schema_id), rows if len(at) == len(rows) else rows.take(pa.array(at)))
            if part is not None:
                place[at] = np.arange(len(at)) + sum(map(len, parts))
                parts.append(part)
        if len(parts) == 1 and len(parts[0]) == len(rows):
            return parts[0]
        return pa.concat_arrays([pa.nulls(0, BATCH_TYPE), *parts]).take(pa.array(place, mask=place < 0))

    def _group(self, schema_id: int, rows: pa.BinaryArray) -> pa.StructArray | None:
        """The trades of messages that were written with one schema, or None when none of them is certain."""
        try:
            reader = self._schemas.get(schema_id).compiled(self._compile)
            return reader and self._trades(reader, schema_id, rows)
        except Rejected:
            return None
        except Exception:
            log.exception("a batch of %d messages of schema %d is left to the judge", len(rows), schema_id)
            return None

    def _compile(self, writer: WriterSchema) -> RecordReader | None:
        if writer.fullname != self._exchange.record:
            return None
        return columns.compile(writer.parsed, self._exchange.reader_schema)

    def _trades(self, reader: RecordReader, schema_id: int, rows: pa.BinaryArray) -> pa.StructArray:
        decoded, fields = reader.read(rows, skip=wire.HEADER.size)
        made, certain = self._exchange.to_columns(fields)
        made["schema_id"] = np.full(len(rows), schema_id, np.int32)
        arrays = [_array(made[field.name]) for field in BATCH_TYPE]
        return pa.StructArray.from_arrays(arrays, fields=list(BATCH_TYPE), mask=pa.array(~(decoded & certain)))


def _schema_ids(rows: pa.BinaryArray) -> tuple[NDArray[np.int32], Bools]:
    """The schema id of each row, and where there is one in a row of usual length."""
    _, offsets, content = rows.buffers()
    if not len(rows) or content is None:
        return np.zeros(len(rows), np.int32), np.zeros(len(rows), bool)
    bounds = np.frombuffer(offsets, np.int32)[rows.offset : rows.offset + len(rows) + 1].astype(np.int64)
    length = np.diff(bounds)
    readable: Bools = rows.is_valid().to_numpy(zero_copy_only=False) & (length >= wire.HEADER.size) & (length <= MAX_LENGTH)
    header = np.zeros((len(rows), wire.HEADER.size), np.uint8)
    at = bounds[:-1][readable]
    header[readable] = np.frombuffer(content, np.uint8)[at[:, None] + np.arange(wire.HEADER.size)]
    ids = np.ascontiguousarray(header[:, 1:]).view(">i4").ravel().astype(np.int32)
    return ids, readable & (header[:, 0] == wire.MAGIC)


def _array(values: pa.Array | NDArray[np.generic]) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values)
