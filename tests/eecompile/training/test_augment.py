"""What is done to images before they are learnt from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eecompile.data.dataset import Split
from eecompile.training.augment import Augmentation, minds_no_mirror, nearest_answers
from eecompile.training.recipe import JointRecipe

Array = NDArray[Any]
SIZE = 16
STILL: dict[str, Any] = {"shift": 0.0, "mirror": "no", "cutout": 0.0}


def stored(order: str, count: int = 60) -> Array:
    """Return images whose every pixel has a value of its own within the image."""
    x = np.arange(3 * SIZE * SIZE, dtype=np.float32).reshape(3, SIZE, SIZE)
    x = np.stack([x + 1000 * n for n in range(count)])
    return x if order == "NCHW" else x.transpose(0, 2, 3, 1)


def first(x: Array, order: str) -> Array:
    return x if order == "NCHW" else x.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_images_are_moved_by_up_to_an_eighth_all_channels_alike(order: str) -> None:
    x = stored(order)
    before = x.copy()
    moved = Augmentation(0.125, False, 0.0).apply(x, np.random.default_rng(0))
    assert moved.shape == x.shape and np.array_equal(x, before)
    seen = set()
    for old, new in zip(first(x, order), first(moved, order), strict=True):
        places = np.argwhere(old[0] == new[0, 8, 8])
        assert len(places) == 1
        dy, dx = places[0] - 8
        rows, columns = (np.clip(np.arange(SIZE) + d, 0, SIZE - 1) for d in (dy, dx))
        assert np.array_equal(new, old[:, rows][:, :, columns]), "the edge is repeated"
        seen.add((int(dy), int(dx)))
    assert {d for pair in seen for d in pair} == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_half_of_the_images_are_mirrored_left_to_right(order: str) -> None:
    x = stored(order)
    turned = [
        bool(np.array_equal(new, old[:, :, ::-1])) or (np.array_equal(new, old) and None)
        for old, new in zip(
            first(x, order),
            first(Augmentation(0.0, True, 0.0).apply(x, np.random.default_rng(0)), order),
            strict=True,
        )
    ]
    assert turned.count(True) + turned.count(None) == len(x) and 15 < turned.count(True) < 45


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_a_square_is_blanked_with_the_mean_of_the_images(order: str) -> None:
    x = stored(order) + 1
    recipe = JointRecipe(**{**STILL, "cutout": 0.25, "border": "mean"})
    made = Augmentation.of(recipe, Split(x, np.zeros(len(x), np.int64)), lambda images: images)
    changed = first(made.apply(x, np.random.default_rng(0)), order)
    mean = first(x, order).mean(axis=(0, 2, 3))
    sizes = set()
    for old, new in zip(first(x, order), changed, strict=True):
        blank = (old != new).any(axis=0)
        rows, columns = np.flatnonzero(blank.any(axis=1)), np.flatnonzero(blank.any(axis=0))
        assert blank[np.ix_(rows, columns)].all() and np.count_nonzero(blank) == len(rows) * len(columns)
        np.testing.assert_allclose(
            new[:, blank], np.broadcast_to(mean[:, None], new[:, blank].shape), rtol=1e-4
        )
        sizes.add((len(rows), len(columns)))
    assert max(sizes) == (4, 4) and all(max(size) <= 4 for size in sizes)


def test_what_comes_in_is_the_mean_where_that_is_asked_for() -> None:
    x = stored("NCHW")
    recipe = JointRecipe(**{**STILL, "shift": 0.125, "border": "mean"})
    made = Augmentation.of(recipe, Split(x, np.zeros(len(x), np.int64)), lambda images: images)
    moved = made.apply(x, np.random.default_rng(0))
    new = ~np.isin(moved, x)
    mean = np.broadcast_to(x.mean(axis=(0, 2, 3))[:, None, None], moved[0].shape)
    assert new.any()
    np.testing.assert_allclose(moved[new], np.broadcast_to(mean, moved.shape)[new], rtol=1e-4)


def test_signals_and_vectors_stay_as_they_are() -> None:
    for shape in ((5, 2, 12), (5, 7)):
        x = np.random.default_rng(0).normal(size=shape)
        made = Augmentation.of(
            JointRecipe(mirror="yes", cutout=0.5), Split(x, np.zeros(5, np.int64)), lambda x: x
        )
        assert made.apply(x, np.random.default_rng(0)) is x


def sides(count: int, tell: bool) -> Split:
    """Return images that are bright on the left or on the right, which tells their class or does not."""
    rng = np.random.default_rng(0)
    side, shade = rng.integers(0, 2, count), rng.integers(0, 2, count)
    x = np.zeros((count, 1, 8, 8), np.float32)
    for number in range(count):
        x[number, :, 2 + shade[number] * 3, slice(0, 4) if side[number] else slice(4, 8)] = 1
    return Split(
        x + rng.normal(0, 0.05, x.shape).astype(np.float32), (side if tell else shade).astype(np.int64)
    )


@pytest.mark.parametrize("tell", [False, True])
def test_nearest_images_tell_whether_mirroring_is_noticed(tell: bool) -> None:
    train = sides(200, tell)
    answers = nearest_answers(train)
    assert minds_no_mirror(train.x, train.y, answers) is not tell
    made = Augmentation.of(JointRecipe(mirror="auto"), train, answers)
    assert made.mirror is not tell
    for told, expected in (("yes", True), ("no", False)):
        assert Augmentation.of(JointRecipe(mirror=told), train, answers).mirror is expected
