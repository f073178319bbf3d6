"""Rows of memories: which there are, what they say and the outline of what lies there."""

from __future__ import annotations

import pytest

from eecompile.report.charts import Scale
from eecompile.report.memory_rows import MemoryRow, memory_rows
from eecompile.report.schedule_facts import StoreFacts


def row(steps: list[tuple[float, float]], peak: int, capacity: int | None, x: Scale) -> MemoryRow:
    """Return the one row of a memory that is drawn from pixel 0 down."""
    store = StoreFacts(name="s", capacity_bits=capacity, peaks_bits=(peak,))
    (found,) = memory_rows({"s": steps}, [store], 0, x, 0.0)
    return found


@pytest.mark.parametrize(("peak", "line"), [(39, None), (40, 3.0), (100, 3.0)])
def test_a_capacity_is_drawn_where_it_is_near(peak: int, line: float | None) -> None:
    found = row([(0, peak), (5, 0)], peak, 100, Scale(0, 10, 0, 100))
    assert found.capacity_y == line
    top = 3.0 if line is None else round(36 - 33 * peak / 100, 1)
    assert found.points == f"0,36.0 0.0,36.0 0.0,{top} 50.0,{top} 50.0,36.0 100,36.0 100,36.0"


def test_of_levels_within_half_a_pixel_the_highest_is_drawn() -> None:
    steps: list[tuple[float, float]] = [(0, 1), (100, 9), (101, 2), (102, 5)]
    found = row(steps, 9, None, Scale(0, 10000, 0, 100))
    heights = {float(point.split(",")[1]) for point in found.points.split()}
    assert Scale(0, 9, found.bottom, found.y + 3)(9) in heights, "the peak"
    assert Scale(0, 9, found.bottom, found.y + 3)(5) in heights, "what is left behind it"
    assert Scale(0, 9, found.bottom, found.y + 3)(2) not in heights, "what is not seen"


def test_rows_of_the_path_lie_one_below_the_other_without_gaps_for_empty_memories() -> None:
    stores = [
        StoreFacts(name=name, capacity_bits=None, peaks_bits=peaks)
        for name, peaks in (("a", (8, 16)), ("late", (0, 8)), ("unseen", (8, 8)), ("b", (8, 8)))
    ]
    levels = {name: [(0.0, 8.0)] for name in ("a", "late", "b")}
    for path, names in ((0, ["a", "b"]), (1, ["a", "late", "b"])):
        rows = memory_rows(levels, stores, path, Scale(0, 10, 0, 100), 50.0)
        assert [found.name for found in rows] == names
        assert [(found.y, found.bottom) for found in rows] == [
            (50 + 46 * k, 86 + 46 * k) for k in range(len(names))
        ]
    assert rows[0].peak == "2 B, no limit", "the peak is that of the path"


@pytest.mark.parametrize(
    ("peak", "capacity", "words"), [(8192, 12288, "1 KiB of 1.50 KiB"), (8000, None, "1,000 B, no limit")]
)
def test_peak_and_capacity_are_told_in_bytes(peak: int, capacity: int | None, words: str) -> None:
    found = row([(0, peak)], peak, capacity, Scale(0, 10, 0, 100))
    assert (found.peak, found.label) == (words, f"s: peak {words}")


def test_the_outline_goes_up_and_down_with_the_level_and_ends_with_the_picture() -> None:
    # Ten pixels per cycle; the level lies between pixels 36 (nothing) and 3 (the peak of 4 bits).
    found = row([(0, 2), (3, 4), (5, 1), (10, 4), (12, 0)], 4, None, Scale(0, 10, 20, 120))
    assert found.points == (
        "20,36.0 20.0,36.0 20.0,19.5 50.0,19.5 50.0,3.0 70.0,3.0 70.0,27.8 120,27.8 120,36.0"
    ), "steps at the end of the picture and behind it are not in it"
