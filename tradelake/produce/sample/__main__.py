"""Makes the sample again from its recordings: `python -m tradelake.produce.sample FILE...`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

from tradelake.produce import KEY_FIELD, frames
from udfs.exchange import MODULES

FIRST = {"binance": {"BTCUSDT": 5_000, "ETHUSDT": 3_000}}
"""How many trades of a symbol are taken; an exchange without an entry is taken whole."""


@click.command()
@click.argument("recordings", nargs=-1, required=True, metavar="FILE...", type=click.Path(exists=True, dir_okay=False))
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), default=Path(__file__).parent, help="Folder to write to.")
def make(recordings: Sequence[str], into: Path) -> None:
    """Write the sample of each exchange that the recordings hold trades of."""
    for exchange in MODULES:
        records = sorted(taken(exchange, recordings), key=itemgetter("ingestion_timestamp"))
        if records:
            pq.write_table(pa.Table.from_pylist(records), into / f"{exchange}.parquet", compression="zstd", compression_level=19)
            click.echo(f"{exchange}: {len(records)} trades")


def taken(exchange: str, recordings: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The records of the sample, recording after recording."""
    limits, seen = FIRST.get(exchange), Counter[str]()
    for recording in recordings:
        for frame in frames.read(recording):
            if isinstance(frame, frames.Unreadable):
                raise click.ClickException(str(frame))
            for record in MODULES[exchange].records(frame.content, frame.received_us):
                symbol = record[KEY_FIELD[exchange]]
                seen[symbol] += 1
                if limits is None or seen[symbol] <= limits.get(symbol, 0):
                    yield record


if __name__ == "__main__":
    make()
