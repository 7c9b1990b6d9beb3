"""Real trades that are shipped with the code: README.md beside this says which, and where they come from."""

from importlib.resources import files
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def sample_records(exchange: str) -> list[dict[str, Any]]:
    """The Avro records of an exchange's sample, in the order in which they were received.

    Raises:
        FileNotFoundError: there is no sample of this exchange.
    """
    stored = files(__name__).joinpath(f"{exchange}.parquet").read_bytes()
    records: list[dict[str, Any]] = pq.read_table(pa.BufferReader(stored)).to_pylist()
    return records
