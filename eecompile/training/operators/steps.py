"""The step of a grid as a function of what is learnt of it: by how many octaves it differs from the first.

Learning the logarithm makes steps of all sizes learn alike and keeps them positive; it is that of the
threshold low x step or high x step too (Jain et al. 2020, "Trained quantization thresholds", TQT).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.integers import rounded
from eecompile.training.operators.step import STEP, Builder, TorchStep

Tensor = torch.Tensor


class _Power(torch.autograd.Function):
    """2 to a whole power, put together of its bits: torch's own may be off in the last place."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        bits = (x.clamp(-126, 127).to(torch.int32) + 127) << 23
        return bits.view(torch.float32)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:  # noqa: ARG004
        """Keep the power."""
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        found: Tensor = gradients[0] * ctx.saved_tensors[0] * math.log(2)
        return found


def step(node: gs.Node) -> TorchStep:
    """The first step times 2 to the input, rounded where ``power_of_two``: exactly the first at 0."""
    first = torch.from_numpy(np.array(node.attrs["first"], np.float32).reshape(node.outputs[0].shape))
    if node.attrs["power_of_two"]:

        def shifted(octaves: Tensor, first: Tensor) -> Tensor:
            found: Tensor = _Power.apply(rounded(octaves))  # type: ignore[no-untyped-call]
            return first * found

        return TorchStep(shifted, holds=(first,))
    return TorchStep(lambda octaves, first: first * torch.exp2(octaves), holds=(first,))


BUILDERS: dict[str, Builder] = {STEP: step}
