"""Networks of columns, with the weights in front, against those of rows."""

from __future__ import annotations

import onnx
import onnx.parser
import pytest

from passes.state import state_of
from tests.passes.equivalence import check_passes
from tests.targets.graphs import filled

HEAD = '<ir_version: 10, opset_import: ["" : 21]> net'
WEIGHTS = """float[4,6] w, float[4,1] b, float[3,4] v, float[3,1] c, float[1,4,1] d, float two = {2.0},
    int64[1] n0 = {0}, int64[2] column = {6,1}, int64[2] row = {1,3}, int64[3] deep = {1,6,1}"""


def net(entry: str, body: str, made: str = "1,3") -> onnx.ModelProto:
    return filled(
        onnx.parser.parse_model(f"{HEAD} (float[{entry}] x) => (float[{made}] y) <{WEIGHTS}> {{ {body} }}")
    )


LAYERS = "m = MatMul(w, a) p = Add(m, b) r = Relu(p) q = MatMul(v, r) o = Add(q, c)"
COLUMNS = {
    "batch taken away": ("1,6,1", f"a = Squeeze(x, n0) {LAYERS} y = Reshape(o, row)"),
    "of a row": ("1,6", f"a = Transpose(x) {LAYERS} y = Transpose(o)"),
    "viewed": ("1,6", f"a = Reshape(x, column) {LAYERS} y = Reshape(o, row)"),
    "with the batch": ("1,6", f"a = Reshape(x, deep) {LAYERS.replace('m, b', 'm, d')} y = Reshape(o, row)"),
    "a number behind": ("1,6", f"a = Reshape(x, column) {LAYERS} s = Mul(o, two) y = Reshape(s, row)"),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_are_rows(case: str) -> None:
    graph = check_passes(net(*COLUMNS[case]), "canonicalize", any_batch=False)
    assert [n.op for n in graph.nodes if n.op not in ("Reshape", "Flatten", "Squeeze")] == [
        "Gemm",
        "Relu",
        "Gemm",
    ]
    (first, last) = [node for node in graph.nodes if node.op == "Gemm"]
    assert list(first.inputs[1].shape) == [4, 6] and first.attrs["transB"] == 1
    assert len(state_of(graph).origins[last.name]) >= 2
    assert list(graph.outputs[0].shape) == [1, 3] and graph.nodes[-1] is last


def test_a_column_at_the_end_stays_one() -> None:
    graph = check_passes(
        net("1,6", f"a = Reshape(x, column) {LAYERS} y = Identity(o)", "3,1"), "canonicalize", any_batch=False
    )
    assert [node.op for node in graph.nodes] == ["Gemm", "Relu", "Gemm", "Reshape"]


def test_several_columns_stay() -> None:
    text = f"{HEAD} (float[1,6,2] x) => (float[1,4,2] y) <float[4,6] w> {{ y = MatMul(w, x) }}"
    graph = check_passes(filled(onnx.parser.parse_model(text)), "canonicalize")
    assert [node.op for node in graph.nodes] == ["MatMul"]
