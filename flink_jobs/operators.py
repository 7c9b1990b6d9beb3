"""The Python operators of silver: the batch path and the judge, as Flink runs them. What they decide stands in `udfs`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
from pyflink.common import Row, Types
from pyflink.datastream import OutputTag, ProcessFunction, RuntimeContext
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction

from udfs.batch import BatchDecoder
from udfs.exchange import Exchange, exchange
from udfs.judge import Judge
from udfs.rejected import Rejected
from udfs.rules import Limits
from udfs.schemas import SchemaCache, connect

BATCH_TYPE = DataTypes.ROW(
    [
        DataTypes.FIELD("message_id", DataTypes.STRING()),
        DataTypes.FIELD("trade_id", DataTypes.STRING()),
        DataTypes.FIELD("symbol", DataTypes.STRING()),
        DataTypes.FIELD("timestamp", DataTypes.BIGINT()),
        DataTypes.FIELD("price", DataTypes.DECIMAL(18, 8)),
        DataTypes.FIELD("quantity", DataTypes.DECIMAL(18, 8)),
        DataTypes.FIELD("currency", DataTypes.STRING()),
        DataTypes.FIELD("side", DataTypes.STRING()),
        DataTypes.FIELD("trade_condition", DataTypes.STRING()),
        DataTypes.FIELD("source_sequence", DataTypes.BIGINT()),
        DataTypes.FIELD("ingestion_timestamp", DataTypes.BIGINT()),
        DataTypes.FIELD("vendor_data", DataTypes.STRING()),
        DataTypes.FIELD("schema_id", DataTypes.INT()),
    ]
)

# Prices cross as text, which SQL casts exactly: Types.BIG_DEC would be DECIMAL(38, 18).
JUDGED_FIELDS = {
    "message_id": Types.STRING(),
    "trade_id": Types.STRING(),
    "symbol": Types.STRING(),
    "exchange": Types.STRING(),
    "asset_class": Types.STRING(),
    "timestamp": Types.LONG(),
    "price": Types.STRING(),
    "quantity": Types.STRING(),
    "currency": Types.STRING(),
    "side": Types.STRING(),
    "trade_conditions": Types.OBJECT_ARRAY(Types.STRING()),
    "source_sequence": Types.LONG(),
    "ingestion_timestamp": Types.LONG(),
    "vendor_data": Types.STRING(),
    "schema_id": Types.INT(),
    "topic": Types.STRING(),
    "partition": Types.INT(),
    "offset": Types.LONG(),
    "kafka_timestamp": Types.STRING(),
    "bronze_ingestion_timestamp": Types.STRING(),
}
REJECTED_FIELDS = {
    "raw_record": Types.PRIMITIVE_ARRAY(Types.BYTE()),
    "error_type": Types.STRING(),
    "error_reason": Types.STRING(),
    "error_detail": Types.STRING(),
    "kafka_topic": Types.STRING(),
    "kafka_partition": Types.INT(),
    "kafka_offset": Types.LONG(),
    "schema_id": Types.INT(),
}
JUDGED = Types.ROW_NAMED(list(JUDGED_FIELDS), list(JUDGED_FIELDS.values()))
# A tuple type cannot carry None: a tombstone would put the job into a restart loop.
REJECTED = OutputTag("rejected", Types.ROW_NAMED(list(REJECTED_FIELDS), list(REJECTED_FIELDS.values())))


@dataclass(frozen=True)
class Rules:
    """What a worker needs to decide about one exchange's messages; small, and free of connections, because it is shipped to the worker."""

    exchange: str
    reader_schema: str
    quote_assets: tuple[str, ...]
    limits: Limits
    registry_url: str
    registry_options: dict[str, str]

    def open(self) -> tuple[Exchange, SchemaCache]:
        return (
            exchange(self.exchange, self.reader_schema, self.limits, self.quote_assets),
            connect(self.registry_url, self.registry_options),
        )


class Decode(ScalarFunction):
    """The batch path: `BYTES -> BATCH_TYPE`, NULL for every message that it is not certain of."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def open(self, function_context: FunctionContext) -> None:
        self._decoder = BatchDecoder(*self._rules.open())

    def eval(self, raw: pd.Series) -> pd.Series:
        trades = pd.Series(pd.arrays.ArrowExtensionArray(self._decoder.decode(pa.array(raw, pa.binary()))))
        # PyFlink asks for a mask of nulls before it makes an Arrow array of what is one already, nulls included.
        trades.isnull = lambda: None
        return trades


class Decide(ProcessFunction):
    """The judge: one doubtful message after another, to silver or through the side output to the dead-letter table."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def open(self, runtime_context: RuntimeContext) -> None:
        self._judge = Judge(*self._rules.open())
        self._metrics = runtime_context.get_metrics_group()
        self._valid = self._metrics.counter("judged_valid")
        self._rejected: dict[str, Any] = {}

    def process_element(self, value: Row, ctx: ProcessFunction.Context) -> Iterator[Any]:
        raw = None if value.raw_bytes is None else bytes(value.raw_bytes)
        try:
            judged = self._judge.judge(raw, value.offset)
        except Rejected as why:
            self._count(why.error_reason)
            yield REJECTED, _rejected_row(value, raw, why)
        else:
            self._valid.inc()
            yield _judged_row(value, judged.trade, judged.schema_id)

    def _count(self, reason: str) -> None:
        if reason not in self._rejected:
            self._rejected[reason] = self._metrics.add_group("reason", reason).counter("rejected")
        self._rejected[reason].inc()


def _judged_row(value: Row, trade: Any, schema_id: int) -> Row:
    return Row(
        trade.message_id,
        trade.trade_id,
        trade.symbol,
        trade.exchange,
        trade.asset_class,
        trade.timestamp,
        f"{trade.price:f}",
        f"{trade.quantity:f}",
        trade.currency,
        trade.side,
        list(trade.trade_conditions),
        trade.source_sequence,
        trade.ingestion_timestamp,
        trade.vendor_data,
        schema_id,
        value.topic,
        value.partition,
        value.offset,
        value.kafka_timestamp,
        value.bronze_ingestion_timestamp,
    )


def _rejected_row(value: Row, raw: bytes | None, why: Rejected) -> Row:
    return Row(
        raw,
        why.error_type,
        why.error_reason,
        why.error_detail,
        value.topic,
        value.partition,
        value.offset,
        why.schema_id,
    )
