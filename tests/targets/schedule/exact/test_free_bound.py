"""Bounds for any cut: known spans, more ways that never raise it, and schedules that never undercut it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from targets.network.layer import Layer, LoopDims, Operand
from targets.objective import EDP, ENERGY, LATENCY
from targets.schedule.exact.bounds import lower_bound
from targets.schedule.exact.free_bound import free_bound
from targets.schedule.machine import OUTER, Route
from targets.schedule.network import Held, Network, Option
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, NoOptionError, simulate
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.schedule.exact.two_cores import (
    FixedCosts,
    chain,
    elementwise,
    image,
    independent,
    network,
    two_cores,
    window,
)
from tests.targets.schedule.random_networks import random_network
from tests.targets.schedule.random_plans import random_plan

OBJECTIVES = (LATENCY, ENERGY, EDP)
SLACK = 1e-9
HALVES, QUARTERS = Cut("OY", 2), Cut("OY", 4)


class NoWhole(FixedCosts):
    """Core ``a`` and ``b`` have no mapping for whole layers."""

    def option(self, tile: Layer, core: str, held: Held) -> Option | None:
        return None if tile.outputs[0].shape[2] == 8 else super().option(tile, core, held)


def ways(found: Network, *cuts: Cut) -> dict[int, list[LayerChoice]]:
    """Return the same cuts for all layers; that cores differ does not count."""
    return {i: [LayerChoice((core,) * cut.parts, cut) for cut in cuts for core in "ab"] for i in found.order}


def cycles(found: Network, *cuts: Cut) -> float:
    return free_bound(found, ways(found, *cuts), LATENCY, (1.0,) * len(found.stage_names))


def test_a_chain_of_whole_layers() -> None:
    found = chain(two_cores(1.0, None), FixedCosts({"l": 10, "m": 100}))
    # The result leaves in a cycle behind both; what comes first may do so beside other tiles.
    assert cycles(found, WHOLE) == 10 + 100 + 1
    layers = (
        elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)), elementwise("n", "q", "r", (1,)),
    )  # fmt: skip
    longer = network(two_cores(1.0, None), layers, FixedCosts({"l": 10, "m": 20, "n": 100}), "r")
    assert cycles(longer, WHOLE) == 10 + 20 + 100 + 1
    first = replace(longer, costs=FixedCosts({"l": 10, "m": 20, "n": 100}, {"l": ("a",)}))
    assert cycles(first, HALVES) == 5 + 5 + 10 + 50, (
        "halves of both that follow come behind the last of the first"
    )


def test_the_least_tile_of_all_cuts_counts_but_all_of_the_work() -> None:
    found = chain(two_cores(1.0, None), FixedCosts({"l": 10, "m": 100}))
    assert cycles(found, HALVES) == cycles(found, WHOLE, HALVES) == 5 + 50 + 1
    # Quarters of the first layer take 2 cycles each.
    assert cycles(found, WHOLE, QUARTERS) == (8 + 100) // 2, "spread evenly over both cores"
    alone = replace(found, costs=FixedCosts({"l": 10, "m": 100}, {"m": ("a",)}))
    assert cycles(alone, WHOLE, HALVES) == 5 + 100, "on one core"


def test_images_and_results_pass_the_port() -> None:
    machine = two_cores(1.0, None)
    slow = (Route((("port", 1.0),), 1.0),)
    machine = replace(machine, routes={k: slow if OUTER in k else r for k, r in machine.routes.items()})
    assert cycles(independent(machine), WHOLE, QUARTERS) == 4 * 512
    # What two layers read may come once for both, and is left out.
    layers = (elementwise("l", "x", "p"), elementwise("m", "x", "q"))
    shared = network(machine, layers, FixedCosts({"l": 100, "m": 60}), "p", "q")
    assert cycles(shared, WHOLE) == 60 + 2 * 512


@pytest.mark.parametrize(("rows", "behind"), [(2, True), (1, False)])
def test_what_reads_only_some_rows_need_not_wait_for_the_last_tile(rows: int, behind: bool) -> None:
    dims = LoopDims(1, 1, 1, 1, 4, 8, rows, 1, 8, 8, 2, 1)
    pool = Layer("m", "MaxPool", (), 0, dims, (image("p"),), (Operand("q", (1, 1, 4, 8), 8),), producers=(0,))
    costs = FixedCosts({"l": 100, "m": 80}, {"l": ("a",), "m": ("b",)})
    found = network(two_cores(1.0, None), (elementwise("l", "x", "p"), pool), costs, "q")
    # A quarter of the pooling takes 10 cycles; the last quarter of the layer before may be read by none.
    assert cycles(found, QUARTERS) == (100 + 10 if behind else 100)
    # The whole of it reads all rows, but need not be what is chosen.
    assert cycles(found, WHOLE, QUARTERS) == cycles(found, QUARTERS)


def test_a_layer_needs_a_way_that_runs() -> None:
    found = chain(two_cores(1.0, None), NoWhole({"l": 10, "m": 100}))
    with pytest.raises(NoOptionError, match="'l', 'any core'"):
        cycles(found, WHOLE)
    assert cycles(found, WHOLE, HALVES) == cycles(found, HALVES)


def test_energy_is_that_of_the_cheapest_way_of_each_layer() -> None:
    machine = two_cores(1.0, None)
    dear = (Route((("port", 1.0),), 512.0, 0.5),)
    machine = replace(machine, routes={k: dear if OUTER in k else r for k, r in machine.routes.items()})
    costs = FixedCosts({"l": 10, "m": 100}, {"l": ("a",), "m": ("b",)}, {"b": 2})
    found = network(machine, (window("l", "x", "p"), window("m", "p", "q", (0,))), costs, "q")
    # Images, results and weights of 24 bits; what goes from core to core is not counted.
    spent = 10 + 200 + (512 + 512 + 24 + 24) * 0.5
    assert free_bound(found, ways(found, WHOLE), ENERGY, (1.0,)) == spent
    # Quarters of the first layer take 2 pJ each.
    assert free_bound(found, ways(found, WHOLE, QUARTERS), ENERGY, (1.0,)) == spent - 2


def test_stages_are_added_up() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    found = network(two_cores(1.0, None), layers, FixedCosts({"l": 10, "m": 100}), "p", "q", early=(0,))
    choices, ratios = ways(found, WHOLE), (0.25, 0.75)
    assert free_bound(found, choices, LATENCY, ratios) == 0.25 * 11 + 0.75 * (11 + 101)
    assert free_bound(found, choices, ENERGY, ratios) == 0.25 * 10 + 0.75 * 110
    assert free_bound(found, choices, EDP, ratios) == 0.25 * 11 * 10 + 0.75 * 112 * 110


@pytest.mark.parametrize("seed", range(12))
def test_more_ways_never_raise_the_bound_and_one_way_never_beats_its_own(seed: int) -> None:
    random = Random(seed)
    found = random_network(random)
    few: dict[int, list[LayerChoice]] = {index: [] for index in found.order}
    more: dict[int, list[LayerChoice]] = {index: [] for index in found.order}
    plans = [random_plan(random, found) for _ in range(3)]
    for number, drawn in enumerate(plans):
        for segment in drawn:
            for index, choice in zip(segment.layers, segment.choices, strict=True):
                more[index].append(choice)
                if not number:
                    few[index].append(choice)
    ratios = [1.0 / len(found.stage_names)] * len(found.stage_names)
    try:
        for objective in OBJECTIVES:
            one = free_bound(found, few, objective, ratios)
            assert free_bound(found, more, objective, ratios) <= one * (1 + SLACK)
            assert one <= lower_bound(found, plans[0], objective, ratios) * (1 + SLACK)
    except NoOptionError:
        return


@pytest.mark.parametrize("seed", range(100))
def test_no_cut_undercuts_the_free_bound(seed: int) -> None:
    random = Random(seed)
    found = random_network(random)
    plans = [random_plan(random, found) for _ in range(6)]
    ways: dict[int, list[LayerChoice]] = {index: [] for index in found.order}
    for drawn in plans:
        for segment in drawn:
            for index, choice in zip(segment.layers, segment.choices, strict=True):
                ways[index].append(choice)
    ratios = [1.0 / len(found.stage_names)] * len(found.stage_names)
    for drawn in plans:
        try:
            state = simulate(found, drawn)
        except (NoRoomError, NoOptionError):
            continue
        for objective in OBJECTIVES:
            value = objective.expected(ratios, state.stage_ends, state.stage_energies)
            assert free_bound(found, ways, objective, ratios) <= value * (1 + SLACK), objective
