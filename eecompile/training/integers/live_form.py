"""The form in which layers of an analog array are trained first: their normalization is live.

Of a calibrated float graph every tensor with a grid is snapped to it, weights too, and a convolution in the
array is its chunks, converters and, in place of the affine, a BatchNormalization: where a ternary weight
flips, the statistics follow. What is trained is whole numbers in floats, near what the file computes but not
that to the bit (biases are real, products may be in bfloat16). :func:`freeze` folds the normalization into
the affine as the core does; the form of the file is trained on from there.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.training.operators.analog import CONVERTER
from eecompile.training.operators.gradients import DOMAIN
from eecompile.training.operators.step import SNAP
from eecompile.training.training_form import diverged
from passes.integers.analog import affine_key, affine_step, converter_key, ends_of, in_array
from passes.integers.quantize import fused_away
from passes.model.graph import tidy
from passes.operator_sets import QUANTIZED_LINEAR, SAME_GRID
from passes.rewrite.names import Names
from passes.state import QuantGrid, copy_graph, state_of

Array = NDArray[Any]
EPSILON = 1e-5
MARGIN = 0.05
"""How far real weights start from where they would be another integer, in steps."""


@dataclass(frozen=True)
class LiveLayer:
    """Names of what a convolution of the array has in the live form.

    Attributes:
        weights: Its weights in steps: real, rounded to -1, 0, 1.
        octaves: By how many powers of two the step of its converter differs from that of calibration.
        affine: Scale, shift, running mean and variance of its normalization, over sums in whole numbers.
    """

    weights: str
    octaves: str
    affine: tuple[str, str, str, str]


def in_arrays(graph: gs.Graph) -> list[gs.Node]:
    """Return the convolutions of a calibrated graph that run in an analog array."""
    state = state_of(graph)
    return [
        node
        for node in graph.nodes
        if in_array(node, state.precisions.get(node.name)) and converter_key(node) in state.grids
    ]


def live_form(graph: gs.Graph, given: gs.Graph, noisy: bool = True) -> tuple[gs.Graph, dict[str, LiveLayer]]:
    """Return the form of a calibrated graph, and what its layers in arrays have in it, by node.

    Args:
        graph: A calibrated float graph: with ``state.grids``. It is not changed.
        given: The float network it was made of: real weights start there, as far as they round to the same.
        noisy: Converters are, while the form is trained.
    """
    form = copy_graph(graph)
    made = _Live(form, graph, given, noisy)
    analog = {node.name for node in in_arrays(graph)}
    outputs = {tensor.name for tensor in form.outputs}
    for node in list(form.nodes):
        if node.op in QUANTIZED_LINEAR and node.name not in analog:
            made.snap_weights(node)
    for tensor in [*form.inputs, *(t for n in form.nodes if n.op not in SAME_GRID for t in n.outputs)]:
        if tensor.name not in outputs and not fused_away(tensor):
            made.snap_values(tensor)
    layers = {node.name: made.put_into_array(node) for node in list(form.nodes) if node.name in analog}
    tidy(form)
    return form, layers


def with_bits(form: gs.Graph, layers: dict[str, LiveLayer], bits: int) -> gs.Graph:
    """Return a copy of a live form whose weights in arrays have so many bits, over the same range."""
    found = copy_graph(form)
    masters = {layer.weights for layer in layers.values()}
    for node in found.nodes:
        if node.op == SNAP and node.inputs[0].name in masters:
            node.attrs = _bits(bits)
    return found


def hold_converters(form: gs.Graph, layers: dict[str, LiveLayer]) -> None:
    """Let each converter of a live form have the step, a power of two, that it is nearest to, in place."""
    learnt = form.tensors()
    for layer in layers.values():
        learnt[layer.octaves].values = np.array(np.rint(learnt[layer.octaves].values))


def _bits(bits: int) -> dict[str, Any]:
    """Return the grid of weights in ternary steps, with more bits up to where these saturate."""
    top = 2 ** (bits - 1) - 1
    return {"steps": [1.0 if top == 1 else 1.5 / top], "axis": 0, "low": -top, "high": top}


def freeze(form: gs.Graph, graph: gs.Graph, layers: dict[str, LiveLayer]) -> None:
    """Fold the live normalizations of a trained form into affines, and write all it learnt into ``graph``.

    Args:
        form: What :func:`live_form` made of ``graph``, with trained values.
        graph: Its weights, biases and grids get these values.
        layers: Of the form.

    Raises:
        InputError: Values that are not finite; nothing is written.
    """
    learnt = {name: t for name, t in form.tensors().items() if isinstance(t, gs.Constant)}
    for name, tensor in learnt.items():
        if tensor.values.dtype.kind == "f" and not np.isfinite(tensor.values).all():
            raise diverged(f"'{name}'")
    state = state_of(graph)
    for name, tensor in graph.tensors().items():
        if isinstance(tensor, gs.Constant) and name in learnt and tensor.values.dtype.kind == "f":
            tensor.values = np.array(learnt[name].values)
    for node in graph.nodes:
        if node.name not in layers:
            continue
        layer, weight = layers[node.name], node.inputs[1]
        array = state.precisions[node.name].array
        assert array is not None
        gain, shift, mean, var = (learnt[name].values.astype(np.float64) for name in layer.affine)
        # what never varies needs no slope, and its would take the affine's bits from other channels
        slopes = np.where(var > EPSILON, gain / np.sqrt(var + EPSILON), 0.0)
        offsets = (shift - mean * slopes).astype(np.float32)
        old = state.grids[converter_key(node)]
        octaves = round(float(learnt[layer.octaves].values))
        converter = replace(old, scale=(old.scale[0] * 2.0**octaves,))
        # multipliers are above 0: a channel that was turned around turns its weights
        steps = np.maximum(np.abs(slopes), 1e-12)
        multipliers = steps * state.grids[node.inputs[0].name].scale[0] * converter.scale[0]
        along = (-1, *[1] * (weight.values.ndim - 1))
        real = np.clip(learnt[layer.weights].values, -1.5 + 1e-3, 1.5 - 1e-3) * np.where(
            slopes < 0, -1, 1
        ).reshape(along)
        steps = steps.astype(np.float32)
        weight.values = (real * steps.reshape(along)).astype(np.float32)
        _set_bias(graph, node, offsets)
        state.grids[weight.name] = replace(state.grids[weight.name], scale=tuple(map(float, steps)))
        state.grids[converter_key(node)] = converter
        finest = affine_step(
            float(multipliers.max()), float(np.abs(offsets).max()), array, len(ends_of(node, array)) - 1
        )
        state.grids[affine_key(node)] = replace(state.grids[affine_key(node)], scale=(finest,))


def _set_bias(graph: gs.Graph, node: gs.Node, values: Array) -> None:
    if _bias_of(node) is not None:
        node.inputs[2].values = values
    else:
        if len(node.inputs) > 2:  # left out, as an empty name
            del node.inputs[2]
        node.inputs.append(gs.Constant(Names(graph).fresh(f"{node.name}.bias"), values))


def _bias_of(node: gs.Node) -> Array | None:
    has = len(node.inputs) > 2 and not node.inputs[2].is_empty()
    return node.inputs[2].values if has else None


class _Live:
    def __init__(self, form: gs.Graph, graph: gs.Graph, given: gs.Graph, noisy: bool) -> None:
        state = state_of(graph)
        self._form, self._names, self._noisy = form, Names(form), noisy
        self._grids, self._precisions = state.grids, state.precisions
        self._given = {node.name: node for node in given.nodes}
        self._snapped: dict[str, gs.Tensor] = {}

    def snap_weights(self, node: gs.Node) -> None:
        """Let a digital layer read weights on their grid."""
        weight = node.inputs[1]
        if isinstance(weight, gs.Constant) and weight.name in self._grids:
            if weight.name not in self._snapped:
                self._snapped[weight.name] = self._snap(weight, self._grids[weight.name])
            node.inputs[1] = self._snapped[weight.name]

    def snap_values(self, tensor: gs.Tensor) -> None:
        """Let all that reads ``tensor`` read it on its grid."""
        if tensor.name not in self._grids or tensor.is_empty():
            return
        readers = {id(node): node for node in tensor.outputs}.values()
        found = self._snap(tensor, self._grids[tensor.name])
        for node in readers:
            node.inputs = [found if read is tensor else read for read in node.inputs]

    def _snap(self, tensor: gs.Tensor, grid: QuantGrid) -> gs.Tensor:
        attributes = {
            "steps": list(grid.scale), "axis": grid.axis or 0,
            "low": grid.low - grid.zero_point, "high": grid.high - grid.zero_point,
        }  # fmt: skip
        return self._op(SNAP, f"{tensor.name}/snapped", [tensor], tensor.shape, attributes)

    def put_into_array(self, node: gs.Node) -> LiveLayer:
        """Make chunks, converters and a live normalization of a convolution."""
        array, grid = self._precisions[node.name].array, self._grids[node.inputs[1].name]
        converter, stem, weight = self._grids[converter_key(node)], node.name, node.inputs[1]
        assert array is not None
        data, output = node.inputs[0], node.outputs[0]
        steps = np.array(grid.scale, np.float32)
        along = (-1, *[1] * (weight.values.ndim - 1))
        held = np.rint(weight.values / steps.reshape(along))
        start = self._given[stem].inputs[1].values / steps.reshape(along)
        start = np.clip(start, held - 0.5 + MARGIN, held + 0.5 - MARGIN).astype(np.float32)
        masters = self._constant(f"{stem}/weights_in_steps", start)
        whole = self._op(SNAP, f"{stem}/ternary", [masters], start.shape, _bits(2))
        input_grid = self._unit(data)
        octaves = self._constant(f"{stem}/octaves", np.zeros((), np.float32))
        attributes = {
            "first": converter.scale[0] * input_grid, "low": converter.low - converter.zero_point,
            "high": converter.high - converter.zero_point,
            "deviation": 10 ** (-array.noise_db / 20) if self._noisy and array.noise_db is not None else 0.0,
        }  # fmt: skip
        ends, shape, parts = ends_of(node, array), list(output.shape), []
        for number, (first, last) in enumerate(itertools.pairwise(ends)):
            read, weights = data, whole
            if len(ends) > 2:
                read, weights = (self._cut(t, first, last) for t in (data, whole))
            sums = self._op("Conv", f"{stem}/sums_{number}", [read, weights], shape, dict(node.attrs), "")
            parts.append(
                self._op(CONVERTER, f"{stem}/conversions_{number}", [sums, octaves], shape, attributes)
            )
        total = parts[0]
        for number, part in enumerate(parts[1:]):
            total = self._op("Add", f"{stem}/total_{number}", [total, part], shape, {}, "")
        bias = _bias_of(node)
        shift = np.zeros_like(steps) if bias is None else np.array(bias, np.float32)
        affine = (
            self._constant(f"{stem}/gain", steps),
            self._constant(f"{stem}/shift", shift),
            self._constant(f"{stem}/mean", np.zeros_like(steps)),
            self._constant(f"{stem}/variance", np.full_like(steps, 1 - EPSILON)),
        )
        node.inputs.clear()
        node.outputs.clear()
        name, attributes = self._names.fresh(f"{stem}/normalized"), {"epsilon": EPSILON, "momentum": 0.9}
        self._form.nodes.append(gs.Node("BatchNormalization", name, attributes, [total, *affine], [output]))
        gain, offset, mean, variance = (tensor.name for tensor in affine)
        return LiveLayer(masters.name, octaves.name, (gain, offset, mean, variance))

    def _unit(self, data: gs.Tensor) -> float:
        while data.name not in self._grids:
            data = data.inputs[0].inputs[0]
        return self._grids[data.name].scale[0]

    def _cut(self, tensor: gs.Tensor, first: int, last: int) -> gs.Tensor:
        shape = list(tensor.shape)
        shape[1] = last - first
        where = [self._constant(f"{tensor.name}/cut", np.array([v], np.int64)) for v in (first, last, 1)]
        return self._op("Slice", f"{tensor.name}/chunk", [tensor, *where], shape, {}, "")

    def _constant(self, stem: str, values: Array) -> gs.Constant:
        return gs.Constant(self._names.fresh(stem), values)

    def _op(
        self,
        op: str,
        stem: str,
        inputs: list[gs.Tensor],
        shape: Any,
        attributes: dict[str, Any],
        domain: str = DOMAIN,
    ) -> gs.Variable:
        name = self._names.fresh(stem)
        made = gs.Variable(name, np.float32, [int(d) for d in shape])
        self._form.nodes.append(gs.Node(op, name, dict(attributes), list(inputs), [made], domain=domain))
        return made
