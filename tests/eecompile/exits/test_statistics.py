"""Intervals against published values, brute-force enumeration and a sampled bootstrap."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.exits.statistics import (
    DropBound,
    accuracy_interval,
    bootstrap_quantile,
    mcnemar,
    paired_change,
    paired_drop,
    wilson_interval,
)


def enumerated_quantile(total: int, lost: int, gained: int, quantile: float) -> int:
    """The quantile from every multinomial outcome, with exact binomial coefficients."""
    rest = total - lost - gained
    mass = dict.fromkeys(range(-total, total + 1), 0.0)
    for up, down in itertools.product(range(total + 1), repeat=2):
        if up + down <= total:
            ways = math.comb(total, up) * math.comb(total - up, down)
            odds = lost**up * gained**down * rest ** (total - up - down)
            mass[up - down] += ways * odds / total**total
    reached = 0.0
    for difference in sorted(mass):
        reached += mass[difference]
        if reached >= quantile - 1e-9:
            return difference
    raise AssertionError("probabilities do not add up")


def sampled_quantile(total: int, lost: int, gained: int, quantile: float, draws: int) -> tuple[float, float]:
    """The same by redrawing images: quantiles a little below and above, the sampling error apart."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(total, [lost / total, gained / total, 1 - (lost + gained) / total], draws)
    error = 4 * math.sqrt(quantile * (1 - quantile) / draws)
    low, high = np.quantile(
        counts[:, 0] - counts[:, 1], [quantile - error, min(1, quantile + error)], method="inverted_cdf"
    )
    return float(low), float(high)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_quantile_is_exact(data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 12))
    lost = data.draw(st.integers(0, total))
    gained = data.draw(st.integers(0, total - lost))
    quantile = data.draw(st.sampled_from([0.025, 0.5, 0.9, 0.975]))
    found = bootstrap_quantile(total, np.array([lost]), np.array([gained]), quantile)
    assert found[0] == enumerated_quantile(total, lost, gained, quantile)


@pytest.mark.parametrize(
    ("total", "lost", "gained"),
    [(449, 5, 1), (611, 12, 9), (611, 0, 7), (5000, 130, 60), (1000, 500, 500), (300, 300, 0)],
)
@pytest.mark.parametrize("quantile", [0.025, 0.9, 0.975])
def test_quantile_agrees_with_a_sampled_bootstrap(
    total: int, lost: int, gained: int, quantile: float
) -> None:
    (found,) = bootstrap_quantile(total, np.array([lost]), np.array([gained]), quantile)
    low, high = sampled_quantile(total, lost, gained, quantile, 40_000)
    assert low <= found <= high


def test_bound_is_above_the_plain_estimate_and_grows_with_lost_images() -> None:
    bound = DropBound(611)
    lost, gained = np.meshgrid(np.arange(60), np.arange(60), indexing="ij")
    points = bound.points_of(lost, gained)
    assert points.shape == (60, 60)
    assert (points >= 100 * (lost - gained) / 611 - 1e-9).all()
    assert (np.diff(points, axis=0) >= 0).all(), "losing one more image lowers the bound"
    assert points[0, 0] == 0
    assert points[12, 9] == bound.points(12, 9)


def test_bound_does_not_depend_on_what_was_asked_before() -> None:
    whole = DropBound(2000)
    lost, gained = np.divmod(np.arange(900), 30)
    together = whole.points_of(lost, gained)
    alone = [DropBound(2000).points(int(a), int(b)) for a, b in zip(lost[::37], gained[::37], strict=True)]
    assert together[::37].tolist() == alone
    assert whole.points_of(lost, gained).tolist() == together.tolist()
    assert whole.points_of(np.zeros(0), np.zeros(0)).shape == (0,)


@pytest.mark.parametrize(("lost", "gained"), [(-1, 0), (0, -1), (6, 5)])
def test_impossible_counts(lost: int, gained: int) -> None:
    with pytest.raises(ValueError, match="together at most 10"):
        DropBound(10).points(lost, gained)
    with pytest.raises(ValueError, match="together at most 10"):
        bootstrap_quantile(10, np.array([lost]), np.array([gained]), 0.9)


def test_paired_drop_counts_only_images_that_change() -> None:
    static = np.array([True] * 90 + [False] * 10)
    dynamic = static.copy()
    dynamic[:6] = False
    dynamic[98:] = True
    drop = paired_drop(static, dynamic)
    assert drop.points == pytest.approx(4.0)
    low, high = sampled_quantile(100, 6, 2, 0.025, 40_000)
    assert low <= drop.lo95 <= high
    low, high = sampled_quantile(100, 6, 2, 0.975, 40_000)
    assert low <= drop.hi95 <= high
    reverse = paired_drop(dynamic, static)
    assert (reverse.points, reverse.lo95, reverse.hi95) == (-drop.points, -drop.hi95, -drop.lo95)
    same = paired_drop(static, static)
    assert (same.points, same.lo95, same.hi95) == (0, 0, 0)
    with pytest.raises(ValueError, match="paired"):
        paired_drop(static, dynamic[:-1])


def test_wilson_against_published_values() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I: Wilson score method without continuity correction.
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (correct, total), expected in published.items():
        assert wilson_interval(correct, total) == pytest.approx(expected, abs=5e-5), "Newcombe 1998, table I"
    assert wilson_interval(20, 20) == pytest.approx((1 - 0.1611, 1.0), abs=5e-5)
    assert accuracy_interval(np.array([True, False])) == (0.5, *wilson_interval(1, 2))
    for correct, total in ((0, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="no accuracy"):
            wilson_interval(correct, total)


@pytest.mark.parametrize(
    ("gained", "lost", "p_value"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (1, 9, 2 * 11 / 1024), (9, 1, 2 * 11 / 1024), (4, 5, 1.0)],
)
def test_mcnemar_is_the_binomial_test_of_the_images_that_differ(
    gained: int, lost: int, p_value: float
) -> None:
    assert mcnemar(gained, lost) == pytest.approx(p_value, rel=1e-12)


def test_mcnemar_of_many_images_is_near_its_normal_form() -> None:
    """(|b - c| - 1)² / (b + c) is chi-squared with one degree of freedom (Edwards 1948)."""
    gained, lost = 1900, 2050
    z = (abs(gained - lost) - 1) / math.sqrt(gained + lost)
    assert mcnemar(gained, lost) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.01)


def test_a_paired_change_is_a_drop_the_other_way_round() -> None:
    first = np.array([True] * 60 + [False] * 40)
    second = np.array([True] * 52 + [False] * 8 + [True] * 20 + [False] * 20)
    found, drop = paired_change(first, second), paired_drop(first, second)
    assert (found.gained, found.lost, found.points) == (20, 8, 12.0)
    assert (found.points, found.lo95, found.hi95) == (-drop.points, -drop.hi95, -drop.lo95)
    assert found.lo95 < found.points < found.hi95 and found.p_value == mcnemar(20, 8) < 0.05
    back = paired_change(second, first)
    assert (back.points, back.p_value, back.gained) == (-12.0, found.p_value, 8)
