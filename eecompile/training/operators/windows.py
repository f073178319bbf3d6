"""Windows that slide over space: kernels, strides, dilations, and what is padded at either end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.step import shape_of, text

Tensor = torch.Tensor


@dataclass(frozen=True)
class SlidingWindow:
    """The window of a convolution or pooling, per spatial axis.

    Attributes:
        kernel: Its size.
        strides: Its steps.
        dilations: Its spacing.
        begin: Padding in front.
        end: Padding behind, as declared.
        reach: Padding behind that the last window needs: more than ``end`` where sizes are rounded up,
            less where the last elements belong to no window.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    reach: tuple[int, ...]

    @property
    def plain(self) -> bool:
        """Whether both ends are padded alike and no window goes beyond."""
        return self.begin == self.end and all(r <= e for r, e in zip(self.reach, self.end, strict=True))


def window_of(node: gs.Node, kernel: Sequence[int]) -> SlidingWindow:
    """Return the window of ``node``; ``auto_pad`` is resolved from its static shapes."""
    rank = len(kernel)
    size, out = shape_of(node.inputs[0])[2:], shape_of(node.outputs[0])[2:]
    strides = tuple(node.attrs.get("strides", [1] * rank))
    dilations = tuple(node.attrs.get("dilations", [1] * rank))
    pads = [int(p) for p in node.attrs.get("pads", [0] * 2 * rank)]
    spans = [
        (o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out, strides, kernel, dilations, strict=True)
    ]
    auto = text(node.attrs.get("auto_pad", "NOTSET"))
    if auto.startswith("SAME"):
        total = [max(span - n, 0) for span, n in zip(spans, size, strict=True)]
        smaller, larger = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = [*smaller, *larger] if auto == "SAME_UPPER" else [*larger, *smaller]
    elif auto == "VALID":
        pads = [0] * 2 * rank
    reach = tuple(max(span - n - b, 0) for span, n, b in zip(spans, size, pads[:rank], strict=True))
    return SlidingWindow(tuple(kernel), strides, dilations, tuple(pads[:rank]), tuple(pads[rank:]), reach)


def padded(x: Tensor, begin: Sequence[int], end: Sequence[int], value: float = 0.0) -> Tensor:
    """Return ``x`` [N, C, …] with ``value`` around its spatial axes."""
    if not any(begin) and not any(end):
        return x
    # torch pads the last axis first
    both = [p for pair in zip(reversed(begin), reversed(end), strict=True) for p in pair]
    return torch.nn.functional.pad(x, both, value=value)
