"""When requests arrive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eecompile.serving.arrivals import Bursts, Periodic, Poisson, Trace, arrivals_of, rate_of
from passes.errors import InputError


def test_cameras_are_even() -> None:
    times = arrivals_of("periodic:25").times(100, 0)
    np.testing.assert_allclose(np.diff(times), 0.04)
    assert 0 <= times[0] < 0.04
    assert times[0] != arrivals_of("periodic:25").times(100, 1)[0], "seeds are phases"


def test_poisson_has_its_rate_and_spread() -> None:
    gaps = np.diff(arrivals_of("poisson:50").times(100_000, 0))
    assert gaps.mean() == pytest.approx(0.02, rel=0.02)
    assert gaps.std() == pytest.approx(0.02, rel=0.02)


def test_bursts_have_both_rates() -> None:
    """Counts per second come from two rates, and are spread far more than those of one."""
    times = arrivals_of("mmpp:10,200,4,2").times(60_000, 0)
    mean = (10 * 4 + 200 * 2) / 6
    assert rate_of(times) == pytest.approx(mean, rel=0.1)
    counts = np.bincount(times.astype(int))
    assert counts.var() > 20 * counts.mean()
    assert np.median(counts[counts < 30]) == pytest.approx(10, abs=2)


def test_all_are_in_order_and_alike_by_seed() -> None:
    for text in ("periodic:3", "poisson:3", "mmpp:1,9,2,2"):
        times = arrivals_of(text).times(500, 5)
        assert len(times) == 500 and (np.diff(times) >= 0).all()
        np.testing.assert_array_equal(times, arrivals_of(text).times(500, 5))


def test_a_trace_is_read_with_and_without_a_heading(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("time_s,who\n2.0,a\n2.5,b\n4,c\n")
    np.testing.assert_allclose(arrivals_of(f"trace:{path}").times(10, 0), [0, 0.5, 2])
    path.write_text("2.0\n2.5\n")
    np.testing.assert_allclose(arrivals_of(f"trace:{path}").times(1, 9), [0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poison:3", "arrivals cannot be 'poison:3'"),
        ("poisson", "arrivals cannot be"),
        ("poisson:0", "Poisson: `rate` cannot be 0"),
        ("poisson:-1", "cannot be -1"),
        ("periodic:inf", "cannot be inf"),
        ("periodic:x", "periodic takes 1 number"),
        ("120", "known: .*; periodic:30, poisson:120"),
        ("periodic:1,poisson:2", "are several\n.*an option of its own"),
        ("mmpp:1,2,3", "mmpp takes 4 numbers"),
        ("mmpp:1,2,3,nan", "Bursts: `burst_s` cannot be nan"),
        ("trace:nowhere.csv", "no such file"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        arrivals_of(text).times(3, 0)


def test_texts_are_patterns() -> None:
    assert arrivals_of("periodic:30") == Periodic(30.0)
    assert arrivals_of("poisson:1e2") == Poisson(100.0)
    assert arrivals_of("mmpp:1,9,2,.5") == Bursts(1, 9, 2, 0.5)
    assert arrivals_of("trace:a:b.csv") == Trace(Path("a:b.csv"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1\n0\n", "seconds in order"),
        ("t\n1\nx\n", "row 3: 'x' is no time"),
        ("", "seconds in order"),
        ("t\n", "seconds"),
    ],
)
def test_a_trace_that_is_none(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(rows)
    with pytest.raises(InputError, match=message):
        arrivals_of(f"trace:{path}").times(3, 0)
