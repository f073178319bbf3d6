"""Activations written out as products, in the orders exporters have, against the whole operator."""

from __future__ import annotations

import math

import onnx
import onnx.parser
import pytest

from passes.model.graph import from_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes.equivalence import check_passes

NUMBERS = (
    f"float one = {{1}}, float two = {{2}}, float three = {{3}}, float six = {{6}}, float zero = {{0}}, "
    f"float sixth = {{{1 / 6}}}, float half = {{0.5}}, float root = {{{math.sqrt(2)}}}, "
    f"float inverse = {{{1 / math.sqrt(2)}}}, float cubic = {{0.044715}}, "
    f"float factor = {{{math.sqrt(2 / math.pi)}}}"
)


def net(body: str) -> onnx.ModelProto:
    """Return a network that computes y of x, behind a Tanh: the model input itself is nobody's output."""
    text = f"""<ir_version: 10, opset_import: ["" : 21]> net (float[1,4,3,3] i) => (float[1,4] y) <{NUMBERS}>
        {{ x = Tanh(i) {body} g = GlobalAveragePool(o) y = Flatten(g) }}"""
    return onnx.parser.parse_model(text)


CLIPPED = "a = Add(x, three) c = Clip(a, zero, six)"
WHOLE = {
    "hard sigmoid, divided": (f"{CLIPPED} o = Div(c, six)", "HardSigmoid"),
    "hard sigmoid, multiplied": (f"{CLIPPED} o = Mul(sixth, c)", "HardSigmoid"),
    "hard sigmoid of Relu and Min": (
        "a = Add(three, x) r = Relu(a) c = Min(r, six) o = Div(c, six)", "HardSigmoid"),
    "hard swish, gate first": (f"{CLIPPED} h = Div(c, six) o = Mul(x, h)", "HardSwish"),
    "hard swish, product first": (f"{CLIPPED} h = Mul(x, c) o = Div(h, six)", "HardSwish"),
    "hard swish, x divided first": (f"{CLIPPED} h = Mul(x, sixth) o = Mul(h, c)", "HardSwish"),
    "hard swish of HardSigmoid": (
        "h = HardSigmoid<alpha = 0.1666666, beta = 0.5>(x) o = Mul(h, x)", "HardSwish"),
    "gelu, as PyTorch writes it": (
        "d = Div(x, root) e = Erf(d) a = Add(e, one) p = Mul(x, a) o = Mul(p, half)", "Gelu"),
    "gelu, half first": (
        "d = Mul(inverse, x) e = Erf(d) a = Add(one, e) p = Mul(half, x) o = Mul(p, a)", "Gelu"),
    "gelu, the gate halved": (
        "d = Div(x, root) e = Erf(d) a = Add(e, one) p = Mul(a, half) o = Mul(x, p)", "Gelu"),
    "gelu by tanh, Pow": (
        "q = Pow(x, three) k = Mul(q, cubic) s = Add(x, k) d = Mul(s, factor) t = Tanh(d) a = Add(t, one) "
        "p = Mul(x, a) o = Mul(p, half)", "Gelu"),
    "gelu by tanh, products": (
        "q = Mul(x, x) w = Mul(q, x) k = Mul(cubic, w) s = Add(k, x) d = Mul(factor, s) t = Tanh(d) "
        "a = Add(one, t) p = Mul(half, x) o = Mul(p, a)", "Gelu"),
    "mish": ("s = Softplus(x) t = Tanh(s) o = Mul(x, t)", "Mish"),
}  # fmt: skip


@pytest.mark.parametrize("case", WHOLE)
def test_activations_written_out_are_one_operator(case: str) -> None:
    body, op = WHOLE[case]
    graph = check_passes(net(body), "canonicalize")
    assert [node.op for node in graph.nodes] == ["Tanh", op, "GlobalAveragePool", "Flatten"]
    origin = state_of(graph).origins[graph.nodes[1].name]
    assert len(origin) == body.count("("), "all its nodes are where it came from"


LEFT = {
    "another number": f"{CLIPPED} o = Div(c, three)",
    "another bound": "a = Add(x, three) c = Clip(a, zero, three) o = Div(c, six)",
    "another tensor": f"{CLIPPED} h = Div(c, six) z = Sigmoid(x) o = Mul(z, h)",
    "the gate is read elsewhere": f"{CLIPPED} h = Mul(x, c) p = Div(h, six) o = Add(p, c)",
    "divided by the gate": f"{CLIPPED} h = Div(c, six) o = Div(x, h)",
    "erf of another scale": "d = Div(x, two) e = Erf(d) a = Add(e, one) p = Mul(x, a) o = Mul(p, half)",
    "tanh of another power": (
        "q = Pow(x, two) k = Mul(q, cubic) s = Add(x, k) d = Mul(s, factor) t = Tanh(d) a = Add(t, one) "
        "p = Mul(x, a) o = Mul(p, half)"
    ),
    "silu has no operator": "s = Sigmoid(x) o = Mul(x, s)",
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_close_but_another_function_is_left(case: str) -> None:
    graph = check_passes(net(LEFT[case]), "canonicalize")
    ops = {node.op for node in graph.nodes}
    assert not ops & {"HardSwish", "Gelu", "Mish"}
    assert ("HardSigmoid" in ops) == (case in ("another tensor", "divided by the gate"))


def test_a_gate_behind_a_convolution_is_recognised_before_its_sum_goes_into_the_weights() -> None:
    weights = ", ".join(["0.1"] * 16)
    text = f"""<ir_version: 10, opset_import: ["" : 21]> net (float[1,4,3,3] i) => (float[1,4] y)
        <{NUMBERS}, float[4,4,1,1] w = {{{weights}}}>
        {{ x = Conv(i, w) {CLIPPED} o = Div(c, six) g = GlobalAveragePool(o) y = Flatten(g) }}"""
    graph = from_model(onnx.parser.parse_model(text))
    parse_pipeline("canonicalize")(graph)
    assert [node.op for node in graph.nodes] == ["Conv", "HardSigmoid", "GlobalAveragePool", "Flatten"]
