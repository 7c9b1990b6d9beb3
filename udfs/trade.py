"""A trade as every table from silver on holds it."""

from decimal import Decimal
from typing import NamedTuple


class Trade(NamedTuple):
    """The 15 V2 columns, in their order. Times are microseconds since the epoch, UTC; prices are exact, with 8 decimals."""

    message_id: str
    trade_id: str
    symbol: str
    exchange: str
    asset_class: str
    timestamp: int
    price: Decimal
    quantity: Decimal
    currency: str
    side: str
    trade_conditions: tuple[str, ...]
    source_sequence: int | None
    ingestion_timestamp: int
    platform_sequence: int
    vendor_data: str
