"""Dequantized tensors: who reads them, and weights that move before they are widened."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_graphsurgeon as gs
import pytest

from passes.model.graph import from_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes.equivalence import check_passes

HEADER = '<ir_version: 10, opset_import: ["" : 21]>\n'


def net(body: str, constants: str, shape: str = "1,4,4,4", end: str = "1,4") -> onnx.ModelProto:
    text = f"{HEADER} net (float[{shape}] x) => (float[{end}] y) <{constants}> {{ {body} }}"
    return onnx.parser.parse_model(text)


def counted(start: int, stop: int) -> str:
    return "{" + ", ".join(str(value) for value in range(start, stop)) + "}"


GRID = "float s = {0.5}, uint8 z = {128}"
FORKS = {
    "two layers": ("a = Relu(d) b = Sigmoid(d)", "Add(a, b)", 2),
    "three layers": ("a = Relu(d) c = Tanh(d) e = Add(a, c) b = Sigmoid(d)", "Add(e, b)", 3),
    "read twice by one node": ("a = Mul(d, d)", "Relu(a)", 1),
    "a skip connection": ("a = Conv<pads=[1,1,1,1]>(d, k)", "Add(a, d)", 2),
}


@pytest.mark.parametrize("case", FORKS)
def test_each_reader_has_its_own(case: str) -> None:
    body, end, readers = FORKS[case]
    kernel = f", float[4,4,3,3] k = {counted(-72, 72)}" if "k)" in body else ""
    model = net(
        f"q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) {body} e9 = {end} "
        "g = GlobalAveragePool(e9) y = Flatten(g)",
        GRID + kernel,
    )
    graph = check_passes(model, "canonicalize")
    tensors = graph.tensors()
    assert [node.op for node in tensors["q"].outputs] == ["DequantizeLinear"] * readers
    for node in tensors["q"].outputs:
        assert len({id(reader) for reader in node.outputs[0].outputs}) == 1
        assert state_of(graph).origins[node.name] == (tensors["q"].outputs[0].name,)


def test_an_output_keeps_its_dequantize() -> None:
    text = f"""{HEADER} net (float[1,4] x) => (float[1,4] d, float[1,4] y) <{GRID}>
        {{ q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) y = Relu(d) }}"""
    graph = from_model(onnx.parser.parse_model(text))
    parse_pipeline("canonicalize")(graph)
    assert [t.name for t in graph.outputs] == ["d", "y"]
    assert graph.outputs[0].outputs == [], "the Relu reads another"


# Weights as they are stored, how they reach the Conv or Gemm, and the shape they have there.
MOVED = {
    "transpose, a scale per tensor": ("int8[3,2]", "s1", "", "Transpose<perm=[1,0]>(w)", (2, 3)),
    "transpose, a scale per output": ("int8[3,2]", "s2", "<axis=1>", "Transpose<perm=[1,0]>(w)", (2, 3)),
    "transpose without perm": ("int8[3,2]", "s2", "<axis=1>", "Transpose(w)", (2, 3)),
    "axis from the end": ("int8[3,2]", "s2", "<axis=-1>", "Transpose<perm=[1,0]>(w)", (2, 3)),
    "reshape that keeps the axis": ("int8[2,3,1]", "s2", "<axis=0>", "Reshape(w, shape)", (2, 3)),
    "axis behind ones that go": ("int8[1,1,2,3]", "s2", "<axis=2>", "Reshape(w, shape)", (2, 3)),
    "squeeze": ("int8[1,2,3]", "s2", "<axis=1>", "Squeeze(w, first)", (2, 3)),
    "unsqueeze, then reshape": ("int8[2,3]", "s2", "<axis=0>", "Reshape(w3, shape)", (2, 3)),
    "two moves": ("int8[3,1,2]", "s2", "<axis=2>", "Transpose<perm=[1,0]>(w2)", (2, 3)),
}
ON_THE_WAY = {
    "unsqueeze, then reshape": "w3 = Unsqueeze(w, first)",
    "two moves": "w2 = Squeeze(w, second)",
}
CONSTANTS = (
    "float s1 = {0.5}, float[2] s2 = {0.5, 0.25}, int64[2] shape = {2, 3}, int64[1] first = {0}, "
    "int64[1] second = {1}"
)


def gemm_of(case: str, carrier: str = "DequantizeLinear") -> onnx.ModelProto:
    stored, scale, axis, move, _ = MOVED[case]
    body = f"w = {carrier}{axis}(q, {scale}) {ON_THE_WAY.get(case, '')} v = {move} y = Gemm<transB=1>(x, v)"
    return net(body, f"{stored} q = {counted(1, 7)}, {CONSTANTS}", "1,3", "1,2")


@pytest.mark.parametrize("case", MOVED)
def test_moves_of_quantized_weights_move_onto_the_integers(case: str) -> None:
    graph = check_passes(gemm_of(case), "canonicalize")
    assert [node.op for node in graph.nodes] == ["DequantizeLinear", "Gemm"]
    dequantize = graph.nodes[0]
    assert isinstance(dequantize.inputs[0], gs.Constant)
    assert dequantize.inputs[0].values.dtype == np.int8
    assert tuple(dequantize.inputs[0].shape) == MOVED[case][4]
    if MOVED[case][1] == "s2":
        assert int(dequantize.attrs["axis"]) % 2 == 0, "one scale per output channel"


def test_weights_of_training_tools_move_through_quantize_and_clip() -> None:
    body = """t = QuantizeLinear<axis=1>(f, s2, z2) c = Clip(t, low, high)
        w = DequantizeLinear<axis=1>(c, s2, z2) v = Transpose<perm=[1,0]>(w) y = Gemm<transB=1>(x, v)"""
    constants = (
        f"float[3,2] f = {counted(-3, 3)}, int8[2] z2 = {{0, 0}}, int8 low = {{-2}}, int8 high = {{2}}"
    )
    graph = check_passes(net(body, f"{constants}, {CONSTANTS}", "1,3", "1,2"), "canonicalize")
    assert [node.op for node in graph.nodes] == ["QuantizeLinear", "Clip", "DequantizeLinear", "Gemm"]
    assert list(graph.nodes[0].inputs[0].shape) == [2, 3]
    assert [graph.nodes[i].attrs["axis"] for i in (0, 2)] == [0, 0]


def test_a_reshape_that_takes_the_scaled_axis_apart_stays_and_says_so() -> None:
    body = "w = DequantizeLinear<axis=0>(q, s6) v = Reshape(w, shape) y = Gemm<transB=1>(x, v)"
    scales = "float[6] s6 = {1, 2, 3, 4, 5, 6}"
    graph = check_passes(
        net(body, f"int8[6] q = {counted(1, 7)}, {scales}, {CONSTANTS}", "1,3", "1,2"), "canonicalize"
    )
    assert "Reshape" in [node.op for node in graph.nodes]
    (declined,) = [d.reason for d in state_of(graph).declined if "takes apart" in d.reason]
    assert declined.startswith("it takes apart the axis that DequantizeLinear ")


@pytest.mark.parametrize("form", ["MatMul(x, w)", "Gemm(x, w)", "Gemm<transB=0>(x, w, bias)"])
def test_products_with_quantized_weights_are_the_usual_gemm(form: str) -> None:
    body = f"w = DequantizeLinear<axis=1>(q, s2) b = DequantizeLinear(bq, s1) y = {form.replace('bias', 'b')}"
    constants = f"int8[3,2] q = {counted(1, 7)}, int32[2] bq = {{5, -7}}, {CONSTANTS}"
    graph = check_passes(net(body, constants, "1,3", "1,2"), "canonicalize")
    gemm = graph.nodes[-1]
    assert (gemm.op, gemm.attrs["transB"]) == ("Gemm", 1)
    assert [list(t.shape) for t in gemm.inputs[:2]] == [[1, 3], [2, 3]]
    assert isinstance(gemm.inputs[1].inputs[0].inputs[0], gs.Constant), "no Transpose is left"


def test_absent_weights_move_without_taking_memory() -> None:
    graph = from_model(gemm_of("transpose, a scale per output"))
    stored = graph.tensors()["q"]
    stored.values = np.broadcast_to(np.int8(1), stored.shape)
    state_of(graph).symbolic = True
    parse_pipeline("canonicalize")(graph)
    assert graph.nodes[0].inputs[0].shape == (2, 3)
    assert not any(graph.nodes[0].inputs[0].values.strides)
