"""Small graphs for the tests of the targets, written as ONNX text."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from passes.fuse_layers import FuseLayers
from passes.integers.fold_qdq import FoldQdq
from passes.integers.quantize import Quantize
from passes.model.graph import from_model
from passes.state import Exit, QuantGrid, copy_graph, state_of

HEADER = '<ir_version: 10, opset_import: ["" : 21]>\n'

RESIDUAL = """
net (float[1,4,8,8] image) => (float[1,12] early, float[1,12] logits)
<float[8,4,3,3] w0, float[8] b0, float[8,8,3,3] w1, float[8] b1, float[12,128] w2, float[12] b2,
 float[12,8] w3, float[12] b3> {
  [stem] c0 = Conv<pads=[1,1,1,1]>(image, w0, b0)
  [stem_relu] r0 = Relu(c0)
  [body] c1 = Conv<pads=[1,1,1,1]>(r0, w1, b1)
  [residual] a = Add(r0, c1)
  [residual_relu] r1 = Relu(a)
  [pool] p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r0)
  [early_flatten] f = Flatten(p)
  [early_fc] early = Gemm<transB=1>(f, w2, b2)
  [average] g = GlobalAveragePool(r1)
  [flatten] h = Flatten(g)
  [fc] logits = Gemm<transB=1>(h, w3, b3)
}
"""


def filled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give initializers that are declared by type alone small numbers; returns ``model``."""
    written = {name for node in model.graph.node for name in node.output}
    for value in list(model.graph.value_info):
        if value.name in written:
            continue
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        small = (np.arange(np.prod(dims, dtype=int)) % 7 - 3).reshape(dims)
        data = small.astype(dtype) / dtype.type(8) if dtype.kind == "f" else small.astype(dtype)
        model.graph.initializer.append(onnx.numpy_helper.from_array(data, value.name))
        model.graph.value_info.remove(value)
    return model


def graph_of(text: str, fuse: bool = True) -> gs.Graph:
    """Parse ONNX text; initializers may be declared by type and are filled with small numbers."""
    model = filled(onnx.parser.parse_model(HEADER + text))
    graph = from_model(model, "a test")
    if fuse:
        FuseLayers()(graph)
    return graph


def residual(exits: bool = True, softmax: bool = False) -> gs.Graph:
    """Return a residual network with one early exit."""
    graph = graph_of(RESIDUAL)
    state = state_of(graph)
    state.softmax = softmax
    if exits:
        state.exits = [Exit("exit_0", "r0", "early", 0.9), Exit("final", "r1", "logits")]
    return graph


def lowered(graph: gs.Graph) -> gs.Graph:
    """Return ``graph`` quantized on one power-of-two grid and folded into integer operators."""
    graph = copy_graph(graph)
    state = state_of(graph)
    weights = {n.inputs[1].name for n in graph.nodes if n.op in ("Conv", "Gemm")}
    for name in [graph.inputs[0].name, *(t.name for n in graph.nodes for t in n.outputs), *weights]:
        zero = 0 if name in weights else 128
        dtype = "int8" if name in weights else "uint8"
        state.grids[name] = QuantGrid((2.0**-4,), zero, -128 + zero, 127 + zero, dtype)
    for fused_away in ("c0", "a", *(t.name for t in graph.outputs)):  # and logits, which are sums
        state.grids.pop(fused_away, None)
    for step in (Quantize(), FoldQdq(), FuseLayers()):
        step(graph)
    return graph
