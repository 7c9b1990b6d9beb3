"""The rules that every exchange's trades share. Each is a pure function of the row: "now" is the row's own ingestion time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from udfs.rejected import Rejected

DECIMAL_TEXT = re.compile(r"(-?)([0-9]++)(?:\.([0-9]++))?")
WHOLE_DIGITS, SCALE = 10, 8
"""DECIMAL(18, 8)."""
EARLIEST_US = 946_684_800_000_000
"""2000-01-01T00:00:00Z."""
LATEST_US = 4_102_444_800_000_000
"""2100-01-01T00:00:00Z, the first moment too late."""


@dataclass(frozen=True)
class Limits:
    """How far a trade's time may lie from its ingestion time, in microseconds."""

    future_tolerance_us: int
    max_age_us: int


def check_price(price: str) -> Decimal:
    """Return `price` exactly, with 8 decimals, or reject it.

    Args:
        price: decimal text as the exchange sent it.

    Raises:
        Rejected: `price_not_a_number`, `price_not_positive` or `price_out_of_range` (DECIMAL(18, 8)).
    """
    return _check_decimal(price, "price")


def check_quantity(quantity: str) -> Decimal:
    """Like `check_price`, with the reasons of the quantity."""
    return _check_decimal(quantity, "quantity")


def check_time(timestamp_us: int, ingestion_us: int, limits: Limits) -> int:
    """Return the trade's time, or reject it.

    Raises:
        Rejected: `timestamp_unreadable` (either time outside 2000-2100), `timestamp_in_future` or `timestamp_too_old`.
    """
    for what, time_us in (("trade", timestamp_us), ("ingestion", ingestion_us)):
        if not EARLIEST_US <= time_us < LATEST_US:
            raise Rejected("timestamp_unreadable", f"{what} time {time_us} us is outside 2000-2100")
    if timestamp_us - ingestion_us > limits.future_tolerance_us:
        raise Rejected("timestamp_in_future", f"{timestamp_us - ingestion_us} us after ingestion")
    if ingestion_us - timestamp_us > limits.max_age_us:
        raise Rejected("timestamp_too_old", f"{ingestion_us - timestamp_us} us before ingestion")
    return timestamp_us


def check_pair(pair: str, written: re.Pattern[str]) -> tuple[str, str]:
    """Return the base and the quote asset that a pair names, or reject it.

    Args:
        written: how the exchange writes a pair; its two groups are the assets.

    Raises:
        Rejected: `symbol_missing` or `symbol_unreadable`.
    """
    if not pair:
        raise Rejected("symbol_missing")
    match = written.fullmatch(pair)
    if not match:
        raise Rejected("symbol_unreadable", pair)
    return match[1], match[2]


def check_side(side: str, sides: Mapping[str, str]) -> str:
    """Return the taker's BUY or SELL, or reject what the exchange says.

    Args:
        sides: the taker's side by what the exchange writes.

    Raises:
        Rejected: `side_unknown`.
    """
    if side not in sides:
        raise Rejected("side_unknown", side)
    return sides[side]


def _check_decimal(text: str, what: str) -> Decimal:
    """Works on the digits as text: a million of them cost no more than reading them."""
    match = DECIMAL_TEXT.fullmatch(text)
    if not match:
        raise Rejected(f"{what}_not_a_number", text)
    sign, whole, fraction = match[1], match[2].lstrip("0"), (match[3] or "").rstrip("0")
    if sign or not (whole or fraction):
        raise Rejected(f"{what}_not_positive", text)
    if len(whole) > WHOLE_DIGITS or len(fraction) > SCALE:
        raise Rejected(f"{what}_out_of_range", text)
    return Decimal(f"{whole or '0'}.{fraction:0<{SCALE}}")
