"""Grids as Q/DQ nodes say them."""

from __future__ import annotations

import numpy as np
import pytest

from passes.integers.qdq import grid_behind, only_reader, read_grid
from passes.model.graph import from_model
from tests.passes.integers.test_fold_qdq import QdqNet


def test_a_zero_point_left_out_is_zero_and_of_the_integers_type() -> None:
    net = QdqNet((1, 2, 4, 4))
    graph = from_model(net.model(net.op("Relu", net.snap("x", 0.5, np.uint8, None))))
    relu = next(node for node in graph.nodes if node.op == "Relu")
    grid = grid_behind(relu.inputs[0])
    assert grid is not None
    assert grid.dtype == np.uint8
    assert (float(grid.scale), int(grid.zero), grid.one_scale) == (0.5, 0, True)
    quantize = grid.integers.inputs[0]
    written = read_grid(quantize)
    assert written is not None
    assert written.integers is grid.integers


@pytest.mark.parametrize(("ops", "found"), [(("Relu",), True), (("Clip",), False)])
def test_the_only_reader(ops: tuple[str, ...], found: bool) -> None:
    net = QdqNet((1, 2, 4, 4))
    graph = from_model(net.model(net.op("Relu", net.op("Neg", "x"))))
    tensor = next(node for node in graph.nodes if node.op == "Neg").outputs[0]
    assert (only_reader(tensor, ops, graph.outputs) is not None) == found
    assert only_reader(tensor, ops, [tensor]) is None, "who leaves the network is read from outside too"
