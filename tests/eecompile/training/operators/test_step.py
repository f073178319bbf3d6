from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from tests.eecompile.training.operators.single import Shape, network
from tests.needs import needs_torch

pytestmark = needs_torch
X = gs.Variable("x", np.float32, (1, 4))
W = gs.Constant("w", np.ones((3, 4), np.float32))
SCALE = gs.Constant("scale", np.array(0.1, np.float32))


def made(op: str, *inputs: gs.Tensor, shape: Shape = (1, 4)) -> gs.Tensor:
    """Return the output of a new node."""
    output = gs.Variable(f"{op}_out", np.float32, shape)
    gs.Node(op, op, inputs=list(inputs), outputs=[output])
    return output


def test_settled_is_what_is_made_of_constants_by_quantizing_and_rearranging() -> None:
    from eecompile.training.operators.step import settled

    quantized = made("QuantizeLinear", W, SCALE)
    assert settled(W)
    assert settled(made("Transpose", made("DequantizeLinear", quantized, SCALE)))
    assert settled(made("Clip", W, gs.Variable.empty(), SCALE))
    assert not settled(X)
    assert not settled(made("DequantizeLinear", made("QuantizeLinear", X, SCALE), SCALE))
    assert not settled(made("Clip", W, X))
    assert not settled(made("Relu", W))  # it is computed, if always alike: on the safe side


@pytest.mark.parametrize(
    ("other", "shape", "expected"),
    [
        ((1, 4), (1, 4), False),
        ((4,), (1, 4), True),
        ((1, 1, 4), (1, 1, 4), True),
    ],
)
def test_broadcasting_of_images(other: Shape, shape: Shape, expected: bool) -> None:
    from eecompile.training.operators.step import broadcasts_images

    y = gs.Variable("y", np.float32, other)
    assert broadcasts_images(made("Add", X, y, shape=shape).inputs[0]) is expected
    assert broadcasts_images(made("Add", y, X, shape=shape).inputs[0]) is expected


@pytest.mark.parametrize(
    ("constant", "shape", "expected"), [((4,), (1, 4), False), ((1, 1, 4), (1, 1, 4), True)]
)
def test_broadcasting_with_constants(constant: Shape, shape: Shape, expected: bool) -> None:
    from eecompile.training.operators.step import broadcasts_images

    output = made("Add", X, gs.Constant("c", np.ones(constant, np.float32)), shape=shape)
    assert broadcasts_images(output.inputs[0]) is expected


def test_integers_are_an_input_or_an_attribute() -> None:
    from eecompile.training.operators.step import integers
    from passes.errors import InputError

    axes = gs.Constant("axes", np.array([1, -1]))
    assert integers(made("ReduceSum", X, axes).inputs[0], 1, "axes") == [1, -1]
    node = made("ReduceSum", X).inputs[0]
    assert integers(node, 1, "axes") is None
    node.attrs["axes"] = [2]
    assert integers(node, 1, "axes") == [2]
    node.attrs["k"] = 3
    assert integers(node, 1, "k") == [3]
    with pytest.raises(InputError, match=r"node 'ReduceSum' .* its input 'x' is computed by the"):
        integers(made("ReduceSum", W, X).inputs[0], 1)


def test_what_is_given() -> None:
    from eecompile.training.operators.step import constant, given, present

    node = made("Clip", X, gs.Variable.empty(), SCALE).inputs[0]
    assert [given(node, index) for index in range(4)] == [True, False, True, False]
    assert present(node, 4) == (0, 2)
    assert constant(node, 1) is None
    assert constant(node, 2) == np.float32(0.1)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_root_has_no_slope_at_zero(p: int) -> None:
    import torch

    from eecompile.training.operators.step import root

    x = torch.tensor([0.0, 1.0, 8.0, 16.0], requires_grad=True)
    found = root(x, p)
    np.testing.assert_allclose(found.detach(), np.array([0, 1, 8, 16]) ** (1 / p), rtol=1e-6)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    wanted = np.array([1, 8, 16]) ** (1 / p - 1) / p
    np.testing.assert_allclose(x.grad, [0, *wanted], rtol=1e-6)


def test_texts_are_bytes_or_texts() -> None:
    from eecompile.training.operators.step import text

    assert text(b"SAME_UPPER") == text("SAME_UPPER") == "SAME_UPPER"


def test_errors_name_the_node_and_what_to_do() -> None:
    from eecompile.training.operators.step import untrainable

    (proto,) = network("Relu", [(1, 2)]).graph.node
    error = untrainable(gs.Node(proto.op_type, proto.name), "it is blue")
    assert "node 'the_node' (Relu) cannot be trained through: it is blue" in str(error)
    assert "train heads only" in (error.hint or "")
