from __future__ import annotations

from dataclasses import replace

import pytest

from targets.network.layer import Layer, LoopDims, Operand


@pytest.mark.parametrize(
    ("shape", "bits", "size"), [((1, 4, 8, 8), 8, 256), ((3,), 2, 1), ((5,), 2, 2), ((), 32, 4), ((7,), 7, 7)]
)
def test_sizes_are_whole_bytes(shape: tuple[int, ...], bits: int, size: int) -> None:
    assert Operand("x", shape, bits).size_bytes == size


def test_loops_multiply_to_the_products_of_a_layer() -> None:
    dims = LoopDims(b=2, g=3, k=4, c=5, oy=6, ox=7, fy=3, fx=1, iy=6, ix=7)
    assert dims.iterations == 2 * 3 * 4 * 5 * 6 * 7 * 3
    assert not dims.depthwise
    assert replace(dims, k=1, c=1).depthwise
    assert not replace(dims, g=1, k=1, c=1).depthwise, "one channel alone is an ordinary convolution"


def test_bytes_and_elements_are_summed_over_operands() -> None:
    x, y = Operand("x", (1, 4, 4, 4), 8), Operand("y", (1, 2, 4, 4), 4)
    weight, bias = Operand("w", (2, 4, 3, 3), 2), Operand("b", (2,), 32)
    layer = Layer("conv_0", "Conv", ("conv",), 0, None, (x, x), (y,), weight, bias)
    assert (layer.input_elements, layer.output_elements) == (128, 32)
    assert (layer.input_bytes, layer.output_bytes) == (128, 16)
    assert layer.weight_bytes == 18 + 8
    assert replace(layer, weight=None, bias=None).weight_bytes == 0


def test_layers_are_looked_up_by_all_they_are() -> None:
    """The hash is of little; two tiles of one pooling have its name and no products."""
    x, y = Operand("x", (1, 4, 4, 4), 8), Operand("y", (1, 4, 4, 4), 8)
    layer = Layer("max_pool_0", "MaxPool", (), 0, None, (x,), (y,))
    tile = replace(layer, outputs=(replace(y, shape=(1, 4, 2, 4)),))
    found = {layer: "whole", tile: "tile"}
    assert found[replace(layer)] == "whole" and found[replace(tile)] == "tile"
    assert replace(layer, producers=(1,)) not in found
