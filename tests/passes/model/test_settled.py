"""An If whose condition is known is no If."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, parser

from passes.model.graph import from_model
from passes.model.settled import settle_ifs
from passes.model.writing import to_model
from targets.network.workload import build_workload
from tests.passes.equivalence import batch_of, run_model
from tests.passes.model.branching_nets import branching, settled

SQUEEZED = """<ir_version: 8, opset_import: ["" : 17]>
net (float[1,4,1,8] x) => (float[1,3] y) <float[8,3] w> {
    s = Shape(x)
    two = Constant<value_int=2>()
    length = Gather(s, two)
    one = Constant<value_int=1>()
    goes = Equal(length, one)
    q = If (goes) <
        then_branch = a () => (float[1,4,8] q1) { axes = Constant<value_ints=[2]>() q1 = Squeeze(x, axes) },
        else_branch = b () => (float[1,4,1,8] q2) { q2 = Identity(x) }>
    m = ReduceMean<axes=[1],keepdims=0>(q)
    again = Shape(m)
    zero = Constant<value_int=0>()
    batch = Gather(again, zero)
    one_image = Equal(batch, one)
    y = If (one_image) <
        then_branch = c () => (float[1,3] y1) { y1 = MatMul(m, w) },
        else_branch = d () => (float[1,3] y2) { p = MatMul(m, w) y2 = Neg(p) }>
}"""


def squeezed() -> onnx.ModelProto:
    """Return what torch's older exporter writes for ``squeeze``: the second If is known once the first is."""
    model = parser.parse_model(SQUEEZED)
    weights = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    return model


@pytest.mark.parametrize("kind", ["constant", "shape", "nested", "squeezed"])
def test_the_body_that_runs_takes_its_place(kind: str) -> None:
    model = squeezed() if kind == "squeezed" else settled(kind)
    graph = from_model(model)
    assert "If" not in {node.op for node in graph.nodes}
    assert [t.name for t in graph.outputs] == [model.graph.output[0].name]
    assert len([n for n in graph.nodes if n.op in ("Gemm", "MatMul")]) == 1
    for x in batch_of(model, 3)[:, np.newaxis]:
        np.testing.assert_allclose(
            run_model(to_model(graph), x)[0], run_model(model, x)[0], rtol=1e-5, atol=1e-6
        )
    assert [path.name for path in build_workload(graph).exits] == ["final"]


def test_two_outputs_that_are_one_tensor_keep_their_names() -> None:
    model = settled("constant")
    (node,) = [node for node in model.graph.node if node.op_type == "If"]
    node.output.append("twice")
    for attribute in node.attribute:
        attribute.g.output.append(attribute.g.output[0])
    model.graph.output.append(helper.make_tensor_value_info("twice", onnx.TensorProto.FLOAT, [1, 3]))
    graph = from_model(model)
    assert [t.name for t in graph.outputs] == ["out", "twice"]
    x = batch_of(model, 1)
    first, second = run_model(to_model(graph), x)
    np.testing.assert_array_equal(first, second)


def test_what_an_image_decides_is_left() -> None:
    graph = from_model(branching())
    assert not settle_ifs(graph, graph.opset)
