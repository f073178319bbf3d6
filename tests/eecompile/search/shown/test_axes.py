from __future__ import annotations

import pytest

from eecompile.search.shown.axes import axes_of, measures_of, several_clocks
from eecompile.search.shown.front import ShownFront, ShownPoint, TriedDesign
from eecompile.search.shown.measures import IN_SECONDS, MEASURES


@pytest.mark.parametrize(
    ("objectives", "axes"),
    [
        (("accuracy", "edp"), ("edp", "accuracy")),
        (("memory", "accuracy", "macs"), ("macs", "accuracy")),
        (("accuracy", "memory"), ("memory", "accuracy")),
        (("edp", "memory"), ("edp", "memory")),
    ],
)
def test_a_cost_lies_and_accuracy_stands(objectives: tuple[str, ...], axes: tuple[str, str]) -> None:
    assert axes_of([ShownFront("", objectives, ())]) == axes


def at_clock(clock_hz: float) -> dict[str, float]:
    return {"latency_cycles": 1000.0, "latency_s": 1000.0 / clock_hz}


def test_times_are_in_cycles_where_these_are_a_common_unit() -> None:
    points = tuple(ShownPoint("", at_clock(clock)) for clock in (1e8, 1e8 * (1 + 1e-9)))
    clockless = ShownPoint("", {"latency_cycles": 7.0})
    assert measures_of([ShownFront("", (), (*points, clockless), compared_by=("edp_j_cycles",))]) is MEASURES
    assert not several_clocks([{"latency_cycles": 7.0}]), "no clock is known"


def test_times_are_in_seconds_where_cycles_are_not() -> None:
    slow, fast = (ShownPoint("", at_clock(clock)) for clock in (1e8, 2e8))
    told = ShownFront("", (), (), compared_by=("accuracy_val", "edp_js"))
    tried = ShownFront("", (), (slow,), designs=(TriedDesign(0, "", {}, (fast.figures,)),))
    fronts = [
        [told],
        [ShownFront("", (), (slow, fast))],
        [ShownFront("", (), (slow,)), ShownFront("", (), (fast,))],
    ]
    for found in (*fronts, [tried]):
        assert measures_of(found) is IN_SECONDS
