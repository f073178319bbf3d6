"""The exact scheduler: known optima, brute force, and bounds that nothing undercuts."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from random import Random

import pytest

from passes.errors import InputError
from targets.objective import EDP, ENERGY, LATENCY, Objective
from targets.schedule.check.checker import problems
from targets.schedule.exact.problem import Problem, problem_of
from targets.schedule.exact.solve import solve
from targets.schedule.network import Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, NoOptionError, Plan, Segment, simulate
from targets.schedule.state import State
from targets.schedule.tiles import Cut
from tests.targets.schedule.exact.two_cores import FixedCosts, chain, independent, plan, two_cores
from tests.targets.schedule.random_networks import random_network
from tests.targets.schedule.random_plans import random_plan

OBJECTIVES = (LATENCY, ENERGY, EDP)
SLACK = 1e-9


def solved(network_: Network, plan_: Plan, objective: Objective = LATENCY) -> float:
    pytest.importorskip("ortools")
    found = solve(network_, plan_, objective, (1.0,), time_limit_s=20, workers=4)
    assert problems(network_, found.schedule) == []
    assert found.proven, (found.value, found.bound)
    return found.value


def test_independent_layers_run_side_by_side() -> None:
    found = independent(two_cores(1.0, None))
    # The first input arrives after a cycle; the longer layer follows, and its result leaves in one more.
    assert solved(found, plan(found)) == 102


def test_a_shared_memory_with_room_for_one_layer_makes_them_take_turns() -> None:
    # 512 bits of input and 512 of output: two layers at once need 2048.
    wide = independent(two_cores(1.0, 2048, shared=True))
    assert solved(wide, plan(wide)) == 102
    narrow = independent(two_cores(1.0, 1536, shared=True))
    # The second input comes, and the first result leaves, while the other layer runs.
    assert solved(narrow, plan(narrow)) == 1 + 100 + 60 + 1


# Half of an image crosses the fast link in a cycle, the slow one in 256.
@pytest.mark.parametrize(("link_bits", "cycles"), [(512.0, 1 + 10 + 1 + 50 + 1), (1.0, 1 + 10 + 100 + 1)])
def test_a_slow_link_makes_splitting_worthless(link_bits: float, cycles: int) -> None:
    found = chain(two_cores(link_bits, None), FixedCosts({"l": 10, "m": 100}))
    halves = (Segment((0,), (LayerChoice(("a",)),)), Segment((1,), (LayerChoice(("a", "a"), Cut("OY", 2)),)))
    assert solved(found, halves) == cycles


def test_without_ortools_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    found = independent(two_cores(1.0, None))
    with pytest.raises(InputError, match=r"pip install eecompile\[solver\]"):
        solve(found, plan(found), LATENCY, (1.0,), time_limit_s=1)


def tiny(seed: int) -> tuple[Network, Plan, Problem] | None:
    """Return a random network with so few tiles that all can be tried; ``None`` if it is too large."""
    random = Random(seed)
    found = random_network(random, 3)
    drawn = random_plan(random, found)
    try:
        simulate(found, drawn)
        problem = problem_of(found, drawn)
    except (NoRoomError, NoOptionError):
        return None
    count = 1
    for task in problem.tasks:
        count *= len(task.options)
    return (found, drawn, problem) if len(problem.tasks) <= 5 and count <= 300 else None


def orders(problem: Problem) -> Iterator[tuple[int, ...]]:
    """Yield all orders in which tiles come behind those whose layers they read, stage by stage."""
    before: dict[int, set[int]] = {task.number: set() for task in problem.tasks}
    for piece in problem.pieces:
        for need in piece.needs:
            if piece.maker is not None:
                before[need.task.number].add(piece.maker.number)
    for task in problem.tasks:
        before[task.number] |= {other.number for other in problem.tasks if other.stage < task.stage}

    def grow(done: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(done) == len(problem.tasks):
            yield done
        for number, needed in before.items():
            if number not in done and needed <= set(done):
                yield from grow((*done, number))

    return grow(())


def brute_force(problem: Problem, objective: Objective, ratios: tuple[float, ...]) -> float:
    """Return the least a state makes of all cores and orders."""
    best = float("inf")
    for order in orders(problem):
        for cores in itertools.product(*(task.options for task in problem.tasks)):
            state = State(problem.network)
            left = [sum(t.layer == task.layer for t in problem.tasks) for task in problem.tasks]
            try:
                for number in order:
                    task, core = problem.tasks[number], cores[number]
                    while len(state.stage_ends) < task.stage:
                        state.end_stage()
                    state.place(task.layer, task.tile, core, task.options[core], task.held)
                    for other in problem.tasks:
                        left[other.number] -= other.layer == task.layer
                    if not left[number]:
                        state.complete(task.layer)
            except NoRoomError:
                continue
            while len(state.stage_ends) < problem.stages:
                state.end_stage()
            best = min(best, objective.expected(ratios, state.stage_ends, state.stage_energies))
    return best


@pytest.mark.parametrize("seed", range(40))
def test_no_core_or_order_beats_the_solver_or_undercuts_its_bound(seed: int) -> None:
    pytest.importorskip("ortools")
    drawn = tiny(seed)
    if drawn is None:
        return
    found, start, problem = drawn
    ratios = tuple(1.0 / problem.stages for _ in range(problem.stages))
    for objective in OBJECTIVES:
        exact = solve(found, start, objective, ratios, time_limit_s=10, workers=4)
        best = brute_force(problem, objective, ratios)
        assert problems(found, exact.schedule) == []
        assert exact.bound <= best * (1 + SLACK)
        if exact.proven:
            assert exact.value <= best * (1 + 2e-4)


@pytest.mark.parametrize("seed", range(6))
def test_the_same_problem_has_the_same_schedule(seed: int) -> None:
    pytest.importorskip("ortools")
    drawn = tiny(seed)
    if drawn is None:
        return
    found, start, problem = drawn
    ratios = tuple(1.0 / problem.stages for _ in range(problem.stages))
    first, second = (solve(found, start, LATENCY, ratios, time_limit_s=10, workers=4) for _ in range(2))
    assert first.schedule == second.schedule
