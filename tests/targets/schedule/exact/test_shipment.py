"""What a shipment says of itself, in models of small problems and their solutions."""

from __future__ import annotations

from random import Random

import pytest

pytest.importorskip("ortools", reason="the exact scheduler needs the extra 'solver'")

from targets.schedule.exact.model import Model
from targets.schedule.exact.problem import problem_of
from targets.schedule.plan import NoOptionError
from tests.targets.schedule.exact.models import modelled, small_problem, solver_of
from tests.targets.schedule.random_networks import random_network
from tests.targets.schedule.random_plans import random_plan


def models() -> list[Model]:
    """Return models of the small schedule's problem and of random ones."""
    found = [modelled(small_problem(), horizon=1000)]
    for seed in range(8):
        random = Random(seed)
        network = random_network(random, 4)
        try:
            found.append(modelled(problem_of(network, random_plan(random, network)), spills=bool(seed % 2)))
        except NoOptionError:
            continue
    return found


def test_ways_that_take_the_same_for_as_long_are_one_kind() -> None:
    several = 0
    for model in models():
        for shipment in model.shipments:
            bits = model.problem.bits(shipment.piece, shipment.region)
            taken = [(way.route.uses, way.route.cycles(bits)) for way in shipment.ways]
            kinds = [[(w.route.uses, w.route.cycles(bits)) for w in ways] for _, ways in shipment.kinds]
            assert all(len(set(kind)) == 1 for kind in kinds)
            assert sorted(map(len, kinds)) == sorted(n for n in map(taken.count, set(taken)) if n > 1)
            several += len(kinds)
    assert several > 5


def test_one_way_is_taken_by_what_is_made_and_readers_wait_for_it() -> None:
    model = models()[0]
    # Any solution will do.
    solver, found = solver_of(model)
    assert found
    made = waiting = 0
    for shipment in model.shipments:
        ways = [way for way in shipment.ways if solver.value(way.taken)]
        assert len(ways) == solver.value(shipment.made)
        for kind, alike in shipment.kinds:
            assert solver.value(kind) == any(way is one for way in ways for one in alike)
        for way in ways:
            made += 1
            bits = model.problem.bits(shipment.piece, shipment.region)
            assert solver.value(shipment.end) - solver.value(shipment.start) == way.route.cycles(bits)
            if way.behind is not None:
                assert solver.value(way.behind.made)
                assert solver.value(way.behind.end) <= solver.value(shipment.start)
        for need, uses in shipment.readers:
            if solver.value(uses):
                waiting += 1
                assert solver.value(model.starts[need.task.number]) >= solver.value(shipment.end)
    # Two results leave, and all else is read.
    assert made >= 8
    assert waiting >= 6
