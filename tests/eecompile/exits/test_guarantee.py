from __future__ import annotations

import itertools

import numpy as np
import pytest

from eecompile.exits.guarantee import (
    TESTS,
    binomial_tail,
    differences,
    fixed_sequence,
    form_for,
    images_needed,
    path_through,
)
from eecompile.exits.thresholds import Observed, leaves_at
from passes.confidence import MAX_SOFTMAX
from tests.eecompile.exits.test_thresholds import random_answers


def drawn(lost: float, gained: float, images: int, times: int) -> np.ndarray:
    return np.random.default_rng(0).choice([1, -1, 0], (times, images), p=[lost, gained, 1 - lost - gained])


@pytest.mark.parametrize("test", sorted(TESTS))
@pytest.mark.parametrize(("lost", "gained"), [(0.05, 0.0), (0.09, 0.04), (0.3, 0.25), (0.8, 0.0)])
def test_at_the_limit_small_p_values_are_as_rare_as_they_say(test: str, lost: float, gained: float) -> None:
    """The drop is just the limit: p <= .1 in at most a tenth of all draws, and .05 in a twentieth."""
    found = np.array([TESTS[test](row, lost - gained) for row in drawn(lost, gained, 120, 300)])
    for level in (0.05, 0.1, 0.3):
        assert np.mean(found <= level) <= level + 3 * np.sqrt(level * (1 - level) / 300)


@pytest.mark.parametrize(("test", "images"), [("binomial", 400), ("wsr", 400), ("hoeffding-bentkus", 4000)])
def test_a_drop_well_below_the_limit_is_mostly_accepted(test: str, images: int) -> None:
    found = np.array([TESTS[test](row, 0.05) for row in drawn(0.015, 0.01, images, 40)])
    assert np.mean(found <= 0.1) > 0.9


def test_gained_images_count_by_betting_and_not_in_the_binomial_tail() -> None:
    mixed = np.random.default_rng(1).permutation(np.repeat([1, -1, 0], [30, 30, 940]))
    assert TESTS["wsr"](mixed, 0.03) < 0.1 < TESTS["binomial"](mixed, 0.03)


@pytest.mark.parametrize(
    ("images", "max_drop", "form"),
    [
        (150, 2.0, "wsr"), (300, 2.0, "binomial"), (600, 2.0, "binomial"), (1200, 2.0, "wsr"),
        (300, 1.0, "wsr"), (600, 1.0, "binomial"), (1200, 1.0, "binomial"), (2400, 1.0, "wsr"),
    ],
)  # fmt: skip
def test_the_form_goes_by_how_many_images_the_limit_is(images: int, max_drop: float, form: str) -> None:
    """As it was better on ResNet8: docs/results/threshold_guarantee.md."""
    assert form_for(images, max_drop) == form


def test_tails_are_exact() -> None:
    def enumerated(count: int, total: int, share: float) -> float:
        draws = itertools.product((0, 1), repeat=total)
        return sum(share ** sum(d) * (1 - share) ** (total - sum(d)) for d in draws if sum(d) <= count)

    for count, share in itertools.product((0, 2, 5), (0.1, 0.5, 0.9)):
        assert binomial_tail(count, 8, share) == pytest.approx(enumerated(count, 8, share))
    assert binomial_tail(8, 8, 0.3) == 1.0 and binomial_tail(3, 8, 0.0) == 1.0
    assert binomial_tail(3, 8, 1.0) == 0.0


def test_the_least_number_of_images_is_that_of_which_none_may_be_lost() -> None:
    needed = images_needed(1.0, 0.1)
    assert needed == 230
    p_values = [TESTS["binomial"](np.zeros(count, np.int64), 0.01) for count in (needed - 1, needed)]
    assert p_values[0] > 0.1 >= p_values[1]


def seen() -> Observed:
    found = random_answers(3, 3, 200)
    distinct = np.random.default_rng(0).random(found.confidence.shape).astype(np.float32) * 1e-3
    return Observed(found.confidence * np.float32(0.9) + distinct, found.correct, found.rules)


def test_along_the_path_more_and_more_leave_at_every_exit_that_is_taken() -> None:
    observed = seen()
    start = (np.float32(0.6), np.float32(0.7))
    path = path_through(observed, start)
    shares = np.array(
        [[np.mean(row >= t) for row, t in zip(observed.confidence, ts, strict=True)] for ts in path]
    )
    assert (np.diff(shares, axis=0) >= 0).all() and (shares[-1] > shares[0]).all()
    once = np.mean(observed.confidence >= np.array(start)[:, None], axis=1)
    assert np.abs(shares - once).sum(axis=1).min() <= 2 / 200, "the path goes through the thresholds given"
    assert shares[-1] == pytest.approx(np.minimum(1, 2 * once), abs=0.011)
    never = path_through(observed, (MAX_SOFTMAX.never, start[1]))
    assert {thresholds[0] for thresholds in never} == {MAX_SOFTMAX.never}
    assert path_through(observed, (MAX_SOFTMAX.never,) * 2) == ()


def test_the_first_that_fails_ends_the_sequence() -> None:
    """Bolder thresholds behind it are not asked, though they would pass."""
    confidence = np.linspace(1, 0.5, 1000, dtype=np.float32)[None]
    correct = np.ones((2, 1000), bool)
    correct[0, 100:140] = False  # lost, then
    correct[1, 200:800] = False  # as many gained as make up for it
    held = Observed(confidence, correct, (MAX_SOFTMAX,))
    path = [(confidence[0, at],) for at in (50, 98, 150, 900)]
    tested = fixed_sequence(path, held, 2.0, 0.1, "wsr")
    assert tested.accepted == 2 and len(tested.p_values) == 3
    assert tested.p_values[2] > 0.1 >= max(tested.p_values[:2])
    assert TESTS["wsr"](np.random.default_rng(0).permutation(differences(held, path[3])), 0.02) <= 0.1
    assert fixed_sequence(path[:2], held, 2.0, 0.1, "wsr").accepted == 2
    assert (leaves_at(confidence, path[1]) == 0).sum() == 99
