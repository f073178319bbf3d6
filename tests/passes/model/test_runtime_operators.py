"""Operators of onnxruntime's quantizer: the same answers from standard operators."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

from passes.errors import InputError
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import state_of
from tests.passes.equivalence import run_model

GRIDS = (
    "float s = {0.5}, uint8 z = {120}, float t = {0.25}, uint8 u = {130}, float a = {0.75}, uint8 b = {100}"
)


def net(body: str, shape: str, constants: str = "") -> onnx.ModelProto:
    """Return a network of integers q and r of x, whose result o is dequantized into y."""
    text = f"""<ir_version: 8, opset_import: ["" : 21, "com.microsoft" : 1]>
        net (float[1,4,4,4] x) => (float[{shape}] y) <{GRIDS}{", " * bool(constants)}{constants}> {{
        q = QuantizeLinear(x, s, z) h = Relu(x) r = QuantizeLinear(h, t, u) {body}
        y = DequantizeLinear(o, a, b) }}"""
    return onnx.parser.parse_model(text)


WHOLE, POOLED = "1,4,4,4", "1,4,1,1"
WEIGHTS = ", ".join(str(value) for value in range(-96, 96))
FORMS = {
    "QLinearAdd": ("o = com.microsoft.QLinearAdd(q, s, z, r, t, u, a, b)", WHOLE, "", "Add"),
    "QLinearMul": ("o = com.microsoft.QLinearMul(q, s, z, r, t, u, a, b)", WHOLE, "", "Mul"),
    "QLinearSigmoid": ("o = com.microsoft.QLinearSigmoid(q, s, z, a, b)", WHOLE, "", "Sigmoid"),
    "QLinearLeakyRelu": (
        "o = com.microsoft.QLinearLeakyRelu<alpha = 0.3>(q, s, z, a, b)", WHOLE, "", "LeakyRelu"),
    "QLinearGlobalAveragePool": (
        "o = com.microsoft.QLinearGlobalAveragePool(q, s, z, a, b)", POOLED, "", "GlobalAveragePool"),
    "QLinearAveragePool": (
        "o = com.microsoft.QLinearAveragePool<kernel_shape = [2,2], strides = [2,2]>(q, s, z, a, b)",
        "1,4,2,2", "", "AveragePool"),
    "QLinearConcat": (
        "o = com.microsoft.QLinearConcat<axis = 1>(a, b, q, s, z, r, t, u)", "1,8,4,4", "", "Concat"),
    "QLinearSoftmax": (
        "o = com.microsoft.QLinearSoftmax<axis = 1, opset = 13>(q, s, z, a, b)", WHOLE, "", "Softmax"),
    "QLinearSoftmax of a later opset": (
        "o = com.microsoft.QLinearSoftmax<axis = 1, opset = 21>(q, s, z, a, b)", WHOLE, "", "Softmax"),
    "QGemm": (
        "f = Flatten(q) o = com.microsoft.QGemm<transB = 1>(f, s, z, w, ws, wz, c, a, b)", "1,3",
        f"int8[3,64] w = {{{WEIGHTS}}}, float ws = {{0.01}}, int8 wz = {{0}}, "
        "int32[3] c = {500, -900, 7}", "Gemm"),
    "QGemm per channel": (
        "f = Flatten(q) o = com.microsoft.QGemm<transB = 1>(f, s, z, w, ws, wz, c, a, b)", "1,3",
        f"int8[3,64] w = {{{WEIGHTS}}}, float[3] ws = {{0.01, 0.02, 0.005}}, int8[3] wz = {{0, 0, 0}}, "
        "int32[3] c = {500, -900, 7}", "Gemm"),
    "QGemm without bias": (
        "f = Flatten(q) o = com.microsoft.QGemm<transB = 0>(f, s, z, w, ws, wz, , a, b)", "1,3",
        f"int8[64,3] w = {{{WEIGHTS}}}, float ws = {{0.01}}, int8 wz = {{0}}", "Gemm"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS)
def test_standard_operators_give_the_same_answer(case: str) -> None:
    body, shape, constants, op = FORMS[case]
    model = net(body, shape, constants)
    node = next(n for n in model.graph.node if n.domain)
    node.name = "theirs"
    graph = from_model(model)
    ours = next(n for n in graph.nodes if n.op == op)
    assert ours.name == "theirs"
    assert {domain for domain in (n.domain for n in graph.nodes) if domain} == set()
    image = np.random.default_rng(0).normal(0, 12, (1, 4, 4, 4)).astype(np.float32)
    (expected,), (found,) = run_model(model, image), run_model(to_model(graph), image)
    assert np.abs(found - expected).max() <= 0.7501, "a value on the edge may round to the next step"
    assert (found == expected).mean() > 0.9
    made = [n for n in graph.nodes if n.name.startswith("theirs/")]
    assert made and all(state_of(graph).origins[n.name] == ("theirs",) for n in made)


def test_quantization_of_wide_integers_is_that_of_the_standard() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        net (float[1,4] x) => (float[1,4] y) <float s = {0.001}, uint16 z = {30000}>
        { q = com.microsoft.QuantizeLinear(x, s, z) y = com.microsoft.DequantizeLinear(q, s, z) }"""
    model = onnx.parser.parse_model(text)
    graph = from_model(model)
    assert [node.op for node in graph.nodes] == ["QuantizeLinear", "DequantizeLinear"]
    image = np.array([[0.5, -3, 7.77, 1e-3]], np.float32)
    np.testing.assert_array_equal(run_model(to_model(graph), image)[0], run_model(model, image)[0])


@pytest.mark.parametrize(
    "body",
    [
        "o = com.microsoft.QLinearGlobalAveragePool<channels_last = 1>(q, s, z, a, b)",
        "f = Flatten(q) o = com.microsoft.QGemm<transB = 1, alpha = 2.0>(f, s, z, w, s, z, c, a, b)",
        "o = com.microsoft.FusedThing(q)",
    ],
)
def test_what_has_no_standard_form_is_refused_by_its_name(body: str) -> None:
    with pytest.raises(InputError, match=r"uses custom operators: com\.microsoft::"):
        from_model(net(body, "1,3", "uint8[3,64] w, int32[3] c"))
