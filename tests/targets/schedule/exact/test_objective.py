"""What the solver minimises, against what schedules are worth."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("ortools", reason="the exact scheduler needs the extra 'solver'")

from targets.objective import EDP, ENERGY, LATENCY, OBJECTIVES, Objective
from targets.schedule.exact.bounds import floor_of
from targets.schedule.exact.hints import hint
from targets.schedule.exact.objective import minimise
from targets.schedule.exact.problem import problem_of
from targets.schedule.exact.replay import value_of
from tests.targets.schedule.exact.models import modelled, small_problem, solver_of
from tests.targets.schedule.exact.two_cores import FixedCosts, independent, plan, two_cores
from tests.targets.schedule.small_schedule import small_schedule

# What rounding to whole numbers may cost, as a share of a value.
LOST = 2e-4


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
@pytest.mark.parametrize("ratios", [(0.3, 0.7), (1.0, 0.0), (0.0, 1.0), (1 / 3, 2 / 3)])
def test_a_schedule_is_worth_no_less_than_its_image_and_hardly_more(
    objective: Objective, ratios: tuple[float, float]
) -> None:
    _, schedule = small_schedule()
    problem = small_problem()
    floor, value = floor_of(problem), value_of(schedule, objective, ratios)
    model = modelled(problem, horizon=2 * schedule.latency_cycles, floor=floor, objective=objective)
    unit = minimise(model, objective, ratios, floor, value)
    hint(model, schedule)
    solver, best = solver_of(model, fixed=True)
    assert best
    assert value * (1 - LOST) <= solver.objective_value * unit <= value * (1 + 1e-9)


def test_products_of_many_cycles_are_counted_in_steps_of_several_rounded_down() -> None:
    _, schedule = small_schedule()
    problem = small_problem()
    floor, value = floor_of(problem), value_of(schedule, EDP, (0.5, 0.5))
    # 2 ** 18 cycles in 2 ** 16 steps.
    model = modelled(problem, horizon=1 << 18, floor=floor, objective=EDP)
    unit = minimise(model, EDP, (0.5, 0.5), floor, value)
    hint(model, schedule)
    solver, best = solver_of(model, fixed=True)
    assert best
    lost = 3 / min(schedule.stage_end_cycles)
    assert value * (1 - LOST - lost) <= solver.objective_value * unit <= value * (1 + 1e-9)


# Layers of 10 and 6 cycles, and of as many pJ on core a: on core b they take three times as long and as much.
@pytest.mark.parametrize(
    ("objective", "least"), [(LATENCY, 18), (ENERGY, 16), (EDP, 18 * 16)], ids=["latency", "energy", "edp"]
)
@pytest.mark.parametrize("most", [1.0, 1.5, 0.8])
def test_the_least_is_found_unless_it_has_to_be_less(objective: Objective, least: int, most: float) -> None:
    costs = FixedCosts({"l": 10, "m": 6}, slower={"b": 3})
    found = replace(independent(two_cores(1.0, None)), costs=costs)
    problem = problem_of(found, plan(found))
    floor = floor_of(problem)
    model = modelled(problem, horizon=100, objective=objective)
    unit = minimise(model, objective, (1.0,), floor, most * least)
    solver, best = solver_of(model)
    assert best == (most >= 1.0)
    if best:
        assert solver.objective_value * unit == pytest.approx(least, rel=LOST)
