"""Positions in a batch of Avro records: one pass of numpy a field over all rows, no Python a row.

A row that cannot be read with certainty here (a text that is not ASCII, a number of more than eight bytes) is left to the exact
decoder: `ok` is False there, and what was read of it is anything.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Longs = NDArray[np.int64]
Span = tuple[Longs, Longs]
"""Start and length of a text in each row."""

U = np.uint64
CONTINUES, PAYLOAD = U(0x8080808080808080), U(0x7F7F7F7F7F7F7F7F)
FOLDS = (
    (U(0x007F007F007F007F), U(0x7F007F007F007F00), U(1)),
    (U(0x00003FFF00003FFF), U(0x3FFF00003FFF0000), U(2)),
    (U(0x000000000FFFFFFF), U(0x0FFFFFFF00000000), U(4)),
)
"""Seven-bit groups closed up to 14, 28 and 56 bits."""
PAD = 16
INT32 = np.iinfo(np.int32)


class Cursor:
    """The bytes of all rows in one padded buffer, a little-endian word readable at every byte, and a position a row.

    Args:
        rows: a pyarrow binary array without nulls, possibly a slice.
        skip: bytes of each row to leave out.
    """

    def __init__(self, rows: pa.BinaryArray, skip: int) -> None:
        _, offsets, content = rows.buffers()
        bounds = np.frombuffer(offsets, np.int32)[rows.offset : rows.offset + len(rows) + 1].astype(np.int64)
        low, high = int(bounds[0]), int(bounds[-1])
        self.data = np.zeros(high - low + 2 * PAD, np.uint8)
        if high > low:
            self.data[PAD : PAD + high - low] = np.frombuffer(content, np.uint8)[low:high]
        self.words: NDArray[np.uint64] = np.ndarray((len(self.data) - 8,), "<u8", self.data, strides=(1,))
        self.at, self.end = bounds[:-1] - low + PAD + skip, bounds[1:] - low + PAD
        self.ok: Bools = self.at <= self.end

    def long(self, where: Bools) -> Longs:
        """Zigzag varints of at most eight bytes."""
        word = self.words[np.minimum(self.at, len(self.words) - 1)]
        stops = ~word & CONTINUES
        below = (stops & (~stops + U(1))) - U(1)
        word = word & below & PAYLOAD
        for even, odd, shift in FOLDS:
            word = (word & even) | ((word & odd) >> shift)
        self.ok &= (stops != 0) | ~where
        self.at = self.at + np.where(where, (np.bitwise_count(below).astype(np.int64) + 1) >> 3, 0)
        value: Longs = ((word >> U(1)) ^ (~(word & U(1)) + U(1))).view(np.int64)
        return value

    def short(self, where: Bools) -> Longs:
        value = self.long(where)
        self.ok &= ((value >= INT32.min) & (value <= INT32.max)) | ~where
        return value

    def boolean(self, where: Bools) -> Bools:
        value = self._byte()
        self.ok &= (value <= 1) | ~where
        self.at = self.at + where
        return np.equal(value, 1)

    def span(self, where: Bools) -> Span:
        length = np.where(where, self.long(where), 0)
        self.ok &= (length >= 0) & (length <= self.end - self.at)
        length = np.where(self.ok, length, 0)
        start, self.at = self.at, self.at + length
        return start, length

    def choice(self, choices: int, where: Bools) -> None:
        value = self.long(where)
        self.ok &= ((value >= 0) & (value < choices)) | ~where

    def skip(self, width: int, where: Bools) -> None:
        self.at = self.at + np.where(where, width, 0)

    def null(self, branch: int) -> Bools:
        """Which rows take the null branch of a union of two."""
        taken = self._byte()
        self.ok &= (taken == 0) | (taken == 2)
        self.at = self.at + 1
        return np.equal(taken, 2 * branch)

    def texts(self, span: Span) -> pa.StringArray:
        """The texts of the spans; rows that are not `ok` are empty, and rows that are not ASCII are not `ok`."""
        start, length = span[0], np.where(self.ok, span[1], 0)
        offsets = np.zeros(len(length) + 1, np.int32)
        np.cumsum(length, out=offsets[1:])
        chars = self.data[np.repeat(start - offsets[:-1], length) + np.arange(offsets[-1])]
        foreign = chars > 127
        if foreign.any():
            self.ok[np.repeat(np.arange(len(length)), length)[foreign]] = False
            return self.texts(span)
        return pa.Array.from_buffers(pa.string(), len(length), [None, pa.py_buffer(offsets), pa.py_buffer(chars)])

    def _byte(self) -> NDArray[np.uint8]:
        value: NDArray[np.uint8] = self.data[np.minimum(self.at, len(self.data) - 1)]
        return value
