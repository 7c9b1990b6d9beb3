"""What the lake has of an exchange's trades."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import duckdb

import sql
from conf.settings import Settings
from tradelake.audit.pins import silver
from tradelake.console import Failure
from tradelake.feed.gaps import Hole
from tradelake.home import Home
from tradelake.lake import connect, lake_failures
from tradelake.latency import moment
from tradelake.query import message, spill_folder
from udfs.kraken import split_pair


class Lake:
    """Silver of one exchange: it has a trade before gold has it. Answers what the tables hold at each question."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, exchange: str, settings: Settings | None = None) -> None:
        self._connection, self._table, self._settings = connection, silver(exchange), settings

    def gaps(self, symbols: Iterable[str] | None, since: datetime | None) -> list[tuple[str, Hole]]:
        """The holes in the numbers of all symbols, or of these, by symbol and number.

        Args:
            since: only those before a trade that came to silver since.
        """
        rows = self._ask("gaps", since=moment(since))
        wanted = None if symbols is None else set(symbols)
        return [(symbol, Hole(first, last)) for symbol, first, last in rows if wanted is None or symbol in wanted]

    def holes(self, symbol: str, wanted: Hole) -> list[Hole]:
        """Those of these numbers that are not there."""
        return [Hole(first, last) for first, last in self._ask("holes", symbol=symbol, first=wanted.first, last=wanted.last)]

    def held(self, pair: str, numbers: Iterable[int]) -> set[int]:
        """Those of these numbers that are there of a pair, by its very name."""
        among = sorted(numbers)
        if not among:
            return set()
        rows = self._ask("held", symbol=split_pair(pair)[0], pair=pair, first=among[0], last=among[-1])
        return {number for (number,) in rows}.intersection(among)

    def _ask(self, name: str, **parameters: str | int) -> list[tuple[Any, ...]]:
        text = sql.text(f"backfill/{name}", silver=self._table, **parameters)
        try:
            if self._settings is None:
                return self._connection.execute(text).fetchall()
            with lake_failures(self._settings.environment):
                return self._connection.execute(text).fetchall()
        except duckdb.Error as error:
            raise Failure(message(error)) from error


@contextmanager
def opened(home: Home, settings: Settings, exchange: str) -> Iterator[Lake]:
    """The lake of a home's environment.

    Raises:
        Failure: it cannot be read.
    """
    with connect(settings, spill_folder(home)) as connection:
        yield Lake(connection, exchange, settings)
