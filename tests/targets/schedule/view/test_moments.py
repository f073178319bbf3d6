"""What is at work at each moment, and that shares of layers add up to the time a schedule takes."""

from __future__ import annotations

from random import Random

import pytest

from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import NoOptionError, finished, simulate
from targets.schedule.result import Schedule
from targets.schedule.view.moments import elapsed_cycles, moments
from tests.targets.schedule.hand_networks import IMAGE_CYCLES, TableCosts, network, one_by_one, pointwise
from tests.targets.schedule.random_plans import random_problem


def test_moments_follow_one_another_from_the_first_cycle_on() -> None:
    spans = [(2, 10), (4, 6), (6, 6), (12, 13)]
    assert list(moments(spans)) == [
        (0, 2, ()), (2, 4, (0,)), (4, 6, (0, 1)), (6, 10, (0,)), (10, 12, ()), (12, 13, (3,)),
    ]  # fmt: skip
    assert list(moments([])) == []


@pytest.mark.parametrize("seed", range(20))
def test_every_cycle_is_in_one_moment_with_all_that_is_at_work(seed: int) -> None:
    draw = Random(seed)
    spans = [(start, start + draw.randrange(6)) for start in (draw.randrange(20) for _ in range(8))]
    seen = [cycle for start, end, _ in moments(spans) for cycle in range(start, end)]
    assert seen == list(range(max((end for start, end in spans if end > start), default=0)))
    for start, end, working in moments(spans):
        assert all(
            {n for n, (a, b) in enumerate(spans) if a <= cycle < b} == {*working}
            for cycle in range(start, end)
        )


def two_at_once() -> Schedule:
    """Two layers that read the image side by side, of 40 and 20 cycles, each behind its move."""
    layers = [pointwise("l0", "x"), pointwise("l1", "x"), pointwise("l2", "l0.out", "l1.out")]
    made = network(layers, TableCosts({"l0": 40, "l1": 20, "l2": 10}), outputs=["l2.out"])
    return finished(simulate(made, one_by_one(made, "aba")))


def test_layers_at_work_at_once_share_the_time_and_moves_are_of_their_layer() -> None:
    schedule = two_at_once()
    runs = {run.layer: run for run in schedule.runs}
    shared = runs[1].end - max(runs[0].start, runs[1].start)
    assert shared > 0, "they are at work at once"
    found = elapsed_cycles(schedule)
    assert sum(found.values()) == schedule.latency_cycles
    # Its image comes first; then it works, for a while with the other.
    assert found[0] == pytest.approx(IMAGE_CYCLES + 40 - shared / 2, abs=1)
    assert found[1] == pytest.approx(20 - shared / 2, abs=1)


@pytest.mark.parametrize("seed", range(30))
def test_the_layers_of_the_stages_up_to_an_exit_add_up_to_it(seed: int) -> None:
    made, plan, resident = random_problem(seed)
    try:
        schedule = finished(simulate(made, plan, resident), resident)
    except (NoRoomError, NoOptionError):
        return
    found = elapsed_cycles(schedule)
    total = 0
    for stage, end in enumerate(schedule.stage_end_cycles):
        total += sum(cycles for layer, cycles in found.items() if made.stage_of[layer] == stage)
        assert total == end
    assert min(found.values()) >= 0
