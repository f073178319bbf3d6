"""Workloads as the scheduler sees them: order, who writes and reads what, and a network with less in it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.errors import InputError
from targets.network.layer import Layer, Operand
from targets.schedule.network import Network, Read, has_weights, weights_name
from targets.schedule.regions import Region
from targets.schedule.tiles import Cut, tiles_of
from tests.targets.schedule.hand_networks import WEIGHT_BITS, TableCosts, conv, network, pointwise
from tests.targets.schedule.random_networks import random_network

COSTS = TableCosts({})


def with_exit() -> Network:
    """Return a backbone of four layers whose first exit has a head that the workload names last."""
    layers = [
        conv("stem", "x"), pointwise("relu", "stem.out"), pointwise("body", "relu.out", "stem.out"),
        conv("late", "body.out"), pointwise("unused", "x"), pointwise("head", "relu.out"),
    ]  # fmt: skip
    stages = [["stem", "relu", "head"], ["body", "late"]]
    return network(layers, COSTS, stages=stages, outputs=["head.out", "late.out", "elsewhere"])


def names(made: Network, indices: tuple[int, ...]) -> list[str]:
    return [made.layer(index).name for index in indices]


def test_layers_are_in_order_of_their_stages_and_those_no_exit_needs_are_left_out() -> None:
    made = with_exit()
    assert names(made, made.order) == ["stem", "relu", "head", "body", "late"]
    assert [made.stage_of[index] for index in made.order] == [0, 0, 0, 1, 1]
    assert [made.position[index] for index in made.order] == [0, 1, 2, 3, 4]
    assert "unused.out" not in made.extents and names(made, made.consumers["x"]) == ["stem"]


def test_who_writes_and_reads_each_tensor() -> None:
    made = with_exit()
    assert made.given == ("x",)
    assert names(made, made.consumers["stem.out"]) == ["relu", "body"]
    assert made.layer(made.producer["relu.out"]).name == "relu"
    assert made.outputs == {"head.out", "late.out"}, "what no layer writes is no output"
    assert made.stage_names == ("exit0", "exit1")
    assert names(made, tuple(sorted(made.handed_on))) == ["stem", "relu"], "the head hands nothing on"


def test_a_layer_that_reads_a_tensor_twice_reads_it_once_for_all() -> None:
    made = network([pointwise("twice", "x", "x")], COSTS)
    assert made.consumers == {"x": (0,)}


def test_tiles_read_their_part_of_each_input_as_one_of_the_operands() -> None:
    made = network([pointwise("sum", "x", "y", op="Add"), pointwise("product", "x", "y", op="Mul")], COSTS)
    upper, lower = tiles_of(made.layer(0), Cut("OY", 2))
    rows = [Region(0, 4, 0, 4), Region(0, 4, 4, 8)]
    for tile, region in zip((upper, lower), rows, strict=True):
        assert made.reads(0, tile) == (Read("I", "x", region), Read("W", "y", region))
        assert made.reads(1, tile) == (Read("I", "x", region), Read("I", "y", region)), "no second operand"


@pytest.mark.parametrize(
    ("changes", "has", "bits"),
    [
        ({}, True, WEIGHT_BITS),
        # The bias of 4 channels lies with the weights.
        ({"bias": Operand("", (4,), 32)}, True, WEIGHT_BITS + 128),
        ({"weight": None, "constant": Operand("", (4, 1, 1), 8)}, True, 32),
        ({"weight": None}, False, 0),
    ],
)
def test_weights_and_constants_are_tensors_of_their_own(
    changes: dict[str, Operand | None], has: bool, bits: int
) -> None:
    layer: Layer = replace(conv("conv", "x"), **changes)  # type: ignore[arg-type]
    assert has_weights(layer) is has
    extents = network([layer], COSTS).extents
    assert (weights_name(layer) in extents) is has
    if has:
        assert extents["conv.weights"].bits_of(extents["conv.weights"].whole) == bits


def test_a_tensor_called_like_weights_is_an_input_error() -> None:
    after = pointwise("after", "conv.weights")
    with pytest.raises(InputError, match=r"a tensor is called 'conv\.weights'.* of layer 'conv'") as caught:
        network([conv("conv", "x"), after], COSTS)
    assert caught.value.hint == "rename the tensor"
    # Without weights there is nothing to take it for.
    assert "conv.weights" in network([pointwise("conv", "x"), after], COSTS).extents


def test_what_layers_that_are_left_out_write_is_there_from_the_start() -> None:
    whole = with_exit()
    relu = whole.producer["relu.out"]
    made = whole.without({relu, whole.producer["late.out"]})
    assert names(made, made.order) == ["stem", "head", "body"]
    assert [made.position[index] for index in made.order] == [0, 1, 2]
    assert set(made.given) == {"x", "relu.out"}
    assert made.outputs == {"head.out"}
    assert names(made, made.consumers["stem.out"]) == ["body"]
    assert "body.out" not in made.consumers, "nobody reads it any more"
    assert set(whole.given) == {"x"}, "the whole network is as it was"


@given(st.integers(0, 1 << 24))
def test_each_layer_comes_behind_its_producers_and_no_stage_behind_a_later_one(seed: int) -> None:
    made = random_network(Random(seed))
    needed = {index for path in made.workload.exits for index in path.layers}
    assert set(made.order) == needed and len(made.order) == len(needed)
    stages = [made.stage_of[index] for index in made.order]
    assert stages == sorted(stages)
    for index in made.order:
        assert all(made.position[p] < made.position[index] for p in made.layer(index).producers)
        first = min(n for n, path in enumerate(made.workload.exits) if index in path.layers)
        assert made.stage_of[index] == first
