"""What confidences tell of the work that remains."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from eecompile.serving.outlook import FEWEST, outlook
from tests.eecompile.serving.crowds import service

TIMES = service(1.0, 2.0, 4.0)


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return confidences and where images leave: the less sure at the first exit, the later."""
    draw = np.random.default_rng(seed)
    confidence = draw.random((2, count))
    leaves = np.where(confidence[0] > 0.6, 0, np.where(draw.random(count) < confidence[0], 1, 2)).astype(
        np.int64
    )
    return confidence, leaves


def test_means_and_shares_are_those_of_val() -> None:
    confidence, leaves = drawn(5000)
    found = outlook(TIMES, confidence, leaves)
    share = np.bincount(leaves, minlength=3) / 5000
    assert found.mean[0] == pytest.approx(share @ [1, 3, 7])
    assert found.mean[1] == pytest.approx(share[1:] @ [2, 6] / share[1:].sum())
    assert found.mean[2] == pytest.approx(4.0)
    assert found.reach == pytest.approx([1 - share[0], share[2] / share[1:].sum(), 0])


def test_what_is_expected_follows_the_truth_of_other_images() -> None:
    """At stage 1 the confidence c before is P(leaves there): 2 + 4 (1 - c) seconds remain on average."""
    confidence, leaves = drawn(20_000)
    other, _ = drawn(4000, 1)
    found = outlook(TIMES, confidence, leaves)
    there = np.sort(other[0, other[0] < 0.6])
    expected = found.expect(1, there)
    np.testing.assert_allclose(expected, 2 + 4 * (1 - there), atol=0.35)
    assert (np.diff(expected) <= 1e-12).all(), "the surer, the less"
    assert set(found.expect(0, there)) == {found.mean[0]}, "nothing is known before the first exit"
    assert found.expect(1, np.array([there[7], np.nan])) == pytest.approx([expected[7], found.mean[1]])


def test_few_images_are_a_mean_and_none_the_whole_way() -> None:
    confidence, leaves = drawn(FEWEST)
    few = outlook(TIMES, confidence, leaves)
    assert set(few.expect(1, confidence[0])) == {few.mean[1]}
    nobody = outlook(TIMES, confidence, np.zeros(FEWEST, np.int64))
    assert nobody.mean.tolist() == [1.0, 6.0, 4.0] and nobody.reach.tolist() == [0, 0, 0]


def test_what_is_likely_is_the_exit_before_which_half_leave() -> None:
    """At stage 1 an image leaves at the next exit with the chance of its confidence before: from .5 on."""
    confidence, leaves = drawn(20_000)
    found = outlook(TIMES, confidence, leaves)
    half, least, seconds = found.halves[1]
    assert least == pytest.approx([0.5], abs=0.04) and seconds.tolist() == [2.0, 6.0]
    assert found.likely(1, np.array([0.3, 0.58, np.nan])).tolist() == [6.0, 2.0, half]
    share = np.bincount(leaves, minlength=3) / len(leaves)
    assert share[0] < 0.5 < share[:2].sum() and half == 6.0
    assert found.likely(0, np.array([np.nan])).tolist() == [3.0], "half of all have left at the second exit"
    few = outlook(TIMES, *drawn(FEWEST))
    assert len(set(few.likely(1, confidence[0]))) == 1
    assert dataclasses.replace(found, halves=()).likely(1, np.array([0.3])) == pytest.approx(found.mean[1])
