"""Broken messages from good ones: bits flipped, bytes cut and spliced, lengths that lie, numbers and texts at every edge."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro

from tests.truth.kafka import HEADER

EDGES = (b"\x00", b"\x01", b"\x02", b"\x7f", b"\x80", b"\xff", b".", b"-", b"0", b"b", b"s", b"X", b"/")
LENGTHS_THAT_LIE = (b"\xff" * 9 + b"\x01", b"\xfe\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", b"\x01", b"\xff" * 12)
"""Varints: -2^63, 2^31 - 1, 2^63 in ten bytes, -1, and one that never ends."""
NUMBERS = (
    "NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "1e400",
    "1e-400",
    "1E5",
    "0",
    "-0",
    "00",
    "-1",
    "+1",
    ".5",
    "5.",
    "1.",
    " 1",
    "1 ",
    "1_000",
    "1,5",
    "\u0663",
    "9" * 40,
    "0." + "0" * 39 + "1",
    "9999999999.99999999",
    "10000000000",
    "0.000000001",
    "0.000000010",
    "1" * 5000,
    "0x10",
    "",
    "-",
    "\x00",
    "\uff11",
)
YEARS_US = (
    -62_135_596_800_000_000,
    253_402_300_799_999_999,
    946_684_799_999_999,
    946_684_800_000_000,
    4_102_444_800_000_000,
    -1,
    0,
    2**62,
    -(2**63),
)
"""The first and the last microsecond of the calendar, the edges of what is allowed, and the edges of the number."""
TEXTS = (
    "",
    " ",
    "\x00",
    "é",
    "🙂",
    "\u202e",
    "A" * 300,
    "BTC USDT",
    "btcusdt",
    "BTC/USD/EUR",
    "/",
    "XBT/",
    "/USD",
    "USDT",
    "|",
    "'; DROP TABLE x; --",
    "\n",
)
SIDES = ("", "B", "S", "buy", "bs", "\x00", "\uff42")
LARGE = 200_000


@dataclass(frozen=True)
class Source:
    """One exchange's messages: a good record, what else its writers add to it, and their schemas by id."""

    record: Mapping[str, Any]
    extra: Mapping[str, Any]
    writers: Mapping[int, Any]

    def encode(self, schema_id: int, record: Mapping[str, Any]) -> bytes:
        body = BytesIO()
        fastavro.schemaless_writer(body, self.writers[schema_id], {**record, **self.extra})
        return HEADER.pack(0, schema_id) + body.getvalue()


def mutations(seed: object, count: int, source: Source) -> Iterator[bytes | None]:
    """So many messages; one in twenty is good, and no two runs of a seed differ."""
    chance = random.Random(str(seed))
    ids = sorted(source.writers)
    good = [source.encode(schema_id, source.record) for schema_id in ids]
    for _ in range(count):
        which = chance.random()
        if which < 0.05:
            yield chance.choice(good)
        elif which < 0.06:
            yield chance.choice((None, b"", b"\x00", chance.randbytes(4), HEADER.pack(0, ids[0])))
        elif which < 0.40:
            yield source.encode(chance.choice(ids), _odd(chance, source.record))
        else:
            yield _broken(chance, chance.choice(good), good)


def _odd(chance: random.Random, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with one to three fields at an edge: what a schema can hold and a trade cannot, or just can."""
    odd = dict(record)
    for name in chance.sample(sorted(odd), chance.randint(1, 3)):
        value = odd[name]
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int):
            edge = chance.choice(YEARS_US)
            odd[name] = chance.choice((edge, edge // 1000, value + chance.randint(-(10**9), 10**9)))
            if name == "occurrence":
                odd[name] = chance.choice((0, 1, -1, 2**31 - 1, -(2**31)))
            odd[name] = max(-(2**63), min(2**63 - 1, odd[name]))
        elif name in ("price", "quantity", "volume", "timestamp"):
            odd[name] = chance.choice(NUMBERS)
        elif name == "side":
            odd[name] = chance.choice(SIDES)
        else:
            odd[name] = chance.choice(TEXTS)
    return odd


def _broken(chance: random.Random, message: bytes, good: list[bytes]) -> bytes:
    """A good message after one to four accidents."""
    raw = bytearray(message)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(raw))
        match chance.randrange(9):
            case 0:
                raw[at] ^= 1 << chance.randrange(8)
            case 1:
                raw[at : at + 1] = chance.choice(EDGES)
            case 2:
                del raw[at : at + chance.randint(1, 3)]
            case 3:
                raw[at:at] = chance.randbytes(chance.randint(1, 3))
            case 4:
                raw[at:] = chance.choice(good)[at:]
            case 5:
                raw[at : at + 1] = chance.choice(LENGTHS_THAT_LIE)
            case 6:
                raw[1:5] = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", chance.randbytes(4)))
            case 7:
                del raw[at:]
            case _:
                raw += chance.choice((b"\x00", chance.randbytes(8), bytes(chance.randrange(LARGE)) if chance.random() < 0.01 else b"x"))
        raw = raw or bytearray(b"\x00")
    return bytes(raw)
