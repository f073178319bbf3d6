"""Moves of the model: which there are, from where, and how soon all is over with the best of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

pytest.importorskip("ortools", reason="the exact scheduler needs the extra 'solver'")

from targets.objective import ENERGY, LATENCY, Objective
from targets.schedule.exact.model import Model
from targets.schedule.exact.problem import part_of, problem_of
from targets.schedule.exact.shipment import Shipment
from targets.schedule.machine import OUTER, Machine, Route, Word
from targets.schedule.network import Network
from targets.schedule.plan import LayerChoice
from targets.schedule.regions import Region
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.schedule.exact.models import least_cycles, modelled
from tests.targets.schedule.exact.two_cores import (
    FixedCosts,
    chain,
    elementwise,
    network,
    plan,
    two_cores,
    window,
)

APART = {"l": ("a",), "m": ("b",)}
ALL = Region(0, 1, 0, 8)
Ends = tuple[str, str]


def rerouted(machine: Machine, routes: Mapping[Ends, tuple[Route, ...]]) -> Machine:
    """Return a machine with other routes; those without a way are left out."""
    return replace(
        machine, routes={ends: ways for ends, ways in {**machine.routes, **routes}.items() if ways}
    )


def way(name: str, bits: float) -> tuple[Route, ...]:
    return (Route(((name, 1.0),), bits),)


def model_of(
    found: Network, cut: Cut = WHOLE, *, spills: bool = False, objective: Objective = LATENCY
) -> Model:
    return modelled(problem_of(found, plan(found, cut)), spills=spills, objective=objective)


def moves(model: Model) -> set[tuple[str, tuple[int, int], str, int]]:
    """Return tensor, rows, destination and stage of all moves."""
    return {(s.piece.tensor, (s.region.y0, s.region.y1), s.destination, s.stage) for s in model.shipments}


def shipment(model: Model, tensor: str, store: str) -> Shipment:
    return next(s for s in model.shipments if (s.piece.tensor, s.destination) == (tensor, store))


def test_parts_go_to_all_stores_they_may_be_read_in() -> None:
    costs = FixedCosts({"l": 10, "m": 100})
    free, apart = (chain(two_cores(512.0, None), replace(costs, only=only)) for only in ({}, APART))
    whole = (0, 8)
    assert moves(model_of(apart)) == {
        ("x", whole, "left", 0),
        ("p", whole, "right", 0),
        ("q", whole, OUTER, 0),
    }
    assert moves(model_of(free)) == moves(model_of(apart)) | {
        ("x", whole, "right", 0),
        ("p", whole, "left", 0),
    }
    choices = {0: LayerChoice(()), 1: LayerChoice((), held=frozenset("W"))}
    streamed = modelled(part_of(apart, choices))
    assert moves(streamed) == {("x", whole, "left", 0), ("p", whole, OUTER, 0), ("q", whole, OUTER, 0)}
    assert shipment(streamed, "q", OUTER).ways == [], "it is written where it is to be"


@pytest.mark.parametrize(
    ("link_bits", "outputs", "cycles"),
    [
        (512.0, ("q",), 1 + 10 + 1 + 100 + 1),
        (16.0, ("q",), 1 + 10 + 32 + 100 + 1),
        # What is delivered anyway comes back from outside.
        (16.0, ("p", "q"), 1 + 10 + 2 + 100 + 1),
        # Without a link it goes that way too.
        (0.0, ("q",), 1 + 10 + 2 + 100 + 1),
    ],
)
def test_a_chain_on_two_cores(link_bits: float, outputs: tuple[str, ...], cycles: int) -> None:
    link = way("link", link_bits) if link_bits else ()
    machine = rerouted(two_cores(1.0, None), {("left", "right"): link})
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    model = model_of(network(machine, layers, FixedCosts({"l": 10, "m": 100}, APART), *outputs))
    assert least_cycles(model) == cycles


def test_a_layer_waits_for_the_one_it_reads_from() -> None:
    found = chain(two_cores(512.0, None), FixedCosts({"l": 10, "m": 100}, {"l": ("a",), "m": ("a",)}))
    assert least_cycles(model_of(found)) == 1 + 10 + 100 + 1
    # What is read outside goes there first, whether or not a model spills.
    choices = {0: LayerChoice(()), 1: LayerChoice((), held=frozenset("WO"))}
    for spills in (True, False):
        assert least_cycles(modelled(part_of(found, choices), spills=spills)) == 1 + 10 + 1 + 100 + 1


def test_a_result_leaves_from_where_it_was_written() -> None:
    machine = rerouted(two_cores(1.0, None), {("left", OUTER): way("port", 8.0)})
    found = network(machine, (elementwise("l", "x", "p"),), FixedCosts({"l": 10}, {}, {"b": 10}), "p")
    # Core b, whose way out is short, takes 100 cycles.
    assert least_cycles(model_of(found)) == 1 + 10 + 64


def test_readers_in_a_store_share_a_move() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "x", "q"))
    costs = FixedCosts({"l": 10, "m": 10}, {"l": ("a",), "m": ("a",)})
    machine = rerouted(two_cores(1.0, None), {(OUTER, "left"): way("port", 8.0)})
    model = model_of(network(machine, layers, costs, "p", "q"))
    assert [len(s.readers) for s in model.shipments if s.piece.tensor == "x"] == [2]
    assert least_cycles(model) == 64 + 10 + 10 + 1


def test_rows_that_are_there_are_not_moved_again() -> None:
    found = network(two_cores(1.0, None), (window("l", "x", "p"),), FixedCosts({"l": 2}, {"l": ("a",)}), "p")
    slow = rerouted(found.machine, {ends: way("port", 1.0) for ends in ((OUTER, "left"), ("left", OUTER))})
    model = model_of(replace(found, machine=slow), Cut("OY", 2))
    assert {rows for tensor, rows, *_ in moves(model) if tensor == "x"} == {(0, 5), (3, 8), (5, 8)}
    # Weights of 24 bits, 8 rows in and 8 out at 64 cycles each; the port is never idle.
    assert least_cycles(model) == 24 + 16 * 64


def sharing(port_bits: float, link: Mapping[Ends, tuple[Route, ...]]) -> Network:
    """Return a layer on each core that read the same image."""
    layers = (elementwise("l", "x", "p"), elementwise("m", "x", "q"))
    into = {(OUTER, store): way("port", port_bits) for store in ("left", "right")}
    return network(
        rerouted(two_cores(512.0, None), {**into, **link}),
        layers,
        FixedCosts({"l": 100, "m": 100}, APART),
        "p",
        "q",
    )


def test_a_copy_may_be_moved_on() -> None:
    assert least_cycles(model_of(sharing(8.0, {}))) == 64 + 1 + 100 + 1
    apart = sharing(8.0, {("left", "right"): (), ("right", "left"): ()})
    assert least_cycles(model_of(apart)) == 64 + 64 + 100 + 1


LINK_AND_PORT = (Route((("port", 1.0), ("link", 1.0)), 8.0),)


@pytest.mark.parametrize(
    ("link", "outer_pj", "objective", "sources"),
    [
        (way("link", 8.0), 0.0, LATENCY, {OUTER, "left"}),
        (LINK_AND_PORT, 0.0, LATENCY, {OUTER}),
        (LINK_AND_PORT, 0.0, ENERGY, {OUTER}),
        (LINK_AND_PORT, 1.0, LATENCY, {OUTER}),
        (LINK_AND_PORT, 1.0, ENERGY, {OUTER, "left"}),
        ((Route((("port", 1.0), ("link", 1.0)), 16.0),), 0.0, LATENCY, {OUTER, "left"}),
    ],
    ids=["no port", "longer", "longer for energy", "cheaper", "cheaper for energy", "faster"],
)
def test_a_copy_is_moved_on_only_if_that_may_be_better(
    link: tuple[Route, ...], outer_pj: float, objective: Objective, sources: set[str]
) -> None:
    found = sharing(8.0, {("left", "right"): link})
    stores = found.machine.stores
    outer = replace(stores[OUTER], read=Word(64, outer_pj))
    machine = replace(found.machine, stores={**stores, OUTER: outer})
    model = model_of(replace(found, machine=machine), objective=objective)
    assert {w.source for w in shipment(model, "x", "right").ways} == sources


def staged(only: Mapping[str, tuple[str, ...]]) -> Network:
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    machine = rerouted(two_cores(1.0, None), {("left", "right"): way("link", 8.0)})
    return network(machine, layers, FixedCosts({"l": 10, "m": 100}, dict(only)), "q", early=(0,))


def test_nothing_is_moved_for_a_stage_before_it_begins() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "y", "q"))
    machine = rerouted(two_cores(1.0, None), {(OUTER, "left"): way("port", 8.0)})
    found = network(
        machine, layers, FixedCosts({"l": 10, "m": 100}, {"l": ("a",), "m": ("a",)}), "q", early=(0,)
    )
    model = model_of(found)
    assert moves(model) == {("x", (0, 8), "left", 0), ("y", (0, 8), "left", 1), ("q", (0, 8), OUTER, 1)}
    assert least_cycles(model) == 64 + 10 + 64 + 100 + 1


def test_what_an_earlier_stage_brought_is_there() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "x", "q"))
    machine = rerouted(two_cores(1.0, None), {(OUTER, "left"): way("port", 8.0)})
    found = network(
        machine, layers, FixedCosts({"l": 10, "m": 100}, {"l": ("a",), "m": ("a",)}), "q", early=(0,)
    )
    assert least_cycles(model_of(found)) == 64 + 10 + 100 + 1


def test_what_was_moved_out_for_want_of_room_may_be_fetched_if_the_model_spills() -> None:
    # Over the link the result takes 64 cycles; out of the first store, and in again, a cycle each.
    found = staged(APART)
    assert [w.spilled for w in shipment(model_of(found), "p", "right").ways] == [False]
    assert least_cycles(model_of(found)) == 1 + 10 + 64 + 100 + 1
    model = model_of(found, spills=True)
    assert [(w.source, w.spilled) for w in shipment(model, "p", "right").ways] == [
        ("left", False),
        (OUTER, True),
    ]
    # The way out is free, but not before the piece could have reached the outer store.
    assert least_cycles(model) == 1 + 10 + 1 + 1 + 100 + 1


def test_weights_on_chip_are_not_moved() -> None:
    found = network(two_cores(1.0, None), (window("l", "x", "p"),), FixedCosts({"l": 80}, {"l": ("a",)}), "p")
    weights = ("l.weights", (0, 1), "left", 0)
    lying = {"l.weights": (("left", Region(0, 1, 0, 1)),)}
    assert weights in moves(model_of(found))
    kept = modelled(problem_of(found, plan(found), lying))
    assert weights not in moves(kept)
    assert least_cycles(kept) == 1 + 80 + 1
    elsewhere = modelled(problem_of(found, plan(found), {"l.weights": (("right", Region(0, 1, 0, 1)),)}))
    assert {w.source for w in shipment(elsewhere, "l.weights", "left").ways} == {OUTER, "right"}


def test_results_leave_when_their_stage_ends() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    machine = rerouted(two_cores(1.0, None), {("left", OUTER): way("port", 8.0)})
    costs = FixedCosts({"l": 10, "m": 100}, {"l": ("a",), "m": ("a",)})
    both, last = (network(machine, layers, costs, *outputs, early=(0,)) for outputs in (("p", "q"), ("q",)))
    assert least_cycles(model_of(both)) == 1 + 10 + 64 + 100 + 64
    assert least_cycles(model_of(last)) == 1 + 10 + 100 + 64
