"""Integer grids by ONNX's arithmetic, executed in floats that hold whole numbers.

Forward everything is as onnxruntime has it: true division, round half to even, zero point, saturation.
Backward rounding is passed straight through, and what saturates has no gradient, for values and steps alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.step import Array, Builder, TorchStep, constant, shape_of, untrainable

Tensor = torch.Tensor
_RANGES = {
    "uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767),
    "uint4": (0, 15), "int4": (-8, 7),
    # biases of graphs that are only trained; ONNX has no such operator
    "int32": (-(2**31), 2**31 - 1),
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


def _lining_up(node: gs.Node) -> Callable[[Tensor], Tensor]:
    """Return what lines up the scales or zero points of ``node`` with the axis they are for."""
    scale, rank = shape_of(node.inputs[1]), len(shape_of(node.inputs[0]))
    if int(node.attrs.get("block_size", 0)):
        raise untrainable(node, "its scales are for blocks")
    if int(np.prod(scale)) == 1:
        return lambda values: values.reshape(())
    axis = int(node.attrs.get("axis", 1)) % rank
    along = tuple(-1 if place == axis else 1 for place in range(rank))
    return lambda values: values.reshape(along)


def _offset(zero: Array | None, lined_up: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
    """Return the zero point as a step holds it; nothing where it is 0."""
    if zero is None or not np.any(zero):
        return ()
    return (lined_up(torch.from_numpy(zero.astype(np.float32))),)


def _written(node: gs.Node, zero: Array | None) -> str:
    """Return the name of the type that ``node`` quantizes to: that of its zero point, else as declared."""
    if zero is not None:
        return str(zero.dtype)
    declared = int(node.attrs.get("output_dtype", 0))
    return str(onnx.helper.tensor_dtype_to_np_dtype(declared)) if declared else "uint8"


def quantize(node: gs.Node) -> TorchStep:
    """QuantizeLinear."""
    zero = constant(node, 2)
    kind = _written(node, zero)
    if kind not in _RANGES:
        raise untrainable(node, f"it quantizes to {kind}")
    low, high = _RANGES[kind]
    lined_up = _lining_up(node)
    wide = kind == "int32"  # more than a float32 tells apart

    def run(x: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
        found = rounded(x.double() / lined_up(scale).double() if wide else x / lined_up(scale))
        return (found if offset is None else found + offset).clamp(low, high)

    return TorchStep(run, (0, 1), _offset(zero, lined_up))


def dequantize(node: gs.Node) -> TorchStep:
    """DequantizeLinear; constants are whole numbers held as floats."""
    lined_up = _lining_up(node)

    def run(x: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
        values = x.to(scale.dtype)
        return (values if offset is None else values - offset) * lined_up(scale)

    return TorchStep(run, (0, 1), _offset(constant(node, 2), lined_up))


BUILDERS: dict[str, Builder] = {"QuantizeLinear": quantize, "DequantizeLinear": dequantize}
