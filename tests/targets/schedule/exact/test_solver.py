"""A run of the solver: from poor schedules to the best, its horizon, and where stores may overflow."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("ortools", reason="the exact scheduler needs the extra 'solver'")

from targets.objective import EDP, ENERGY, LATENCY, Objective
from targets.schedule.check.checker import problems
from targets.schedule.exact.bounds import Floor, floor_of
from targets.schedule.exact.problem import part_of, problem_of
from targets.schedule.exact.replay import value_of
from targets.schedule.exact.solver import horizon_of, improve, may_overflow
from targets.schedule.machine import OUTER
from targets.schedule.network import Network
from targets.schedule.plan import LayerChoice, Resident, finished, simulate
from targets.schedule.regions import Region
from targets.schedule.result import Schedule
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.schedule.exact.two_cores import (
    FixedCosts,
    chain,
    elementwise,
    independent,
    network,
    plan,
    two_cores,
    window,
)

LYING: Resident = {"l.weights": (("both", Region(0, 1, 0, 1)),)}


def improved(found: Network, objective: Objective = LATENCY) -> tuple[list[Schedule], float]:
    problem = problem_of(found, plan(found))
    start = finished(simulate(found, plan(found)))
    value = value_of(start, objective, (1.0,))
    schedules, bound = improve(
        problem, floor_of(problem), objective, (1.0,), start, value, None, time_limit_s=20, workers=1
    )
    assert all(problems(found, schedule) == [] for schedule in schedules)
    return schedules, bound


@pytest.mark.parametrize(("objective", "least"), [(LATENCY, 102), (ENERGY, 160), (EDP, 102 * 160)], ids=str)
def test_from_one_core_to_both(objective: Objective, least: float) -> None:
    # The plan has both layers on one core.
    schedules, bound = improved(independent(two_cores(1.0, None)), objective)
    assert min(value_of(schedule, objective, (1.0,)) for schedule in schedules) == least
    assert least * (1 - 2e-4) <= bound <= least * (1 + 1e-9)


@pytest.mark.parametrize(("images", "least"), [(4, 102), (3, 162)])
def test_what_is_found_fits_where_stores_are_small(images: int, least: int) -> None:
    schedules, bound = improved(independent(two_cores(1.0, images * 512, shared=True)))
    assert min(schedule.latency_cycles for schedule in schedules) == least
    assert bound <= least


def test_a_fetch_is_free_for_the_bound_but_not_for_a_schedule() -> None:
    layers = (
        elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)), elementwise("n", "y", "r"),
    )  # fmt: skip
    costs = FixedCosts({"l": 10, "m": 20, "n": 20}, {"l": ("a",), "m": ("b",), "n": ("b",)})
    # The second store has room for both later layers one after the other, and not for all they ever have.
    machine = two_cores(8.0, None)
    right = replace(machine.stores["right"], size_bits=3 * 512)
    machine = replace(machine, stores={**machine.stores, "right": right})
    found = network(machine, layers, costs, "q", "r", early=(0,))
    chosen = tuple(
        segment._replace(choices=(segment.choices[0]._replace(cores=(core,)),))
        for segment, core in zip(plan(found), "abb", strict=True)
    )
    problem = problem_of(found, chosen)
    assert may_overflow(problem)
    start = finished(simulate(found, chosen))
    value = value_of(start, LATENCY, (0.0, 1.0))
    schedules, bound = improve(
        problem, floor_of(problem), LATENCY, (0.0, 1.0), start, value, None, time_limit_s=20, workers=1
    )
    assert all(problems(found, schedule) == [] for schedule in schedules)
    # Behind the first stage, image y and layer n; meanwhile p comes over the link in 64 cycles, or from
    # outside in one, where no move has brought it; layer m, and its result.
    assert min(schedule.latency_cycles for schedule in schedules) == 11 + 64 + 20 + 1
    assert bound == pytest.approx(11 + 1 + 20 + 20 + 1)


def horizon(found: Network, objective: Objective, value: float, floor: Floor | None = None) -> int:
    problem = problem_of(found, plan(found))
    ratios = (1.0,) if problem.stages == 1 else (0.5, 0.5)
    return horizon_of(problem, floor or floor_of(problem), objective, ratios, value)


def test_everything_is_over_when_it_is_done_one_after_another() -> None:
    found = chain(two_cores(8.0, None), FixedCosts({"l": 10, "m": 100}, slower={"b": 3}))
    # Runs on the slower core; twice the slowest way: to either core, 64 cycles over the link, and outside.
    slowest = 3 * 110 + 2 * (3 * 1 + 2 * (64 + 64))
    assert horizon(found, ENERGY, 110.0) == slowest, "energy does not tell when"
    assert horizon(found, LATENCY, 1e9) == slowest


def test_what_costs_more_than_is_known_need_not_be_looked_at() -> None:
    found = chain(two_cores(512.0, None), FixedCosts({"l": 10, "m": 100}))
    assert horizon(found, LATENCY, 113.0) == 114
    assert horizon(found, EDP, 113.0 * 110.0) == 114
    assert horizon(found, LATENCY, 50.0) == floor_of(problem_of(found, plan(found))).ends[0] == 112


def test_the_last_exit_alone_has_what_the_others_leave() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    found = network(two_cores(512.0, None), layers, FixedCosts({"l": 10, "m": 100}), "q", early=(0,))
    floor = Floor((20, 90), (10.0, 110.0))
    # Half of 20 and half of 100 are 60; half of 20 at 10 pJ and half of 100 at 110 pJ are 5600.
    assert horizon(found, LATENCY, 60.0, floor) == 101
    assert horizon(found, EDP, 5600.0, floor) == 101


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize(
    ("found", "resident", "cut", "bits"),
    [
        # All images ever; of the chain the middle one is at home.
        (independent(two_cores(1.0, None, shared=True)), None, WHOLE, 4 * 512),
        (chain(two_cores(1.0, None, shared=True), FixedCosts({"l": 8, "m": 8})), None, WHOLE, 4 * 512),
        # Rows 0 to 4, 3 to 7 and 5 to 7, the result, and weights, moved or there.
        (
            network(two_cores(1.0, None, shared=True), (window("l", "x", "p"),), FixedCosts({"l": 8}), "p"),
            None, Cut("OY", 2), 13 * 64 + 512 + 24,
        ),
        (
            network(two_cores(1.0, None, shared=True), (window("l", "x", "p"),), FixedCosts({"l": 8}), "p"),
            LYING, WHOLE, 2 * 512 + 2 * 24,
        ),
    ],
)  # fmt: skip
def test_stores_that_hold_all_there_ever_is_cannot_overflow(
    found: Network, resident: Resident | None, cut: Cut, bits: int, missing: int
) -> None:
    machine = found.machine
    stores = {**machine.stores, "both": replace(machine.stores["both"], size_bits=bits - missing)}
    sized = replace(found, machine=replace(machine, stores=stores))
    assert may_overflow(problem_of(sized, plan(sized, cut), resident)) == bool(missing)


@pytest.mark.parametrize("missing", [0, 1])
def test_of_buffers_the_largest_on_each_core_count(missing: int) -> None:
    costs = FixedCosts({"l": 8, "m": 8}, buffers={"l": (("both", 70),), "m": (("both", 50),)})
    found = replace(independent(two_cores(1.0, 4 * 512 + 2 * 70 - missing, shared=True)), costs=costs)
    assert may_overflow(problem_of(found, plan(found))) == bool(missing)


def test_the_outer_store_never_overflows() -> None:
    found = independent(two_cores(1.0, None))
    outer = replace(found.machine.stores[OUTER], size_bits=1)
    machine = replace(found.machine, stores={**found.machine.stores, OUTER: outer})
    streamed = {index: LayerChoice((), held=frozenset()) for index in found.order}
    assert not may_overflow(part_of(replace(found, machine=machine), streamed))
