"""`make fuzz`: broken messages through the pure code, as many as you like.

Each must be a trade that every table can hold, or one reason of the contract; the batch path must say the same as the judge, or leave it
to the judge; and a thousand of them may not take more of Python's memory than a small multiple of their size.
"""

import argparse
import secrets
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pyarrow as pa

from tests.fuzz.mutations import Source, mutations
from tests.unit.udfs.strategies import DECODERS, EXTRA, JUDGES, PARSED, SAMPLES, WRITERS_OF, as_batch_row
from tests.unit.udfs.test_judge import assert_storable
from udfs.rejected import Rejected

SOURCES = {name: Source(SAMPLES[name], EXTRA, {schema_id: PARSED[schema_id] for schema_id in WRITERS_OF[name]}) for name in SAMPLES}
AT_ONCE = 1000
BYTES_FREE, TIMES_ITS_SIZE = 1_000_000, 8
"""What a thousand messages may take: this much, and so many times their own bytes."""


def checked(exchange: str, messages: list[bytes | None]) -> Counter[str]:
    """What became of each; AssertionError where it is not what it must be."""
    outcomes: Counter[str] = Counter()
    accepted = DECODERS[exchange].decode(pa.array(messages, pa.binary())).to_pylist()
    for raw, row in zip(messages, accepted, strict=True):
        try:
            judged = JUDGES[exchange].judge(raw, 0)
        except Rejected as why:
            outcomes[f"{why.error_type}/{why.error_reason}"] += 1
            assert row is None, f"the batch path takes what the judge rejects: {raw!r}"
        else:
            outcomes["valid" if row is not None else "valid, left to the judge"] += 1
            assert_storable(judged.trade)
            assert row is None or row == as_batch_row(judged.trade, judged.schema_id), f"the two paths differ: {raw!r}"
    return outcomes


def thousands(exchange: str, seed: object, count: int) -> Iterator[list[bytes | None]]:
    messages = mutations(seed, count, SOURCES[exchange])
    while some := list(islice(messages, AT_ONCE)):
        yield some


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=100_000, help="messages of each exchange (default: %(default)s)")
    options.add_argument(
        "--seed", default=secrets.token_hex(4), help="the same seed gives the same messages (default: another one each time)"
    )
    given = options.parse_args()
    print(f"seed {given.seed}")
    for exchange in SOURCES:
        checked(exchange, [None])  # what is loaded once is no message's
        started, outcomes, size, worst = time.monotonic(), Counter[str](), 0, 0
        for messages in thousands(exchange, given.seed, given.count):
            before = sum(len(raw or b"") for raw in messages)
            tracemalloc.start()
            outcomes += checked(exchange, messages)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < BYTES_FREE + TIMES_ITS_SIZE * before, f"{peak:,} bytes for {before:,}"
            size, worst = size + before, max(worst, peak)
        took = time.monotonic() - started
        print(f"{exchange}: {given.count:,} messages of {size:,} bytes in {took:.1f} s; {AT_ONCE:,} of them took {worst:,} bytes at most")
        for outcome, times in outcomes.most_common():
            print(f"  {times:>9,}  {outcome}")


if __name__ == "__main__":
    main()
