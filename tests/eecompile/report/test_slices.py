"""Slices of a track: what is joined, what is kept apart, and what they say."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile.report.slices import Slice, joined


def piece(start: float, end: float, name: str = "conv", css: str = "c0", **more: object) -> Slice:
    return Slice(start, end, (name,), {"compute": end - start}, css, **more)  # type: ignore[arg-type]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30), st.sampled_from("xyz")), max_size=40),
    st.floats(0.1, 20),
)
def test_joining_keeps_all_cycles_and_leaves_few_bars(
    items: list[tuple[int, int, str]], pixel: float
) -> None:
    slices, cycle = [], 0
    for gap, length, name in items:
        cycle += gap
        slices.append(Slice(cycle, cycle + length, (name,), {"compute": length}, "c0"))
        cycle += length
    found = joined(slices, pixel)
    assert sum(sum(s.spent.values()) for s in found) == sum(length for _, length, _ in items)
    assert sum(s.count for s in found) == len(items)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert len(found) <= 2 * cycle / pixel + 1, "no more than two per pixel"


@pytest.mark.parametrize(
    ("before", "after", "one"),
    [
        (piece(0, 50), piece(50, 99), True),
        (piece(0, 50), piece(59.9, 99), True),
        (piece(0, 50), piece(60, 99), False),  # a gap of a pixel is seen
        (piece(0, 50), piece(50, 99, css="c1"), False),  # the same layer, of another look
        (piece(0, 50), piece(50, 79, css="c1"), True),  # … but narrower than three pixels
        (piece(0, 50), piece(50, 80, css="c1"), False),
        (piece(0, 29), piece(29, 99, css="c1"), True),
        (piece(0, 50), piece(50, 53, "relu"), False),  # another layer, next to one that is seen
        (piece(0, 5), piece(5, 9.9, "relu"), True),  # both within a pixel
        (piece(0, 5), piece(5, 10, "relu"), False),
    ],
)
def test_slices_are_joined_where_they_cannot_be_told_apart(before: Slice, after: Slice, one: bool) -> None:
    """A pixel is ten cycles."""
    found = joined([before, after], 10)
    if one:
        (whole,) = found
        assert (whole.start, whole.end) == (before.start, after.end)
    else:
        assert found == [before, after]


def test_what_is_joined_adds_up_and_looks_like_what_takes_longest() -> None:
    first = Slice(0, 4, ("a",), {"load": 3.0, "compute": 1.0}, "c0", 2, 10.0, 5.0, "tile 1/2")
    second = Slice(4, 9, ("b",), {"compute": 5.0}, "c1", 1, 1.0, 2.0, "tile 1/2")
    third = Slice(9, 9.5, ("a",), {"stall": 0.5}, "c2", 1, 0.0, 0.0, "tile 2/2")
    (two,) = joined([first, second], 10)
    assert two == Slice(0, 9, ("a", "b"), {"load": 3, "compute": 6}, "c1", 3, 11, 7, "tile 1/2")
    (three,) = joined([first, second, third], 10)
    assert three == Slice(0, 9.5, ("a", "b"), {"load": 3, "compute": 6, "stall": 0.5}, "c1", 4, 11, 7, ""), (
        "what is not true of all is not said"
    )


@pytest.mark.parametrize(
    ("item", "label"),
    [
        (piece(0, 1500), "conv; cycles 0 to 1,500; compute 1,500"),
        (
            Slice(2, 7, ("x",), {"transfer": 5.0}, "c0", 1, 2000.0, 3e6, "for conv, from dram to l1"),
            "x; for conv, from dram to l1; cycles 2 to 7; transfer 5; 1.95 KiB; 3.00 µJ",
        ),
        (
            Slice(0, 9, tuple("abcd"), {"compute": 8.0, "stall": 1.0}, "c0", 4),
            "a, b, c, d; 4 slices; cycles 0 to 9; compute 8, stall 1",
        ),
        (
            Slice(0, 9, tuple("abcdef"), {"load": 9.0}, "c0", 6),
            "a, b, c, d and 2 more; 6 slices; cycles 0 to 9; load 9",
        ),
    ],
)
def test_a_slice_says_what_it_knows(item: Slice, label: str) -> None:
    assert item.label == label


def test_a_long_name_is_shortened() -> None:
    first, _, _ = piece(0, 1, "block/" * 20 + "conv").label.partition(";")
    assert len(first) == 48 and first.endswith("block/conv")
