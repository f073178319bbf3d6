"""The form in which a convolution of an analog array is trained: real weights and biases, rounded in it.

The step of a channel's weights is in the form once: it rounds the weights and is part of the multiplier.
Converters draw their noise while the network is trained, and none where it is evaluated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.training.operators.analog import NOISE
from eecompile.training.operators.gradients import DOMAIN
from eecompile.training.operators.step import SUMS_STEP, WHOLE
from passes.integers.analog import AnalogForm, affine_key, analog_forms, converter_key, ends_of
from passes.rewrite.names import Names
from passes.state import state_of


def train_in_array(form: gs.Graph, graph: gs.Graph) -> None:
    """Let the analog convolutions of ``form`` compute their integers of real constants, in place.

    Args:
        form: What ``quantize`` made of ``graph``.
        graph: A calibrated float graph; its weights and biases stand in the form under their names.
    """
    nodes = {node.name: node for node in graph.nodes}
    names = Names(form)
    for found in analog_forms(form):
        _Trained(form, graph, names, nodes[found.convs[0].name]).rewrite(found)


class _Trained:
    def __init__(self, form: gs.Graph, graph: gs.Graph, names: Names, node: gs.Node) -> None:
        state = state_of(graph)
        self._form, self._names, self._node, self._stem = form, names, node, node.name
        self._weights = state.grids[node.inputs[1].name]
        self._converter = state.grids[converter_key(node)]
        self._affine = state.grids[affine_key(node)]
        self._precision = state.precisions[node.name]

    def rewrite(self, found: AnalogForm) -> None:
        grid, array, noise = self._weights, self._precision.array, None
        assert array is not None  # it is written as of an array
        if array.noise_db is not None:
            noise = 10.0 ** (-array.noise_db / 20)
        step = self._constant("weight_step", np.array(grid.scale, np.float32))
        shape = [int(d) for d in self._node.inputs[1].shape]
        zero = np.full(len(grid.scale), grid.zero_point, grid.dtype)
        inputs = [self._master(1), step, self._constant("weight_zero", zero)]
        rounded = self._op("QuantizeLinear", "weight_rounded", inputs, zero.dtype, shape, {"axis": 0})
        bounds = [self._constant(f"weight_{side}", np.array(bound, zero.dtype))
                  for side, bound in (("lowest", grid.low), ("highest", grid.high))]  # fmt: skip
        integers = self._op("Clip", "weight_clipped", [rounded, *bounds], zero.dtype, shape)
        ends = ends_of(self._node, array)
        for conv, start, end in zip(found.convs, ends, ends[1:], strict=False):
            part = integers if len(ends) == 2 else self._cut(integers, start, end)
            conv.inputs[1] = self._op(
                WHOLE, "weight_whole", [part], np.float32, list(part.shape), {"zero_point": grid.zero_point}
            )
            reader = conv.inputs[0].inputs[0]
            reader.attrs = {"zero_point": int(reader.inputs[2].values)}
            reader.op, reader.domain, reader.inputs = WHOLE, DOMAIN, reader.inputs[:1]
            if noise is not None:
                sums, convert = conv.outputs[0], conv.outputs[0].outputs[0]
                drawn = {"deviation": noise}
                convert.inputs[0] = self._op(NOISE, "noise", [sums], np.float32, list(sums.shape), drawn)
        self._affine_of(found, step, _quantizer(found.convs[0]).inputs[1])

    def _affine_of(self, found: AnalogForm, step: gs.Tensor, input_step: gs.Tensor) -> None:
        """Compute multipliers from the steps of weights and input, and offsets from biases."""
        finest, channels = self._affine.scale[0], [len(self._weights.scale)]
        along = [*channels, *[1] * (len(found.scale.outputs[0].shape) - 2)]
        product = self._op(SUMS_STEP, "sums_step", [step, input_step], np.float32, channels)
        parts = [(found.scale, product, np.float32(finest / self._converter.scale[0]))]
        if len(self._node.inputs) > 2 and not self._node.inputs[2].is_empty():
            parts.append((found.shift, self._master(2), np.float32(finest)))
        for node, real, unit in parts:
            zero = np.array(0, self._affine.dtype)
            inputs = [real, self._constant("unit", unit), self._constant("zero", zero)]
            rounded = self._op("QuantizeLinear", "affine_rounded", inputs, zero.dtype, channels)
            target = self._constant("along", np.array(along, np.int64))
            node.inputs[1].inputs[0].inputs[0] = self._op(
                "Reshape", "affine_along", [rounded, target], zero.dtype, along
            )

    def _master(self, index: int) -> gs.Constant:
        """Return the real constant that the form has under the name of a parameter."""
        given = self._node.inputs[index]
        held = self._form.tensors().get(given.name)
        return held if held is not None else gs.Constant(given.name, np.array(given.values))

    def _cut(self, integers: gs.Tensor, start: int, end: int) -> gs.Tensor:
        shape = list(integers.shape)
        shape[1] = end - start
        where = [self._constant("weight_cut", np.array([v], np.int64)) for v in (start, end, 1)]
        return self._op("Slice", "weight_chunk", [integers, *where], integers.dtype, shape)

    def _constant(self, stem: str, values: Any) -> gs.Constant:
        return gs.Constant(self._names.fresh(f"{self._stem}/{stem}"), np.asarray(values))

    def _op(
        self, op: str, stem: str, inputs: list[gs.Tensor], dtype: Any, shape: list[int],
        attributes: dict[str, Any] | None = None,
    ) -> gs.Variable:  # fmt: skip
        name = self._names.fresh(f"{self._stem}/{stem}")
        made = gs.Variable(name, np.dtype(dtype), shape)
        domain = DOMAIN if op in (WHOLE, SUMS_STEP, NOISE) else ""
        self._form.nodes.append(gs.Node(op, name, attributes or {}, inputs, [made], domain=domain))
        return made


def _quantizer(conv: gs.Node) -> gs.Node:
    """Return the QuantizeLinear of the integers that a chunk reads."""
    node = conv.inputs[0].inputs[0]
    while node.op != "QuantizeLinear":
        node = node.inputs[0].inputs[0]
    return node
