"""What trained forms of a convolution in an analog array have beside ONNX: whole numbers, converters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.step import SNAP, SUMS_STEP, WHOLE, Builder, TorchStep

Tensor = torch.Tensor
NOISE, CONVERTER = "ConverterNoise", "Converter"


def whole(node: gs.Node) -> TorchStep:
    """Stored integers as whole numbers around 0, whatever their step is."""
    middle = float(node.attrs["zero_point"])
    return TorchStep(lambda x: x - middle)


def sums_step(_node: gs.Node) -> TorchStep:
    """The step of products, per channel, from those of weights and data."""
    return TorchStep(lambda weights, data: weights * data, (0, 1))


def noise(node: gs.Node) -> TorchStep:
    """Sums as a converter sees them while training: times 1 + ``deviation`` N(0, 1); gradients pass."""
    deviation = float(node.attrs["deviation"])

    def run(x: Tensor, training: bool) -> Tensor:
        if not training:
            return x
        return torch.addcmul(x, x.detach(), _drawn(x), value=deviation)

    return TorchStep(run, learns=True)


def _inside(values: Tensor, rounded: Tensor, low: float, high: float) -> Tensor:
    """Return ``values`` where whole numbers lie from ``low`` to ``high``, else 0: one pass over memory."""
    found: Tensor = torch.ops.aten.hardtanh_backward(values, rounded, low - 0.5, high + 0.5)
    return found


class _Snap(torch.autograd.Function):
    """Values on a grid around 0; gradients pass straight through, and stop where it saturates."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: float, high: float) -> Tensor:
        rounded = (x / step).round_()
        ctx.save_for_backward(rounded)
        ctx.bounds = low, high
        return rounded.clamp(low, high).mul_(step)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _inside(gradients[0], ctx.saved_tensors[0], *ctx.bounds), None, None, None


def _drawn(like: Tensor) -> Tensor:
    """Return standard normal noise in the shape of a tensor: from any place on of a table drawn once.

    Drawing it anew takes longer than the convolution, in bfloat16 above all.
    """
    count = like.numel()
    key = (like.dtype, like.device)
    if key not in _TABLES or len(_TABLES[key]) < 2 * count:
        drawn = torch.randn(max(2 * count, 2**20), generator=torch.Generator().manual_seed(count))
        _TABLES[key] = drawn.to(like.device, like.dtype)
    first = int(torch.randint(len(_TABLES[key]) - count, ()))
    return _TABLES[key].as_strided(like.size(), like.stride(), first)


_TABLES: dict[tuple[torch.dtype, torch.device], Tensor] = {}


def snap(node: gs.Node) -> TorchStep:
    """What QuantizeLinear, Clip and DequantizeLinear compute together, on a grid that stays as it is.

    Steps are ``steps``, one or one per entry of ``axis``; whole numbers reach from ``low`` to ``high``.
    """
    steps = np.array(node.attrs["steps"], np.float32)
    rank = len(node.outputs[0].shape) if steps.size > 1 else 0
    along = [-1 if axis == node.attrs["axis"] else 1 for axis in range(rank)]
    low, high = float(node.attrs["low"]), float(node.attrs["high"])

    def run(x: Tensor, held: Tensor) -> Tensor:
        found: Tensor = _Snap.apply(x, held.to(x.dtype), low, high)  # type: ignore[no-untyped-call]
        return found

    return TorchStep(run, holds=(torch.from_numpy(steps.reshape(along)),))


class _Convert(torch.autograd.Function):
    """Conversions times the step of the converter, and the gradient of the step's logarithm (LSQ, TQT)."""

    @staticmethod
    def forward(
        ctx: Any, sums: Tensor, octaves: Tensor, first: float, low: float, high: float, deviation: float
    ) -> Tensor:
        step = first * 2.0 ** round(float(octaves))
        seen = sums * (1 / step)
        if deviation:
            seen.addcmul_(seen, _drawn(seen), value=deviation)
        rounded = seen.round()
        ctx.step, ctx.bounds = step, (low, high)
        ctx.save_for_backward(rounded, seen)
        return rounded.clamp(low, high).mul_(step)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rounded, seen = ctx.saved_tensors
        octave = None
        if ctx.needs_input_grad[1]:
            # the value moves by its rounding error where it lies within the bounds, else by the bound
            moved = rounded.clamp(*ctx.bounds).sub_(_inside(seen, rounded, *ctx.bounds))
            octave = moved.mul_(gradients[0]).sum(dtype=torch.float32) * (ctx.step * math.log(2))
        return _inside(gradients[0], rounded, *ctx.bounds), octave, None, None, None, None


def converter(node: gs.Node) -> TorchStep:
    """Sums as their converter tells them, on a step that is a power of two.

    ``first`` times 2 to the second input, rounded; conversions from ``low`` to ``high``; while training sums
    are seen times 1 + ``deviation`` N(0, 1).
    """
    first, low, high = (float(node.attrs[key]) for key in ("first", "low", "high"))
    deviation = float(node.attrs["deviation"])

    def run(sums: Tensor, octaves: Tensor, training: bool) -> Tensor:
        found: Tensor = _Convert.apply(  # type: ignore[no-untyped-call]
            sums, octaves, first, low, high, deviation if training else 0.0
        )
        return found

    return TorchStep(run, (0, 1), learns=True)


BUILDERS: dict[str, Builder] = {
    WHOLE: whole, SUMS_STEP: sums_step, NOISE: noise, CONVERTER: converter, SNAP: snap,
}  # fmt: skip
