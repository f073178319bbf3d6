"""Small valid files of each kind for the fuzz target to break."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, parser

from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain, two_exits
from tests.targets.description.readers.files import COUNTED, IMC, NAMED, OFFCHIP
from tests.targets.small_arch import small_text

STREAM = """
name: system
cores: {0: tiny.yaml, 1: tiny.yaml, 2: tiny.yaml, 3: offchip.yaml}
offchip_core_id: 3
unit_energy_cost: 8
core_connectivity:
  - {cores: [0, 1], bandwidth: 32}
  - {type: bus, cores: [0, 1, 2, 3], bandwidth: 128, unit_energy_cost: 0}
"""
MESH = """
name: system
cores: [tiny.yaml, tiny.yaml, tiny.yaml, tiny.yaml, offchip.yaml]
graph: {type: 2d_mesh, nb_rows: 1, nb_cols: 2, bandwidth: 32, unit_energy_cost: 16, pooling_core_id: 2,
        simd_core_id: 3, offchip_core_id: 4}
"""
WISHES = """
- name: default
  spatial_mapping: {D1: ["K, 4"], D2: ["C, 2"]}
  spatial_mapping_hint: {D2: [OX, OY]}
  memory_operand_links: {O: O, W: I2, I: I1}
- name: Gemm
  temporal_ordering:
    - ["*", "*"]
    - [K, 2]
  core_allocation: [0]
  intra_core_tiling: ["OY, all"]
"""
LAYERS = """
layers:
  - {layer: conv_0, core: mac_array_0, spatial: {D1: {OX: 2, OY: 2}, D2: {OX: 2, C: 2}},
     loops: [[FX, 3], [FY, 3], [K, 4], [OX, 2], [OY, 2], [OY, 2]], levels: {W: [6], I: [6], O: [2, 6]}}
  - {layer: gemm_0, core: mac_array_0, spatial: {D1: {K: 2}, D2: {C: 4}}, loops: [],
     levels: {W: [0], I: [0], O: [0, 0]}}
