"""The interval of exits against draws, and what is counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile.runtime.drift import ExitWatch, interval


@given(st.integers(1, 5000), st.floats(0, 1), st.integers(1, 5000), st.floats(1e-4, 0.5))
def test_the_ends_of_the_interval_are_where_the_test_of_two_shares_rejects(
    of: int, share: float, images: int, chance: float
) -> None:
    from statistics import NormalDist

    seen = round(share * of)
    z = NormalDist().inv_cdf(1 - chance / 2)
    low, high = interval(seen, of, images, chance)
    assert -1e-6 <= low <= images * seen / of + 1e-6
    assert images * seen / of - 1e-6 <= high <= images
    for count in (low, high):
        pooled = (seen + count) / (of + images)
        variance = pooled * (1 - pooled) * (1 / of + 1 / images)
        difference = (count / images - seen / of) ** 2
        if 0 < count < images:
            assert difference == pytest.approx(z * z * variance, rel=1e-5, abs=1e-9)
        else:
            assert difference <= z * z * variance + 1e-9, "clipped"


@pytest.mark.parametrize("share", [0.5, 0.1, 0.97])
@pytest.mark.parametrize("chance", [0.1, 0.01])
def test_draws_like_those_of_compile_time_stay_inside_as_often_as_said(share: float, chance: float) -> None:
    """20,000 pairs of draws of 1,000 and 400; both are random, as they are in use."""
    rng = np.random.default_rng(0)
    seen, later = rng.binomial(1000, share, 20_000), rng.binomial(400, share, 20_000)
    pairs, times = np.unique(np.stack([seen, later]), axis=1, return_counts=True)
    ends = {int(s): interval(int(s), 1000, 400, chance) for s in np.unique(seen)}
    outside = sum(n for s, c, n in zip(*pairs, times, strict=True) if not ends[s][0] <= c <= ends[s][1])
    assert outside / 20_000 == pytest.approx(chance, rel=0.5)


def exits(*counts: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.repeat(np.arange(len(counts)), counts)


def test_windows_are_compared_and_everything_is_counted() -> None:
    watch = ExitWatch(["exit_0", "final"], [600, 400], window=100)
    assert watch.add(exits(30, 20), 2) == ""
    assert watch.add(exits(0, 49), 0) == "", "the window is not full"
    told = watch.add(exits(0, 1), 0)
    assert "30.0 % of the last 100 images left at 'exit_0', against 60.0 % of 1000" in told
    assert watch.add(exits(120, 80), 0) == "", "one of 200 images, as at compile time"
    assert watch.add(exits(99), 0) == ""
    counts = watch.counts
    assert (counts.exits, counts.without_answer, counts.drifted, counts.images) == ((249, 150), 2, 1, 399)


def test_an_exit_that_never_fired_and_does_is_told() -> None:
    watch = ExitWatch(["exit_0", "final"], [0, 1000], window=100)
    assert watch.add(exits(0, 100), 0) == ""
    assert "0.0 % of 1000" in watch.add(exits(20, 80), 0)


def test_without_images_of_compile_time_nothing_is_compared() -> None:
    watch = ExitWatch(["exit_0", "final"], [0, 0], window=1)
    assert watch.add(exits(1, 0), 0) == ""
    assert watch.counts.exits == (1, 0)
