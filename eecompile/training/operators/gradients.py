"""What forms of graphs that are only trained have beside ONNX: operators that change gradients alone."""

from __future__ import annotations

from typing import Any

import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.step import Builder, TorchStep

Tensor = torch.Tensor
DOMAIN = "eecompile.training"
SCALE = "ScaleGradient"


class _Scaled(torch.autograd.Function):
    """The same values; the gradient times a factor."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, factor: float) -> Tensor:  # noqa: ARG004, it is for the gradient
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG004
        """Keep the factor."""
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None


def scale_gradient(node: gs.Node) -> TorchStep:
    """Hand on values, and the gradient times ``factor``; nothing of it where that is 0."""
    factor = float(node.attrs["factor"])
    if factor == 0:
        return TorchStep(lambda x: x.detach())
    return TorchStep(lambda x: _Scaled.apply(x, factor))  # type: ignore[no-untyped-call]


BUILDERS: dict[str, Builder] = {SCALE: scale_gradient}
