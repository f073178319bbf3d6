from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from passes.model.graph import constant, from_model, infer_shapes
from passes.model.writing import to_model
from passes.state import state_of
from tests.passes.equivalence import shapes
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain


def test_metadata_of_the_user_is_kept_and_that_of_torch_dropped() -> None:
    model = chain()
    for key in ("author", "pkg.torch.stack", "namespace"):
        model.metadata_props.add(key=key, value="here")
    assert state_of(from_model(model)).metadata == {"author": "here"}
    kept = {p.key: p.value for p in to_model(from_model(model)).metadata_props}
    assert kept == {"author": "here"}


def test_nodes_without_names_get_some_that_nobody_has() -> None:
    model = chain()
    for node in model.graph.node:
        node.name = ""
    model.graph.node[2].name = "conv_0"
    model.graph.node[3].name = model.graph.node[5].name = "twin"
    names = [n.name for n in from_model(model).nodes]
    assert names[:6] == ["conv_1", "relu_0", "conv_0", "twin", "conv_2", "relu_1"]
    assert len(set(names)) == len(names)


def test_inferred_shapes_are_those_of_onnx() -> None:
    net = NetBuilder((1, 3, 40, 40))
    conv = net.conv("x", 3, 50)  # its weights are large: not sent through inference
    graph = from_model(net.model(net.op("Flatten", net.op("Relu", conv))))
    written = shapes(graph)
    for node in graph.nodes:
        node.outputs[0].shape = None
    infer_shapes(graph)
    assert shapes(graph) == written


def test_optional_outputs_may_be_left_out() -> None:
    net = NetBuilder((1, 3, 4, 4))
    conv = net.conv("x", 3, 4)
    net.nodes.append(helper.make_node("MaxPool", [conv], ["pooled", ""], "pool", kernel_shape=[2, 2]))
    assert shapes(from_model(net.model(net.op("Flatten", "pooled"))))["pooled"] == [1, 4, 3, 3]


def test_four_bit_constants() -> None:
    values = np.array([[-8, 7, 3]]).astype(helper.tensor_dtype_to_np_dtype(onnx.TensorProto.INT4))
    tensor = constant("w", values)
    assert list(tensor.shape) == [1, 3]


def test_shapes_that_hang_on_a_little_program_are_computed() -> None:
    """PyTorch writes the pads of F.pad as Constant, Reshape, Transpose, Cast."""
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    main (float[N,2,4,4] x) => (float[N,2,5,5] y)
    <int64[2] order = {-1, 2}>
    {
      begin_first = Constant <value = int64[8] {0, 0, 0, 0, 1, 0, 1, 0}> ()
      pairs = Reshape (begin_first, order)
      turned = Transpose <perm = [1, 0]> (pairs)
      flat_order = Constant <value = int64[1] {-1}> ()
      flat = Reshape (turned, flat_order)
      kept = Cast <to = 7> (flat)
      y0 = Pad (x, kept)
      y = Relu (y0)
    }
    """
    graph = from_model(onnx.parser.parse_model(text))
    assert [n.op for n in graph.nodes] == ["Pad", "Relu"]
    assert list(graph.nodes[0].outputs[0].shape) == [1, 2, 5, 5]
