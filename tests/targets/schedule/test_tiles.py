"""Tiles against the index arithmetic of the layers they are parts of."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.operator_sets import GLOBAL_POOLS, WINDOW_POOLS
from targets.network.layer import Layer, LoopDims, Operand
from targets.schedule.regions import Region, extent_of
from targets.schedule.tiles import Axis, Cut, Tile, cuttable, tiles_of, weight_extent
from tests.targets.schedule.random_networks import random_workload
from tests.targets.schedule.small_schedule import conv, gemm

AXES: tuple[Axis, ...] = ("K", "OY")


def random_tiles(seed: int) -> list[tuple[Layer, Cut, tuple[Tile, ...]]]:
    """Return every layer of a random network cut along each axis it can be cut along."""
    random = Random(seed)
    found = []
    for layer in random_workload(random).layers:
        for axis in AXES:
            cut = Cut(axis, random.randint(1, cuttable(layer, axis)))
            found.append((layer, cut, tiles_of(layer, cut)))
    return found


def touched(layer: Layer, output: Region, which: int) -> set[tuple[int, int]]:
    """Return channels and rows of an input that an output depends on, one element after another."""
    dims, extent = layer.dims, extent_of(layer.inputs[which])
    cells: set[tuple[int, int]] = set()
    for channel in range(output.c0, output.c1):
        for row in range(output.y0, output.y1):
            if dims is None:
                cells.add((channel, row))
                continue
            group = channel // dims.k
            channels = range(group * dims.c, (group + 1) * dims.c)
            for f in range(dims.fy):
                at = row * dims.stride_y - dims.pad_top + f * dims.dilation_y
                cells |= {(c, at) for c in channels if 0 <= at < extent.rows}
    return cells


@given(st.integers(0, 1 << 20))
def test_tiles_are_the_layer_in_parts(seed: int) -> None:
    for layer, cut, tiles in random_tiles(seed):
        whole = extent_of(layer.outputs[0]).whole
        cells = [
            (c, y)
            for t in tiles
            for c in range(t.output.c0, t.output.c1)
            for y in range(t.output.y0, t.output.y1)
        ]
        assert len(tiles) == cut.parts
        assert len(cells) == len(set(cells)) == whole.cells, "each cell once"
        assert all(tile.output.within(whole) for tile in tiles)
        assert sum(tile.layer.macs for tile in tiles) == layer.macs
        assert [(tile.number, tile.count) for tile in tiles] == [(i, cut.parts) for i in range(cut.parts)]
        sizes = [tile.output.cells for tile in tiles]
        grain = whole.cells // cuttable(layer, cut.axis)
        assert max(sizes) - min(sizes) in {0, grain}, "as equal as can be"


@given(st.integers(0, 1 << 20))
def test_a_tile_reads_what_it_depends_on(seed: int) -> None:
    for layer, cut, tiles in random_tiles(seed):
        if cut.parts == 1 or layer.op_type == "Gemm":
            continue
        for tile in tiles:
            for which, region in enumerate(tile.inputs):
                wanted = touched(layer, tile.output, which)
                if wanted:
                    channels, rows = {c for c, _ in wanted}, {y for _, y in wanted}
                    hull = Region(min(channels), max(channels) + 1, min(rows), max(rows) + 1)
                    assert hull.within(region)
                    grown = region._replace(y0=hull.y0, y1=hull.y1)
                    assert region == hull or (layer.op_type in ("Conv", *WINDOW_POOLS) and grown == hull)


@given(st.integers(0, 1 << 20))
def test_a_tile_is_a_layer_of_its_own(seed: int) -> None:
    for layer, _, tiles in random_tiles(seed):
        for tile in tiles:
            part, dims = tile.layer, tile.layer.dims
            assert [extent_of(t).whole.cells for t in part.inputs] == [r.cells for r in tile.inputs]
            assert extent_of(part.outputs[0]).whole.cells == tile.output.cells
            if part.weight is not None and layer.weight is not None:
                channels, of = tile.output.c1 - tile.output.c0, extent_of(layer.outputs[0]).channels
                assert part.weight.elements * of == layer.weight.elements * channels
                assert tile.weights == Region(tile.output.c0, tile.output.c1, 0, 1)
            if dims is not None and layer.dims is not None and layer.op_type not in GLOBAL_POOLS:
                assert dims.iterations * layer.macs == part.macs * layer.dims.iterations
                assert dims.iy == (part.inputs[0].shape[2] if layer.op_type != "Gemm" else 1)


def test_rows_of_a_strided_convolution() -> None:
    layer = conv("c", Operand("image", (1, 3, 9, 9), 8), 4, (), stride=2)
    first, second = tiles_of(layer, Cut("OY", 2))
    assert (first.output, second.output) == (Region(0, 4, 0, 3), Region(0, 4, 3, 5))
    assert first.inputs == (Region(0, 3, 0, 6),), "rows 0 to 2: -1 to 5, without the padding"
    assert second.inputs == (Region(0, 3, 5, 9),), "rows 3 and 4: 5 to 9, without the padding"
    assert first.layer.dims is not None
    assert (first.layer.dims.oy, first.layer.dims.iy) == (3, 6)
    assert (first.layer.macs, second.layer.macs) == (3 * 5 * 4 * 3 * 9, 2 * 5 * 4 * 3 * 9)
    assert (first.name, second.name) == ("c[1/2]", "c[2/2]")


def test_channels_of_a_depthwise_convolution_read_their_own() -> None:
    dims = LoopDims(1, 6, 1, 1, 8, 8, 3, 3, 8, 8, pad_top=1, pad_left=1, pad_bottom=1, pad_right=1)
    image, output = Operand("image", (1, 6, 8, 8), 8), Operand("out", (1, 6, 8, 8), 8)
    weight = Operand("", (6, 1, 3, 3), 8)
    layer = Layer("d", "Conv", (), dims.iterations, dims, (image,), (output,), weight)
    tiles = tiles_of(layer, Cut("K", 4))
    assert [tile.output.c1 - tile.output.c0 for tile in tiles] == [2, 1, 2, 1]
    assert [tile.inputs[0] for tile in tiles] == [tile.output for tile in tiles]
    assert tiles[0].layer.dims is not None
    assert tiles[0].layer.dims.g == 2


def test_groups_are_not_taken_apart() -> None:
    dims = LoopDims(1, 2, 3, 2, 4, 4, 1, 1, 4, 4)
    image, output = Operand("image", (1, 4, 4, 4), 8), Operand("out", (1, 6, 4, 4), 8)
    layer = Layer("g", "Conv", (), dims.iterations, dims, (image,), (output,), Operand("", (6, 2, 1, 1), 8))
    assert cuttable(layer, "K") == 2
    assert [tile.output for tile in tiles_of(layer, Cut("K", 2))] == [Region(0, 3, 0, 4), Region(3, 6, 0, 4)]
    assert [tile.inputs[0] for tile in tiles_of(layer, Cut("K", 2))] == [
        Region(0, 2, 0, 4),
        Region(2, 4, 0, 4),
    ]
    with pytest.raises(ValueError, match="'g' has 2 parts along K, not 3"):
        tiles_of(layer, Cut("K", 3))


def test_classes_of_a_fully_connected_layer_read_all_of_the_image() -> None:
    image = Operand("image", (1, 2, 3, 3), 8)
    layer = gemm("head", image, 10, ())
    tiles = tiles_of(layer, Cut("K", 3))
    assert [tile.output.c1 - tile.output.c0 for tile in tiles] == [4, 3, 3]
    assert {tile.inputs for tile in tiles} == {(extent_of(image).whole,)}
    assert cuttable(layer, "OY") == 1


def test_weights_by_channel_include_the_bias() -> None:
    layer = conv("c", Operand("image", (1, 3, 9, 9), 8), 4, ())
    extent = weight_extent(layer)
    assert extent.bits_of(Region(1, 3, 0, 1)) == 2 * (3 * 9 * 8 + 32)


def test_what_cannot_be_cut() -> None:
    image = Operand("image", (1, 4, 8, 8), 8)
    concat = Layer("cat", "Concat", (), 0, None, (image, image), (Operand("out", (1, 8, 8, 8), 8),))
    halves = (Operand("a", (1, 2, 8, 8), 8), Operand("b", (1, 2, 8, 8), 8))
    split = Layer("split", "Split", (), 0, None, (image,), halves)
    scale = Layer("mul", "Mul", (), 0, None, (image,), (image,), constant=Operand("", (1, 4, 1, 1), 8))
    assert [cuttable(layer, axis) for layer in (concat, split, scale) for axis in AXES] == [1] * 6
    assert cuttable(Layer("relu", "Relu", (), 0, None, (image,), (image,)), "OY") == 8
