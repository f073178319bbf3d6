"""What the trained form of a convolution in an analog array has beside ONNX: whole numbers, steps, noise."""

from __future__ import annotations

import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.step import SUMS_STEP, WHOLE, Builder, TorchStep

Tensor = torch.Tensor
NOISE = "ConverterNoise"


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
        return x + (x.detach() * deviation) * torch.randn_like(x)

    return TorchStep(run, learns=True)


BUILDERS: dict[str, Builder] = {WHOLE: whole, SUMS_STEP: sums_step, NOISE: noise}
