"""What is known before any image is, and what that is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from passes.model.constants import evaluate, is_known, is_symbolic
from passes.model.graph import from_model
from tests.passes.net_builder import NetBuilder

X = gs.Variable("x", np.float32, [1, 2, 3])
OPEN = gs.Variable("open", np.float32, ["N", 2])
TWO = gs.Constant("two", np.array([1.0, 2.0], np.float32))


def node(
    op: str, *inputs: gs.Tensor, shape: tuple[int, ...] = (2,), dtype: type = np.float32, **attrs: int
) -> gs.Node:
    return gs.Node(op, "n", dict(attrs), list(inputs), [gs.Variable("y", dtype, list(shape))])


@pytest.mark.parametrize(
    ("made", "known"),
    [
        (node("Neg", TWO), True),
        (node("Add", TWO, TWO), True),
        (node("Clip", TWO, gs.Variable.empty()), True),
        (node("Add", TWO, X), False),
        (node("Shape", X), True),
        (node("Size", X), True),
        (node("Shape", OPEN), False),
        (node("DequantizeLinear", TWO, TWO), False),
        (node("RandomNormal"), False),
        (node("RandomNormalLike", TWO), False),
        (node("ConstantOfShape", TWO), True),
    ],
    ids=lambda value: (
        f"{value.op} of {[t.name for t in value.inputs]}" if isinstance(value, gs.Node) else str(value)
    ),
)
def test_what_is_known(made: gs.Node, known: bool) -> None:
    assert is_known(made) is known


@pytest.mark.parametrize(
    ("made", "values"),
    [
        (node("Neg", TWO), [-1.0, -2.0]),
        (node("Mul", TWO, TWO), [1.0, 4.0]),
        (node("Shape", X, dtype=np.int64), [1, 2, 3]),
        (node("Shape", X, dtype=np.int64, start=1), [2, 3]),
        (node("Shape", X, dtype=np.int64, end=-1), [1, 2]),
        (node("Size", X, dtype=np.int64), 6),
    ],
    ids=["Neg", "Mul of one twice", "Shape", "Shape from", "Shape to", "Size"],
)
def test_what_follows(made: gs.Node, values: object) -> None:
    (found,) = evaluate(made, 21)
    assert found.tolist() == values


def test_absent_weights_give_absent_results_without_memory() -> None:
    absent = gs.Constant("w", np.broadcast_to(np.float32(1), (1000, 1000)))
    made = node("Transpose", absent, shape=(1000, 1000))
    assert is_symbolic(evaluate(made, 21, symbolic=True)[0])
    whole = node("Neg", gs.Constant("w", np.broadcast_to(np.float32(3), (2,))))
    assert evaluate(whole, 21)[0].tolist() == [-3.0, -3.0], (
        "repeated numbers of a network that has its weights"
    )


@pytest.mark.parametrize(
    ("values", "absent"),
    [
        (np.ones((2, 3)), False),
        (np.broadcast_to(np.float32(1), (2, 3)), True),
        (np.broadcast_to(np.float32(1), (1,)), False),
        (np.broadcast_to(np.ones(3), (2, 3)), False),
    ],
)
def test_only_a_repeated_number_stands_for_absent_weights(values: np.ndarray, absent: bool) -> None:
    assert is_symbolic(values) is absent


def shape_program() -> onnx.ModelProto:
    """A Reshape to what Shape, Gather and Concat make of the input: how PyTorch exports a view."""
    net = NetBuilder((1, 2, 4, 4))
    size = net.op("Gather", net.op("Shape", "x"), net.const(1, np.int64), axis=0)
    parts = [
        net.const([1], np.int64),
        net.op("Unsqueeze", size, net.const([0], np.int64)),
        net.const([-1], np.int64),
    ]
    model = net.model(net.op("Sigmoid", net.op("Reshape", "x", net.op("Concat", *parts, axis=0))))
    del model.graph.value_info[:]
    return model


def test_shapes_that_programs_compute_are_found() -> None:
    graph = from_model(shape_program())
    assert [list(t.shape) for t in graph.outputs] == [[1, 2, 16]]


def test_nothing_is_printed_and_no_runtime_is_loaded_for_it(tmp_path: Path) -> None:
    onnx.save(shape_program(), tmp_path / "net.onnx")
    code = (
        "import sys; from passes.model.graph import load; load(sys.argv[1]); "
        "sys.exit('onnxruntime' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "net.onnx")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
