from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from targets.network.layer import Operand
from targets.schedule.regions import Extent, Region, extent_of


@st.composite
def regions(draw: st.DrawFn) -> Region:
    c0, y0 = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    return Region(c0, c0 + draw(st.integers(1, 4)), y0, y0 + draw(st.integers(1, 4)))


def cells(region: Region | None) -> set[tuple[int, int]]:
    if region is None:
        return set()
    return set(itertools.product(range(region.c0, region.c1), range(region.y0, region.y1)))


@given(regions(), regions())
def test_regions_are_sets_of_cells(a: Region, b: Region) -> None:
    assert cells(a.meet(b)) == cells(a) & cells(b)
    assert a.within(b) == (cells(a) <= cells(b))
    assert a.cells == len(cells(a))


def test_parts_are_padded_to_whole_words() -> None:
    extent = Extent(channels=3, rows=5, inner=7, bits=8, word_bits=32)
    assert extent.bits_of(extent.whole) == 27 * 32, "105 bytes are 27 words of 4"
    assert extent.bits_of(Region(0, 1, 0, 1)) == 2 * 32
    assert extent.bits_of(Region(0, 1, 0, 4)) == 28 * 8, "28 bytes are whole words"


def test_bits_count_what_lies_in_each_cell() -> None:
    extent = extent_of(Operand("image", (1, 3, 5, 7), 8))
    assert extent == Extent(3, 5, 7, 8)
    assert extent.bits_of(Region(0, 2, 1, 4)) == 2 * 3 * 7 * 8
    assert extent.bits_of(extent.whole) == 3 * 5 * 7 * 8


def test_tensors_that_are_no_images() -> None:
    assert extent_of(Operand("logits", (1, 10), 32)) == Extent(10, 1, 1, 32)
    assert extent_of(Operand("audio", (1, 4, 100), 8)) == Extent(4, 1, 100, 8), "one row of each channel"
    assert extent_of(Operand("matrix", (12, 64), 8)) == Extent(64, 12, 1, 8), "rows of a matrix"
    assert extent_of(Operand("batch", (2, 3, 4, 4), 8)) == Extent(1, 1, 96, 8), "several images are one part"
    assert extent_of(Operand("confidence", (1,), 8)) == Extent(1, 1, 1, 8)
