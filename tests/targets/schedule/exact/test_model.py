"""Variables and what binds them: cores, stages, shares of resources and energy, each solved alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("ortools", reason="the exact scheduler needs the extra 'solver'")

from targets.schedule.exact.bounds import Floor
from targets.schedule.exact.model import Model
from targets.schedule.exact.problem import Problem, Uses, problem_of
from targets.schedule.machine import OUTER, Machine, Route, Store, Word
from targets.schedule.network import Network
from tests.targets.schedule.exact.models import least_cycles, modelled, solver_of
from tests.targets.schedule.exact.two_cores import (
    FixedCosts,
    chain,
    elementwise,
    independent,
    network,
    plan,
    two_cores,
)

NOTHING = Floor((0,), (0.0,))


def problem(found: Network) -> Problem:
    return problem_of(found, plan(found))


def staged() -> Network:
    layers = (elementwise("l", "x", "p"), elementwise("m", "y", "q"))
    return network(two_cores(1.0, None), layers, FixedCosts({"l": 10, "m": 100}), "p", "q", early=(0,))


@pytest.mark.parametrize(
    ("costs", "cycles"),
    [
        (FixedCosts({"l": 100, "m": 60}), 100),
        (FixedCosts({"l": 100, "m": 60}, {"l": ("a",), "m": ("a",)}), 160),
        # On core b the longer layer would take 300 cycles, and the shorter one 180.
        (FixedCosts({"l": 100, "m": 60}, slower={"b": 3}), 160),
        (FixedCosts({"l": 100, "m": 60}, {"m": ("b",)}, {"b": 3}), 180),
    ],
)
def test_each_task_runs_on_one_core_one_after_another(costs: FixedCosts, cycles: int) -> None:
    found = replace(independent(two_cores(1.0, None)), costs=costs)
    model = modelled(problem(found), moves=False)
    assert least_cycles(model) == cycles
    solver, _ = solver_of(model)
    for task in model.problem.tasks:
        (core,) = [core for core in task.options if solver.value(model.runs_on[task.number, core])]
        start, end = (solver.value(times[task.number]) for times in (model.starts, model.ends))
        assert end - start == task.cycles(core)


def test_stages_follow_one_another() -> None:
    assert least_cycles(modelled(problem(staged()), moves=False)) == 10 + 100
    model = modelled(problem(staged()), moves=False)
    model.solver.add(model.starts[1] == 25)
    assert least_cycles(model) == 125
    late = modelled(problem(staged()), moves=False)
    late.solver.add(late.starts[1] == 9)
    assert least_cycles(late) is None, "the first stage takes 10"


def test_no_stage_is_shorter_than_its_bound() -> None:
    model = modelled(problem(staged()), floor=Floor((12, 160), (0.0, 0.0)), moves=False)
    assert least_cycles(model) == 160
    model = modelled(problem(staged()), floor=Floor((12, 160), (0.0, 0.0)), moves=False)
    model.solver.add(model.stage_ends[0] >= 20)
    assert least_cycles(model) == 20 + 148, "the second stage takes what is between the bounds"


def test_nothing_lasts_beyond_the_horizon() -> None:
    found = independent(two_cores(1.0, None))
    assert least_cycles(modelled(problem(found), horizon=100, moves=False)) == 100
    assert least_cycles(modelled(problem(found), horizon=99, moves=False)) is None


def test_what_is_not_made_is_in_no_stage() -> None:
    model = Model(problem(staged()), Floor((0, 0), (0.0, 0.0)), 1000, spills=False, energy_counts=True)
    start, end = (model.solver.new_int_var(0, 1000, name) for name in ("start", "end"))
    made = model.solver.new_bool_var("made")
    model.solver.add(end == start + 500)
    model.within_stage(start, end, 1, made)
    model.bind(Floor((0, 0), (0.0, 0.0)))
    assert least_cycles(model) == 110
    model.solver.add(made == 1)
    assert least_cycles(model) == 10 + 500, "behind the first stage, within the second"


def test_whether_an_operand_lies_in_a_store() -> None:
    apart = modelled(problem(independent(two_cores(1.0, None))), moves=False)
    task = apart.problem.tasks[0]
    assert apart.at(task, "O", "left") is apart.runs_on[0, "a"]
    assert not apart.combined, "one core implies the store"
    nowhere = apart.at(task, "O", OUTER)
    assert apart.at(task, "O", OUTER) is nowhere, "made once"
    assert list(apart.combined) == [(0, "O", OUTER)]
    shared = modelled(problem(independent(two_cores(1.0, None, shared=True))), moves=False)
    both = shared.at(shared.problem.tasks[0], "O", "both")
    for model in (apart, shared):
        least_cycles(model)
    assert solver_of(apart)[0].value(nowhere) == 0
    assert solver_of(shared)[0].value(both) == 1


@pytest.mark.parametrize(
    ("capacity", "uses", "at_once"),
    [
        (1.0, (("bus", 1.0),), 1),
        (1.0, (("bus", 0.5),), 2),
        (1.0, (("bus", 0.51),), 1),
        # Twice the half is the whole.
        (1.0, (("bus", 0.5), ("bus", 0.5)), 1),
        (12.5, (("bus", 6.25),), 2),
        # Thirds and what no small fraction is: rounded so that no schedule is left out.
        (32.0, (("bus", 32 / 3),), 3),
        (1.0, (("bus", 0.3334),), 2),
        (1.41421, (("bus", 1.41421 / 6),), 6),
    ],
)
def test_resources_are_shared_up_to_their_capacity(capacity: float, uses: Uses, at_once: int) -> None:
    machine = two_cores(1.0, None)
    wide = replace(machine, capacities={**machine.capacities, "bus": capacity})
    model = Model(
        problem(chain(wide, FixedCosts({"l": 1, "m": 1}))), NOTHING, 1000, spills=False, energy_counts=True
    )
    for number in range(6):
        start, taken = (
            model.solver.new_int_var(0, 1000, f"start {number}"),
            model.solver.new_bool_var("taken"),
        )
        model.solver.add(taken == 1)
        model.take(uses, start, 10, taken, 0)
        model.within_stage(start, model.solver.new_int_var(10, 1000, "end"), 0)
        model.solver.add(model.stage_ends[0] >= start + 10)
    model.bind(NOTHING)
    assert least_cycles(model) == 10 * -(-6 // at_once)


def test_what_is_not_taken_takes_nothing() -> None:
    model = Model(
        problem(chain(two_cores(1.0, None), FixedCosts({"l": 1, "m": 1}))), NOTHING, 1000, spills=False,
        energy_counts=True,
    )  # fmt: skip
    for number in range(3):
        start, taken = model.solver.new_int_var(0, 0, f"start {number}"), model.solver.new_bool_var("taken")
        model.take((("port", 1.0),), start, 500, taken, 0)
        model.solver.add(taken == (number == 1))
    model.bind(NOTHING)
    assert least_cycles(model) == 500, "the port is taken once, for 500 cycles of the stage"


def priced() -> Machine:
    """Return two cores where a bit costs 1/8 pJ to read and to write on chip, 2 outside, 1/2 on the link."""
    machine = two_cores(512.0, None)
    stores = {
        name: Store(name, None, *((Word(64, 128.0 if name == OUTER else 8.0),) * 2))
        for name in machine.stores
    }
    link = (Route((("link", 1.0),), 512.0, 0.5),)
    routes = {**machine.routes, ("left", "right"): link, ("right", "left"): link}
    return replace(machine, stores=stores, routes=routes)


def test_energy_is_that_of_cores_and_ways_each_rounded_down() -> None:
    costs = FixedCosts({"l": 10, "m": 101}, {"l": ("a",), "m": ("b",)}, {"b": 3})
    model = modelled(problem(chain(priced(), costs)))
    moved = {(s.piece.tensor, s.destination): model.energy_of(s, s.ways[0]) for s in model.shipments}
    assert moved == {
        ("x", "left"): 512 * (2 + 0.125),
        ("p", "right"): 512 * (0.125 + 0.5 + 0.125),
        ("q", OUTER): 512 * (0.125 + 2),
    }
    whole, halves = model.energy(0, 1.0), model.energy(0, 0.01)
    least_cycles(model)
    solver, _ = solver_of(model)
    assert solver.value(whole) == 10 + 303 + 1088 + 384 + 1088
    assert solver.value(halves) == 0 + 3 + 10 + 3 + 10


def test_energy_of_a_stage_is_its_own() -> None:
    model = modelled(problem(staged()))
    stages = [model.energy(stage, 1.0) for stage in (0, 1)]
    least_cycles(model)
    solver, _ = solver_of(model)
    assert [solver.value(energy) for energy in stages] == [10, 100]
