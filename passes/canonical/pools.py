"""Canonical rules for windows: explicit pads and attributes, one form for global pooling."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from passes.rewrite.rewriter import Rewriter, constant_input, dims, optional_input, producer_of

_REDUCED = {"ReduceMean": "GlobalAveragePool", "ReduceMax": "GlobalMaxPool"}


def explicit_window(_: Rewriter, node: gs.Node) -> bool:
    """Write kernel, strides, pads, dilations and group of a Conv or a pool out; resolve auto_pad."""
    spatial = dims(node.inputs[0])[2:]
    old, rank = dict(node.attrs), len(spatial)
    if node.op == "Conv":
        node.attrs.setdefault("kernel_shape", list(dims(node.inputs[1])[2:]))
        node.attrs.setdefault("group", 1)
        node.attrs.setdefault("dilations", [1] * rank)
    node.attrs.setdefault("strides", [1] * rank)
    mode = node.attrs.pop("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        node.attrs["pads"] = _same_pads(node, spatial, mode == "SAME_LOWER")
    elif mode == "VALID":
        node.attrs["pads"] = [0] * (2 * rank)
    node.attrs.setdefault("pads", [0] * (2 * rank))
    if node.attrs.get("ceil_mode", 0) == 0 or not _needs_ceil(node, spatial):
        node.attrs.pop("ceil_mode", None)
    if not any(node.attrs["pads"]) and "ceil_mode" not in node.attrs:
        node.attrs.pop("count_include_pad", None)
    return dict(node.attrs) != old


def _extent(node: gs.Node, axis: int) -> int:
    dilation = node.attrs.get("dilations", [1] * (axis + 1))[axis]
    return int((node.attrs["kernel_shape"][axis] - 1) * dilation + 1)


def _same_pads(node: gs.Node, spatial: tuple[int, ...], lower: bool) -> list[int]:
    begin, end = [], []
    for axis, size in enumerate(spatial):
        stride = node.attrs["strides"][axis]
        total = max((-(-size // stride) - 1) * stride + _extent(node, axis) - size, 0)
        small, large = total // 2, total - total // 2
        begin.append(large if lower else small)
        end.append(small if lower else large)
    return begin + end


def _needs_ceil(node: gs.Node, spatial: tuple[int, ...]) -> bool:
    pads, strides = node.attrs["pads"], node.attrs["strides"]
    rank = len(spatial)
    return any(
        (size + pads[axis] + pads[axis + rank] - _extent(node, axis)) % strides[axis]
        for axis, size in enumerate(spatial)
    )


def average_to_global(_: Rewriter, node: gs.Node) -> bool:
    """An AveragePool whose kernel covers the whole unpadded input is a GlobalAveragePool."""
    spatial = dims(node.inputs[0])[2:]
    covers = tuple(node.attrs.get("kernel_shape", ())) == spatial and not any(node.attrs.get("pads", [1]))
    undilated = all(d == 1 for d in node.attrs.get("dilations", []))
    if not covers or not undilated or any(d != 1 for d in dims(node.outputs[0])[2:]):
        return False
    node.op = "GlobalAveragePool"
    node.attrs.clear()
    return True


def reduce_to_global(rw: Rewriter, node: gs.Node) -> bool:
    """ReduceMean or ReduceMax over exactly the spatial axes is a global pool, and a Flatten if they go."""
    source, result = node.inputs[0], node.outputs[0]
    rank = len(dims(source))
    given = constant_input(node, 1)
    if rank < 3 or given is None or np.dtype(source.dtype).kind != "f":
        return False
    axes = {int(axis) % rank for axis in given.reshape(-1)}
    if axes != set(range(2, rank)):
        return False
    node.op = _REDUCED[node.op]
    keeps = node.attrs.get("keepdims", 1)
    node.attrs.clear()
    node.inputs = [source]
    if not keeps:
        pooled = rw.variable(f"{result.name}_pooled", (*dims(source)[:2], *[1] * (rank - 2)), source.dtype)
        node.outputs = [pooled]
        rw.insert("Flatten", [pooled], result, [node], axis=1)
    return True


def pad_into_conv(rw: Rewriter, node: gs.Node) -> bool:
    """Zeros padded around the input of a Conv are pads of the Conv."""
    pad = producer_of(node.inputs[0])
    if (
        pad is None
        or pad.op != "Pad"
        or rw.is_mount(node.inputs[0])
        or node.attrs.get("auto_pad", "NOTSET") != "NOTSET"
    ):
        return False
    reason = _why_not_zeros(pad)
    if reason:
        return rw.decline(pad, reason)
    pads = constant_input(pad, 1)
    rank = len(dims(pad.inputs[0]))
    assert pads is not None  # _why_not_zeros has looked
    before, after = pads[2:rank].tolist(), pads[rank + 2 :].tolist()
    own = node.attrs.get("pads", [0] * (2 * rank - 4))
    node.attrs["pads"] = [int(a + b) for a, b in zip(own, before + after, strict=True)]
    node.inputs[0] = pad.inputs[0]
    rw.inherit(node, [pad])
    return True


def _why_not_zeros(pad: gs.Node) -> str | None:
    pads, value = constant_input(pad, 1), constant_input(pad, 2)
    rank = len(dims(pad.inputs[0]))
    if pads is None or optional_input(pad, 3) is not None or pads.size != 2 * rank:
        return "its pads are not given for all axes as constants"
    if pad.attrs.get("mode", "constant") != "constant":
        return f"it pads by {pad.attrs['mode']}, a Conv pads with zeros"
    if optional_input(pad, 2) is not None and (value is None or value.any()):
        return "it pads with other values than zero"
    if (pads < 0).any() or pads[:2].any() or pads[rank : rank + 2].any():
        return "it crops, or pads the batch or the channels"
    return None
