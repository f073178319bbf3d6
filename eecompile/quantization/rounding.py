"""Walk a network layer by layer, float values beside quantized ones, and put its weights onto their grids.

Each linear layer's weights are rounded by GPTQ against the quantized inputs it will really see, and its
bias takes up the change of the channel means.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.quantization import gptq, ternary
from eecompile.quantization.least_squares import best_scales
from eecompile.runtime.sessions import batches, session
from passes.integers.analog import affine_key, in_array
from passes.integers.channel_parts import channel_parts, share_grid
from passes.integers.quantize import to_integers
from passes.integers.schemes import ZERO_POINT
from passes.number_formats import Levels
from passes.operator_sets import QUANTIZED_LINEAR, SAME_GRID
from passes.progress import each
from passes.rewrite.names import Names
from passes.state import QuantGrid, state_of

Array = NDArray[Any]
Float32 = NDArray[np.float32]

ROWS = 16384
GPTQ_IMAGES = 128
MAX_DEPTH = 2304
BATCH = 64


def hand_on_grid(node: gs.Node, grids: dict[str, QuantGrid]) -> None:
    """Let operators that move values but compute none write the grid they read."""
    if node.op in SAME_GRID and node.inputs[0].name in grids:
        grids[node.outputs[0].name] = grids[node.inputs[0].name]


class RoundingWalk:
    """Runs a graph node by node on float and on quantized values, rounding weights on the way.

    Args:
        graph: Float graph with precisions and activation grids in its state; its weights and biases are
            changed in place.
        images: Preprocessed images, [N, …].
        batch: Images a node is run on at once; 1 for a graph with its batch built in.
        given: Tensors whose grids stay as they are.

    Attributes:
        shifts: Node name -> what its bias would take up for its rounding alone, [channels].
    """

    def __init__(
        self, graph: gs.Graph, images: Float32, batch: int = BATCH, given: Collection[str] = ()
    ) -> None:
        self._graph, self._kept = graph, given
        self._alone = len(images) if batch == 1 else 0
        self._names = Names(graph)
        self._precisions = state_of(graph).precisions
        self._grids = state_of(graph).grids
        self._real: dict[str, Array] = {graph.inputs[0].name: images}
        self._quantized: dict[str, Array] = {graph.inputs[0].name: self._snap(graph.inputs[0].name, images)}
        self._readers = {t.name: len(t.outputs) for t in graph.tensors().values()}
        self._joins = {found.join.name: found for found in channel_parts(graph)}
        self._rounding: dict[str, str] = {}
        self._given: dict[str, Array] = {}
        self.shifts: dict[str, Array] = {}

    def run(self) -> dict[str, str]:
        """Walk all nodes; returns node name -> kind of rounding."""
        for node in each(list(self._graph.nodes), "layers rounded"):
            data = [t.name for t in node.inputs if isinstance(t, gs.Variable) and not t.is_empty()]
            real = self._in_float(node, [self._real[d] for d in data])
            converted: dict[str, Array] | None = None
            if in_array(node, self._precisions.get(node.name)) and data[0] in self._grids:
                converted = self._fit_analog(node, real)
            elif node.op in QUANTIZED_LINEAR and isinstance(node.inputs[1], gs.Constant):
                self._round(node)
            hand_on_grid(node, self._grids)  # again: a layer may have coarsened the grid
            if node.name in self._joins:
                share_grid(self._joins[node.name], self._grids)
            if node.op == "Add" and self._shifts(node):
                self._coarsen(node, min(self._steps(data), default=0.0))
            quantized = converted or _execute(node, [self._quantized[d] for d in data], self._alone)
            for name, value in real.items():
                self._real[name], self._quantized[name] = value, self._snap(name, quantized[name])
            self._release(data)
        return self._rounding

    def _in_float(self, node: gs.Node, data: list[Array]) -> dict[str, Array]:
        """Run a node as it was given, though an earlier layer rounded weights that both read."""
        given = self._given.get(node.inputs[1].name) if len(node.inputs) > 1 else None
        return _execute(node, data, self._alone, given)

    def _release(self, names: list[str]) -> None:
        for name in names:
            self._readers[name] -= 1
            if self._readers[name] == 0:
                del self._real[name], self._quantized[name]

    def _steps(self, names: list[str]) -> list[float]:
        return [self._grids[n].scale[0] for n in names if n in self._grids]

    def _snap(self, name: str, values: Array) -> Array:
        grid = self._grids.get(name)
        if grid is None:
            return values
        integers = to_integers(values, grid).astype(np.float32) - grid.zero_point
        snapped: Array = integers * np.float32(grid.scale[0])
        return snapped

    def _round(self, node: gs.Node) -> None:
        weight, name = node.inputs[1], node.inputs[0].name
        precision = self._precisions.get(node.name)
        if precision is None or precision.weights is None:  # stays float, which quantize tells
            return
        if node.op == "Gemm" and not node.attrs.get("transB", 0):
            return
        if weight.name in self._grids and weight.name not in self._given:  # on the grid that it keeps
            return
        groups = int(node.attrs.get("group", 1)) if node.op == "Conv" else 1
        real = self._given.get(weight.name, weight.values).astype(np.float64)
        shaped = real.reshape(groups, real.shape[0] // groups, -1)
        mean_quantized, covariance = gptq.moments(self._columns(node, self._quantized[name], groups))
        mean_real = self._columns(node, self._real[name], groups).mean(axis=1, dtype=np.float64)
        if weight.name in self._grids:  # an earlier layer, which reads it too, rounded it
            rounded = weight.values.astype(np.float64).reshape(shaped.shape)
        else:
            rounded = self._put_on_grid(node, shaped, covariance, precision.weights, precision.bias_bits)
        change = np.einsum("gkd,gd->gk", shaped, mean_real) - np.einsum("gkd,gd->gk", rounded, mean_quantized)
        self.shifts[node.name] = np.einsum("gkd,gd->gk", shaped - rounded, mean_real).reshape(-1)
        _shift_bias(self._names, node, change.reshape(-1))
        if self._shifts(node):
            self._coarsen(node, max(self._steps([name]), default=0.0) * max(self._grids[weight.name].scale))

    def _put_on_grid(
        self, node: gs.Node, shaped: Array, covariance: Array, levels: Levels, bias_bits: int
    ) -> Array:
        """Round the weights of a layer, [groups, outputs of a group, products]; record and return them."""
        weight, low, high = node.inputs[1], levels.low, levels.high
        self._given[weight.name] = values = weight.values
        scales = self._weight_scales(node, values.astype(np.float64), levels, bias_bits)
        steps = np.broadcast_to(np.array(scales), values.shape[:1]).reshape(shaped.shape[:2])
        if shaped.shape[2] <= MAX_DEPTH:
            rounded = gptq.round_weights(shaped, covariance, steps, low, high)
            self._rounding[node.name] = "gptq"
        else:
            rounded = gptq.nearest_weights(shaped, steps, low, high)
            self._rounding[node.name] = "nearest"
        weight.values = rounded.reshape(values.shape).astype(np.float32)
        axis = 0 if len(scales) > 1 else None
        self._grids[weight.name] = QuantGrid(
            scales, ZERO_POINT, ZERO_POINT + low, ZERO_POINT + high, "uint8", axis
        )
        return rounded

    def _fit_analog(self, node: gs.Node, real: dict[str, Array]) -> dict[str, Array]:
        """Put a convolution into the analog array; return what it writes there."""
        name, (output, outputs) = node.inputs[0].name, next(iter(real.items()))
        _shift_bias(
            self._names, node, np.zeros(int(node.outputs[0].shape[1]))
        )  # it has one of its own from here
        columns = None
        if math.prod(int(d) for d in node.inputs[1].shape[1:]) <= MAX_DEPTH:
            columns = (
                self._columns(node, self._real[name], 1)[0],
                self._columns(node, self._quantized[name], 1)[0],
            )
        weight = node.inputs[1]
        shared = weight.name in self._grids  # by an earlier layer, which rounded them
        self._given.setdefault(weight.name, weight.values.copy())
        seen = ternary.SeenByLayer(self._quantized[name], outputs, columns)
        found = ternary.fit(
            state_of(self._graph),
            node,
            seen,
            lambda part, x: next(iter(_execute(part, [x], self._alone).values())),
        )
        if not shared:
            self._rounding[node.name] = "ternary" if columns is None else "ternary-gptq"
        self._coarsen(node, self._grids[affine_key(node)].scale[0])
        return {output: found}

    def _shifts(self, node: gs.Node) -> bool:
        """Whether the core of ``node`` requantizes by a shift."""
        precision = self._precisions.get(node.name)
        return precision is not None and precision.output.power_of_two

    def _weight_scales(
        self, node: gs.Node, values: Array, levels: Levels, bias_bits: int
    ) -> tuple[float, ...]:
        """Return the step of a layer's weights, or one per output channel.

        A step is at least so large that the bias, on the grid input step x weight step, fits its bits
        with one to spare for what rounding adds to it.
        """
        parts = values.reshape(len(values), -1) if levels.per_channel else values.reshape(1, -1)
        bias = np.zeros(len(values))
        if len(node.inputs) > 2:
            bias = np.abs(node.inputs[2].values.astype(np.float64))
        largest = bias if levels.per_channel else bias.max(keepdims=True)
        least = largest / (max(self._steps([node.inputs[0].name]), default=1.0) * 2.0 ** (bias_bits - 2))
        scales = []
        for step, floor in zip(best_scales(parts, None, levels), least, strict=True):
            if floor > step:
                scales.append(2.0 ** math.ceil(math.log2(floor)) if levels.power_of_two else float(floor))
            else:
                scales.append(step)
        return tuple(scales)

    def _columns(self, node: gs.Node, x: Array, groups: int) -> Array:
        if node.op == "Gemm":
            return x[None]
        kernel = list(node.inputs[1].shape[2:])
        ones = [1] * len(kernel)
        attrs = node.attrs
        pads = attrs.get("pads", [0] * (2 * len(kernel)))
        strides, dilations = attrs.get("strides", ones), attrs.get("dilations", ones)
        return gptq.conv_columns(evenly(x, GPTQ_IMAGES), kernel, strides, pads, dilations, groups, ROWS)

    def _coarsen(self, node: gs.Node, finest: float) -> None:
        """Requantization is a right shift: an output step must not be finer than the accumulator's."""
        output = node.outputs[0]
        if output.name not in self._grids and len(output.outputs) == 1:
            output = output.outputs[0].outputs[0]
        grid = self._grids.get(output.name)
        if grid is not None and output.name not in self._kept and grid.scale[0] < finest:
            self._grids[output.name] = replace(grid, scale=(finest,))


