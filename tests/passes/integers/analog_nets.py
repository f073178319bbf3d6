"""Networks for an analog array, on grids that are drawn, and their answers in integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from passes.integers.analog import affine_key, converter_key
from passes.integers.quantize import fused_away
from passes.integers.schemes import scheme
from passes.model.graph import from_model
from passes.operator_sets import QUANTIZED_LINEAR
from passes.registry import parse_pipeline
from passes.state import QuantGrid, state_of
from tests.passes.net_builder import NetBuilder

Integers = NDArray[np.int64]
ANALOG = scheme("ternary-analog")


@dataclass(frozen=True)
class Case:
    """One convolution, what is behind it, and its size."""

    channels: int
    kernel: int = 3
    stride: int = 1
    pads: tuple[int, ...] = (1, 1, 1, 1)
    activation: str = ""
    residual: bool = False
    bias: bool = True
    outputs: int = 5


def case_graph(case: Case, seed: int = 0) -> gs.Graph:
    """Return a float graph with precisions and grids; what it computes in float is of no interest."""
    net = NetBuilder((1, case.channels, 7, 6), seed)
    strides = [case.stride] * 2
    options: dict[str, Any] = {"kernel": case.kernel, "pads": list(case.pads), "strides": strides}
    x = net.conv("x", case.channels, case.outputs, bias=case.bias, **options)
    if case.activation == "Relu":
        x = net.op("Relu", x)
    elif case.activation == "Clip":
        x = net.op("Clip", x, net.const(np.float32(-0.75)), net.const(np.float32(1.5)))
    if case.residual:
        x = net.op("Add", x, net.op("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4))
    graph = from_model(net.model(net.op("Flatten", x)))
    draw_grids(graph, seed)
    return graph


def classifier(channels: int = 130) -> gs.Graph:
    """Return a lowered classifier whose second convolution takes two chunks; one of its inputs is a sum."""
    net = NetBuilder((1, 6, 7, 6))
    a = net.op("Relu", net.conv("x", 6, channels, kernel=1, pads=[0] * 4))
    b = net.op("Relu", net.conv(a, channels, 5, kernel=3, pads=[1] * 4, strides=[2, 2]))
    c = net.op("Add", b, net.op("MaxPool", b, kernel_shape=[3, 3], pads=[1] * 4))
    d = net.op("Flatten", c)
    graph = from_model(net.model(net.op("Gemm", d, net.normal(4, 60, scale=0.1), net.normal(4), transB=1)))
    draw_grids(graph, 3)
    state = state_of(graph)
    gemm = next(node for node in graph.nodes if node.op == "Gemm")
    state.precisions[gemm.name] = scheme("int8-pow2").precision(True)
    state.grids[gemm.inputs[1].name] = QuantGrid((2.0**-7,), 128, 0, 255, "uint8")
    del state.grids[graph.outputs[0].name]  # logits are sums
    parse_pipeline("quantize,fold-qdq")(graph)
    return graph


def draw_grids(graph: gs.Graph, seed: int) -> None:
    """Give the nodes of ``graph`` the precision of the array, and its tensors grids."""
    rng, state = np.random.default_rng(seed), state_of(graph)
    state.precisions = {n.name: ANALOG.precision(n.op in QUANTIZED_LINEAR) for n in graph.nodes}
    levels = ANALOG.activations
    for tensor in [*graph.inputs, *(t for n in graph.nodes for t in n.outputs if not fused_away(t))]:
        step = float(2.0 ** rng.integers(-5, -3))
        state.grids[tensor.name] = QuantGrid((step,), 128, 128 + levels.low, 128 + levels.high, "uint8")
    for node in graph.nodes:
        if node.op in ("MaxPool", "Flatten"):
            state.grids[node.outputs[0].name] = state.grids[node.inputs[0].name]
        if node.op != "Conv":
            continue
        weight = node.inputs[1]
        steps = rng.uniform(0.04, 0.15, weight.shape[0]).astype(np.float32)
        whole = rng.integers(-1, 2, weight.shape)
        weight.values = (whole * steps[:, None, None, None]).astype(np.float32)
        state.grids[weight.name] = QuantGrid(tuple(map(float, steps)), 128, 127, 129, "uint8", 0)
        root = float(2.0 ** np.round(np.log2(np.prod(weight.shape[1:]) ** 0.5)))
        state.grids[converter_key(node)] = QuantGrid((root,), 128, 96, 159, "uint8")
        state.grids[affine_key(node)] = QuantGrid((2.0**-13,), 0, -(2**15), 2**15 - 1, "int16")


def on_grid(values: NDArray[Any], grid: QuantGrid) -> Integers:
    """Return real values as integers around zero."""
    found = np.rint(values.astype(np.float64) / grid.scale[0])
    clipped: Integers = np.clip(found, grid.low - 128, grid.high - 128).astype(np.int64)
    return clipped


def array_output(graph: gs.Graph, node: gs.Node, x: Integers) -> tuple[Integers, float]:
    """Return what the array writes for integer inputs x [N, C, H, W], in units of the step returned.

    By the description of the array alone: windows, sums of at most 1152 products, a conversion of each, their
    sum, an affine of 16 bits.
    """
    state = state_of(graph)
    weight, grids = np.asarray(node.inputs[1].values), state.grids
    steps = np.array(grids[node.inputs[1].name].scale)
    whole = np.rint(weight / steps[:, None, None, None]).astype(np.int64)
    top, left, bottom, right = node.attrs["pads"]
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    high, wide = whole.shape[2:]
    stride = node.attrs.get("strides", [1])[0]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (high, wide), (2, 3))
    windows = windows[:, :, ::stride, ::stride]
    fitting = 1152 // (high * wide)
    count = -(-x.shape[1] // fitting)
    unit = int(grids[converter_key(node)].scale[0])
    total = np.zeros((len(x), len(whole), *windows.shape[2:4]), np.int64)
    for number in range(count):
        part = slice(number * x.shape[1] // count, (number + 1) * x.shape[1] // count)
        assert (part.stop - part.start) * high * wide <= 1152
        sums = np.einsum("nchwyx,kcyx->nkhw", windows[:, part], whole[:, part])
        below, rest = np.divmod(sums, unit)
        up = (2 * rest > unit) | ((2 * rest == unit) & (below % 2 == 1))  # half to even
        total += np.clip(below + up, -32, 31)
    step = grids[affine_key(node)].scale[0]
    input_step = grids[node.inputs[0].name].scale[0]
    scale = np.clip(np.rint(np.float32(steps) * (input_step * unit / step)), -(2**15), 2**15 - 1)
    offset = np.zeros(len(whole))
    if len(node.inputs) > 2:
        offset = np.clip(np.rint(node.inputs[2].values.astype(np.float64) / step), -(2**15), 2**15 - 1)
    along = (1, -1, 1, 1)
    return total * scale.astype(np.int64).reshape(along) + offset.astype(np.int64).reshape(along), step


def reference(graph: gs.Graph, images: NDArray[np.float32]) -> NDArray[Any]:
    """Return the first output of a chain with a residual add, node by node in integers; [N, …] real."""
    state = state_of(graph)
    held: dict[str, Integers] = {"x": on_grid(images, state.grids["x"])}
    real: dict[str, NDArray[Any]] = {}
    for node in graph.nodes:
        name, output = node.inputs[0].name, node.outputs[0].name
        if node.op == "Conv":
            integers, step = array_output(graph, node, held[name])
            real[output] = integers * step
        elif node.op == "Relu":
            real[output] = np.maximum(real[name], 0)
        elif node.op == "Clip":
            real[output] = np.clip(real[name], -0.75, 1.5)
        elif node.op == "Add":
            terms = [held[t.name] * state.grids[t.name].scale[0] for t in node.inputs]
            real[output] = terms[0] + terms[1]
        elif node.op == "MaxPool":
            padded = np.pad(held[name], ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-(10**6))
            held[output] = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3)).max((4, 5))
            continue
        else:
            found: NDArray[Any] = held[name] * state.grids[name].scale[0]
            return found.reshape(len(images), -1)
        reader = node.outputs[0].outputs[0]
        if reader.op not in ("Relu", "Clip"):
            held[output] = on_grid(real[output], state.grids[output])
    raise AssertionError("the network has no end")
