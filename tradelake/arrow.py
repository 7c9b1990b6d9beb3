"""Rows that are written beside those of the jobs, in files of the same types."""

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pyiceberg.table import Table


def schema_of(table: "Table") -> pa.Schema:
    """A table's columns with Arrow's usual types for text and bytes, as Flink's files have them.

    pyiceberg's own schema has the large ones; it writes them into the file, and then cannot read such a file together with others.
    """
    return pa.schema([(field.name, _usual(field.type)) for field in table.schema().as_arrow()])


def _usual(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_usual(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(_usual(kind.key_type), _usual(kind.item_type))
    return kind
