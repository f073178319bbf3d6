"""What ONNX cannot say in integers, as operators of onnxruntime's own domain (its ContribOperators.md).

They are the kernels that onnxruntime fuses DequantizeLinear, operator and QuantizeLinear into by itself, so
that each bit stays. :mod:`passes.model.runtime_operators` reads them back as what they stand for.
"""

from __future__ import annotations

from typing import Any

import onnx_graphsurgeon as gs
from onnx import helper

from passes.integers.qdq import BYTES, READ_AS_FLOAT, Grid, detach, grid_behind, only_reader, read_grid
from passes.model.runtime_operators import DOMAIN
from passes.rewrite.names import Names

KERNELS = {
    "Add": "QLinearAdd",
    "AveragePool": "QLinearAveragePool",
    "Concat": "QLinearConcat",
    "Gemm": "QGemm",
    "GlobalAveragePool": "QLinearGlobalAveragePool",
}


def use_kernel(graph: gs.Graph, names: Names, node: gs.Node) -> str:
    """Make DQ-``node``-Q one integer operator.

    Args:
        graph: The graph of ``node``; imports the domain afterwards.
        names: Of what is added.
        node: One of ``KERNELS``; of a Gemm the bias lies on input scale x weight scale.

    Returns:
        Why it stays as it is; nothing if it is integers now.
    """
    result = read_grid(only_reader(node.outputs[0], ("QuantizeLinear",), graph.outputs))
    if result is None:
        return READ_AS_FLOAT
    found = [grid_behind(tensor) for tensor in node.inputs]
    read = [grid for grid in found if grid is not None]
    if len(read) < len(found):
        return "not all its operands are quantized"
    reason = _misfit(node, read, result)
    if reason:
        return reason
    node.inputs = _inputs(node.op, names, read, result)
    node.attrs = _attributes(node)
    node.op, node.domain = KERNELS[node.op], DOMAIN
    output = result.integers
    detach(result.node)
    node.outputs = [output]
    if all(known.domain != DOMAIN for known in graph.import_domains or ()):
        graph.import_domains = [*(graph.import_domains or ()), helper.make_opsetid(DOMAIN, 1)]
    return ""


def _misfit(node: gs.Node, read: list[Grid], result: Grid) -> str:
    data = read[:1] if node.op == "Gemm" else read
    if not all(grid.one_scale for grid in [*data, result]):
        return "its scales are not per tensor"
    if result.dtype not in BYTES or any(grid.dtype != result.dtype for grid in data):
        return "onnxruntime has no such kernel from one type of integers to another, or of other than bytes"
    if any(step != 1 for step in node.attrs.get("dilations", ())):
        return "onnxruntime has no integer average with dilations"
    return ""


def _inputs(op: str, names: Names, read: list[Grid], result: Grid) -> list[gs.Tensor]:
    """Return the inputs in the order of the operator's definition."""
    listed = [[grid.integers, *grid.constants(names)] for grid in read]
    written = result.constants(names)
    if op == "Concat":
        return [*written, *(tensor for part in listed for tensor in part)]
    if op == "Gemm":
        bias = listed[2][0] if len(listed) > 2 else gs.Variable.empty()
        return [*listed[0], *listed[1], bias, *written]
    return [*(tensor for part in listed for tensor in part), *written]


def _attributes(node: gs.Node) -> dict[str, Any]:
    unknown = ("dilations", "beta")
    return {key: value for key, value in node.attrs.items() if key not in unknown}
