"""Integer grids by ONNX's arithmetic, executed in floats that hold whole numbers.

Forward everything is as onnxruntime has it: true division, round half to even, zero point, saturation.
Backward rounding is passed straight through, and what saturates has no gradient, for values and steps alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.step import Builder, Step, constant, given, shape_of, untrainable

Tensor = torch.Tensor
_RANGES = {
    "uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767),
    "uint4": (0, 15), "int4": (-8, 7), "int32": (-(2**31), 2**31 - 1),
}  # fmt: skip


class _Round(torch.autograd.Function):
    """Round half to even; the gradient is that of nothing done."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing has to be kept."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        return gradients[0]


def rounded(x: Tensor) -> Tensor:
    """Return ``x`` rounded half to even, with the gradient of ``x``."""
    found: Tensor = _Round.apply(x)  # type: ignore[no-untyped-call]
    return found


def _along(node: gs.Node) -> tuple[int, ...] | None:
    """Return the shape that lines scales up with the axis they are for; ``None`` for one scale."""
    scale, rank = shape_of(node.inputs[1]), len(shape_of(node.inputs[0]))
    if int(node.attrs.get("block_size", 0)):
        raise untrainable(node, "its scales are for blocks")
    if len(scale) == 0 or int(np.prod(scale)) == 1:
        return None
    axis = int(node.attrs.get("axis", 1)) % rank
    return tuple(-1 if place == axis else 1 for place in range(rank))


def _lined_up(values: Tensor, along: tuple[int, ...] | None) -> Tensor:
    return values.reshape(()) if along is None else values.reshape(along)


def quantize(node: gs.Node) -> Step:
    """QuantizeLinear."""
    zero = constant(node, 2)
    kind = "uint8" if zero is None else str(zero.dtype)
    if kind not in _RANGES:
        raise untrainable(node, f"it quantizes to {kind}")
    low, high = _RANGES[kind]
    along = _along(node)
    offset = None if zero is None or not np.any(zero) else torch.from_numpy(zero.astype(np.float64))

    def run(x: Tensor, scale: Tensor) -> Tensor:
        found = rounded(x / _lined_up(scale, along))
        if offset is not None:
            found = found + _lined_up(offset, along).to(found)
        return found.clamp(low, high)

    return Step(run, (0, 1))


def dequantize(node: gs.Node) -> Step:
    """DequantizeLinear; constants are whole numbers held as floats."""
    zero = constant(node, 2) if given(node, 2) else None
    along = _along(node)
    offset = None if zero is None or not np.any(zero) else torch.from_numpy(zero.astype(np.float64))

    def run(x: Tensor, scale: Tensor) -> Tensor:
        scale = _lined_up(scale, along)
        values = x.to(scale.dtype)
        return (values if offset is None else values - _lined_up(offset, along).to(values)) * scale

    return Step(run, (0, 1))


BUILDERS: dict[str, Builder] = {"QuantizeLinear": quantize, "DequantizeLinear": dequantize}
