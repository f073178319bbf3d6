"""Networks quantized elsewhere, in float again: the same values without their grids, or a named error."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

from passes.errors import InputError
from passes.integers.to_float import describe, is_quantized, to_float
from passes.model.graph import from_model
from passes.model.writing import to_model

RNG = np.random.default_rng(0)
KERNEL = RNG.integers(-127, 128, 4 * 2 * 9)
IMAGE = RNG.normal(size=(1, 2, 6, 6)).astype(np.float32)
WEIGHTS = f"int8[4,2,3,3] k = {{{', '.join(map(str, KERNEL))}}}"
GRID = "float s = {0.03}, int8 z = {-3}, float t = {0.06}, int8 v = {-128}"
PER_CHANNEL = "float[4] ks = {0.005, 0.01, 0.02, 0.01}, int8[4] kz = {0, 0, 0, 0}"
PER_TENSOR = "float ks = {0.01}, int8 kz = {5}"
QDQ = (
    "q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) w = DequantizeLinear<axis=0>(k, ks, kz) "
    "c = Conv(d, w) p = QuantizeLinear(c, t, v) m = MaxPool<kernel_shape=[2,2]>(p) "
    "y = DequantizeLinear(m, t, v)"
)
QOPERATOR = (
    "q = QuantizeLinear(x, s, z) p = QLinearConv(q, s, z, k, ks, kz, t, v, b) "
    "m = MaxPool<kernel_shape=[2,2]>(p) y = DequantizeLinear(m, t, v)"
)
BIAS = "int32[4] b = {300, -900, 70, 0}"
FORMS = {
    "qdq per channel": (QDQ, PER_CHANNEL),
    "qdq per tensor": (QDQ, PER_TENSOR),
    "qoperator per channel": (QOPERATOR, f"{PER_CHANNEL}, {BIAS}"),
    "qoperator per tensor": (QOPERATOR, f"{PER_TENSOR}, {BIAS}"),
}


def net(body: str, constants: str, more: str = "") -> onnx.ModelProto:
    text = f"""<ir_version: 10, opset_import: ["" : 21]>
        net (float[1,2,6,6] x{more}) => (float[1,4,3,3] y) <{GRID}, {WEIGHTS}, {constants}> {{ {body} }}"""
    return onnx.parser.parse_model(text)


def answer(model: onnx.ModelProto) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = session.run(None, {"x": IMAGE})[0]
    return found


@pytest.mark.parametrize("form", FORMS)
def test_values_are_those_of_the_file_but_for_rounding_and_its_saturation_is_kept(form: str) -> None:
    model = net(*FORMS[form])
    graph = from_model(model)
    assert is_quantized(graph)
    to_float(graph)
    assert not is_quantized(graph)
    theirs, ours = answer(model), answer(to_model(graph))
    assert ours.min() >= 0, "the lowest integer stands for zero: that was a Relu"
    assert theirs.min() == 0 < theirs.max(), "there is something to clip, and something left"
    # a step of the result and the rounding of 18 inputs, of at most half a step of .03 each
    assert np.abs(ours - theirs).max() <= 0.03 + 0.015 * np.abs(KERNEL).max() * 0.02 * 18
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999


def test_a_grid_with_zero_inside_clips_nothing() -> None:
    body = QDQ.replace("t, v", "t, z")
    graph = from_model(net(body, PER_TENSOR))
    to_float(graph)
    assert "Clip" not in {node.op for node in graph.nodes}
    assert answer(to_model(graph)).min() < 0


DYNAMIC = (
    "q, a, n = DynamicQuantizeLinear(x) i = ConvInteger(q, k, n, kz) f = Cast<to=1>(i) "
    "c = Mul(f, a) y = MaxPool<kernel_shape=[2,2]>(c)"
)
REFUSED = {
    "scale of zero": (QDQ, PER_TENSOR.replace("0.01", "0"), "above zero"),
    "a negative scale per channel": (QDQ, PER_CHANNEL.replace("0.02", "-0.02"), "above zero"),
    "another axis": (QDQ.replace("axis=0", "axis=1"), PER_CHANNEL, "4 scales along axis 1"),
    "more zero points than scales": (QDQ, PER_TENSOR.replace("kz = {5}", "[2] kz = {5, 5}"), "zero points"),
    "dynamic": (DYNAMIC, PER_TENSOR, "image by image"),
    "products of integers": (
        "q = QuantizeLinear(x, s, z) i = ConvInteger(q, k, z, kz) f = Cast<to=1>(i) "
        "y = MaxPool<kernel_shape=[2,2]>(f)",
        PER_TENSOR,
        "without naming their scales",
    ),
    "integers that are computed with": (
        QDQ.replace("m = Max", "u = Add(p, p) m = Max").replace("(p) y", "(u) y"),
        PER_TENSOR,
        "computes with integers",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_grid_is_refused(case: str) -> None:
    body, constants, message = REFUSED[case]
    graph = from_model(net(body, constants))
    with pytest.raises(InputError, match=message) as caught:
        to_float(graph)
    assert caught.value.hint


def test_scales_that_are_computed_are_refused() -> None:
    graph = from_model(
        net("n = Relu(ks) " + QDQ.replace("k, ks", "k, n"), PER_TENSOR.split(",")[1], ", float ks")
    )
    with pytest.raises(InputError, match="is no constant"):
        to_float(graph)


@pytest.mark.parametrize(
    ("body", "constants", "words"),
    [
        (QDQ, PER_CHANNEL, "int8 weights with one scale per channel, activations with zero points"),
        (QDQ.replace("v)", "h)").replace("z)", "h)").replace("kh)", "kz)"), f"{PER_TENSOR}, int8 h = {{0}}",
         "int8 weights with one scale per tensor, symmetric activations"),
        (QOPERATOR, f"{PER_CHANNEL}, {BIAS}", "int8 weights with one scale per channel, activations with"),
        (DYNAMIC, PER_TENSOR, "dynamically"),
        ("w = DequantizeLinear<axis=0>(k, ks, kz) c = Conv(x, w) y = MaxPool<kernel_shape=[2,2]>(c)",
         PER_CHANNEL, "int8 weights with one scale per channel, activations in float"),
    ],
)  # fmt: skip
def test_how_it_is_quantized_is_told(body: str, constants: str, words: str) -> None:
    assert words in describe(from_model(net(body, constants)))
