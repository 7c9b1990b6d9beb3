"""`message_id` by the contract's bit layout, in plain integers."""

import hashlib
from collections.abc import Iterable


def natural_key(parts: Iterable[object]) -> str:
    return "|".join(str(part) for part in parts)


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8")).hexdigest()


def message_id(time_us: int, key: str, has_trade_id: bool) -> str:
    """48 bits of milliseconds, `8`, 12 bits of microseconds (zero where the exchange numbers its trades), `10`, 62 bits of the hash."""
    microseconds = 0 if has_trade_id else time_us % 1000
    hash_bits = f"{int(sha256(key)[:16], 16):064b}"[2:]
    bits = f"{time_us // 1000:048b}" + "1000" + f"{microseconds:012b}" + "10" + hash_bits
    digits = f"{int(bits, 2):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
