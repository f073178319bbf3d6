from __future__ import annotations

from itertools import product

import numpy as np
import onnx
import pytest

from passes.macs import has_shapes, node_macs
from passes.model.graph import from_model
from tests.passes.model.branching_nets import skips_a_block
from tests.passes.net_builder import NetBuilder
from tests.passes.token_nets import recurrent


def counted_by_hand(kernel: int, cin: int, cout: int, group: int, stride: int, size: int) -> int:
    """Count the products of a padded convolution one by one."""
    outputs = -(-size // stride)
    return sum(1 for _ in product(range(outputs**2), range(cout), range(cin // group), range(kernel**2)))


@pytest.mark.parametrize(
    ("kernel", "cin", "cout", "group", "stride"),
    [(1, 2, 3, 1, 1), (3, 2, 3, 1, 1), (3, 4, 4, 4, 1), (3, 4, 8, 2, 2), (5, 1, 2, 1, 2)],
)
def test_convolutions(kernel: int, cin: int, cout: int, group: int, stride: int) -> None:
    net = NetBuilder((1, cin, 6, 6))
    conv = net.conv("x", cin, cout, kernel=kernel, group=group, strides=[stride, stride])
    flat = net.op("Flatten", net.op("GlobalAveragePool", conv))
    graph = from_model(net.model(net.op("Gemm", flat, net.normal(3, cout), transB=1)))
    by_op = {node.op: node_macs(node) for node in graph.nodes}
    assert by_op["Conv"] == counted_by_hand(kernel, cin, cout, group, stride, 6)
    assert by_op["Gemm"] == 3 * cout
    assert by_op["Flatten"] == by_op["GlobalAveragePool"] == 0


def graph_macs(body: str) -> list[int]:
    text = f'<ir_version: 10, opset_import: ["": 21]> net (float[1,4,5,5] x) => (y) {body}'
    model = onnx.parser.parse_model(text)
    for value in list(model.graph.value_info):
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(dims, np.float32), value.name))
    return [node_macs(node) for node in from_model(model).nodes]


def test_a_transposed_convolution_multiplies_each_input_by_each_weight() -> None:
    macs = graph_macs(
        "<float[4,6,3,3] w> "
        "{ c = ConvTranspose<strides=[2,2]>(x, w) g = GlobalAveragePool(c) y = Flatten(g) }"
    )
    assert macs[0] == 4 * 25 * 6 * 9


@pytest.mark.parametrize("transposed", [0, 1])
def test_products_of_matrices(transposed: int) -> None:
    shape = "7,100" if transposed else "100,7"
    body = f"<float[{shape}] w> {{ f = Flatten(x) y = Gemm<transB={transposed}>(f, w) }}"
    assert graph_macs(body)[-1] == 700


@pytest.mark.parametrize(
    ("equation", "operands", "macs"),
    [
        ("bchw,co->bohw", "x, w", 4 * 25 * 3),
        ("bchw,co,ok->bkhw", "x, w, v", 4 * 25 * 3 * 2),
        ("bchh,co->boh", "x, w", 4 * 5 * 3),
        ("bchw->bwhc", "x", 0),
    ],
)
def test_an_einsum_multiplies_once_per_value_of_its_indices(equation: str, operands: str, macs: int) -> None:
    body = f'<float[4,3] w, float[3,2] v> {{ y = Einsum<equation="{equation}">({operands}) }}'
    assert graph_macs(body) == [macs]


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_layers_multiply_input_and_state_at_each_step(op: str, gates: int) -> None:
    graph = from_model(recurrent(op, layers=2, steps=6, inputs=5, hidden=8))
    assert [node_macs(node) for node in graph.nodes if node.op == op] == [
        6 * gates * 8 * (inputs + 8) for inputs in (5, 8)
    ]


def test_of_bodies_what_has_no_known_shape_counts_nothing() -> None:
    graph = from_model(skips_a_block())
    (branch,) = [node for node in graph.nodes if node.op == "If"]
    assert node_macs(branch) == 4 * 4 * 9 * 64
    (conv,) = [n for body in branch.subgraphs() for n in body.nodes if n.op == "Conv"]
    for shape in (None, [1, "channels", 8, 8]):
        conv.outputs[0].shape = shape
        assert not has_shapes(conv) and node_macs(branch) == 0
