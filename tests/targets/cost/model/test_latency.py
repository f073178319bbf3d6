"""Stalls of ports, and the union of their windows: its closed form against a walk over the cycles."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.cost.model.latency import _covered, _double_buffering, _duties, _stall, _window_union
from targets.cost.model.traffic import both_chains
from tests.targets.cost.small import mapped
from tests.targets.cost.strategies import Case, cases

windows_of_a_port = st.lists(st.tuples(st.integers(1, 4), st.floats(0.05, 1.0)), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@given(windows_of_a_port)
def test_union_of_windows_equals_a_walk_over_the_cycles(steps: list[tuple[int, float]]) -> None:
    periods = list(itertools.accumulate((n for n, _ in steps), lambda a, b: a * b, initial=3))[1:]
    windows = [max(1, round(share * period)) for period, (_, share) in zip(periods, steps, strict=True)]
    cycles = range(periods[-1])
    walked = sum(any(t % p < w for p, w in zip(periods, windows, strict=True)) for t in cycles)
    rotated = np.roll(np.array([periods, windows], float), 1, axis=1)[:, :, None]
    assert _covered(rotated[0], rotated[1])[0] == walked


def test_union_of_windows_by_hand() -> None:
    """Windows of 2 in 4 and 5 in 12 cover cycles 0 to 5, 8 and 9 of 12."""
    period, window = np.array([[4.0], [12.0]]), np.array([[2.0], [5.0]])
    assert _covered(period, window).tolist() == [8]


@settings(max_examples=60, deadline=None)
@given(cases())
def test_a_transfer_alone_on_its_port_stalls_by_what_exceeds_its_window(case: Case) -> None:
    """As the general rule for one transfer has it: its windows do not overlap."""
    batch, levels, placed = mapped(case.nest, case.core, case.mapping)
    mean, whole = both_chains(batch, levels, placed)
    buffered = _double_buffering(case.core, mean, {})
    for _, duties in _duties(case.core, whole, buffered, {}, 1.0).values():
        if len(duties) == 1:
            (duty,) = duties
            left = np.minimum(0, duty.excess) + duty.windows - _window_union(duties)
            assert _stall(duties) == np.maximum(0, duty.excess) + np.maximum(0, left)
