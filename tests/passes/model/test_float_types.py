"""Networks in float16, bfloat16 and double are the same networks in float32."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from passes.model.float_types import as_float32
from passes.model.graph import from_model, load
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes.equivalence import batch_of, run_model
from tests.passes.net_builder import NetBuilder

KINDS = {
    "float16": (TensorProto.FLOAT16, np.dtype(np.float16)),
    "bfloat16": (TensorProto.BFLOAT16, np.dtype(ml_dtypes.bfloat16)),
    "double": (TensorProto.DOUBLE, np.dtype(np.float64)),
}


def network() -> onnx.ModelProto:
    net = NetBuilder((1, 2, 8, 8))
    x = net.op("Relu", net.batchnorm(net.conv("x", 2, 4), 4))
    x = net.op("Flatten", net.op("GlobalAveragePool", net.op("Relu", net.conv(x, 4, 4))))
    return net.model(net.op("Gemm", x, net.normal(3, 4), net.normal(3), transB=1))


def stored_as(model: onnx.ModelProto, kind: str, interface: bool) -> onnx.ModelProto:
    """Return ``model`` as converters write it: all in ``kind``, or between Casts at its input and output."""
    number, dtype = KINDS[kind]
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).astype(dtype)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    given, made = model.graph.input[0], model.graph.output[0]
    del model.graph.value_info[:]
    if interface:
        for value in (given, made):
            value.type.tensor_type.elem_type = number
        return model
    for node in model.graph.node:
        node.input[:] = ["narrow" if name == given.name else name for name in node.input]
        node.output[:] = ["wide" if name == made.name else name for name in node.output]
    model.graph.node.insert(0, helper.make_node("Cast", [given.name], ["narrow"], "cast_in", to=number))
    model.graph.node.append(helper.make_node("Cast", ["wide"], [made.name], "cast_out", to=TensorProto.FLOAT))
    # Converters keep what they once found out, of types that are no longer true.
    model.graph.value_info.append(helper.make_tensor_value_info("wide", TensorProto.FLOAT, [1, 3]))
    return model


@pytest.mark.parametrize("interface", [True, False], ids=["outside too", "inside only"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_narrow_or_wide_network_is_its_float32_twin(kind: str, interface: bool) -> None:
    graph = from_model(stored_as(network(), kind, interface))
    twin = network()
    for tensor in twin.graph.initializer:  # with weights as the narrow type holds them
        values = numpy_helper.to_array(tensor).astype(KINDS[kind][1]).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    expected = from_model(twin)
    for found in (graph, expected):
        parse_pipeline("canonicalize,fold-batchnorm")(found)
    assert [node.op for node in graph.nodes] == [node.op for node in expected.nodes]
    assert {np.dtype(t.dtype) for t in graph.tensors().values()} == {np.dtype(np.float32)}
    images = batch_of(twin, 1)
    (answer,), (wanted,) = (run_model(to_model(found), images) for found in (graph, expected))
    np.testing.assert_array_equal(answer, wanted)
    said = [d for d in state_of(graph).declined if d.pass_name == "load"]
    assert [d.subject for d in said] == [f"tensors in {kind}"]
    assert "float32" in said[0].reason


def test_a_float32_network_is_left_as_it_is() -> None:
    model = network()
    before = model.SerializeToString()
    assert as_float32(model) == ()
    assert model.SerializeToString() == before
    assert [d for d in state_of(from_model(model)).declined if d.pass_name == "load"] == []


def test_attributes_that_name_a_type_and_tensors_in_nodes() -> None:
    ones = numpy_helper.from_array(np.ones(1, np.float16))
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["a"], "fill", value=ones),
        helper.make_node("EyeLike", ["x"], ["b"], "eye", dtype=TensorProto.FLOAT16),
        helper.make_node("Cast", ["a"], ["c"], "cast", to=TensorProto.FLOAT16),
        helper.make_node("Constant", [], ["d"], "constant", value=ones),
        helper.make_node("Cast", ["x"], ["e"], "integers", to=TensorProto.INT32),
    ]
    shape = numpy_helper.from_array(np.array([2, 2]), "shape")
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT16, [2, 2])
    sizes = {"a": [2, 2], "b": [2, 2], "c": [2, 2], "d": [1]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, size) for name, size in sizes.items()]
    model = helper.make_model(helper.make_graph(nodes, "net", [given], outputs, [shape]))
    assert as_float32(model) == ("float16",)
    fill, eye, cast, constant, integers = model.graph.node
    assert fill.attribute[0].t.data_type == constant.attribute[0].t.data_type == TensorProto.FLOAT
    assert numpy_helper.to_array(constant.attribute[0].t).tolist() == [1.0]
    assert eye.attribute[0].i == cast.attribute[0].i == TensorProto.FLOAT
    assert integers.attribute[0].i == TensorProto.INT32, "no float type"
    onnx.checker.check_model(model, full_check=True)


def test_bodies_are_widened_too() -> None:
    body = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"])],
        "b",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT16, [1])],
    )
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT16, [1])
    chosen = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT16, [1])
    model = helper.make_model(helper.make_graph(nodes, "net", [given, chosen], [made]))
    as_float32(model)
    onnx.checker.check_model(model, full_check=True)
    assert "FLOAT16" not in str(model)
    assert all(
        a.g.output[0].type.tensor_type.elem_type == TensorProto.FLOAT for a in model.graph.node[0].attribute
    )


def test_absent_weights_have_no_values_to_widen(tmp_path: Path) -> None:
    model = stored_as(network(), "float16", interface=True)
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    graph = load(path)
    assert state_of(graph).symbolic
    assert {np.dtype(t.dtype) for t in graph.tensors().values()} == {np.dtype(np.float32)}
