"""Moves between stores, and room in them: which way is taken, what waits, what goes and what never does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from targets.schedule.machine import OUTER, Machine, Route
from targets.schedule.network import Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import simulate
from targets.schedule.result import Move
from targets.schedule.state import State
from tests.targets.schedule.hand_networks import (
    IMAGE_BITS,
    WEIGHT_BITS,
    TableCosts,
    bus_machine,
    conv,
    network,
    one_by_one,
    pointwise,
)

A, B = "a.sram", "b.sram"


def moves(made: Network, cores: Sequence[str]) -> list[Move]:
    return list(simulate(made, one_by_one(made, cores)).moves)


def fork(machine: Machine) -> Network:
    """Return two layers that read one image."""
    layers = [pointwise("one", "x"), pointwise("two", "x")]
    return network(layers, TableCosts({"one": 100, "two": 100}), machine)


def linked(cycles: int, energy_pj_per_bit: float = 0.0) -> Machine:
    """Return the cores with a link from the first to the second that takes so long for an image."""
    machine = bus_machine()
    link = (Route((("link", 1.0),), IMAGE_BITS / cycles, energy_pj_per_bit),)
    return replace(
        machine,
        capacities=dict(machine.capacities) | {"link": 1.0},
        routes=dict(machine.routes) | {(A, B): link},
    )


# The image is in the first store at cycle 8, and then comes from off chip to the second one until cycle 16.
@pytest.mark.parametrize(
    ("cycles", "energy_pj_per_bit", "thrifty", "source", "end"),
    [
        (4, 1.0, False, A, 12),  # The first to arrive, whatever it costs.
        (80, 0.0, False, OUTER, 16),
        (80, 0.0, True, A, 88),  # The cheapest, whenever it arrives.
        (4, 1.0, True, OUTER, 16),
        (8, 0.0, False, A, 16),  # At the same time, the cheaper one: 8 pJ to read, not 80.
        (8, 1.0, False, OUTER, 16),
        (4, 72 / IMAGE_BITS, True, A, 12),  # At the same cost, the first to arrive.
        (80, 72 / IMAGE_BITS, True, OUTER, 16),
    ],
)  # fmt: skip
def test_of_all_copies_and_ways_the_first_to_arrive_or_the_cheapest_is_taken(
    cycles: int, energy_pj_per_bit: float, thrifty: bool, source: str, end: int
) -> None:
    made = replace(fork(linked(cycles, energy_pj_per_bit)), thrifty=thrifty)
    first, second = moves(made, "ab")
    assert (first.source, first.destination, first.start, first.end) == (OUTER, A, 0, 8)
    assert (second.source, second.destination, second.end) == (source, B, end)


def test_a_way_is_taken_from_the_first_cycle_to_the_last_and_shared_as_far_as_it_is_wide() -> None:
    # Without a better way the second core gets its copy from off chip.
    narrow = fork(bus_machine())
    assert [(m.start, m.end) for m in moves(narrow, "ab")] == [(0, 8), (8, 16)]
    wide = replace(narrow.machine, capacities=dict(narrow.machine.capacities) | {"bus": 128.0})
    assert [(m.start, m.end) for m in moves(replace(narrow, machine=wide), "ab")] == [(0, 8), (0, 8)]
    # A host that every move needs makes them take turns on the wide bus too.
    host = replace(wide, capacities=dict(wide.capacities) | {"host": 1.0}, moves_take=(("host", 1.0),))
    taken = moves(replace(narrow, machine=host), "ab")
    assert [(m.start, m.end) for m in taken] == [(0, 8), (8, 16)]
    assert taken[0].uses == (("bus", 64.0), ("host", 1.0))


def test_a_move_costs_reading_wires_and_writing() -> None:
    made = fork(linked(4, 0.5))
    state = simulate(made, one_by_one(made, "ab"))
    outer, link = state.moves
    # 8 words of 64 bits at 10 pJ off chip and 1 pJ on chip.
    assert (outer.read_pj, outer.wire_pj, outer.write_pj) == (80.0, 0.0, 8.0)
    assert (link.read_pj, link.wire_pj, link.write_pj) == (8.0, 256.0, 8.0)
    assert state.energy_pj == (80 + 8) + (8 + 256 + 8) + 100 + 100


@pytest.mark.parametrize(("bus", "begin"), [(128.0, 108), (64.0, 116)])
def test_what_comes_waits_until_there_is_room_for_good_and_a_way(bus: float, begin: int) -> None:
    # Room for two images: the second one can come when the first is of no more use. Then the result of the
    # first leaves, on a bus with or without room for both.
    machine = replace(bus_machine("a", 2 * IMAGE_BITS), capacities={"a": 1.0, "bus": bus})
    layers = [pointwise("one", "x"), pointwise("two", "y")]
    costs = TableCosts({"one": 100, "two": 100}, ("a",))
    made = network(layers, costs, machine, outputs=["one.out", "two.out"])
    state = simulate(made, one_by_one(made, "aa"))
    run, end = begin + 8, begin + 108
    assert [(m.tensor, m.start, m.end) for m in state.moves] == [
        ("x", 0, 8), ("one.out", 108, 116), ("y", begin, run), ("two.out", end, end + 8)
    ]  # fmt: skip
    assert [run.start for run in state.runs] == [8, run]
    assert {(s.tensor, s.start, s.end) for s in state.stays if s.store == A} == {
        ("x", 0, 108), ("one.out", 8, 116), ("y", begin, end), ("two.out", run, end + 8)
    }  # fmt: skip
    assert state.end == end + 8, "a move may be the last of all"


def on_one_core(images: int, *layers: tuple[str, ...], outputs: Sequence[str] = ()) -> Network:
    """Return layers, by name and what they read, on one core with room for some images."""
    made = [pointwise(*layer) for layer in layers]
    costs = TableCosts({layer.name: 100 for layer in made}, ("a",))
    return network(made, costs, bus_machine("a", images * IMAGE_BITS), outputs=outputs)


def test_where_room_lacks_what_lies_elsewhere_too_goes_first_and_is_fetched_again() -> None:
    made = on_one_core(
        3, ("first", "x"), ("second", "y"), ("reads_x", "x"), ("last", "first.out", "reads_x.out"),
        outputs=["second.out"],
    )  # fmt: skip
    # When the second result needs room, the first one is read later than x, but lies nowhere else.
    assert [(m.tensor, m.purpose) for m in moves(made, "aaaa")] == [
        ("x", "input"), ("y", "input"), ("second.out", "output"), ("x", "input")
    ]  # fmt: skip


def test_else_what_is_read_last_is_moved_out_and_back() -> None:
    made = on_one_core(
        3, ("early", "x"), ("late", "y"), ("more", "z"),
        ("sum", "early.out", "more.out"), ("last", "late.out", "sum.out"),
    )  # fmt: skip
    found = moves(made, "aaaaa")
    spilled = [m for m in found if m.tensor == "late.out"]
    assert [m.tensor for m in found if m not in spilled] == ["x", "y", "z"]
    assert [(m.source, m.destination, m.purpose) for m in spilled] == [
        (A, OUTER, "spill"),
        (OUTER, A, "activations"),
    ]
    # Nothing is in the way of moving it out once it is made; what needs its room starts behind that.
    state = simulate(made, one_by_one(made, "aaaaa"))
    third = list(state.runs)[2]
    assert third.start >= spilled[0].end


@pytest.mark.parametrize(
    ("machine", "store", "bits", "held_bits"),
    [
        # What the layer reads cannot go while its result needs room.
        (bus_machine("a", 1000), A, IMAGE_BITS, IMAGE_BITS),
        (bus_machine("a", 500), A, IMAGE_BITS, 0),
        # From off chip nothing ever goes: the image is there when its result arrives.
        (bus_machine("a", None, 1000), OUTER, IMAGE_BITS, IMAGE_BITS),
    ],
)
def test_where_nothing_can_go_the_layer_the_store_and_what_lacks_are_told(
    machine: Machine, store: str, bits: int, held_bits: int
) -> None:
    made = network([pointwise("one", "x")], TableCosts({"one": 100}, ("a",)), machine, outputs=["one.out"])
    with pytest.raises(NoRoomError) as caught:
        simulate(made, one_by_one(made, "a"))
    error = caught.value
    assert (error.store, error.bits, error.layer, error.held_bits) == (store, bits, "one", held_bits)


@pytest.mark.parametrize("lacking", [0, 1])
def test_weights_that_are_kept_never_go(lacking: int) -> None:
    size_bits = 3 * IMAGE_BITS + WEIGHT_BITS - lacking
    layers = [conv("one", "x"), pointwise("sum", "one.out", "y")]
    costs = TableCosts({"one": 100, "sum": 100}, ("a",))
    made = replace(network(layers, costs, bus_machine("a", size_bits)), keep_share=1.0)
    plan = one_by_one(made, "aa")
    if not lacking:
        assert [m.tensor for m in simulate(made, plan).moves] == ["x", "y"]
        return
    with pytest.raises(NoRoomError) as caught:
        simulate(made, plan)
    assert (caught.value.layer, caught.value.held_bits) == ("sum", WEIGHT_BITS + 2 * IMAGE_BITS)
    assert caught.value.weight_bits == WEIGHT_BITS


@pytest.mark.parametrize(
    ("size_bits", "bits", "held_bits"),
    [(WEIGHT_BITS - 1, WEIGHT_BITS, 0), (WEIGHT_BITS + IMAGE_BITS - 1, IMAGE_BITS, WEIGHT_BITS)],
)
def test_how_much_of_it_is_weights_is_told(size_bits: int, bits: int, held_bits: int) -> None:
    # Their weights are fetched first: alone they do not fit, or the image does not beside them.
    made = network([conv("one", "x")], TableCosts({"one": 100}, ("a",)), bus_machine("a", size_bits))
    with pytest.raises(NoRoomError) as caught:
        simulate(made, one_by_one(made, "a"))
    error = caught.value
    assert (error.bits, error.held_bits, error.weight_bits) == (bits, held_bits, WEIGHT_BITS)


def test_readers_are_those_that_have_not_run() -> None:
    made = on_one_core(4, ("one", "x"), ("two", "x"), ("three", "one.out"))
    state = State(made)
    assert list(state.readers_of("x")) == [0, 1]
    state.complete(0)
    assert list(state.readers_of("x")) == [1] and state.is_wanted("x")
    state.complete(1)
    assert not state.is_wanted("x") and not list(state.readers_of("x"))
    assert state.is_wanted("one.out") and not state.is_wanted("two.out")
