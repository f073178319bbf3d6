"""What schedules are worth, and what a state makes of their cores and order."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from targets.objective import EDP, ENERGY, LATENCY, Objective
from targets.schedule.check.checker import problems
from targets.schedule.exact.problem import problem_of
from targets.schedule.exact.replay import replayed, value_of
from targets.schedule.machine import OUTER
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import NoOptionError, finished, simulate
from tests.targets.schedule import made_schedules as made
from tests.targets.schedule.exact.two_cores import FixedCosts, independent, plan, two_cores
from tests.targets.schedule.random_networks import random_network
from tests.targets.schedule.random_plans import random_plan, random_resident


# Runs of 10 and 100 pJ, moves of 1 + 2 + 3 and of 4 pJ; the stages end at 30 and 80.
@pytest.mark.parametrize(
    ("objective", "ratios", "value"),
    [
        (LATENCY, (1.0, 0.0), 30),
        (LATENCY, (0.25, 0.75), 0.25 * 30 + 0.75 * 80),
        (ENERGY, (1.0, 0.0), 16),
        (ENERGY, (0.25, 0.75), 0.25 * 16 + 0.75 * 120),
        (EDP, (0.25, 0.75), 0.25 * 30 * 16 + 0.75 * 80 * 120),
    ],
)
def test_a_path_is_worth_all_up_to_its_end(
    objective: Objective, ratios: tuple[float, float], value: float
) -> None:
    runs = (
        made.run("a", 0, (0, 0, 0, 20, 0, 0, 0), energy_pj=10),
        made.run("b", 30, (0, 0, 0, 40, 0, 0, 0), layer=1, energy_pj=100),
    )
    moves = (
        made.move("middle", 20, 10, (), energies_pj=(1, 2, 3)),
        made.move("last", 70, 10, (), layer=1, energies_pj=(0, 4, 0)),
    )
    assert value_of(made.schedule(runs, moves), objective, ratios) == pytest.approx(value)


@pytest.mark.parametrize("seed", range(25))
def test_a_state_makes_of_its_own_runs_what_it_made_before(seed: int) -> None:
    random = Random(seed)
    found = random_network(random, 5)
    # Layers one after another: within a group, tiles wait in an order that is not that of their start.
    drawn = tuple(
        segment._replace(layers=(index,), choices=(choice,))
        for segment in random_plan(random, found)
        for index, choice in zip(segment.layers, segment.choices, strict=True)
    )
    resident = random_resident(random, found)
    try:
        first = finished(simulate(found, drawn, resident), resident)
        problem = problem_of(found, drawn, resident)
    except (NoRoomError, NoOptionError):
        return
    again = replayed(problem, first.runs, resident)
    if again is None:
        return
    assert problems(found, again) == []
    assert {(r.name, r.core, r.held) for r in again.runs} == {(r.name, r.core, r.held) for r in first.runs}
    assert again.resident == first.resident
    # Tiles are placed in the order in which they start, so that they may be placed once more.
    once_more = replayed(problem, again.runs, resident)
    assert once_more is None or problems(found, once_more) == []


def test_runs_are_placed_in_the_order_of_their_start() -> None:
    found = independent(two_cores(1.0, None))
    found = replace(found, costs=FixedCosts({"l": 100, "m": 60}, {"l": ("a",), "m": ("a",)}))
    problem = problem_of(found, plan(found))
    first = finished(simulate(found, plan(found)))
    assert [(run.name, run.start) for run in first.runs] == [("l", 1), ("m", 101)]
    assert replayed(problem, reversed(first.runs), None) == first, "not in the order they come in"
    late = [run._replace(start=run.start + 200) if run.name == "l" else run for run in first.runs]
    swapped = replayed(problem, late, None)
    assert swapped is not None
    assert [(run.name, run.start) for run in swapped.runs] == [("m", 1), ("l", 61)], "as early as can be"


def test_where_there_is_no_room_there_is_no_schedule() -> None:
    found = independent(two_cores(1.0, 1024))
    first = finished(simulate(found, plan(found)))
    assert replayed(problem_of(found, plan(found)), first.runs, None) is not None
    stores = {name: replace(s, size_bits=1023) for name, s in found.machine.stores.items() if name != OUTER}
    stores[OUTER] = found.machine.stores[OUTER]
    tight = replace(found, machine=replace(found.machine, stores=stores))
    assert replayed(problem_of(tight, plan(tight)), first.runs, None) is None
