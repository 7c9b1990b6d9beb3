"""Holes in numbers, filled piece by piece."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from tradelake.backfill.report import Gap
from tradelake.feed.gaps import Hole


def without(holes: Iterable[Hole], numbers: Iterable[int]) -> list[Hole]:
    """What is left of holes when these numbers are there."""
    there = sorted(set(numbers))
    return [part for hole in holes for part in _parts(hole, there[bisect_left(there, hole.first) : bisect_right(there, hole.last)])]


def _parts(hole: Hole, there: Sequence[int]) -> Iterator[Hole]:
    edges = [hole.first - 1, *there, hole.last + 1]
    return (Hole(before + 1, after - 1) for before, after in pairwise(edges) if after > before + 1)


def batches(gaps: Sequence[Gap], page: int) -> list[list[Gap]]:
    """Gaps of one symbol, in their order, by what one answer can hold: a large one alone, small ones that lie together in one."""
    made: list[list[Gap]] = []
    for gap in sorted(gaps, key=lambda gap: gap.first):
        if made and gap.last - made[-1][0].first < page:
            made[-1].append(gap)
        else:
            made.append([gap])
    return made


def requests(gaps: Sequence[Gap], page: int) -> int:
    """How many answers that takes, when each is full."""
    return sum(-(-(batch[-1].last - batch[0].first + 1) // page) for batch in batches(gaps, page))