def _shift_bias(names: Names, node: gs.Node, change: Array) -> None:
    if len(node.inputs) > 2:
        bias = node.inputs[2]
        if len(bias.outputs) > 1:  # another layer reads the old values
            node.inputs[2] = bias = gs.Constant(names.fresh(f"{bias.name}/{node.name}"), bias.values)
        bias.values = (bias.values.astype(np.float64) + change).astype(np.float32)
    else:
        node.inputs.append(gs.Constant(names.fresh(f"{node.name}/bias"), change.astype(np.float32)))


def _execute(node: gs.Node, data: list[Array], alone: int, weights: Array | None = None) -> dict[str, Array]:
    """Run one node in onnxruntime on float arrays; returns its outputs by name.

    Args:
        node: The node.
        data: Its inputs that are no constants, those of all images joined along the first axis.
        alone: How many images there are if each is to be run alone, as the first axis of some tensor may
            not be the batch; else 0, and the first axis is cut into pieces.
        weights: What its second input is, if not what it holds.
    """
    inputs: list[gs.Tensor] = []
    fed: list[gs.Variable] = []

    def shape_of(tensor: gs.Tensor) -> list[int | str]:
        return list(tensor.shape) if alone else ["N", *tensor.shape[1:]]

    for index, tensor in enumerate(node.inputs):
        if index == 1 and weights is not None:
            inputs.append(gs.Constant(tensor.name, weights))
        elif isinstance(tensor, gs.Constant):
            inputs.append(gs.Constant(tensor.name, tensor.values))
        elif tensor.is_empty():
            inputs.append(gs.Variable.empty())
        else:
            fed.append(gs.Variable(f"x{len(fed)}", np.float32, shape_of(tensor)))
            inputs.append(fed[-1])
    written = [t for t in node.outputs if not t.is_empty()]
    outputs = [gs.Variable(f"y{i}", np.float32, shape_of(t)) for i, t in enumerate(written)]
    copy = gs.Node(node.op, node.name, dict(node.attrs), inputs, outputs)
    model = gs.export_onnx(gs.Graph([copy], fed, outputs, opset=21), ir_version=10)
    runner = session(model, threads=2)
    if alone:
        data = [d.reshape(alone, *v.shape) for v, d in zip(fed, data, strict=True)]
        parts = [[d[image] for d in data] for image in range(alone)]
    else:
        parts = [[d[piece] for d in data] for piece in batches(len(data[0]), BATCH)]
    pieces: list[list[Array]] = []
    for part in parts:
        feed = {v.name: np.ascontiguousarray(d) for v, d in zip(fed, part, strict=True)}
        pieces.append([np.atleast_1d(value) for value in runner.run(None, feed)])
    return {t.name: np.concatenate(p) for t, p in zip(written, zip(*pieces, strict=True), strict=True)}
