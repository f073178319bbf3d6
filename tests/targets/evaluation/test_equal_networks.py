"""The same network, written otherwise, costs the same on every target."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from passes.exits.recognise import recognise_exits
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from targets.contract.registry import load_target
from targets.contract.target import Target
from targets.evaluation.report import CostReport, evaluate
from tests.eecompile.small_models import skip_net
from tests.passes.model.test_float_types import KINDS, network, stored_as
from tests.passes.small_nets import two_exits
from tests.targets.graphs import filled

TARGETS = ("diana", "gap9", "edge_tpu_quad", "max78002")
GRID = "float s = {0.0625}, uint8 z = {128}"


@cache
def target(name: str) -> Target:
    return load_target(name)


def model_of(text: str) -> onnx.ModelProto:
    return filled(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]>\n{text}'))


def costs(model: onnx.ModelProto, name: str) -> CostReport:
    """Return the costs of a network as `eecompile cost` finds them."""
    graph = from_model(model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    recognise_exits(graph)
    parse_pipeline(target(name).pipeline(quantized=False))(graph)
    return evaluate(graph, target(name))


def figures(report: CostReport) -> list[tuple[str, int, float, float]]:
    """Return what is found of each exit: name, MACs, cycles and energy."""
    return [(e.name, int(e.cost.macs), e.cost.latency_cycles, e.cost.energy_pj) for e in report.exits]


def forked(shared: bool, exits: bool = False) -> str:
    """A tensor that two convolutions, and an exit, read through one DequantizeLinear or each its own."""
    second, third = ("d1", "d1") if shared else ("d2", "d3")
    own = "" if shared else "d2 = DequantizeLinear(t, s, z)"
    early = f"""{"" if shared or not exits else "d3 = DequantizeLinear(t, s, z)"}
        p = MaxPool<kernel_shape=[8,8], strides=[8,8]>({third}) pf = Flatten(p)
        early = Gemm<transB=1>(pf, we)"""
    return f"""net (float[1,4,16,16] x) => ({"float[1,12] early, " if exits else ""}float[1,12] y)
        <{GRID}, float[16,4,3,3] w0, int8[16,16,1,1] q1, int8[16,16,3,3] q2, float[12,16] w3, float[12,64] we,
         float ws = {{0.125}}> {{
        c = Conv<pads=[1,1,1,1]>(x, w0) t = QuantizeLinear(c, s, z) d1 = DequantizeLinear(t, s, z) {own}
        w1 = DequantizeLinear(q1, ws) w2 = DequantizeLinear(q2, ws) {early if exits else ""}
        a = Conv<strides=[2,2]>(d1, w1) b = Conv<strides=[2,2], pads=[1,1,1,1]>({second}, w2)
        aq = QuantizeLinear(a, s, z) ad = DequantizeLinear(aq, s, z) bq = QuantizeLinear(b, s, z)
        bd = DequantizeLinear(bq, s, z) e = Add(ad, bd) eq = QuantizeLinear(e, s, z)
        ed = DequantizeLinear(eq, s, z) g = GlobalAveragePool(ed) f = Flatten(g)
        y = Gemm<transB=1>(f, w3) }}"""


def scaled(shared: bool) -> str:
    """A constant behind one DequantizeLinear that two Muls read, or each through its own."""
    own, second = ("", "k") if shared else ("k2 = DequantizeLinear(q, s, z)", "k2")
    return f"""net (float[1,4,16,16] x) => (float[1,12] y)
        <{GRID}, uint8[1,4,1,1] q, float[4,4,3,3] w0, float[12,4] w3> {{
        k = DequantizeLinear(q, s, z) {own} r = Relu(x) a = Mul(r, k) c = Conv<pads=[1,1,1,1]>(a, w0)
        v = Relu(c) t = Sigmoid(v) b = Mul(t, {second}) g = GlobalAveragePool(b) f = Flatten(g)
        y = Gemm<transB=1>(f, w3) }}"""


def stored(otherwise: bool) -> str:
    """Weights as they are multiplied by, or in the order of TFLite behind a Transpose or Reshape."""
    if otherwise:
        weights = "int8[3,3,4,16] q1, int8[3,3,16,1] q2, int8[16,12] q3"
        moved = """v1 = DequantizeLinear<axis=3>(q1, s16) w1 = Transpose<perm=[3,2,0,1]>(v1)
            v2 = DequantizeLinear<axis=2>(q2, s16) w2 = Transpose<perm=[2,3,0,1]>(v2)
            w3 = DequantizeLinear(q3, s)"""
        product = "MatMul(f, w3)"
    else:
        weights = "int8[16,4,3,3] q1, int8[16,1,3,3] q2, int8[12,16] q3"
        moved = """w1 = DequantizeLinear<axis=0>(q1, s16) w2 = DequantizeLinear<axis=0>(q2, s16)
            w3 = DequantizeLinear(q3, s)"""
        product = "Gemm<transB=1>(f, w3)"
    return f"""net (float[1,4,16,16] x) => (float[1,12] y) <float s = {{0.0625}}, float[16] s16, {weights}> {{
        {moved} c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1)
        e = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group=16>(c, w2) g = GlobalAveragePool(e) f = Flatten(g)
        y = {product} }}"""


def unbatched(otherwise: bool) -> str:
    """A residual network with its batch in front, or only around what needs it, as torch writes it."""
    size, out = ("float[4,16,16]", "float[12]") if otherwise else ("float[1,4,16,16]", "float[1,12]")
    front = "Unsqueeze({}, n0)" if otherwise else "Identity({})"
    back = "Squeeze({}, n0)" if otherwise else "Identity({})"

    def around(made: str, node: str, source: str) -> str:
        batched = f"{made}0 = {front.format(source)} {made}1 = {node.format(made + '0')}"
        return f"{batched} {made} = {back.format(made + '1')}"

    last = "f = Reshape(g, flat)" if otherwise else "f = Flatten(g)"
    return f"""net ({size} x) => ({out} y) <float[4,1,1] shift, float[16,4,3,3] w0, float[16,16,3,3] w1,
        float[16,12] w2, float[12] b2, int64[1] n0 = {{0}}, int64[1] flat = {{16}}, float six = {{6.0}},
        float zero = {{0.0}}> {{
        n = Sub(x, shift)
        {around("a", "Conv<pads=[1,1,1,1]>({}, w0)", "n")} r = Clip(a, zero, six)
        {around("b", "Conv<pads=[1,1,1,1]>({}, w1)", "r")} s = Sigmoid(b) m = Mul(b, s) e = Add(m, r)
        {around("p", "MaxPool<kernel_shape=[2,2], strides=[2,2]>({})", "e")}
        {around("g", "GlobalAveragePool({})", "p")} {last} h = Relu(f) l = MatMul(h, w2) k = Add(l, b2)
        y = Softmax(k) }}"""


def attended(otherwise: bool) -> str:
    """Attention of two heads, its products written as Einsum or as MatMul."""
    product = "m = Einsum<equation='{}'>({})".replace("'", '"')
    if otherwise:
        scores = product.format("bqhd,bkhd->bhqk", "q, k")
        mixed = product.format("bhqk,bkhd->bqhd", "s, v").replace("m =", "n =")
        last = "l = Einsum<equation='bc,oc->bo'>(f, w3)".replace("'", '"')
    else:
        scores = """qt = Transpose<perm=[0,2,1,3]>(q) kt = Transpose<perm=[0,2,3,1]>(k) m = MatMul(qt, kt)"""
        mixed = """vt = Transpose<perm=[0,2,1,3]>(v) nt = MatMul(s, vt) n = Transpose<perm=[0,2,1,3]>(nt)"""
        last = "l = Gemm<transB=1>(f, w3)"
    return f"""net (float[1,8,16] x) => (float[1,12] y) <float[16,16] w0, float[16,16] w1, float[16,16] w2,
        float[12,16] w3, int64[4] heads = {{1,8,2,8}}, int64[3] whole = {{1,8,16}}, int64[1] n1 = {{1}}> {{
        a = MatMul(x, w0) b = MatMul(x, w1) c = MatMul(x, w2) q = Reshape(a, heads) k = Reshape(b, heads)
        v = Reshape(c, heads) {scores} s = Softmax<axis=-1>(m) {mixed} o = Reshape(n, whole)
        f = ReduceMean<keepdims=0>(o, n1) {last} y = Identity(l) }}"""


def of_columns(otherwise: bool) -> str:
    """Layers of rows, or of columns with the weights in front of them."""
    if otherwise:
        size, weights = "float[1,32,1]", "float[16,32] w0, float[16,1] b0, float[12,16] w1, float[12,1] b1"
        body = """f = Squeeze(x, n0) a = MatMul(w0, f) b = Add(a, b0) r = Relu(b) c = MatMul(w1, r)
            d = Add(c, b1) y = Reshape(d, row)"""
    else:
        size, weights = "float[1,32]", "float[16,32] w0, float[16] b0, float[12,16] w1, float[12] b1"
        body = "a = Gemm<transB=1>(x, w0, b0) r = Relu(a) y = Gemm<transB=1>(r, w1, b1)"
    more = "int64[1] n0 = {0}, int64[2] row = {1,12}"
    return f"net ({size} x) => (float[1,12] y) <{weights}, {more}> {{ {body} }}"


TWINS = {
    "columns": (of_columns(False), of_columns(True)),
    "products as Einsum": (attended(False), attended(True)),
    "no batch axis": (unbatched(False), unbatched(True)),
    "a tensor that forks": (forked(False), forked(True)),
    "an exit in a chain of integers": (forked(False, exits=True), forked(True, exits=True)),
    "a constant read twice": (scaled(False), scaled(True)),
    "weights in the order of TFLite": (stored(False), stored(True)),
}


# DIANA multiplies by no constant that is not folded into weights, and neither it nor MAX78002 matrices of
# several rows.
NOT_ON = {"diana": {"a constant read twice", "products as Einsum"}, "max78002": {"products as Einsum"}}
ROWS = [(case, name) for case in TWINS for name in TARGETS if case not in NOT_ON.get(name, ())]


def layers(report: CostReport) -> list[tuple[str, str, float, float]]:
    """Return name, core, cycles and energy of each layer; the order of the nodes may be another."""
    return sorted((row.name, row.core, row.cost.latency_cycles, row.cost.energy_pj) for row in report.layers)


@pytest.mark.parametrize(("case", "name"), ROWS)
def test_twins_cost_the_same(case: str, name: str) -> None:
    one, other = (costs(model_of(text), name) for text in TWINS[case])
    assert figures(one) == figures(other)
    assert len(one.exits) == (2 if "exit" in case else 1)
    assert layers(one) == layers(other)


class Images(CalibrationDataReader):  # type: ignore[misc]
    """Random images for onnxruntime's quantizer."""

    def __init__(self, model: onnx.ModelProto) -> None:
        (given,) = model.graph.input
        shape = [d.dim_value or 1 for d in given.type.tensor_type.shape.dim]
        rng = np.random.default_rng(0)
        self._left = [{given.name: rng.normal(size=shape).astype(np.float32)} for _ in range(2)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self._left.pop() if self._left else None


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("interface", [True, False], ids=["outside too", "inside only"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_float_types_cost_as_float32(kind: str, interface: bool, name: str) -> None:
    found, expected = costs(stored_as(network(), kind, interface), name), costs(network(), name)
    assert figures(found) == figures(expected)
    assert layers(found) == layers(expected)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("make", [two_exits, skip_net])
@pytest.mark.parametrize(
    ("form", "per_channel"),
    [(QuantFormat.QDQ, False), (QuantFormat.QDQ, True), (QuantFormat.QOperator, False)],
)
def test_a_network_that_onnxruntime_quantized_costs_as_in_float(
    make: Callable[[], onnx.ModelProto], form: QuantFormat, per_channel: bool, name: str, tmp_path: Path
) -> None:
    graph = from_model(make())
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    model = to_model(graph)
    onnx.save(model, tmp_path / "float.onnx")
    kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    paths = str(tmp_path / "float.onnx"), str(tmp_path / "int8.onnx")
    quantize_static(*paths, Images(model), form, per_channel=per_channel, **kinds)
    found, expected = costs(onnx.load(tmp_path / "int8.onnx"), name), costs(model, name)
    assert figures(found) == figures(expected)
    assert layers(found) == layers(expected)
