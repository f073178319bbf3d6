"""What is read of a lowered graph, and what is refused by name."""

from __future__ import annotations

import onnx
import pytest

from passes.errors import InputError
from passes.integers.fold_qdq import FoldQdq
from passes.integers.program import Addition, Average, Convolution, FullyConnected, Maximum, View
from passes.integers.read_program import integer_program
from passes.model.graph import from_model
from tests.passes.integers.test_interpreter import Quantized, network


def test_each_node_is_one_operation() -> None:
    graph = from_model(network())
    FoldQdq()(graph)
    program = integer_program(graph)
    kinds = [type(op) for op in program.operations]
    assert kinds == [Convolution, Convolution, Addition, Maximum, Average, View, FullyConnected]
    first = program.operations[0]
    assert isinstance(first, Convolution)
    assert (first.zero, first.pads, first.rescale.low) == (121, ((1, 1), (0, 2)), 0)


@pytest.mark.parametrize(("op", "attrs"), [("Sigmoid", {}), ("AveragePool", {"kernel_shape": [2, 2]})])
def test_what_has_no_integer_form_is_named(op: str, attrs: dict[str, object]) -> None:
    net = Quantized((1, 2, 4, 4))
    y = net.snap(net.op(op, net.read(net.snap("x", 0.1)), **attrs), 0.1)
    graph = from_model(net.model(net.read(y)))
    FoldQdq()(graph)
    with pytest.raises(InputError, match=rf"node '.*{op}' \({op}\) has no integer form"):
        integer_program(graph)


def test_a_float_network_is_refused() -> None:
    net = Quantized((1, 2, 4, 4))
    with pytest.raises(InputError, match=r"\(Conv\) has no integer form"):
        integer_program(from_model(net.model(net.conv("x", 2, 3))))


def test_additions_of_signed_bytes_are_refused_by_name() -> None:
    """Sums of onnxruntime are known for uint8; files of others may have int8."""
    text = """<ir_version: 10, opset_import: ["": 21]>
net (float[1,4] x) => (float[1,4] y) <float s = {0.1}, int8 z = {-3}>
{
   a = QuantizeLinear (x, s, z)
   b = DequantizeLinear (a, s, z)
   c = DequantizeLinear (a, s, z)
   [total] d = Add (b, c)
   e = QuantizeLinear (d, s, z)
   y = DequantizeLinear (e, s, z)
}"""
    with pytest.raises(InputError, match=r"'total' .*it adds int8 and int8"):
        integer_program(from_model(onnx.parser.parse_model(text)))
