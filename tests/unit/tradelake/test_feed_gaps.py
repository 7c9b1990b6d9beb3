"""Holes in dense numbers, whatever order they come in."""

from hypothesis import given
from hypothesis import strategies as st

from tradelake.feed.gaps import REMEMBERED, Gaps, Hole


def seen(*numbers: int, symbol: str = "A") -> tuple[Gaps, list[Hole | None]]:
    gaps = Gaps()
    return gaps, [gaps.see(symbol, number) for number in numbers]


def test_the_first_number_of_a_symbol_is_its_beginning():
    gaps = Gaps()
    assert [gaps.see("A", 500), gaps.see("B", 7), gaps.see("A", 501), gaps.see("B", 8)] == [None] * 4
    assert gaps.missing == 0


def test_a_hole_is_told_with_both_ends():
    gaps, holes = seen(5, 9, 10, 12)
    assert holes == [None, Hole(6, 8), None, Hole(11, 11)]
    assert [hole.size for hole in (Hole(6, 8), Hole(11, 11))] == [3, 1]
    assert (list(gaps), gaps.missing) == ([("A", Hole(6, 8)), ("A", Hole(11, 11))], 4)


def test_what_comes_late_fills_its_place_and_repeats_change_nothing():
    gaps, holes = seen(5, 10, 7, 7, 5, 10, 3)
    assert holes == [None, Hole(6, 9), None, None, None, None, None]
    assert (list(gaps), gaps.missing) == ([("A", Hole(6, 6)), ("A", Hole(8, 9))], 3)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_missing_is_what_lies_above_the_first_and_was_not_seen(numbers):
    gaps, _ = seen(*numbers)
    absent = set(range(numbers[0], max(numbers))) - set(numbers)
    assert gaps.missing == len(absent)
    assert {n for _, hole in gaps for n in range(hole.first, hole.last + 1)} == absent


def test_holes_without_end_are_not_kept_without_end():
    gaps, _ = seen(*range(0, 4 * REMEMBERED, 2))
    assert len(list(gaps)) == REMEMBERED
    assert gaps.missing == 2 * REMEMBERED - 1
