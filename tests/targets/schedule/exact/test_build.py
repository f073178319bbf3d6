"""From a solution back to a schedule: moves that are of use, how long things stay, and whether it is one."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

pytest.importorskip("ortools", reason="the exact scheduler needs the extra 'solver'")

from targets.schedule.check.checker import problems
from targets.schedule.exact.build import built
from targets.schedule.exact.hints import hint
from targets.schedule.exact.problem import problem_of
from targets.schedule.machine import OUTER, Route
from targets.schedule.network import Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, NoOptionError, Segment, finished, simulate
from targets.schedule.regions import Region
from targets.schedule.result import Schedule
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.schedule.exact.models import least_cycles, modelled, small_problem, solver_of
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
from tests.targets.schedule.random_networks import random_network
from tests.targets.schedule.random_plans import random_plan, random_resident
from tests.targets.schedule.small_schedule import RESIDENT, small_schedule

APART = {"l": ("a",), "m": ("b",)}


def quickest(found: Network, *, spills: bool = False) -> tuple[Schedule, bool]:
    """Return what is built from the solution with the least cycles, stores being as large as they like."""
    model = modelled(problem_of(found, plan(found)), spills=spills, horizon=500)
    assert least_cycles(model) is not None
    solver, best = solver_of(model)
    assert best
    return built(model, solver.value, None)


def test_a_schedule_comes_back_from_its_hints() -> None:
    _, schedule = small_schedule()
    model = modelled(small_problem())
    hint(model, schedule)
    solver, _ = solver_of(model, fixed=True)
    again, whole = built(model, solver.value, RESIDENT)
    assert whole
    assert (again.runs, again.moves, again.resident) == (schedule.runs, schedule.moves, schedule.resident)
    assert (again.stage_names, again.stage_end_cycles) == (schedule.stage_names, schedule.stage_end_cycles)
    assert problems(model.problem.network, again) == []


@pytest.mark.parametrize("seed", range(12))
def test_random_schedules_come_back_from_their_hints(seed: int) -> None:
    random = Random(seed)
    found = random_network(random, 4)
    drawn, resident = random_plan(random, found), random_resident(random, found)
    try:
        schedule = finished(simulate(found, drawn, resident), resident)
        problem = problem_of(found, drawn, resident)
    except (NoRoomError, NoOptionError):
        return
    if any(move.purpose == "spill" for move in schedule.moves):
        return
    model = modelled(problem, horizon=2 * schedule.latency_cycles)
    hint(model, schedule)
    solver, _ = solver_of(model, fixed=True)
    again, whole = built(model, solver.value, resident)
    assert (again.runs, again.stage_end_cycles) == (schedule.runs, schedule.stage_end_cycles)
    assert set(again.moves) <= set(schedule.moves)
    if whole:
        assert problems(found, again) == []


def stays(schedule: Schedule) -> set[tuple[str, str, int, int | None]]:
    return {(stay.tensor, stay.store, stay.start, stay.end) for stay in schedule.stays}


def test_data_stays_until_its_last_use() -> None:
    found = chain(two_cores(512.0, None), FixedCosts({"l": 10, "m": 100}, APART, {}, {"m": (("right", 9),)}))
    schedule, whole = quickest(found)
    assert whole
    assert problems(found, schedule) == []
    assert [(m.tensor, m.purpose, m.start) for m in schedule.moves] == [
        ("x", "input", 0), ("p", "activations", 11), ("q", "output", 112),
    ]  # fmt: skip
    assert stays(schedule) == {
        ("x", OUTER, 0, 1), ("x", "left", 0, 11), ("p", "left", 1, 12), ("p", "right", 11, 112),
        ("m.buffers", "right", 12, 112), ("q", "right", 12, 113), ("q", OUTER, 112, 113),
    }  # fmt: skip


def copied() -> Network:
    """Return a layer on each core; both read one image, which comes from outside in 64 cycles."""
    layers = (elementwise("l", "x", "p"), elementwise("m", "x", "q"))
    machine = two_cores(512.0, None)
    routes = dict(machine.routes)
    for store in ("left", "right"):
        routes[OUTER, store] = (Route((("port", 1.0),), 8.0),)
    return network(replace(machine, routes=routes), layers, FixedCosts({"l": 100, "m": 100}, APART), "p", "q")


def test_a_copy_stays_until_it_was_moved_on() -> None:
    found = copied()
    schedule, whole = quickest(found)
    assert whole
    assert problems(found, schedule) == []
    first, second = (m for m in schedule.moves if m.tensor == "x")
    assert first.source == OUTER
    assert second.source == first.destination
    ends = {stay.store: stay.end for stay in schedule.stays if stay.tensor == "x"}
    assert ends[OUTER] == first.end
    assert ends[first.destination] == 164, "the end of its own layer, behind the move"
    assert first.wire_pj == second.wire_pj == 0.0


def test_a_move_nothing_waits_for_is_left_out() -> None:
    found = network(
        two_cores(512.0, None), (window("l", "x", "p"),), FixedCosts({"l": 8}, {"l": ("a",)}), "p"
    )
    model = modelled(problem_of(found, plan(found, Cut("OY", 2))), horizon=500)
    for shipment in model.shipments:
        model.solver.add(shipment.made == 1)
    assert least_cycles(model) is not None
    solver, _ = solver_of(model)
    schedule, whole = built(model, solver.value, None)
    assert whole
    assert problems(found, schedule) == []
    # Rows 5 to 7 came alone as well, but are there with those before them.
    assert {m.region for m in schedule.moves if m.tensor == "x"} == {Region(0, 1, 0, 5), Region(0, 1, 3, 8)}


def test_without_a_link_results_go_around() -> None:
    machine = two_cores(1.0, None)
    apart = replace(machine, routes={ends: ways for ends, ways in machine.routes.items() if OUTER in ends})
    layers = (window("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    found = network(apart, layers, FixedCosts({"l": 10, "m": 100}, APART), "q")
    schedule, whole = quickest(found)
    assert whole
    assert problems(found, schedule) == []
    purposes = {(m.tensor, m.destination): m.purpose for m in schedule.moves}
    assert purposes == {
        ("l.weights", "left"): "weights", ("x", "left"): "input", ("p", OUTER): "spill",
        ("p", "right"): "activations", ("q", OUTER): "output",
    }  # fmt: skip


def test_what_is_moved_out_for_a_reader_there_is_no_spill() -> None:
    found = chain(two_cores(512.0, None), FixedCosts({"l": 10, "m": 100}))
    streamed = (plan(found)[0], Segment((1,), (LayerChoice(("a",), WHOLE, frozenset("WO")),)))
    schedule = finished(simulate(found, streamed))
    model = modelled(problem_of(found, streamed))
    hint(model, schedule)
    solver, _ = solver_of(model, fixed=True)
    again, whole = built(model, solver.value, None)
    assert whole
    assert again.moves == schedule.moves
    assert {(m.tensor, m.destination): m.purpose for m in again.moves}["p", OUTER] == "activations"


@pytest.mark.parametrize(("size_bits", "fits"), [(4 * 512, True), (4 * 512 - 1, False)])
def test_a_solution_that_overfills_a_store_is_no_schedule(size_bits: int, fits: bool) -> None:
    found = independent(two_cores(1.0, size_bits, shared=True))
    schedule, whole = quickest(found)
    assert schedule.latency_cycles == 102, "both at once"
    assert whole == fits == (problems(found, schedule) == [])


def test_a_solution_that_fetches_what_no_move_brought_out_is_no_schedule() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    found = network(two_cores(8.0, None), layers, FixedCosts({"l": 10, "m": 100}, APART), "q", early=(0,))
    schedule, whole = quickest(found, spills=True)
    assert not whole
    assert [m.source for m in schedule.moves if m.destination == "right"] == [OUTER]
    assert any("of 'p' in offchip at cycle" in problem for problem in problems(found, schedule))
    schedule, whole = quickest(found)
    assert whole
    assert [m.source for m in schedule.moves if m.destination == "right"] == ["left"]


def test_a_solution_that_reads_outside_what_no_move_brought_out_is_no_schedule() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    found = network(two_cores(8.0, None), layers, FixedCosts({"l": 10, "m": 100}, APART), "q", early=(0,))
    streamed = (plan(found)[0], Segment((1,), (LayerChoice(("b",), WHOLE, frozenset("WO")),)))
    for spills in (True, False):
        model = modelled(problem_of(found, streamed), spills=spills, horizon=500)
        assert least_cycles(model) is not None
        solver, _ = solver_of(model)
        schedule, whole = built(model, solver.value, None)
        assert whole == (not spills) == (problems(found, schedule) == [])
