"""How layers are cut to fit L1 twice, and what moves before and beside the work: by hand and as bounds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.gap9.transfers import Transfers, elementwise_transfers, linear_transfers, stored_weight_bytes
from targets.network.layer import Layer, LoopDims, Operand
from targets.testing.conformance import sample_layer
from tests.targets.networks import linear_layer, loops, square

L1 = 128 * 1024


def bits(layer: Layer, width: int) -> Layer:
    assert layer.weight is not None
    return replace(layer, weight=replace(layer.weight, bits=width))


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (linear_layer(square(8, 16, 4, 3)), 8 * 16 * 9 + 8 * 4),
        (linear_layer(square(8, 17, 4, 3)), 8 * 32 * 9 + 8 * 4),
        (linear_layer(square(8, 3, 4, 3)), 8 * 16 * 9 + 8 * 4),
        (bits(linear_layer(square(8, 16, 4, 3)), 2), 8 * 16 * 9 // 4 + 8 * 4),
        (bits(linear_layer(square(1, 16, 1, 1)), 3), 6 + 4),
        (linear_layer(square(17, 17, 4, 3, groups=17)), 32 * 9 + 17 * 4),
        (replace(linear_layer(square(8, 16, 4, 3)), bias=None), 8 * 16 * 9),
        (replace(linear_layer(square(8, 3, 4, 3)), dims=None), 8 * 3 * 9 + 8 * 4),
        (sample_layer("Add"), 0),
    ],
)
def test_weights_are_stored_with_input_channels_padded_to_16(layer: Layer, size: int) -> None:
    assert stored_weight_bytes(layer) == size


def test_a_layer_that_fits_twice_is_moved_whole_or_in_halves() -> None:
    layer = linear_layer(square(16, 16, 32, 3))
    weights, inputs, outputs = 16 * 16 * 9 + 64, 16 * 1024, 16 * 1024
    # Input, weights, and biases with scales come first; the result leaves later.
    whole = Transfers(inputs + weights, 3, outputs, 1)
    # Both halves read the two rows between them.
    read = inputs + 2 * 16 * 32
    halves = Transfers(read // 2 + weights, 3, read // 2 + outputs, 1 + 2)
    assert linear_transfers(layer, L1) == (whole, halves)


def test_results_of_one_row_are_not_cut() -> None:
    layer = linear_layer(square(10, 64, 1, 1), "Gemm")
    assert linear_transfers(layer, L1) == (Transfers(64 + 10 * 64 + 40, 3, 10, 1),)


def test_rows_of_a_product_are_cut_like_rows_of_an_image() -> None:
    layer = linear_layer(LoopDims(64, 1, 16, 16, 1, 1, 1, 1, 1, 1), "MatMul")
    layer = replace(layer, inputs=(Operand("x", (64, 16), 8),), outputs=(Operand("y", (64, 16), 8),))
    weights = 16 * 16 + 64
    # 1,024 bytes a tile set, of which weights take 320: 22 rows of 16 + 16 bytes.
    found = linear_transfers(layer, 2048)
    assert found == (Transfers(math.ceil(1024 / 3) + weights, 3, 1024 - math.ceil(1024 / 3) + 1024, 2 + 3),)


def test_weights_take_one_half_at_most() -> None:
    layer = linear_layer(square(128, 640, 1, 1), "Gemm")
    weights = 128 * 640 + 512
    chunk = math.ceil(weights / 3)
    assert linear_transfers(layer, L1) == (Transfers(640 + chunk, 3, weights - chunk + 128, 2 * 2 + 3),)


@pytest.mark.parametrize(
    ("height", "cut"),
    [
        # Inputs of 1,536 bytes come three times, 6 x 768 in all.
        (24, Transfers(768 + 1451, 3, 3 * 1536 + 4352 - 2219 + 1536, 6 + 2 * 3 + 6 - 3)),
        # Inputs of 2,560 bytes would be dearer than 4,352 bytes of weights once more.
        (40, Transfers(1280 + 1451, 3, 2560 + 2 * 4352 - 2731 + 2560, 2 + 2 * 6 + 6 - 3)),
    ],
)
def test_with_both_cut_the_smaller_operand_comes_again(height: int, cut: Transfers) -> None:
    layer = linear_layer(loops(64, 64, height, 1, 1, 1))
    # Of 4,096 bytes a tile set, 4,352 bytes of weights in three chunks leave 2,645 for rows of 64 + 64 bytes.
    assert linear_transfers(layer, 8192) == (cut,)


def test_what_does_not_fit_has_no_way() -> None:
    row = linear_layer(loops(16, 16, 8, 64, 1, 1))
    weights = 16 * 16 + 64
    least = 2 * (2 * 16 * 64 + weights)
    assert linear_transfers(row, least) and not linear_transfers(row, least - 2)
    assert linear_transfers(replace(row, dims=None), L1) == ()


def test_weights_of_layers_that_are_not_tiled_move_too() -> None:
    def moved_bytes(layer: Layer) -> set[int]:
        return {cut.first_bytes + cut.later_bytes for cut in elementwise_transfers(layer, 128 * 1024)}

    layer = replace(linear_layer(square(16, 16, 32, 3)), dims=None)
    assert layer.weight is not None and layer.bias is not None
    assert moved_bytes(layer) == {layer.input_bytes + layer.weight_bytes + layer.output_bytes}
    added = replace(sample_layer("Add"), constant=layer.weight)
    assert moved_bytes(added) == {added.input_bytes + layer.weight.size_bytes + added.output_bytes}


def test_pieces_are_equal_and_results_leave_with_each() -> None:
    layer = replace(sample_layer("Add"), inputs=tuple(Operand(n, (1000,), 8) for n in "ab"))
    layer = replace(layer, outputs=(Operand("y", (1000,), 8),))
    whole, halves = elementwise_transfers(layer, 6000)
    assert whole == Transfers(2000, 2, 1000, 1)
    assert halves == Transfers(1000, 2, 1000 + 1000, 2 * 3 - 2)
    assert elementwise_transfers(layer, 5999)[0] == halves, "two sets of all do not fit"
    (thirds,) = elementwise_transfers(layer, 2000)
    assert thirds == Transfers(667, 2, 2000 - 667 + 1000, 3 * 3 - 2)


@given(
    st.integers(1, 64),
    st.integers(1, 64),
    st.integers(7, 48),
    st.sampled_from((1, 3, 7)),
    st.sampled_from((1, 2)),
    st.integers(2048, 65536),
)
def test_every_operand_moves_at_least_once(
    k: int, c: int, size: int, kernel: int, stride: int, l1: int
) -> None:
    layer = linear_layer(square(k, c, size, kernel, stride))
    least = layer.input_bytes + stored_weight_bytes(layer) + layer.output_bytes
    for cut in linear_transfers(layer, l1):
        assert cut.first_bytes + cut.later_bytes >= least
        assert 0 < cut.first_bytes <= l1 // 2, "the first tile fits a set"
        assert cut.first_calls == 3 and cut.later_calls >= 1
    for cut in elementwise_transfers(layer, l1):
        assert cut.first_bytes + cut.later_bytes == least


def test_a_slice_moves_what_it_picks() -> None:
    whole, part = Operand("x", (1, 64, 16, 16), 8), Operand("y", (1, 4, 16, 16), 8)
    for cut in elementwise_transfers(Layer("s", "Slice", (), 0, None, (whole,), (part,)), 1 << 17):
        assert cut.first_bytes + cut.later_bytes == 2 * part.size_bytes
