"""Which weights stay on chip: those reached most often, of these the smallest, as far as there is room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.network.layer import Operand
from targets.objective import uniform
from targets.schedule.check.checker import problems
from targets.schedule.machine import Machine
from targets.schedule.network import Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, NoOptionError, Segment, finished, simulate
from targets.schedule.regions import Region
from targets.schedule.search.residency import resident_weights, settled, weight_places
from targets.schedule.tiles import Cut
from tests.targets.schedule.hand_networks import (
    IMAGE_BITS,
    WEIGHT_BITS,
    TableCosts,
    bus_machine,
    conv,
    network,
    one_by_one,
)
from tests.targets.schedule.random_plans import random_problem

A, B = "a.sram", "b.sram"
ALL = Region(0, 4, 0, 1)


def two_stages(machine: Machine) -> Network:
    """Return two convolutions in the first stage, of 16 and 8 bits per weight, and one in the second."""
    large = replace(conv("large", "x"), weight=Operand("", (4, 4, 1, 1), 16))
    layers = [large, conv("small", "large.out"), conv("late", "small.out")]
    costs = TableCosts({"large": 100, "small": 100, "late": 100})
    return network(layers, costs, machine, stages=[["large", "small"], ["late"]])


# Beside two images, the most that ever lies there, for weights of 256, 128 and, later, 128 bits.
@pytest.mark.parametrize(
    ("room", "ratios", "kept"),
    [
        (4 * WEIGHT_BITS, {0: 1.0, 1: 0.5}, ["small", "large", "late"]),
        (4 * WEIGHT_BITS - 1, {0: 1.0, 1: 0.5}, ["small", "large"]),
        (3 * WEIGHT_BITS - 1, {0: 1.0, 1: 0.5}, ["small", "late"]),
        (2 * WEIGHT_BITS - 1, {0: 1.0, 1: 0.5}, ["small"]),
        (WEIGHT_BITS - 1, {0: 1.0, 1: 0.5}, []),
        # Nobody leaves at the first exit: the smallest come first, of these those of the first layer.
        (4 * WEIGHT_BITS, {0: 1.0, 1: 1.0}, ["small", "late", "large"]),
        (WEIGHT_BITS, {0: 1.0, 1: 1.0}, ["small"]),
        # Where the later stage were reached more often its weights would come first.
        (WEIGHT_BITS, {0: 0.5, 1: 1.0}, ["late"]),
        # Without a limit all have room.
        (None, {0: 1.0, 1: 0.5}, ["small", "large", "late"]),
    ],
)
def test_weights_stay_by_how_often_they_are_reached_and_by_size(
    room: int | None, ratios: Mapping[int, float], kept: list[str]
) -> None:
    size_bits = None if room is None else 2 * IMAGE_BITS + room
    endless = two_stages(bus_machine())
    plan = one_by_one(endless, "aaa")
    made = two_stages(bus_machine("ab", size_bits))
    found = resident_weights(made, plan, finished(simulate(endless, plan)), ratios)
    assert list(found) == [f"{name}.weights" for name in kept]
    assert all(places == ((A, ALL),) for places in found.values())


def test_each_core_needs_room_for_what_it_reads() -> None:
    layers = [conv("one", "x"), conv("two", "one.out"), conv("three", "two.out")]
    costs = TableCosts({"one": 100, "two": 100, "three": 100})
    made = network(layers, costs, bus_machine("ab", None))
    choices = (
        LayerChoice(("a", "b"), Cut("K", 2)),
        LayerChoice(("b", "a"), Cut("OY", 2)),
        LayerChoice(("a",), held=frozenset("IO")),
    )
    plan = tuple(Segment((i,), (choice,)) for i, choice in enumerate(choices))
    upper, lower = Region(0, 2, 0, 1), Region(2, 4, 0, 1)
    halves, both = ((A, upper), (B, lower)), ((A, ALL), (B, ALL))
    # The third streams its weights from off chip: they are read in no store of a core.
    assert weight_places(made, plan) == {"one.weights": halves, "two.weights": both}
    schedule = finished(simulate(made, plan))
    assert resident_weights(made, plan, schedule, {0: 1.0}) == {"one.weights": halves, "two.weights": both}
    # In the second store lie an image, half a result (K) and a quarter of one, which comes early: 896 bits.
    # With room for the weights of one layer beside it, those of which it has half stay, the others cannot.
    stores = dict(made.machine.stores) | {B: replace(made.machine.stores[B], size_bits=896 + WEIGHT_BITS)}
    narrow = replace(made, machine=replace(made.machine, stores=stores))
    assert resident_weights(narrow, plan, schedule, {0: 1.0}) == {"one.weights": halves}


@pytest.mark.parametrize("lacking", [0, 1])
def test_parts_in_one_store_stay_together_or_not_at_all(lacking: int) -> None:
    size_bits = 2 * IMAGE_BITS + WEIGHT_BITS - lacking
    costs = TableCosts({"one": 100})
    made = network([conv("one", "x")], costs, bus_machine("ab", size_bits), outputs=["one.out"])
    plan = (Segment((0,), (LayerChoice(("a", "a"), Cut("K", 2)),)),)
    # Beside the image and the result, of which the first half still leaves while the second is made.
    schedule = finished(simulate(replace(made, machine=bus_machine()), plan))
    halves = ((A, Region(0, 2, 0, 1)), (A, Region(2, 4, 0, 1)))
    found = resident_weights(made, plan, schedule, {0: 1.0})
    assert found == ({} if lacking else {"one.weights": halves})


def test_operands_read_off_chip_have_no_place_on_chip() -> None:
    machine = bus_machine()
    places = {key: store for key, store in machine.operand_stores.items() if key != ("a", "W")}
    made = network([conv("one", "x")], TableCosts({"one": 100}), replace(machine, operand_stores=places))
    assert weight_places(made, one_by_one(made, "a")) == {}
    assert weight_places(made, one_by_one(made, "b")) == {"one.weights": ((B, ALL),)}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 24))
def test_what_stays_is_valid_and_need_not_be_fetched(seed: int) -> None:
    made, plan, _ = random_problem(seed)
    ratios = uniform(len(made.stage_names))
    reached = {stage: sum(ratios[stage:]) for stage in range(len(ratios))}
    try:
        resident = resident_weights(made, plan, finished(simulate(made, plan)), reached)
        schedule = finished(simulate(made, plan, resident), resident)
    except (NoRoomError, NoOptionError):
        return
    assert problems(made, schedule) == []
    assert not {move.tensor for move in schedule.moves} & set(resident)
    assert resident.items() <= weight_places(made, plan).items()


@pytest.mark.parametrize(
    ("places", "stay"),
    [
        (((A, ALL),), True),
        # Read on the other core: nobody reads them there any more.
        (((B, ALL),), False),
        # Half of them would be fetched all the same.
        (((A, Region(0, 2, 0, 1)),), False),
        ((), False),
    ],
)
def test_what_is_settled_stays_where_it_is_read_and_is_never_fetched(
    places: tuple[tuple[str, Region], ...], stay: bool
) -> None:
    made = network([conv("one", "x")], TableCosts({"one": 100}))
    plan = one_by_one(made, "a")
    kept, state = settled(made, plan, {"one.weights": places} if places else {})
    assert kept == ({"one.weights": places} if stay else {})
    fetched = [move for move in state.moves if move.purpose == "weights"]
    assert [(move.destination, move.bits) for move in fetched] == ([] if stay else [(A, WEIGHT_BITS)])
    assert problems(made, finished(state, kept)) == []
