"""Tiles placed one by one: as early as data, core and room allow, and what is there before and after them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.schedule.machine import OUTER
from targets.schedule.network import ALL_HELD, Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import (
    LayerChoice,
    NoOptionError,
    Segment,
    ended,
    finished,
    place_segment,
    simulate,
)  # fmt: skip
from targets.schedule.regions import Region
from targets.schedule.state import State
from targets.schedule.tiles import Cut
from tests.targets.schedule.hand_networks import (
    IMAGE_BITS,
    WEIGHT_BITS,
    TableCosts,
    bus_machine,
    conv,
    image,
    network,
    one_by_one,
    pointwise,
    three_exits,
)  # fmt: skip
from tests.targets.schedule.random_plans import random_problem
from tests.targets.schedule.small_schedule import conv as padded_conv

A, B = "a.sram", "b.sram"
WEIGHTS = Region(0, 4, 0, 1)
HALVES = Cut("OY", 2)


def runs(state: State) -> list[tuple[str, int, int]]:
    return [(run.name, run.start, run.end) for run in state.runs]


def moves(state: State) -> list[tuple[str, str, int, int]]:
    return [(m.tensor, m.destination, m.start, m.end) for m in state.moves]


def hundred(*names: str) -> TableCosts:
    """Return costs of 100 cycles for each layer."""
    return TableCosts(dict.fromkeys(names, 100))


def test_weights_come_first_then_inputs_and_results_leave_as_soon_as_they_are_written() -> None:
    made = network([conv("one", "x"), conv("two", "one.out")], hundred("one", "two"), outputs=["two.out"])
    state = simulate(made, one_by_one(made, "ab"))
    assert runs(state) == [("one", 10, 110), ("two", 118, 218)]
    assert moves(state) == [
        ("one.weights", A, 0, 2), ("x", A, 2, 10),
        # Ahead of time, into the first gap on the bus.
        ("two.weights", B, 10, 12), ("one.out", B, 110, 118),
        ("two.out", OUTER, 218, 226),
    ]  # fmt: skip
    assert [m.purpose for m in state.moves] == ["weights", "input", "weights", "activations", "output"]
    # From the start of what brings or writes it to the end of the last that reads or takes it away.
    assert {(s.tensor, s.store, s.start, s.end) for s in state.stays} == {
        ("one.weights", A, 0, 110), ("x", A, 2, 110), ("one.out", A, 10, 118),
        ("two.weights", B, 10, 218), ("one.out", B, 110, 218), ("two.out", B, 118, 226),
        ("two.out", OUTER, 218, None),
    }  # fmt: skip
    assert (state.end, state.stage_ends, state.stage_energies) == (226, (226,), (state.energy_pj,))


def test_what_is_in_the_store_is_not_moved_there_again() -> None:
    made = network([pointwise("one", "x"), pointwise("two", "x", "one.out")], hundred("one", "two"))
    assert moves(simulate(made, one_by_one(made, "aa"))) == [("x", A, 0, 8)]


def test_of_rows_that_overlap_only_those_that_lack_are_moved() -> None:
    # Rows 0 to 4 for the upper half of a padded 3 x 3 convolution, 3 to 7 for the lower.
    made = network([padded_conv("one", image("x"), 4, ())], hundred("one"))
    for cores, lower in (("aa", Region(0, 4, 5, 8)), ("ab", Region(0, 4, 3, 8))):
        choice = LayerChoice(tuple(cores), HALVES, ALL_HELD)
        state = simulate(made, [Segment((0,), (choice,))])
        parts = [m.region for m in state.moves if m.tensor == "x"]
        assert parts == [Region(0, 4, 0, 5), lower], cores


@pytest.mark.parametrize(
    ("held", "brought", "streams"),
    [
        ("WIO", ["one.weights", "x"], False),
        ("WO", ["one.weights"], True),
        ("IO", ["x"], True),
        ("WI", ["one.weights", "x"], True),
        ("", [], True),
    ],
)
def test_operands_that_are_not_held_are_not_moved_and_the_run_takes_the_way_off_chip(
    held: str, brought: list[str], streams: bool
) -> None:
    made = network([conv("one", "x"), pointwise("two", "y")], hundred("one", "two"))
    choices = ("a", frozenset(held)), ("b", ALL_HELD)
    plan = [Segment((i,), (LayerChoice((core,), held=h),)) for i, (core, h) in enumerate(choices)]
    state = simulate(made, plan)
    *first, other = state.moves
    assert [m.tensor for m in first] == brought
    run = next(iter(state.runs))
    assert run.uses == ((("a", 1.0), ("bus", 64.0)) if streams else (("a", 1.0),))
    begun = sum(m.end - m.start for m in first)
    assert run.start == begun
    # Meanwhile nothing else is moved, unless all of it is done before the run starts.
    assert other.start == (run.end if streams else begun)
    output = "O" in held
    assert (("one.out", A) in {(s.tensor, s.store) for s in state.stays}) is output


def test_a_layer_without_weights_does_not_stream_them() -> None:
    made = network([pointwise("one", "x")], hundred("one"))
    state = simulate(made, one_by_one(made, "a", frozenset("IO")))
    assert [run.uses for run in state.runs] == [(("a", 1.0),)]


def test_a_host_that_every_run_needs_makes_them_take_turns() -> None:
    made = network([pointwise("one", "x"), pointwise("two", "y")], hundred("one", "two"))
    machine = made.machine
    host = replace(machine, capacities=dict(machine.capacities) | {"host": 1.0}, runs_take=(("host", 1.0),))
    assert runs(simulate(made, one_by_one(made, "ab"))) == [("one", 8, 108), ("two", 16, 116)]
    state = simulate(replace(made, machine=host), one_by_one(made, "ab"))
    assert runs(state) == [("one", 8, 108), ("two", 108, 208)]


@pytest.mark.parametrize(("size_bits", "second"), [(128, 0), (127, 100)])
def test_buffers_take_room_while_the_run_works(size_bits: int, second: int) -> None:
    costs = replace(hundred("one", "two"), buffers={"one": (("both", 64),), "two": (("both", 64),)})
    machine = bus_machine()
    stores = {
        "both": replace(machine.stores[A], name="both", size_bits=size_bits),
        OUTER: machine.stores[OUTER],
    }
    machine = replace(machine, stores=stores, operand_stores={}, streaming={})
    made = network([pointwise("one", "x"), pointwise("two", "y")], costs, machine)
    state = simulate(made, one_by_one(made, "ab"))
    assert [run.start for run in state.runs] == [0, second]
    assert [(s.tensor, s.bits, s.start, s.end) for s in state.stays if s.store == "both"] == [
        ("one.buffers", 64, 0, 100), ("two.buffers", 64, second, second + 100)
    ]  # fmt: skip


def test_where_no_way_leads_data_goes_over_the_outer_store() -> None:
    machine = bus_machine()
    routes = {ways: way for ways, way in machine.routes.items() if OUTER in ways}
    layers = [pointwise("one", "x"), pointwise("two", "one.out")]
    made = network(layers, hundred("one", "two"), replace(machine, routes=routes))
    state = simulate(made, one_by_one(made, "ab"))
    assert moves(state) == [("x", A, 0, 8), ("one.out", OUTER, 108, 116), ("one.out", B, 116, 124)]
    assert [m.purpose for m in state.moves] == ["input", "spill", "activations"]


# Room for half of what is read and half of what is written, where x lies off chip too and may go at any time.
# Layer by layer, each half of the tensor between has to make room for the other.
@pytest.mark.parametrize(("fused", "spills"), [(True, 0), (False, 2)])
def test_pieces_in_a_group_go_with_their_last_reader(fused: bool, spills: int) -> None:
    layers = [pointwise("one", "x"), pointwise("two", "one.out")]
    machine = bus_machine("a", IMAGE_BITS)
    made = network(layers, replace(hundred("one", "two"), names=("a",)), machine, outputs=["two.out"])
    choice = LayerChoice(("a", "a"), HALVES)
    plan = [Segment((0, 1), (choice, choice))] if fused else [Segment((i,), (choice,)) for i in (0, 1)]
    state = simulate(made, plan)
    assert [m.purpose for m in state.moves].count("spill") == spills
    order = ["one[1/2]", "two[1/2]", "one[2/2]", "two[2/2]"]
    assert [name for name, *_ in runs(state)] == (order if fused else sorted(order))


@pytest.mark.parametrize(
    ("speculative", "starts", "ends"),
    [
        # Image in 8, backbone 10, head 100; then 8 for moving it to the other core, and so on.
        ((), {"s1": 126, "s2": 194}, (118, 186, 234)),
        # The second stage waits for the backbone of the first alone, and ends before the head decides: its
        # exit is decided with the first. The third waits for the decision of the first.
        ((0,), {"s1": 26, "s2": 126}, (118, 118, 166)),
        # Behind a second exit that speculates nothing goes on before the first has decided.
        ((0, 1), {"s1": 26, "s2": 126}, (118, 118, 166)),
        # The last is over before the head of the second, which decides whether it is needed.
        ((1,), {"s1": 126, "s2": 144}, (118, 186, 186)),
    ],
)
def test_stages_wait_for_the_one_before_or_speculate(
    speculative: Sequence[int], starts: dict[str, int], ends: tuple[int, ...]
) -> None:
    state = simulate(*three_exits((10, 100, 10, 50, 10, 30)), speculative=frozenset(speculative))
    assert {name: start for name, start, _ in runs(state) if name in starts} == starts
    assert state.stage_ends == ends


def chain(length: int, *more: tuple[str, ...]) -> Network:
    """Return layers of 100 cycles in a row, and more layers behind them."""
    layers = [pointwise(f"l{i}", f"l{i - 1}.out" if i else "x") for i in range(length)]
    layers += [pointwise(*other) for other in more]
    return network(layers, hundred(*(layer.name for layer in layers)))


@pytest.mark.parametrize(
    ("more", "floor"),
    [
        # The first segment ends at 108, the 14 placed one by one: 12 ago the second had ended.
        ((), 208),
        # The last layer waits for the last but one too, so that what it reads of the first is no reason.
        ((("last", "l0.out", "l13.out"),), 208),
        # This one could start as soon as the first result is there.
        ((("last", "l0.out"),), 108),
        # Inputs of the network are there from the start.
        ((("last", "x"),), 0),
    ],
)
def test_gaps_are_not_looked_for_where_nothing_that_is_to_come_could_start(
    more: Sequence[tuple[str, ...]], floor: int
) -> None:
    made = chain(14, *more)
    state = State(made)
    for number, segment in enumerate(one_by_one(made, "a" * len(made.order))[:14]):
        place_segment(state, segment)
        if number < 12:
            assert state.floor == 0, "12 segments are looked back at"
    assert state.floor == floor


@pytest.mark.parametrize(
    ("share", "size_bits", "kept"),
    [
        (0.0, 4 * IMAGE_BITS, []),
        (1.0, 4 * IMAGE_BITS, ["one", "two"]),
        # One in eight of 2,048 bits are those of two layers; a bit less are those of one.
        (0.125, 4 * IMAGE_BITS, ["one", "two"]),
        (0.124, 4 * IMAGE_BITS, ["one"]),
        # There has to be room at all times: also beside the sum, for which three images were there.
        (1.0, 3 * IMAGE_BITS + 2 * WEIGHT_BITS, ["one", "two"]),
        (1.0, 3 * IMAGE_BITS + 2 * WEIGHT_BITS - 1, ["one"]),
        (1.0, None, []),
    ],
)
def test_weights_are_kept_from_the_first_time_on_as_far_as_they_may_and_fit(
    share: float, size_bits: int | None, kept: list[str]
) -> None:
    layers = [conv("one", "x"), pointwise("sum", "one.out", "y")]
    layers += [pointwise("next", "sum.out"), conv("two", "next.out")]
    costs = replace(hundred("one", "sum", "next", "two"), names=("a",))
    stages = [["one", "sum"], ["next"], ["two"]]
    made = network(layers, costs, bus_machine("a", size_bits), stages)
    state = State(replace(made, keep_share=share))
    for segment in one_by_one(made, "aaaa"):
        # As in a beam: what one copy keeps is no business of another, and what lay there in stages that are
        # over counts although copies forget it.
        place_segment(state.copy(), segment)
        state = state.copy()
        place_segment(state, segment)
    assert state.kept == {f"{name}.weights": ((A, WEIGHTS),) for name in kept}
    fetched = {m.tensor for m in state.moves if m.purpose == "weights"}
    assert fetched == {f"{name}.weights" for name in {"one", "two"} - set(kept)}
    assert all(stay.start == 0 for stay in state.stays if stay.end is None)


def test_weights_may_be_taken_to_be_everywhere() -> None:
    made = network([conv("one", "x")], hundred("one"), bus_machine("ab", 2 * IMAGE_BITS))
    state = simulate(replace(made, keep_share=math.inf), one_by_one(made, "a"))
    assert moves(state) == [("x", A, 0, 8)] and state.kept == {}


def test_resident_weights_are_there_before_the_first_cycle_and_stay() -> None:
    made = network([conv("one", "x")], hundred("one"))
    state = simulate(made, one_by_one(made, "a"), {"one.weights": ((A, WEIGHTS), (B, WEIGHTS))})
    assert moves(state) == [("x", A, 0, 8)]
    stays = {(s.store, s.bits, s.start, s.end) for s in state.stays if s.tensor == "one.weights"}
    assert stays == {(A, WEIGHT_BITS, 0, None), (B, WEIGHT_BITS, 0, None)}
    assert state.kept == {"one.weights": ((A, WEIGHTS), (B, WEIGHTS))}


# The weights of five convolutions take more than the image they work on.
@pytest.mark.parametrize(
    ("outer_bits", "weights"),
    [(None, 0), (5 * WEIGHT_BITS + IMAGE_BITS, 5), (5 * WEIGHT_BITS + IMAGE_BITS - 1, 4)],
)
def test_weights_lie_in_an_outer_store_with_a_limit_but_those_from_beyond(
    outer_bits: int | None, weights: int
) -> None:
    layers = [conv(f"l{i}", f"l{i - 1}.out" if i else "x") for i in range(5)]
    made = network(layers, hundred(*(layer.name for layer in layers)), bus_machine("ab", None, outer_bits))
    state = State(replace(made, beyond={f"l{i}.weights": 0 for i in range(weights, 5)}))
    assert {s.tensor for s in state.stays} == {f"l{i}.weights" for i in range(weights)}
    assert all((s.store, s.bits, s.start, s.end) == (OUTER, WEIGHT_BITS, 0, None) for s in state.stays)
    taken = state.memories[OUTER].peak
    assert taken == (0 if outer_bits is None else weights * WEIGHT_BITS + IMAGE_BITS), "and the image"
    assert state.kept == {}, "off chip nothing has to be kept"


@pytest.mark.parametrize(
    ("outer_bits", "layer", "held_bits"),
    [(2 * IMAGE_BITS - 1, "two", IMAGE_BITS), (5 * WEIGHT_BITS, "one", 5 * WEIGHT_BITS)],
)
def test_inputs_beyond_the_outer_store_are_told_before_anything_is_placed(
    outer_bits: int, layer: str, held_bits: int
) -> None:
    # Two images and no weights, or the weights of five convolutions, which fill it by themselves.
    layers = [pointwise("one", "x"), pointwise("two", "y", "one.out")]
    if layer == "one":
        layers += [conv(f"conv{i}", "one.out") for i in range(5)]
    made = network(layers, hundred(), bus_machine("ab", None, outer_bits))
    with pytest.raises(NoRoomError) as caught:
        State(made)
    error = caught.value
    assert (error.store, error.layer, error.bits, error.held_bits) == (OUTER, layer, IMAGE_BITS, held_bits)


def test_weights_beyond_the_outer_store_are_told_as_such() -> None:
    layers = [conv(f"l{i}", f"l{i - 1}.out" if i else "x") for i in range(3)]
    made = network(layers, hundred("l0", "l1", "l2"), bus_machine("ab", None, 3 * WEIGHT_BITS - 1))
    with pytest.raises(NoRoomError) as caught:
        State(made)
    error = caught.value
    assert (error.store, error.layer, error.bits, error.held_bits) == (
        OUTER,
        "l2",
        WEIGHT_BITS,
        2 * WEIGHT_BITS,
    )
    assert error.weight_bits == 3 * WEIGHT_BITS


def test_what_a_copy_is_told_to_expect_is_not_expected_elsewhere() -> None:
    state = State(network([pointwise("one", "x")], hundred("one")))
    twin = state.copy()
    whole = Region(0, 4, 0, 8)
    twin.expect("one.out", [Region(0, 4, 0, 4), Region(0, 4, 4, 8)], [whole, Region(0, 4, 0, 4)])
    assert list(twin.readers_left.values()) == [2, 1], "two read of the upper half, one of the lower"
    assert not state.readers_left


@settings(deadline=None)
@given(st.integers(0, 1 << 24), st.sampled_from([0.0, 0.3, 1.0]), st.data())
def test_a_copy_of_a_state_grows_on_its_own(seed: int, share: float, data: st.DataObject) -> None:
    made, plan, resident = random_problem(seed)
    made = replace(made, keep_share=share)
    first = data.draw(st.integers(0, len(plan)))
    try:
        state = State(made, resident)
        for segment in plan[:first]:
            place_segment(state, segment)
        before, twin = finished(state, resident), state.copy()
        for segment in plan[first:]:
            place_segment(twin, segment)
        assert finished(state, resident) == before
        whole = finished(ended(twin), resident)
        for segment in plan[first:]:
            place_segment(state, segment)
        assert finished(ended(state), resident) == whole, "whatever its copy did meanwhile"
        assert finished(simulate(made, plan, resident), resident) == whole, "the same every time"
    except (NoRoomError, NoOptionError):
        return
