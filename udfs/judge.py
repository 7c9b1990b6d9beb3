"""The exact, row-by-row reference: one Kafka value becomes a trade, or is rejected for one reason of the data contract."""

from io import BytesIO
from typing import Any, NamedTuple

from fastavro import schemaless_reader
from fastavro.read import SchemaResolutionError

from udfs import resolution, wire
from udfs.exchange import Exchange
from udfs.extent import extent
from udfs.rejected import Rejected
from udfs.schemas import SchemaCache
from udfs.trade import Trade
from udfs.writer_schema import WriterSchema


class Judged(NamedTuple):
    """A good message: its trade, and the id of the schema that it was written with."""

    trade: Trade
    schema_id: int


class Judge:
    """Judges the messages of one exchange.

    Each of its steps bounds the next: the header before the schema, the schema before the record, the record's extent before it is
    decoded, so that no message takes more than a small multiple of its size.
    """

    def __init__(self, exchange: Exchange, schemas: SchemaCache) -> None:
        self._exchange, self._schemas = exchange, schemas

    def judge(self, raw: bytes | None, offset: int) -> Judged:
        """The trade of one Kafka value.

        Args:
            raw: the whole value, None for a tombstone.
            offset: where it stands in its Kafka partition.

        Raises:
            Rejected: the first of null_value, truncated, bad_magic_byte, the schema's reasons, the record's, and the rules of the
                exchange in their order. Nothing else, whatever the bytes are.
        """
        schema_id, record = self.decode(raw)
        try:
            return Judged(self._exchange.to_trade(record, offset), schema_id)
        except Rejected as rejected:
            rejected.schema_id = schema_id
            raise

    def decode(self, raw: bytes | None) -> tuple[int, dict[str, Any]]:
        """The schema id and the record of one Kafka value, resolved to the reader's schema; no rule of the exchange is asked yet.

        Raises:
            Rejected: as `judge`, but for the rules of the exchange.
        """
        schema_id, body = wire.split(raw)
        try:
            writer = self._schemas.get(schema_id)
            if why := writer.compiled(self._mismatch):
                raise Rejected("incompatible_schema", why)
            return schema_id, self._decode(writer, body)
        except Rejected as rejected:
            rejected.schema_id = schema_id
            raise

    def _mismatch(self, writer: WriterSchema) -> str | None:
        if writer.fullname != self._exchange.record:
            return f"a {writer.fullname}, not a {self._exchange.record}"
        return resolution.mismatch(writer.parsed, self._exchange.reader_schema)

    def _decode(self, writer: WriterSchema, body: bytes) -> dict[str, Any]:
        try:
            length = extent(body, writer.parsed, writer.names, writer.nodes)
            if length < len(body):
                raise Rejected("trailing_bytes", f"{len(body) - length} bytes after the record")
            record: dict[str, Any] = schemaless_reader(BytesIO(body), writer.parsed, self._exchange.reader_schema)
            return record
        except Rejected:
            raise
        except SchemaResolutionError as error:
            raise Rejected("incompatible_schema", str(error)) from error
        except Exception as error:
            raise Rejected("avro_decode_failed", f"{type(error).__name__}: {error}") from error
