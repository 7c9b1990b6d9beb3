"""Ids that survive a replay: pure functions of the trade.

A `message_id` is a UUIDv8 (RFC 9562): 48 bits of milliseconds, the version, 12 bits of microseconds within the millisecond, the
variant, and 62 bits of the SHA-256 of the trade's natural key. It grows with time. The scalar functions are the reference, the
`*_column` ones make the same of whole columns.
"""

import hashlib
import uuid

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

HASH_BITS = (1 << 62) - 1
VERSION, VARIANT = 0x8000, 1 << 63
HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint16)
"""The two hex digits of each byte, as one number."""
UUID_LENGTH = 36
DIGITS = np.array([at for at in range(UUID_LENGTH) if at not in (8, 13, 18, 23)])


def natural_key(*parts: str | int) -> str:
    """The parts that make a trade this trade, joined by `|`."""
    return "|".join(map(str, parts))


def message_id(timestamp_us: int, key: str, *, numbered: bool) -> str:
    """The id of the trade with this natural key at this time.

    Args:
        numbered: the key holds the exchange's trade_id. Such an id tells milliseconds only, so that a trade seen through feeds of
            different precision has one id.
    """
    milliseconds, microseconds = divmod(timestamp_us, 1000)
    high = milliseconds << 16 | VERSION | (0 if numbered else microseconds)
    low = VARIANT | int.from_bytes(_sha256(key)[:8], "big") & HASH_BITS
    return str(uuid.UUID(int=high << 64 | low))


def fingerprint(key: str) -> str:
    """The first 12 hex digits of the natural key's SHA-256."""
    return _sha256(key).hex()[:12]


def hash_column(keys: pa.StringArray) -> NDArray[np.uint64]:
    """The first 8 bytes (big-endian) of each key's SHA-256."""
    sha256, texts = hashlib.sha256, keys.cast(pa.binary()).to_numpy(zero_copy_only=False)
    return np.frombuffer(b"".join([sha256(text).digest() for text in texts]), ">u8")[::4].astype(np.uint64)


def message_id_column(timestamp_us: NDArray[np.int64], hashes: NDArray[np.uint64], numbered: NDArray[np.bool_] | bool) -> pa.StringArray:
    """`message_id` of each row; times must not be negative."""
    milliseconds, microseconds = np.divmod(timestamp_us, 1000)
    words = np.empty((len(hashes), 2), ">u8")
    words[:, 0] = milliseconds << 16 | VERSION | np.where(numbered, 0, microseconds)
    words[:, 1] = hashes & np.uint64(HASH_BITS) | np.uint64(VARIANT)
    chars = np.full((len(hashes), UUID_LENGTH), ord("-"), np.uint8)
    chars[:, DIGITS] = _hex(words)
    return _fixed_width(chars)


def fingerprint_column(hashes: NDArray[np.uint64]) -> pa.StringArray:
    """`fingerprint` of each row."""
    return _fixed_width(np.ascontiguousarray(_hex(hashes.astype(">u8").reshape(-1, 1))[:, :12]))


def _sha256(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _hex(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Hex digits, one row of characters a row of words."""
    digits: NDArray[np.uint8] = HEX[words.view(np.uint8)].view(np.uint8)
    return digits


def _fixed_width(chars: NDArray[np.uint8]) -> pa.StringArray:
    rows, width = chars.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    return pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(chars)])
