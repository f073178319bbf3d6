"""Groups through which rows flow: where they may begin and end, their tiles, and the cores of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.network.layer import Layer, Operand
from targets.schedule.check.checker import problems
from targets.schedule.freedom import Freedom
from targets.schedule.network import ALL_HELD, Held, Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, finished, simulate
from targets.schedule.search.candidates import Candidates
from targets.schedule.search.fusion import (
    BLOCKS,
    PATTERNS,
    PIPELINE,
    TOGETHER,
    TURNS,
    fused,
    runs,
    tile_counts,
    tiles_in,
)
from targets.schedule.tiles import WHOLE, Cut, cuttable
from tests.targets.schedule.hand_networks import IMAGE_BITS, TableCosts, bus_machine, network, pointwise
from tests.targets.schedule.random_plans import random_problem
from tests.targets.schedule.small_schedule import conv


def chain(*ops: str, stages: Sequence[int] = ()) -> Network:
    """Return layers in a row by their operator, in stages of so many layers."""
    layers = [pointwise(f"l{i}", f"l{i - 1}.out" if i else "x", op=op) for i, op in enumerate(ops)]
    names = [layer.name for layer in layers]
    members, begin = [], 0
    for count in stages or (len(names),):
        members.append(names[begin : begin + count])
        begin += count
    return network(layers, TableCosts(dict.fromkeys(names, 96)), stages=members)


def branched(*more: str) -> Network:
    """Return a layer, two that read it and their sum, and more layers behind that."""
    layers = [pointwise("l0", "x"), pointwise("l1", "l0.out"), pointwise("l2", "l0.out")]
    layers += [pointwise("l3", "l1.out", "l2.out")]
    layers += [pointwise(f"l{i}", f"l{i - 1}.out", op=op) for i, op in enumerate(more, start=4)]
    return network(layers, TableCosts({}))


RELU, UNCUT = "Relu", "Softmax"


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (chain(RELU), {}),
        (chain(RELU, RELU), {0: [2]}),
        (chain(RELU, RELU, RELU), {0: [2, 3], 1: [3]}),
        # A layer that cannot be cut is part of no group.
        (chain(RELU, RELU, UNCUT, RELU, RELU), {0: [2], 3: [5]}),
        (chain(UNCUT, RELU, RELU, UNCUT), {1: [3]}),
        (chain(RELU, UNCUT, RELU), {}),
        # No group goes on into the next stage.
        (chain(RELU, RELU, RELU, RELU, stages=(2, 2)), {0: [2], 2: [4]}),
        (chain(RELU, RELU, RELU, RELU, stages=(1, 3)), {1: [3, 4], 2: [4]}),
        # Between the branches two tensors are alive: behind the first layer one alone is, and behind the sum.
        (branched(), {0: [4], 1: [4]}),
        (branched(RELU), {0: [4, 5], 1: [4, 5]}),
        # Groups end in the midst of branches where a layer that is not cut follows.
        (branched(UNCUT, RELU, RELU), {0: [4], 1: [4], 5: [7]}),
    ],
)  # fmt: skip
def test_groups_begin_and_end_where_one_tensor_is_alive_or_nothing_more_can_be_cut(
    made: Network, expected: dict[int, list[int]]
) -> None:
    assert runs(made) == expected


def test_groups_may_end_between_branches_at_a_layer_that_is_not_cut() -> None:
    layers = [pointwise("l0", "x"), pointwise("l1", "l0.out"), pointwise("l2", "l0.out", op=UNCUT)]
    layers += [pointwise("l3", "l1.out", "l2.out"), pointwise("l4", "l3.out")]
    assert runs(network(layers, TableCosts({}))) == {0: [2], 3: [5]}


def test_groups_have_at_most_24_layers() -> None:
    found = runs(chain(*(RELU for _ in range(30))))
    assert found[0] == list(range(2, 25))
    assert found[10] == list(range(12, 31))
    assert sorted(found) == list(range(29))


def stack(*rows: int) -> Network:
    """Return 3 x 3 convolutions of images that have so many rows, each half of the one before, or as many."""
    layers: list[Layer] = []
    source = Operand("x", (1, 2, rows[0], 2), 8)
    for number, (above, here) in enumerate(zip((rows[0], *rows), rows, strict=False)):
        layers.append(
            conv(f"l{number}", source, 2, (number - 1,) if number else (), 1 if above == here else 2)
        )
        source = layers[-1].outputs[0]
        assert source.shape[2] == here
    return network(layers, TableCosts({}))


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ((8, 8), [8, 4, 2]),
        ((7, 7), [7, 4, 2]),
        ((2, 2), [2]),
        ((64, 64), [64, 32, 16]),
        # The largest layer tells; a smaller one has a tile per row at most.
        ((8, 4), [8, 4, 2]),
        # 4 times 64 and 32 tiles are 288, below 300; with 16 more there are too many.
        ((64, 64, 64, 64, 32), [64, 32, 16]),
        ((64, 64, 64, 64, 32, 16), [32, 16, 8]),
    ],
)
def test_the_finest_three_heights_that_stay_below_the_limit(rows: Sequence[int], counts: list[int]) -> None:
    made = stack(*rows)
    assert tile_counts(made, made.order) == counts


def test_no_layer_has_more_tiles_than_rows() -> None:
    made = stack(8, 4, 2)
    assert [tiles_in(made, made.order, count) for count in (1, 2, 3, 8)] == [3, 6, 8, 14]


def cores_of(pattern: str, costs: TableCosts, count: int = 4) -> list[str]:
    """Return the cores of the tiles of layers in a row, those of each in one string."""
    names = list(costs.cycles)
    sources = ["x", *(f"{name}.out" for name in names)]
    layers = [pointwise(name, source) for name, source in zip(names, sources, strict=False)]
    found = fused(Candidates(network(layers, costs), Freedom()), range(len(layers)), count, pattern)
    return ["".join(choice.cores) for segment in found for choice in segment.choices]


def test_tiles_are_spread_in_blocks_or_in_turns() -> None:
    costs = TableCosts({"l0": 100, "l1": 30})
    assert cores_of(BLOCKS, costs) == ["aabb"] * 2
    assert cores_of(TURNS, costs) == ["abab"] * 2
    three = replace(costs, names=("a", "b", "c"))
    assert cores_of(BLOCKS, three) == ["aabc"] * 2, "as equal as can be"
    assert cores_of(TURNS, three) == ["abca"] * 2


@pytest.mark.parametrize(
    ("cycles", "cores"),
    [
        ((100, 32, 32), "abb"),
        ((20, 32, 32), "aba"),
        ((40, 60, 60, 8), "abab"),
        ((40, 40, 40, 40), "abab"),
    ],
)
def test_or_each_layer_on_the_core_that_has_least_to_do_so_far(cycles: Sequence[int], cores: str) -> None:
    costs = TableCosts({f"l{number}": count for number, count in enumerate(cycles)})
    assert cores_of(PIPELINE, costs) == [core * 4 for core in cores]


def test_or_all_layers_on_one_core_of_each_kind() -> None:
    costs = TableCosts({"l0": 100, "l1": 30, "l2": 30}, ("a", "b", "c", "d"), {"c": 2, "d": 2})
    assert cores_of(TOGETHER, costs) == ["aaaa"] * 3
    assert cores_of(TOGETHER, replace(costs, only={"l1": ("c", "d")})) == ["aaaa", "cccc", "aaaa"]


def test_a_group_takes_the_first_kind_of_core_on_which_all_tiles_of_a_layer_fit() -> None:
    def unfit(tile: Layer, core: str, held: Held) -> bool:  # noqa: ARG001
        return core == "a" and tile.name == "l1" and tile.outputs[0].shape[2] == 2

    costs = TableCosts({"l0": 100, "l1": 30, "l2": 30}, ("a", "b", "c", "d"), {"b": 2, "c": 2, "d": 3})
    # Of three parts of 8 rows the last has 2.
    assert cores_of(TURNS, replace(costs, refuses=unfit), 3) == ["aaa", "bcb", "aaa"]
    assert cores_of(TURNS, replace(costs, only={"l2": ("d",)})) == ["aaaa", "aaaa", "dddd"]


def test_there_is_no_group_without_one_of_its_layers() -> None:
    def nowhere(tile: Layer, core: str, held: Held) -> bool:  # noqa: ARG001
        return tile.name == "l1"

    assert cores_of(TURNS, TableCosts({"l0": 100, "l1": 30, "l2": 30}, refuses=nowhere)) == []


def test_tiles_hold_what_fits_and_layers_of_few_rows_have_few_tiles() -> None:
    made = stack(8, 8, 4)
    names = [layer.name for layer in made.workload.layers]
    costs = TableCosts(dict.fromkeys(names, 64))
    candidates = Candidates(replace(made, costs=costs), Freedom())
    (segment,) = fused(candidates, made.order, 8, TURNS)
    assert segment.layers == (0, 1, 2)
    assert [choice.cut for choice in segment.choices] == [Cut("OY", 8), Cut("OY", 8), Cut("OY", 4)]
    (whole,) = fused(candidates, made.order, 1, BLOCKS)
    assert whole.choices == (LayerChoice(("a",), WHOLE, ALL_HELD),) * 3

    layers = [pointwise("l0", "x"), pointwise("l1", "l0.out")]
    narrow = network(layers, TableCosts({"l0": 96, "l1": 96}), bus_machine("ab", IMAGE_BITS // 4))
    # Halves of an image do not fit, quarters do, and eighths together with a result.
    held = [
        [c.held for s in fused(Candidates(narrow, Freedom()), (0, 1), n, TURNS) for c in s.choices]
        for n in (2, 4, 8)
    ]
    assert held == [[frozenset("W")] * 2, [frozenset("WI")] * 2, [ALL_HELD] * 2]


def alive(made: Network, position: int) -> int:
    """Return how many tensors are there before a layer and read by it or behind it."""
    there = [name for name in made.consumers if made.position.get(made.producer.get(name, -1), -1) < position]
    return sum(any(made.position[reader] >= position for reader in made.consumers[name]) for name in there)


def is_group(made: Network, begin: int, end: int) -> bool:
    """Whether the layers from one position up to another are a group, by its definition."""
    order = made.order
    parted = [
        p in (0, len(order))
        or made.stage_of[order[p - 1]] != made.stage_of[order[p]]
        or min(cuttable(made.layer(order[p - 1]), "OY"), cuttable(made.layer(order[p]), "OY")) < 2
        for p in range(len(order) + 1)
    ]
    inside = all(cuttable(made.layer(index), "OY") > 1 for index in order[begin:end])
    ends = [parted[p] or alive(made, p) == 1 for p in (begin, end)]
    return end - begin > 1 and inside and not any(parted[begin + 1 : end]) and all(ends)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 24), st.sampled_from([pattern for family in PATTERNS for pattern in family]))
def test_groups_of_random_networks_are_all_there_are_and_make_valid_schedules(
    seed: int, pattern: str
) -> None:
    made, _, _ = random_problem(seed, 12)
    candidates = Candidates(made, Freedom())
    found = [(begin, end) for begin, ends in runs(made).items() for end in ends]
    places = range(len(made.order) + 1)
    assert found == [(b, e) for b in places for e in places if is_group(made, b, e)]
    for begin, end in found:
        layers = made.order[begin:end]
        for segment in fused(candidates, layers, tile_counts(made, layers)[0], pattern):
            alone = made.without(set(made.order) - set(layers))
            try:
                schedule = finished(simulate(alone, [segment]))
            except NoRoomError:
                continue
            assert problems(alone, schedule) == []
            assert {run.layer for run in schedule.runs} == set(layers)
