"""The form in which a quantized graph is trained: its Q/DQ form with real weights, rounded on the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.training.integers.analog_form import train_in_array
from passes.integers.analog import analog_forms
from passes.integers.quantize import Quantize
from passes.model.graph import tidy
from passes.operator_sets import QUANTIZED_LINEAR
from passes.rewrite.names import Names
from passes.state import copy_graph, state_of


def quantized_form(graph: gs.Graph) -> gs.Graph:
    """Return what ``quantize`` makes of ``graph``, but with real weights and biases that are rounded in it.

    Each integer constant w becomes DequantizeLinear(Clip(QuantizeLinear(w))) of the real constant that
    ``graph`` has, under its name, on the grid that the constant was on. A bias is quantized to int32, which
    ONNX has no operator for: this form is only trained, never written.

    Args:
        graph: A calibrated float graph: with ``state.grids``. It is not changed.
    """
    form = copy_graph(graph)
    Quantize()(form)
    names, nodes = Names(form), {node.name: node for node in form.nodes}
    made: dict[str, gs.Tensor] = {}  # integers of the file -> the same, computed here
    in_arrays = {found.convs[0].name for found in analog_forms(form)}
    for node in (node for node in graph.nodes if node.op in QUANTIZED_LINEAR and node.name not in in_arrays):
        for index, master in enumerate(node.inputs):
            written = nodes[node.name].inputs[index].inputs
            if not isinstance(master, gs.Constant) or not written or written[0].op != "DequantizeLinear":
                continue
            dequantize = written[0]
            stored = dequantize.inputs[0]
            if stored.name not in made:
                made[stored.name] = _rounded(form, names, dequantize, master, _limits(graph, node, index))
            dequantize.inputs[0] = made[stored.name]
    train_in_array(form, graph)
    tidy(form)
    return form


def _limits(graph: gs.Graph, node: gs.Node, index: int) -> tuple[int, int]:
    """Return the smallest and largest integer of a parameter of ``node``."""
    state = state_of(graph)
    if index == 1:
        grid = state.grids[node.inputs[1].name]
        return grid.low, grid.high
    precision = state.precisions.get(node.name)
    top = 2 ** ((32 if precision is None else precision.bias_bits) - 1)
    return -top, top - 1


def _rounded(
    form: gs.Graph, names: Names, dequantize: gs.Node, master: gs.Constant, limits: Sequence[int]
) -> gs.Tensor:
    """Put a real constant before ``dequantize``; return its integers."""
    held = form.tensors().get(master.name)
    real = held if held is not None else gs.Constant(master.name, np.array(master.values))
    stored = dequantize.inputs[0]
    whole, shape = stored.values.dtype, list(stored.shape)
    attributes = {key: value for key, value in dequantize.attrs.items() if key == "axis"}
    integers: gs.Tensor = gs.Variable(names.fresh(f"{stored.name}/rounded"), whole, shape)
    inputs = [real, *dequantize.inputs[1:3]]
    form.nodes.append(
        gs.Node("QuantizeLinear", names.fresh(f"{stored.name}/round"), attributes, inputs, [integers])
    )
    widest = np.iinfo(whole)
    if tuple(limits) != (widest.min, widest.max):
        bounds = [
            gs.Constant(names.fresh(f"{stored.name}/{side}"), np.array(value, whole))
            for side, value in zip(("lowest", "highest"), limits, strict=True)
        ]
        narrow = gs.Variable(names.fresh(f"{stored.name}/clipped"), whole, shape)
        form.nodes.append(
            gs.Node("Clip", names.fresh(f"{stored.name}/clip"), {}, [integers, *bounds], [narrow])
        )
        integers = narrow
    return integers
