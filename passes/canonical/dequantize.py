"""Canonical rules for DequantizeLinear: each reader has its own, and weights move before they are widened."""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs

from passes.canonical.views import permutation
from passes.model.constants import is_symbolic
from passes.operator_sets import CARRIERS, QUANTIZATION
from passes.rewrite.rewriter import Array, Rewriter, dims, producer_of


def own_dequantize(rw: Rewriter, node: gs.Node) -> bool:
    """Give each node that reads a dequantized tensor a DequantizeLinear of its own.

    What forks is then the tensor of integers, which is what a core writes and reads, where exits leave and
    networks are cut; exporters write either form. A graph output keeps the DequantizeLinear it had.
    """
    shared = node.outputs[0]
    readers = list({id(reader): reader for reader in shared.outputs}.values())
    kept = 0 if rw.is_output(shared) else 1
    for reader in readers[kept:]:
        own = rw.variable(f"{shared.name}_own", dims(shared), shared.dtype)
        rw.insert(node.op, node.inputs, own, [node], **node.attrs)
        reader.inputs = [own if tensor is shared else tensor for tensor in reader.inputs]
    if len(readers) > 1 and not isinstance(node.inputs[0], gs.Constant):
        rw.rename_mount(shared.name, node.inputs[0].name)
    return len(readers) > kept


def move_weights(rw: Rewriter, node: gs.Node) -> bool:
    """A Transpose or view of constants that are quantized and widened again moves onto the constants.

    Else they would count as computed, by the move.
    """
    chain = _carriers_above(node)
    if not chain:
        return False
    constant = chain[0].inputs[0]
    axes = {id(carrier): _axis(carrier) for carrier in chain}
    moved = {key: None if axis is None else _moved_axis(node, axis) for key, axis in axes.items()}
    lost = [carrier for carrier in chain if axes[id(carrier)] is not None and moved[id(carrier)] is None]
    if lost or any(carrier.attrs.get("block_size") for carrier in chain):
        return rw.decline(node, f"it takes apart the axis that {chain[-1].op} '{chain[-1].name}' scales")
    current: gs.Tensor = rw.constant(f"{constant.name}_moved", _moved(node, constant.values))
    for carrier in chain:
        output = node.outputs[0]
        if carrier is not chain[-1]:
            output = rw.variable(f"{carrier.outputs[0].name}_moved", current.shape, carrier.outputs[0].dtype)
        attrs = dict(carrier.attrs)
        if moved[id(carrier)] is not None:
            attrs["axis"] = moved[id(carrier)]
        if carrier is chain[-1]:
            node.inputs.clear()
            node.outputs.clear()
        rw.insert(carrier.op, [current, *carrier.inputs[1:]], output, [carrier, node], **attrs)
        current = output
    return True


def _carriers_above(node: gs.Node) -> list[gs.Node]:
    """Return what stands between a constant and ``node``, from the constant on; nothing if that computes."""
    chain: list[gs.Node] = []
    tensor = node.inputs[0]
    while (above := producer_of(tensor)) is not None and above.op in CARRIERS:
        chain.insert(0, above)
        tensor = above.inputs[0]
    return chain if isinstance(tensor, gs.Constant) else []


def _axis(carrier: gs.Node) -> int | None:
    """Return the axis along which ``carrier`` has one scale per index; ``None`` with a single scale."""
    if carrier.op not in QUANTIZATION or math.prod(dims(carrier.inputs[1])) == 1:
        return None
    return int(carrier.attrs.get("axis", 1)) % len(dims(carrier.inputs[0]))


def _moved_axis(node: gs.Node, axis: int) -> int | None:
    """Return where ``axis`` of the input of ``node`` lies in its output; ``None`` if it is no axis there."""
    if node.op == "Transpose":
        return permutation(node).index(axis)
    before, after = dims(node.inputs[0]), dims(node.outputs[0])
    for place, size in enumerate(after):
        if size == before[axis] and math.prod(after[:place]) == math.prod(before[:axis]):
            return place
    return None


def _moved(node: gs.Node, values: Array) -> Array:
    shape = dims(node.outputs[0])
    if is_symbolic(values):
        return np.broadcast_to(values.reshape(-1)[0], shape)
    if node.op == "Transpose":
        return np.ascontiguousarray(np.transpose(values, permutation(node)))
    return values.reshape(shape)
