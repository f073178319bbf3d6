"""Networks without a batch axis: what takes it away and what puts it in front again cancel."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

from passes.canonical.canonicalize import Canonicalize
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.rewrite.rewriter import dims
from passes.state import Exit, state_of
from tests.passes.equivalence import check_passes, run_model
from tests.targets.graphs import filled

CONSTANTS = """int64[1] n0 = {0}, int64[1] n1 = {1}, int64[1] n2 = {2}, int64[1] n3 = {3}, int64[1] n4 = {4},
    int64[1] n5 = {5}, int64[2] n12 = {1,2}, int64[2] n01 = {0,1}, int64[6] pads = {0,1,0,0,1,0},
    float[4,1,1] column = {1.0,2.0,0.5,3.0},
    float one = {1.0}, int64[2] rows = {4,16}, int64[3] map = {4,4,4}, float step = {0.0625},
    float[4] steps = {0.05,0.06,0.07,0.08}, uint8 zero = {128}, uint8[4] zeros = {128,127,126,125},
    float[4,2] matrix = {0.5,1.0,-1.0,2.0,0.25,3.0,1.0,-2.0}, float[2] shift = {1.0,-1.0},
    float[2,4] turned = {0.5,1.0,-1.0,2.0,0.25,3.0,1.0,-2.0}"""
HEAD = '<ir_version: 10, opset_import: ["" : 21]> net'


def net(between: str) -> onnx.ModelProto:
    """Return a network that works on two maps [4, 4, 4], ``t`` and ``s``, between two views."""
    return onnx.parser.parse_model(
        f"""{HEAD} (float[1,4,4,4] x) => (float[1,4,4,4] y) <{CONSTANTS}> {{
        cube = ConstantOfShape<value: tensor = float[1] {{0.5}}>(map) w = Sin(x)
        a = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(w) b = Cos(w) t = Squeeze(a, n0)
        s = Squeeze(b, n0)
        {between} y = Unsqueeze(r, n0) }}"""
    )


BETWEEN = {
    "an activation": "r = Tanh(t)",
    "several": "u = Tanh(t) v = Exp(u) r = Clip(v, , one)",
    "two maps": "r = Mul(t, s)",
    "a number": "r = Add(t, one)",
    "a constant per channel": "r = Mul(column, t)",
    "a constant of as many axes": "r = Add(t, cube)",
    "parts": "p, q = Split<axis=0, num_outputs=2>(t) r = Concat<axis=-3>(q, p)",
    "slices": "p = Slice(t, n0, n3) q = Slice(t, n3, n5) r = Concat<axis=0>(q, p)",
    "a slice of an axis": "p = Slice(t, n0, n2, n1) r = Concat<axis=1>(p, p)",
    "a constant beside": "p = Slice(t, n0, n1, n1) q = Concat<axis=1>(cube, p) r = Slice(q, n1, n5, n1)",
    "a mean": "m = ReduceMean<keepdims=1>(t, n12) r = Mul(t, m)",
    "an axis that goes": "m = ReduceMax<keepdims=0>(t, n2) k = Unsqueeze(m, n2) r = Mul(t, k)",
    "another order": "u = Transpose<perm=[1,2,0]>(t) r = Transpose(u)",
    "shares": "r = Softmax<axis=0>(t)",
    "rows": "u = Reshape(t, rows) v = Softmax(u) r = Reshape(v, map)",
    "padding": "u = Pad(t, pads) r = Slice(u, n1, n5, n1)",
    "integers": "u = QuantizeLinear(t, step, zero) r = DequantizeLinear(u, step, zero)",
    "integers per channel": (
        "u = QuantizeLinear<axis=0>(t, steps, zeros) r = DequantizeLinear<axis=-3>(u, steps, zeros)"
    ),
}


@pytest.mark.parametrize("case", BETWEEN)
def test_the_batch_stays_in_front(case: str) -> None:
    graph = check_passes(net(BETWEEN[case]), "canonicalize", any_batch=False)
    computed = [t for node in graph.nodes for t in node.outputs]
    assert all(dims(tensor)[0] == 1 for tensor in computed)
    assert not {"Squeeze", "Unsqueeze"} & {node.op for node in graph.nodes}


VECTORS = {
    "taken away": "a = Sin(x) t = Squeeze(a, n0) m = MatMul(t, matrix)",
    "taken away by a Reshape": "a = Sin(x) t = Reshape(a, n4) m = MatMul(t, matrix)",
    "behind an activation": "a = Squeeze(x, n0) b = Tanh(a) m = MatMul(b, matrix)",
}


@pytest.mark.parametrize("case", VECTORS)
def test_a_vector_times_a_matrix_is_a_gemm(case: str) -> None:
    model = onnx.parser.parse_model(
        f"{HEAD} (float[1,4] x) => (float[2] y) <{CONSTANTS}> {{ {VECTORS[case]} y = Add(m, shift) }}"
    )
    graph = check_passes(model, "canonicalize", any_batch=False)
    (gemm,) = [node for node in graph.nodes if node.op == "Gemm"]
    assert dims(gemm.outputs[0]) == (1, 2)
    assert "Add" not in [node.op for node in graph.nodes]
    assert len(state_of(graph).origins[gemm.name]) == 2


def test_a_vector_at_the_input_too() -> None:
    model = onnx.parser.parse_model(
        f"{HEAD} (float[4] x) => (float[2] y) <{CONSTANTS}> {{ m = MatMul(x, matrix) y = Add(m, shift) }}"
    )
    graph = from_model(model)
    parse_pipeline("canonicalize")(graph)
    assert [node.op for node in graph.nodes] == ["Unsqueeze", "Gemm", "Squeeze"]
    (x,) = np.random.default_rng(0).normal(size=(1, 4)).astype(np.float32)
    np.testing.assert_allclose(run_model(to_model(graph), x), run_model(model, x), rtol=1e-6)


# Here the axis in front is a direction, or one that a Gemm joins, or the Softmax is the end of a classifier.
LEFT = {
    "a direction": (
        "o, h = RNN<hidden_size=4>(x, w, r) t = Squeeze(h, n0) v = Tanh(t) y = Gemm<transB=1>(v, turned)",
        ["RNN", "Squeeze", "Tanh", "Gemm"],
    ),
    "the classes": (
        "a = Sin(x) t = Squeeze(a, n01) y = Softmax(t)",
        ["Sin", "Squeeze", "Softmax"],
    ),
    "rows of a Gemm": (
        "t = Squeeze(x, n0) y = Gemm<transB=1>(t, turned)",
        ["Squeeze", "Gemm"],
    ),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_no_batch_stays_where_it_is(case: str) -> None:
    text, ops = LEFT[case]
    model = onnx.parser.parse_model(
        f"""{HEAD} (float[1,1,4] x) => (y) <{CONSTANTS}, float[1,4,4] w, float[1,4,4] r> {{ {text} }}"""
    )
    graph = check_passes(filled(model), "canonicalize", any_batch=False)
    assert [node.op for node in graph.nodes] == ops


def test_a_map_of_one_channel_has_its_batch_too() -> None:
    text = "(float[1,1,8,8] x) => (float[1,6,6] y) <float[1,1,3,3] w, int64[1] n0 = {0}>"
    body = (
        "c = Conv(x, w) t = Squeeze(c, n0) a = Relu(t) b = Unsqueeze(a, n0) p = Sigmoid(b) y = Squeeze(p, n0)"
    )
    graph = check_passes(
        filled(onnx.parser.parse_model(f"{HEAD} {text} {{ {body} }}")), "canonicalize", any_batch=False
    )
    assert [node.op for node in graph.nodes] == ["Conv", "Relu", "Sigmoid", "Squeeze"]


def test_a_mount_stays() -> None:
    graph = from_model(net("r = Tanh(t)"))
    state_of(graph).exits = [Exit("exit_0", "t", "t"), Exit("final", "r", "y")]
    Canonicalize()(graph)
    assert [node.inputs[0].name for node in graph.nodes if node.op == "Tanh"] == ["t"]
