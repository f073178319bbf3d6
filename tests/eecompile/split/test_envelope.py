"""The lower envelope is what looking at all lines gives; all of its lines are found."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile.split.envelope import EnvelopePiece, best_lines, lower_envelope, value


@dataclass(frozen=True)
class Straight:
    fixed: float
    slope: float


LINES = st.lists(
    st.builds(Straight, st.integers(0, 50).map(float), st.integers(0, 50).map(float)), min_size=1, max_size=12
)


@given(LINES, st.floats(0, 1e3))
def test_at_any_point_the_lowest_line_is_that_of_its_piece(lines: list[Straight], x: float) -> None:
    pieces = lower_envelope(lines)
    assert pieces[0].low == 0 and pieces[-1].high == math.inf
    assert all(one.high == other.low for one, other in itertools.pairwise(pieces))
    assert len({piece.number for piece in pieces}) == len(pieces)
    piece = next(piece for piece in pieces if piece.low <= x <= piece.high)
    least = min(value(line, x) for line in lines)
    assert value(lines[piece.number], x) == pytest.approx(least, rel=1e-9, abs=1e-9)


@given(LINES)
def test_all_lines_of_the_envelope_are_found_by_asking_at_points(lines: list[Straight]) -> None:
    asked = []

    def solve(x: float) -> Straight:
        asked.append(x)
        return min(lines, key=lambda line: (value(line, x), line.slope))

    found = best_lines(solve, 0.0, 100.0)
    pieces = lower_envelope(lines, 0.0, 100.0)
    for piece in pieces:
        middle = (piece.low + piece.high) / 2
        least = min(value(line, middle) for line in found)
        assert least == pytest.approx(value(lines[piece.number], middle), rel=1e-6, abs=1e-6)
    assert len(asked) <= 2 * len(pieces) + 2


def test_ties_go_to_the_first_and_a_point_has_one_piece() -> None:
    same = [Straight(1.0, 1.0), Straight(1.0, 1.0)]
    assert [piece.number for piece in lower_envelope(same)] == [0]
    crossing = [Straight(0.0, 2.0), Straight(4.0, 0.0)]
    assert lower_envelope(crossing) == [EnvelopePiece(0, 0.0, 2.0), EnvelopePiece(1, 2.0, math.inf)]
    assert lower_envelope(crossing, 3.0, 3.0) == [EnvelopePiece(1, 3.0, 3.0)]
    assert best_lines(lambda _: crossing[0], 1.0, 1.0) == [crossing[0]]