"""
HARDWARE = {
    "ours": small_text(),
    "ours_two": small_text(kinds=("mac_array", "simd")),
    "named": NAMED,
    "counted": COUNTED,
    "imc": IMC.replace("size: 8192", "size: 65536"),
    "stream": STREAM,
    "mesh": MESH,
}
HARDWARE_PARTS = {"tiny.yaml": NAMED, "offchip.yaml": OFFCHIP}
MAPPINGS = {"wishes": WISHES, "saved": LAYERS}

_QDQ = """<ir_version: 10, opset_import: ["": 21]>
    net (float[1,2,8,8] x) => (float[1,3] y)
    <float s = {0.05}, uint8 z = {128}, float[1,2,1,1] k = {1.0, 2.0}> {
        a = QuantizeLinear(x, s, z)
        b = DequantizeLinear(a, s, z)
        wq = QuantizeLinear(w, s, z)
        wd = DequantizeLinear(wq, s, z)
        c = Conv<pads=[1,1,1,1]>(b, wd)
        d = Relu(c)
        e = QuantizeLinear(d, s, z)
        f = DequantizeLinear(e, s, z)
        g = ReduceMean<keepdims=0>(f, axes)
        y = MatMul(g, v)
    }"""
_ATTENTION = """<ir_version: 10, opset_import: ["": 21]>
    net (float[N,4,8] x) => (float[N,3] y) {
        n = LayerNormalization(x, scale)
        q = MatMul(n, wq)
        t = Transpose<perm=[0,2,1]>(n)
        s = MatMul(q, t)
        p = Softmax<axis=-1>(s)
        a = MatMul(p, n)
        r = Add(a, x)
        m = ReduceMean<keepdims=0>(r, axis)
        y = MatMul(m, v)
    }"""
_RECURRENT = """<ir_version: 8, opset_import: ["": 13]>
    net (float[1,6,4] x) => (float[1,3] y) {
        t = Transpose<perm=[1,0,2]>(x)
        all, last = GRU<hidden_size=5>(t, w, r)
        s = Squeeze(last, zero)
        y = MatMul(s, v)
    }"""
_IF = """<ir_version: 10, opset_import: ["": 21]>
    net (float[1,4] x) => (float[1,3] y) <float half = {0.5}> {
        a = MatMul(x, w)
        p = Softmax<axis=1>(a)
        m = ReduceMax<keepdims=0>(p)
        c = Greater(m, half)
        y = If(c) <
            then_branch = early () => (float[1,3] e) { e = Identity(a) },
            else_branch = late () => (float[1,3] l) { h = Relu(x)
                                                      l = MatMul(h, w) }
        >
    }"""
_FUNCTION = """<ir_version: 10, opset_import: ["": 21, "local": 1]>
    net (float[1,4] x) => (float[1,3] y) {
        a = local.block(x, w)
        y = Softmax<axis=1>(a)
    }
    <domain: "local", opset_import: ["": 21]>
    block (x, w) => (y) { m = MatMul(x, w)
                          y = Relu(m) }"""


def _written(text: str, **weights: tuple[int, ...]) -> onnx.ModelProto:
    model = parser.parse_model(text)
    rng = np.random.default_rng(0)
    for name, shape in weights.items():
        model.graph.initializer.append(
            numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name)
        )
    return model


def _numbers(model: onnx.ModelProto, **values: list[int]) -> onnx.ModelProto:
    for name, listed in values.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(listed, np.int64), name))
    return model


def _from_tensorflow() -> onnx.ModelProto:
    net = NetBuilder((1, 8, 8, 2))
    x = net.to_first("x")
    x = net.op("Relu", net.batchnorm(net.conv(x, 2, 4, auto_pad="SAME_UPPER"), 4))
    x = net.to_last(net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))
    flat = net.op("Reshape", x, net.const([1, 64], np.int64))
    return net.model(net.op("Softmax", net.op("MatMul", flat, net.normal(64, 3)), axis=1))


def _with_exits() -> onnx.ModelProto:
    graph = from_model(chain(), "chain")
    parse_pipeline("canonicalize,insert-exits{at=1}")(graph)
    return to_model(graph)


def _shapes_only() -> onnx.ModelProto:
    model = chain()
    for tensor in model.graph.initializer:
        model.graph.value_info.append(
            helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims)
        )
    del model.graph.initializer[:]
    return model


@cache
def models() -> dict[str, bytes]:
    """Return networks by name, serialized."""
    found = {
        "chain": chain(),
        "two_exits": two_exits(),
        "with_exits": _with_exits(),
        "shapes_only": _shapes_only(),
        "qdq": _numbers(_written(_QDQ, w=(4, 2, 3, 3), v=(4, 3)), axes=[2, 3]),
        "attention": _numbers(_written(_ATTENTION, scale=(8,), wq=(8, 8), v=(8, 3)), axis=[1]),
        "recurrent": _numbers(_written(_RECURRENT, w=(1, 15, 4), r=(1, 15, 5), v=(5, 3)), zero=[0]),
        "if": _written(_IF, w=(4, 3)),
        "function": _written(_FUNCTION, w=(4, 3)),
        "tensorflow": _from_tensorflow(),
    }
    return {name: model.SerializeToString() for name, model in found.items()}


@cache
def images() -> dict[str, bytes]:
    """Return the arrays of a small ``.npz`` that fits ``chain``, as ``.npy`` by name."""
    rng = np.random.default_rng(1)
    arrays: dict[str, NDArray[Any]] = {}
    for name, count in (("train", 16), ("val", 8), ("test", 8)):
        arrays[f"{name}_x"] = rng.normal(0, 1, (count, 2, 16, 16)).astype(np.float32)
        arrays[f"{name}_y"] = np.arange(count) % 2
    arrays["classes"] = np.array(2)
    found = {}
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.save(stream, array)
        found[name] = stream.getvalue()
    return found
