"""How layers are cut to fit L1, and what moves before, beside and after the work: by hand and as bounds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.gap9.transfers import Tiling, equal_cuts, linear_cuts, stored_weight_bytes
from targets.network.layer import Layer, LoopDims, Operand
from targets.testing.conformance import sample_layer
from tests.targets.networks import linear_layer, loops, square

L1 = 128_000
LOG = "GreenWaves' log of EfficientNet-Lite0"


def bits(layer: Layer, width: int) -> Layer:
    assert layer.weight is not None
    return replace(layer, weight=replace(layer.weight, bits=width))


def sizes(layer: Layer, l1: int = L1) -> set[tuple[int, int]]:
    """Return rows and channels of the tiles that are compared."""
    return {(cut.rows, cut.channels) for cut in linear_cuts(layer, l1)}


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


def test_a_layer_that_fits_is_moved_whole_or_in_two() -> None:
    layer = linear_layer(square(16, 16, 32, 3))
    weights, inputs, outputs = 16 * 16 * 9 + 64, 16 * 1024, 16 * 1024
    cuts = {(cut.rows, cut.channels): cut for cut in linear_cuts(layer, L1)}
    assert cuts[32, 16] == Tiling(32, 16, 1, inputs + weights, outputs, 0, inputs, 1, 1), "it fits once"
    assert {cut.tiles for cut in cuts.values()} == {1, 2}
    # Tiles of 18 and 14 rows; both read the two rows between them, and the first reads 20.
    assert cuts[18, 16] == Tiling(
        18, 16, 2, 20 * 512 + weights, 14 * 512, inputs + 2 * 512 + outputs - 20 * 512 - 14 * 512,
        inputs + 2 * 512, 2, 2,
    )  # fmt: skip
    # Eight channels of every pixel at a time: the input stays, results leave in runs of eight.
    assert cuts[32, 8].written_runs == 32 * 32 * 2 and cuts[32, 8].read_runs == 1


def test_results_of_one_row_are_cut_by_channels_alone() -> None:
    layer = linear_layer(square(128, 640, 1, 1), "Gemm")
    assert sizes(layer) == {(1, 128), (1, 96)}
    # 82,432 bytes of weights and biases fit once; of two chunks of 80 channels both would not.
    assert linear_cuts(layer, L1)[0] == Tiling(1, 128, 1, 640 + 82432, 128, 0, 640, 1, 1)


def test_rows_of_a_product_are_cut_in_blocks_of_nine() -> None:
    layer = linear_layer(LoopDims(64, 1, 16, 16, 1, 1, 1, 1, 1, 1), "MatMul")
    layer = replace(layer, inputs=(Operand("x", (64, 16), 8),), outputs=(Operand("y", (64, 16), 8),))
    # Rows of 16 + 16 bytes are there twice beside 320 of weights: 26 of 2,048 bytes, so 18 in multiples of 9.
    assert (18, 16) in sizes(layer, 2048) and all(rows % 9 == 0 for rows, _ in sizes(layer, 2048))


@pytest.mark.parametrize(
    ("layer", "tile"),
    [
        (square(112, 672, 14, 1), (3, 40)),
        (square(192, 1152, 7, 1), (7, 24)),
        (square(80, 480, 14, 1), (3, 80)),
        (square(24, 144, 56, 1), (6, 24)),
    ],
)
def test_tiles_that_explain_the_log_are_among_those_compared(layer: LoopDims, tile: tuple[int, int]) -> None:
    rows, channels = tile
    found = sizes(linear_layer(layer))
    assert any(r == rows and abs(c - channels) <= 8 for r, c in found), f"{LOG}: {found}"


def test_a_depthwise_tile_reads_its_own_channels_and_runs_of_them() -> None:
    layer = linear_layer(square(96, 96, 56, 3, 2, groups=96))
    row = 112 * 96
    cut = next(c for c in linear_cuts(layer, L1) if (c.rows, c.channels) == (4, 48))
    assert cut.tiles == 14 * 2 and cut.first_bytes == 9 * row // 2 + (6 * 16 * 9 + 96 * 4) // 2
    assert cut.read_bytes == 112 * row + 13 * row, "one row of each tile comes again"
    assert cut.read_runs == (112 + 13) * 112 * 2 and cut.written_runs == 56 * 56 * 2


def test_what_does_not_fit_has_no_way() -> None:
    row = linear_layer(loops(8, 16, 3, 64, 1, 1))
    least = 3 * 16 * 64 + 3 * 8 * 64 + 8 * 16 + 32
    assert linear_cuts(row, least) and not linear_cuts(row, least - 1)
    assert linear_cuts(replace(row, dims=None), L1) == ()


def test_weights_of_layers_that_are_not_tiled_move_too() -> None:
    def moved_bytes(layer: Layer) -> set[int]:
        return {cut.first_bytes + cut.beside_bytes + cut.last_bytes for cut in equal_cuts(layer, L1)}

    layer = replace(linear_layer(square(16, 16, 32, 3)), dims=None)
    assert layer.weight is not None and layer.bias is not None
    assert moved_bytes(layer) == {layer.input_bytes + layer.weight_bytes + layer.output_bytes}
    added = replace(sample_layer("Add"), constant=layer.weight)
    assert moved_bytes(added) == {added.input_bytes + layer.weight.size_bytes + added.output_bytes}


def test_pieces_are_equal_and_results_leave_with_each() -> None:
    layer = replace(sample_layer("Add"), inputs=tuple(Operand(n, (1000,), 8) for n in "ab"))
    layer = replace(layer, outputs=(Operand("y", (1000,), 8),))
    whole, halves = equal_cuts(layer, 6000)
    assert whole == Tiling(1, 1, 1, 2000, 1000, 0, 2000, 1, 1)
    assert halves == Tiling(1, 1, 2, 1000, 500, 1500, 2000, 2, 2)
    assert [cut.tiles for cut in equal_cuts(layer, 5999)] == [2, 3, 4], "two sets of all do not fit"


@given(
    st.integers(1, 64),
    st.integers(1, 64),
    st.integers(7, 48),
    st.sampled_from((1, 3, 7)),
    st.sampled_from((1, 2)),
    st.integers(2048, 65536),
    st.booleans(),
)
def test_every_operand_moves_at_least_once(
    k: int, c: int, size: int, kernel: int, stride: int, l1: int, depthwise: bool
) -> None:
    dims = square(c + 1, c + 1, size, 3, stride, c + 1) if depthwise else square(k, c, size, kernel, stride)
    layer = linear_layer(dims)
    least = layer.input_bytes + stored_weight_bytes(layer) + layer.output_bytes
    cuts = linear_cuts(layer, l1)
    for cut in cuts:
        assert cut.first_bytes + cut.beside_bytes + cut.last_bytes >= least
        assert 0 < cut.first_bytes <= l1 and 0 < cut.last_bytes <= l1
        channels = dims.g if dims.depthwise else dims.k
        assert cut.tiles == math.ceil(dims.oy / cut.rows) * math.ceil(channels / cut.channels)
        assert cut.read_bytes >= layer.input_bytes and cut.tiles <= 2 * min(other.tiles for other in cuts)
    for cut in equal_cuts(layer, l1):
        assert cut.first_bytes + cut.beside_bytes + cut.last_bytes == least


def test_sizes_without_end_are_cut_as_fast_as_small_ones() -> None:
    """A bound on the work, not on time: cuts that are compared do not grow with the layer."""
    wide = replace(sample_layer("Relu"), inputs=(Operand("x", (10**12,), 8),))
    cuts = equal_cuts(wide, L1)
    assert len(cuts) == 17 and cuts[-1].tiles == 2 * cuts[0].tiles
    rows = linear_layer(LoopDims(10**9, 1, 16, 16, 1, 1, 1, 1, 1, 1), "MatMul")
    rows = replace(rows, inputs=(Operand("x", (10**9, 16), 8),), outputs=(Operand("y", (10**9, 16), 8),))
    assert 0 < len(linear_cuts(rows, L1)) < 1000


def test_a_slice_moves_what_it_picks() -> None:
    whole, part = Operand("x", (1, 64, 16, 16), 8), Operand("y", (1, 4, 16, 16), 8)
    for cut in equal_cuts(Layer("s", "Slice", (), 0, None, (whole,), (part,)), 1 << 17):
        assert cut.first_bytes + cut.beside_bytes + cut.last_bytes == 2 * part.size_bytes
