"""Holes in numbers that have none: a trade that the exchange made and we did not see."""

from collections.abc import Iterator
from typing import NamedTuple

REMEMBERED = 1_000
"""Holes of a symbol that may still be filled; older ones are given up."""


class Hole(NamedTuple):
    """Numbers that are missing, both ends among them."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


class Gaps:
    """The holes of each symbol. The first number that is seen of a symbol is its beginning."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._holes: dict[str, list[Hole]] = {}
        self.missing = 0

    def see(self, symbol: str, number: int) -> Hole | None:
        """Note a trade; the hole that it shows before itself, if it does."""
        newest = self._newest.setdefault(symbol, number)
        if number <= newest:
            self._fill(symbol, number)
            return None
        self._newest[symbol] = number
        if number == newest + 1:
            return None
        hole = Hole(newest + 1, number - 1)
        self._holes[symbol] = [*self._holes.get(symbol, []), hole][-REMEMBERED:]
        self.missing += hole.size
        return hole

    def __iter__(self) -> Iterator[tuple[str, Hole]]:
        """What is still missing."""
        return ((symbol, hole) for symbol, holes in self._holes.items() for hole in holes)

    def _fill(self, symbol: str, number: int) -> None:
        holes = self._holes.get(symbol, [])
        for at, hole in enumerate(holes):
            if hole.first <= number <= hole.last:
                left = (Hole(hole.first, number - 1), Hole(number + 1, hole.last))
                holes[at : at + 1] = [part for part in left if part.size]
                self.missing -= 1
                return
