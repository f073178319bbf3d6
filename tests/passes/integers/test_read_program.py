"""What is read of a lowered graph, and what is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from passes.errors import InputError
from passes.integers.fold_qdq import FoldQdq
from passes.integers.interpreter import interpret, logits
from passes.integers.program import Addition, Average, Convolution, FullyConnected, Maximum, View
from passes.integers.read_program import integer_program
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import Exit, state_of
from tests.passes.equivalence import run_model
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


@pytest.mark.parametrize(("op", "attrs"), [("Sigmoid", {}), ("LpPool", {"kernel_shape": [2, 2]})])
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


def test_axes_of_one_dimension_are_read() -> None:
    net = Quantized((1, 4, 12))
    summed = net.linear("Conv", net.snap("x", 0.1), 0.1, 6, 4, 3, pads=[2, 1], strides=[2], dilations=[2])
    d = net.snap(net.op("Flatten", net.read(net.snap(summed, 0.2))), 0.2)
    graph = from_model(net.model(net.linear("Gemm", d, 0.2, 3, 36, transB=1)))
    FoldQdq()(graph)
    program = integer_program(graph)
    first = program.operations[0]
    assert isinstance(first, Convolution) and first.pads == ((2, 1),) and first.dilations == (2,)
    images = np.random.default_rng(0).normal(0, 3, (40, 4, 12)).astype(np.float32)
    want = np.concatenate([run_model(to_model(graph), image[None])[0] for image in images])
    np.testing.assert_array_equal(logits(program, interpret(program, program.quantized(images)))[0], want)


def test_several_exits_are_ordered_and_share_what_is_in_front_of_them() -> None:
    net = Quantized((1, 4, 6, 6))
    x = net.snap("x", 0.1)
    a = net.snap(net.linear("Conv", x, 0.1, 8, 4, 3, 3), 0.2)
    b = net.snap(net.linear("Conv", a, 0.2, 8, 8, 3, 3), 0.2)
    ends = []
    for held, size in ((b, 32), (a, 128)):  # the deep exit is written first
        flat = net.snap(net.op("Flatten", net.read(held)), 0.2)
        ends.append(net.linear("Gemm", flat, 0.2, 3, size, transB=1))
    deep, shallow = ends
    graph = from_model(net.model(shallow, deep))
    FoldQdq()(graph)
    state_of(graph).exits = [Exit("early", "", shallow, threshold=0.5), Exit("final", "", deep)]
    program = integer_program(graph)
    first, second = program.until(0), program.until(1)
    assert [type(op) for op in first] == [Convolution, View, FullyConnected]
    assert [type(op) for op in second] == [Convolution, View, FullyConnected]
    assert [*first, *second] == list(program.operations) and second[0].reads == (first[0].writes,)
    assert [item.threshold for item in program.exits] == [0.5, None]
