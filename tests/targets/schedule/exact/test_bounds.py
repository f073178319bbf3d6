"""Bounds without a solver: known spans of two cores, and random schedules that undercut none."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from targets.objective import EDP, ENERGY, LATENCY
from targets.schedule.exact.bounds import Floor, floor_of, lower_bound
from targets.schedule.exact.problem import problem_of
from targets.schedule.machine import OUTER, Route
from targets.schedule.network import Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, NoOptionError, Plan, Resident, Segment, simulate
from targets.schedule.regions import Region
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
from tests.targets.schedule.random_networks import random_network
from tests.targets.schedule.random_plans import random_plan, random_resident

OBJECTIVES = (LATENCY, ENERGY, EDP)
SLACK = 1e-9
APART = {"l": ("a",), "m": ("b",)}


def ends(found: Network, cut: Cut = WHOLE, resident: Resident | None = None) -> tuple[int, ...]:
    return floor_of(problem_of(found, plan(found, cut), resident)).ends


def test_independent_layers_take_as_long_as_the_longer() -> None:
    # Its image comes in a cycle, and its result leaves in one more.
    assert ends(independent(two_cores(1.0, None))) == (102,)


def test_one_core_does_one_thing_after_another() -> None:
    found = independent(two_cores(1.0, None))
    alone = replace(found, costs=FixedCosts({"l": 100, "m": 60}, {"l": ("a",), "m": ("a",)}))
    assert ends(alone) == (1 + 100 + 60 + 1,)
    halves = replace(found, costs=FixedCosts({"l": 100, "m": 60}))
    assert ends(halves, Cut("OY", 2)) == (1 + (100 + 60) // 2 + 1,), "spread evenly over both"


def test_a_port_lets_in_and_out_one_thing_at_a_time() -> None:
    machine = two_cores(512.0, None)
    slow = (Route((("port", 1.0),), 8.0),)
    machine = replace(machine, routes={k: slow if OUTER in k else r for k, r in machine.routes.items()})
    # Two images in and two results out at 64 cycles each; the layers may run meanwhile.
    assert ends(independent(machine)) == (4 * 64,)


# The link takes a cycle for the image between the layers, or 512; the way around takes two.
@pytest.mark.parametrize(("link_bits", "between"), [(512.0, 1), (1.0, 2)])
def test_a_chain_goes_over_the_fastest_routes(link_bits: float, between: int) -> None:
    found = chain(two_cores(link_bits, None), FixedCosts({"l": 10, "m": 100}, APART))
    assert ends(found) == (1 + 10 + between + 100 + 1,)
    routes = {k: r if OUTER in k else (*r, Route(r[0].uses, 512.0)) for k, r in found.machine.routes.items()}
    assert ends(replace(found, machine=replace(found.machine, routes=routes))) == (113,), (
        "of two links the faster"
    )


def test_a_chain_stays_on_a_core_where_the_way_is_longer_than_what_the_other_gains() -> None:
    machine = two_cores(1.0, None)
    around = {k: r if OUTER not in k else (Route((("port", 1.0),), 8.0),) for k, r in machine.routes.items()}
    # Core b takes five times as long: 10 and 40 cycles on a, moved by 64.
    costs = FixedCosts({"l": 10, "m": 8}, {"l": ("b",)}, {"b": 5})
    assert ends(chain(replace(machine, routes=around), costs)) == (64 + 50 + 40 + 64,)
    # Core a takes ten times as long: 10 on a, then 64 to b and 10 there are less than 100 on a.
    other = FixedCosts({"l": 1, "m": 10}, {"l": ("a",)}, {"a": 10})
    slow = {k: (Route(r[0].uses, 8.0),) for k, r in around.items()}
    there = chain(replace(machine, routes=slow), other)
    assert ends(there) == (64 + 10 + 64 + 10 + 64,)
    assert ends(replace(there, outputs=frozenset())) == (64 + 10 + 64 + 10,)
    free = replace(costs, only={})
    assert ends(chain(replace(machine, routes=around), free)) == (64 + 10 + 8 + 64,)


def test_what_is_behind_all_tiles_of_a_layer_comes_after_the_last() -> None:
    found = chain(two_cores(512.0, None), FixedCosts({"l": 10, "m": 100}, APART))
    halves = (Segment((0,), (LayerChoice(("a", "a"), Cut("OY", 2)),)), Segment((1,), (LayerChoice(("b",)),)))
    assert floor_of(problem_of(found, halves)).ends == (1 + 5 + 5 + 1 + 100 + 1,)


def test_what_stays_on_chip_need_not_come() -> None:
    machine = two_cores(1.0, None)
    slow = (Route((("port", 0.5),), 0.5),)
    machine = replace(machine, routes={k: slow if k[0] == OUTER else r for k, r in machine.routes.items()})
    # The image comes beside the weights, which have 24 bits.
    layer = replace(window("l", "x", "p"), inputs=(replace(window("l", "x", "p").inputs[0], bits=0),))
    found = network(machine, (layer,), FixedCosts({"l": 100}, {"l": ("a",)}), "p")
    assert ends(found) == (48 + 100 + 1,)
    lying: Resident = {"l.weights": (("left", Region(0, 1, 0, 1)),)}
    assert ends(found, WHOLE, lying) == (0 + 100 + 1,)


def test_rows_that_come_with_other_rows_are_waited_for_alone() -> None:
    machine = two_cores(1.0, None)
    slow = (Route((("port", 0.5),), 1.0),)
    machine = replace(machine, routes={k: slow if k[0] == OUTER else r for k, r in machine.routes.items()})
    found = network(machine, (window("l", "x", "p"),), FixedCosts({"l": 2}, {"l": ("a",)}), "p")
    # Of the 8 rows the lower tile reads 5, two of which are those of the upper; 64 cycles a row.
    # The port carries two moves at once: rows and weights in half of their cycles, and both results.
    assert ends(found, Cut("OY", 2)) == (max(5 * 64, (8 * 64 + 24) // 2) + 1 + 1,)


def test_stages_are_added_up() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    found = network(two_cores(512.0, None), layers, FixedCosts({"l": 10, "m": 100}), "p", "q", early=(0,))
    # The second stage finds the first result where it was made.
    assert floor_of(problem_of(found, plan(found))) == Floor((1 + 10 + 1, 12 + 100 + 1), (10.0, 110.0))
    apart = replace(found, costs=FixedCosts({"l": 10, "m": 100}, APART))
    assert ends(apart) == (12, 12 + 100 + 1), "the other core may have it from the first stage"


def test_the_bound_is_the_expectation_over_exits() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    found = network(two_cores(512.0, None), layers, FixedCosts({"l": 10, "m": 100}), "p", "q", early=(0,))
    ratios = (0.25, 0.75)
    assert lower_bound(found, plan(found), LATENCY, ratios) == 0.25 * 12 + 0.75 * 113
    assert lower_bound(found, plan(found), ENERGY, ratios) == 0.25 * 10 + 0.75 * 110
    assert lower_bound(found, plan(found), EDP, ratios) == 0.25 * 12 * 10 + 0.75 * 113 * 110


@pytest.mark.parametrize("seed", range(150))
def test_no_schedule_of_the_same_cuts_undercuts_the_bound(seed: int) -> None:
    random = Random(seed)
    found = random_network(random)
    drawn = random_plan(random, found)
    resident = random_resident(random, found) if random.random() < 0.5 else {}
    count = len(found.stage_names)
    ratios = [(i + 1) / (count * (count + 1) / 2) for i in range(count)]
    try:
        bounds = {o: lower_bound(found, drawn, o, ratios, resident) for o in OBJECTIVES}
    except NoOptionError:
        return
    for _ in range(5):
        try:
            state = simulate(found, _other_cores(random, found, drawn), resident)
        except (NoRoomError, NoOptionError):
            continue
        for objective, bound in bounds.items():
            value = objective.expected(ratios, state.stage_ends, state.stage_energies)
            assert bound <= value * (1 + SLACK), objective


def _other_cores(random: Random, found: Network, drawn: Plan) -> Plan:
    def other(index: int, choice: LayerChoice) -> LayerChoice:
        cores = found.costs.cores(found.layer(index))
        return choice._replace(cores=tuple(random.choice(cores) for _ in choice.cores))

    return tuple(
        Segment(s.layers, tuple(other(i, c) for i, c in zip(s.layers, s.choices, strict=True))) for s in drawn
    )
