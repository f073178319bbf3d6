from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from eecompile.exits.fronts import front_archive
from eecompile.exits.fronts.front_archive import FrontArchive, FrontSpot
from eecompile.exits.fronts.pareto import nondominated


def spots_of(start: int, places: np.ndarray) -> Callable[[int], FrontSpot]:
    return lambda number: FrontSpot((start,), 1, (int(places[number]),))


@pytest.mark.parametrize("most", [100_000, 20], ids=["at the end", "on the way"])
def test_nothing_of_the_front_is_lost(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(front_archive, "_MOST_POINTS", most)
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, 30, 600), 8 * rng.random(600), rng.random(600)]
    points = np.round(np.stack(columns, axis=1), 2).astype(np.float64)
    archive = FrontArchive([np.arange(31.0), np.linspace(1, 5, 4)])
    refused = 0
    for start in range(0, 600, 4):
        some = points[start : start + 4]
        open_ = archive.is_open(some)
        refused += int((~open_).sum())
        if open_.any():
            archive.add(some[open_], spots_of(start, np.flatnonzero(open_)))
    values, spots = archive.front()
    np.testing.assert_array_equal(values, points[nondominated(points)])
    assert [points[spot.kept[0] + spot.ranks[0]].tolist() for spot in spots] == values.tolist()
    assert {spot.final for spot in spots} == {1}
    assert refused > 300


def test_only_what_something_known_is_better_than_is_closed() -> None:
    archive = FrontArchive([np.array([1.0, 2.0, 3.0])])
    archive.add(np.array([[1.5, 4.0]]), spots_of(0, np.array([7])))
    archive.add(np.array([[9.0, 0.1]]), spots_of(1, np.array([8])))  # behind all levels: not on the screen
    asked = np.array([[2.0, 5.0], [2.0, 3.9], [1.9, 5.0], [0.5, 5.0], [99.0, 4.1]])
    assert archive.is_open(asked).tolist() == [False, True, True, True, False]
    assert archive.front()[1] == (FrontSpot((0,), 1, (7,)), FrontSpot((1,), 1, (8,)))


def test_an_empty_archive_has_no_front() -> None:
    values, spots = FrontArchive([np.arange(3.0), np.arange(2.0)]).front()
    assert values.shape == (0, 3) and spots == ()
