"""A known schedule as hints: with every variable at its hint, the model is that schedule."""

from __future__ import annotations

from random import Random

import pytest

pytest.importorskip("ortools", reason="the exact scheduler needs the extra 'solver'")

from targets.schedule.exact.hints import hint
from targets.schedule.exact.memory import bind_stays
from targets.schedule.exact.problem import problem_of
from targets.schedule.machine import OUTER
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import NoOptionError, finished, simulate
from tests.targets.schedule.exact.models import modelled, small_problem, solver_of
from tests.targets.schedule.exact.two_cores import FixedCosts, chain, plan, two_cores
from tests.targets.schedule.random_networks import random_network
from tests.targets.schedule.random_plans import random_plan
from tests.targets.schedule.small_schedule import small_schedule


def test_every_variable_of_a_decision_has_a_hint() -> None:
    _, schedule = small_schedule()
    model = modelled(small_problem())
    hint(model, schedule)
    proto = model.solver.proto
    hinted = dict(zip(proto.solution_hint.vars, proto.solution_hint.values, strict=True))
    assert len(hinted) == len(proto.solution_hint.vars), "none is hinted twice"
    decided = [
        *model.runs_on.values(),
        *model.combined.values(),
        *model.starts,
        *model.ends,
        *model.stage_ends,
    ]
    for shipment in model.shipments:
        decided += [shipment.made, *(way.taken for way in shipment.ways)]
        decided += [*(kind for kind, _ in shipment.kinds), *(uses for _, uses in shipment.readers)]
    assert all(variable.index in hinted for variable in decided)


def test_the_model_with_all_hints_kept_is_the_schedule() -> None:
    _, schedule = small_schedule()
    model = modelled(small_problem())
    bind_stays(model)
    hint(model, schedule)
    solver, found = solver_of(model, fixed=True)
    assert found
    assert [solver.value(end) for end in model.stage_ends] == list(schedule.stage_end_cycles)
    runs = {(run.layer, run.cut[0]): run for run in schedule.runs}
    for task in model.problem.tasks:
        run = runs[task.layer, task.tile.number]
        assert solver.value(model.runs_on[task.number, run.core]) == 1
        assert (solver.value(model.starts[task.number]), solver.value(model.ends[task.number])) == (
            run.start,
            run.end,
        )
    made = sorted(
        (s.piece.tensor, s.region, way.source, s.destination, solver.value(s.start), solver.value(s.end))
        for s in model.shipments
        for way in s.ways
        if solver.value(way.taken)
    )
    moves = ((m.tensor, m.region, m.source, m.destination, m.start, m.end) for m in schedule.moves)
    assert made == sorted(moves)


def test_a_move_the_model_has_not_is_no_hint() -> None:
    found = chain(two_cores(512.0, None), FixedCosts({"l": 10, "m": 100}, {"l": ("a",), "m": ("b",)}))
    problem = problem_of(found, plan(found))
    schedule = finished(
        simulate(
            found,
            tuple(
                s._replace(choices=(s.choices[0]._replace(cores=(core,)),))
                for s, core in zip(plan(found), "ab", strict=True)
            ),
        )
    )
    strange = tuple(
        m._replace(uses=(("port", 1.0),)) if m.destination == "right" else m for m in schedule.moves
    )
    model = modelled(problem)
    hint(
        model,
        type(schedule)(
            schedule.runs, strange, schedule.stays, schedule.stage_names, schedule.stage_end_cycles
        ),
    )
    proto = model.solver.proto
    hinted = dict(zip(proto.solution_hint.vars, proto.solution_hint.values, strict=True))
    moved = next(s for s in model.shipments if s.destination == "right")
    assert hinted[moved.made.index] == 1
    assert [hinted[way.taken.index] for way in moved.ways] == [0], "no way leads over the port"
    out = next(s for s in model.shipments if s.destination == OUTER)
    assert [hinted[way.taken.index] for way in out.ways] == [1]


@pytest.mark.parametrize("seed", range(12))
def test_random_schedules_are_solutions(seed: int) -> None:
    random = Random(seed)
    found = random_network(random, 4)
    drawn = random_plan(random, found)
    try:
        schedule = finished(simulate(found, drawn))
        problem = problem_of(found, drawn)
    except (NoRoomError, NoOptionError):
        return
    if any(move.purpose == "spill" for move in schedule.moves):
        return
    model = modelled(problem, horizon=2 * schedule.latency_cycles)
    hint(model, schedule)
    solver, best = solver_of(model, fixed=True)
    assert best
    assert [solver.value(end) for end in model.stage_ends] == list(schedule.stage_end_cycles)
