"""Normalizations written out, in the forms exporters have, against the whole operator."""

from __future__ import annotations

import onnx
import onnx.parser
import pytest

from passes.state import state_of
from tests.passes.equivalence import check_passes

NUMBERS = (
    "float two = {2}, float eps = {0.001}, float[4] gamma = {1, 2, 0.5, -1}, float[4] beta = {0.1, 0, 1, -2}"
)
CENTER = "m = ReduceMean<keepdims=1>(x, {axes}) d = Sub(x, m)"
SPREAD = "v = ReduceMean<keepdims=1>(q, {axes}) e = Add(v, eps) s = Sqrt(e)"


def net(body: str, shape: str = "1,6,4", constants: str = "int64[1] last = {-1}") -> onnx.ModelProto:
    text = f"""<ir_version: 10, opset_import: ["" : 21]> net (float[{shape}] i) => (float[{shape}] y)
        <{NUMBERS}, {constants}> {{ x = Tanh(i) {body} y = Sigmoid(o) }}"""
    return onnx.parser.parse_model(text)


def written(square: str, end: str, axes: str = "last") -> str:
    return f"{CENTER} {square} {SPREAD} {end}".replace("{axes}", axes)


PLAIN = written("q = Pow(d, two)", "o = Div(d, s)")
LAYER_NORMS = {
    "plain": PLAIN,
    "square by Mul": written("q = Mul(d, d)", "o = Div(d, s)"),
    "reciprocal": written("q = Mul(d, d)", "r = Reciprocal(s) o = Mul(d, r)"),
    "with scale": written("q = Pow(d, two)", "n = Div(d, s) o = Mul(n, gamma)"),
    "with scale and bias": written("q = Pow(d, two)", "n = Div(d, s) k = Mul(gamma, n) o = Add(k, beta)"),
    "with bias alone": written("q = Pow(d, two)", "n = Div(d, s) o = Add(beta, n)"),
}


@pytest.mark.parametrize("case", LAYER_NORMS)
def test_layer_normalization_written_out_is_one_operator(case: str) -> None:
    graph = check_passes(net(LAYER_NORMS[case]), "canonicalize")
    assert [node.op for node in graph.nodes] == ["Tanh", "LayerNormalization", "Sigmoid"]
    norm = graph.nodes[1]
    assert (norm.attrs["axis"], norm.attrs["epsilon"]) == (2, pytest.approx(0.001))
    assert list(norm.inputs[1].shape) == [4]
    assert (len(norm.inputs) == 3) == ("bias" in case)
    assert len(state_of(graph).origins[norm.name]) == LAYER_NORMS[case].count(" = ")


def test_over_the_last_two_axes() -> None:
    graph = check_passes(net(PLAIN, "1,3,5,4", "int64[2] last = {2, -1}"), "canonicalize")
    assert [node.op for node in graph.nodes] == ["Tanh", "LayerNormalization", "Sigmoid"]
    assert graph.nodes[1].attrs["axis"] == 2
    assert list(graph.nodes[1].inputs[1].shape) == [5, 4]


def test_over_other_axes_it_stays_written_out_and_says_why() -> None:
    graph = check_passes(net(PLAIN, "1,4,5,4", "int64[1] last = {1}"), "canonicalize")
    assert "LayerNormalization" not in [node.op for node in graph.nodes]
    reasons = [d.reason for d in state_of(graph).declined]
    assert "it is normalized over the axes [1], which are not the last ones" in reasons


@pytest.mark.parametrize(
    "body",
    [
        written("q = Pow(d, eps)", "o = Div(d, s)"),
        written("q = Mul(d, x)", "o = Div(d, s)"),
        written("q = Pow(d, two)", "n = Div(d, s) o = Add(n, d)"),
        written("q = Pow(d, two)", "n = Div(d, s) o = Add(n, v)"),
        written("q = Pow(d, two)", "o = Div(x, s)"),
        written("q = Pow(d, two)", "o = Div(s, d)"),
    ],
    ids=["power", "no square", "d read", "variance read", "not centered", "upside down"],
)
def test_what_is_close_but_another_function_is_left(body: str) -> None:
    graph = check_passes(net(body), "canonicalize")
    assert "LayerNormalization" not in [node.op for node in graph.nodes]


GROUPED = (
    "r = Reshape(x, groups) n = InstanceNormalization<epsilon = 0.001>(r, ones, zeros) o = Reshape(n, whole)"
)
GROUPS = (
    "int64[3] groups = {0, 2, -1}, int64[4] whole = {1,4,3,3}, float[2] ones = {1,1}, float[2] zeros = {0,0}"
)
PER_CHANNEL = f"{GROUPS}, float[4,1,1] g4 = {{1, 2, 0.5, -1}}, float[1,4,1,1] b4 = {{0.1, 0, 1, -2}}"


@pytest.mark.parametrize(
    "end",
    ["", "n2 = Mul(o9, g4) o = Add(n2, b4)", "n2 = Mul(g4, o9) o = Tanh(n2)"],
    ids=["plain", "affine", "scale"],
)
def test_group_normalization_written_out_is_one_operator(end: str) -> None:
    body = f"{GROUPED.replace('o = ', 'o9 = ')} {end}" if end else GROUPED
    graph = check_passes(net(body, "1,4,3,3", PER_CHANNEL), "canonicalize")
    norm = graph.nodes[1]
    assert (norm.op, norm.attrs["num_groups"], norm.attrs["epsilon"]) == (
        "GroupNormalization",
        2,
        pytest.approx(0.001),
    )
    assert [list(t.shape) for t in norm.inputs] == [[1, 4, 3, 3], [4], [4]]
    assert not {"InstanceNormalization", "Reshape", "Mul", "Add"} & {node.op for node in graph.nodes}


def test_groups_that_are_scaled_before_they_are_parted_are_left() -> None:
    constants = GROUPS.replace("ones = {1,1}", "ones = {1,2}")
    graph = check_passes(net(GROUPED, "1,4,3,3", constants), "canonicalize")
    assert "InstanceNormalization" in [node.op for node in graph.nodes]
