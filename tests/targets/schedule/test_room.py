"""What lies in a full outer store, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.schedule.network import Network
from targets.schedule.room import Demand, coming_from_beyond, demands, weight_bits
from tests.targets.schedule.hand_networks import (
    IMAGE_BITS,
    WEIGHT_BITS,
    TableCosts,
    bus_machine,
    conv,
    network,
    pointwise,
)


def joined() -> Network:
    """Return two convolutions and an addition over the second; all names are those of the layers."""
    layers = [conv("one", "x"), conv("two", "one.out"), pointwise("sum", "one.out", "two.out")]
    return network(layers, TableCosts({"one": 1, "two": 1, "sum": 1}, ("a", "b")), bus_machine("ab", None))


def test_tensors_lie_there_from_what_makes_them_to_what_reads_them_last() -> None:
    weights = 2 * WEIGHT_BITS
    assert demands(joined()) == [
        Demand("one", 2 * IMAGE_BITS, weights),
        Demand("two", 2 * IMAGE_BITS, weights),
        Demand("sum", 3 * IMAGE_BITS, weights),
    ]
    assert demands(joined())[2].bits == 3 * IMAGE_BITS + weights


def test_outputs_of_the_network_stay() -> None:
    made = joined()
    kept = replace(made, outputs=frozenset({"one.out", "sum.out"}), order=made.order)
    assert [demand.tensor_bits // IMAGE_BITS for demand in demands(kept)] == [2, 2, 3]
    early = replace(made, outputs=made.outputs | {"two.out"})
    assert [demand.tensor_bits // IMAGE_BITS for demand in demands(early)] == [2, 2, 3]


def test_weights_from_beyond_take_their_piece_while_their_layer_runs() -> None:
    found = demands(replace(joined(), beyond={"two.weights": 48}))
    assert [demand.weight_bits for demand in found] == [WEIGHT_BITS, WEIGHT_BITS + 48, WEIGHT_BITS]


def test_layers_without_weights_have_none() -> None:
    made = joined()
    assert [weight_bits(made, i) for i in made.order] == [WEIGHT_BITS, WEIGHT_BITS, 0]


MOST = 3 * IMAGE_BITS


@pytest.mark.parametrize(
    ("size_bits", "gone"),
    [
        (MOST + 2 * WEIGHT_BITS, {}),
        (MOST + 2 * WEIGHT_BITS - 1, {"one.weights": 32}),
        (MOST + WEIGHT_BITS - 1, {"one.weights": 32, "two.weights": 32}),
        # Not even the images fit: nothing is left to go.
        (MOST - 1, {"one.weights": 32, "two.weights": 32}),
    ],
)
def test_as_few_weights_go_as_will_do(size_bits: int, gone: dict[str, int]) -> None:
    assert coming_from_beyond(joined(), size_bits, 32) == gone


def test_small_weights_come_whole() -> None:
    assert coming_from_beyond(joined(), MOST, 1 << 20) == dict.fromkeys(
        ("one.weights", "two.weights"), WEIGHT_BITS
    )


def test_the_smallest_that_is_enough_goes_else_the_largest() -> None:
    made = joined()
    extent = made.extents["one.weights"]
    large = replace(made, extents={**made.extents, "one.weights": extent._replace(bits=4 * extent.bits)})
    all_bits = MOST + 5 * WEIGHT_BITS
    assert set(coming_from_beyond(large, all_bits - WEIGHT_BITS, 0)) == {"two.weights"}
    assert set(coming_from_beyond(large, all_bits - WEIGHT_BITS - 1, 0)) == {"one.weights"}
    assert set(coming_from_beyond(large, all_bits - 4 * WEIGHT_BITS - 1, 0)) == {"one.weights", "two.weights"}
