"""Products with weights."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_graphsurgeon as gs
import torch
from torch.nn import functional

from eecompile.training.operators.step import (
    TorchStep,
    broadcasts_images,
    given,
    present,
    settled,
    shape_of,
    text,
    untrainable,
)
from eecompile.training.operators.windows import SlidingWindow, padded, window_of

Tensor = torch.Tensor
_CONVS = (functional.conv1d, functional.conv2d, functional.conv3d)
_TRANSPOSED = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)


def conv(node: gs.Node) -> TorchStep:
    """Convolution of one to three spatial axes, grouped, dilated, padded in any way."""
    kernel = shape_of(node.inputs[1])[2:]
    if len(kernel) not in (1, 2, 3):
        raise untrainable(node, f"it has {len(kernel)} spatial axes")
    function, window, groups = (
        _CONVS[len(kernel) - 1],
        window_of(node, kernel),
        int(node.attrs.get("group", 1)),
    )
    strides, dilations = window.strides, window.dilations
    seen, begin, end = _places_that_see(window, shape_of(node.inputs[0])[2:], shape_of(node.outputs[0])[2:])
    cut = (slice(None), slice(None), *seen)
    inside = begin if begin == end else (0,) * len(begin)
    slow = _slow_in_bfloat16(shape_of(node.inputs[1]), strides, groups)

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        x = x if begin == end else padded(x, begin, end)
        if not (slow and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
            return function(x, weight[cut], bias, strides, inside, dilations, groups)
        with torch.autocast("cpu", enabled=False):
            return function(x.float(), weight[cut], bias, strides, inside, dilations, groups).bfloat16()

    return TorchStep(run, present(node, 3))


def _slow_in_bfloat16(weight: Sequence[int], strides: Sequence[int], groups: int) -> bool:
    """Return whether gradients of a convolution take less time in float32 on processors.

    Of a depthwise one oneDNN (torch 2.13, avx512_bf16) takes 40 times as long for those of a strided input,
    and two to three times as long for those of weights with a kernel of seven.
    """
    return groups > 1 and weight[1] == 1 and (max(strides) > 1 or max(weight[2:]) > 3)


def _places_that_see(
    window: SlidingWindow, sizes: Sequence[int], outputs: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[int, ...], tuple[int, ...]]:
    """Return per axis the places of a kernel that lie on data somewhere, and what is padded for them alone.

    On a map of one place a padded kernel of three has two places that never do. The result is the same
    without them; with them torch 2.13 gives their weights gradients of no meaning (of what lay in memory, NaN
    too) in bfloat16 on processors.
    """
    seen, begin, end = [], [], []
    axes = zip(
        window.kernel, sizes, outputs, window.strides, window.dilations, window.begin, window.end, strict=True
    )
    for kernel, size, output, stride, dilation, front, behind in axes:
        on_data = [
            place
            for place in range(kernel)
            if any(0 <= o * stride + place * dilation - front < size for o in range(output))
        ]
        first, last = (on_data[0], on_data[-1]) if on_data else (0, kernel - 1)
        left = front - first * dilation, behind - (kernel - 1 - last) * dilation
        if min(left) < 0:  # a gap of a dilated kernel: what is cut away would be data
            first, last, left = 0, kernel - 1, (front, behind)
        seen.append(slice(first, last + 1))
        begin.append(left[0])
        end.append(left[1])
    return tuple(seen), tuple(begin), tuple(end)


def conv_transpose(node: gs.Node) -> TorchStep:
    """Transposed convolution: the whole result is computed, then what the padding takes away is cut off."""
    weight_shape = shape_of(node.inputs[1])
    kernel, rank = weight_shape[2:], len(weight_shape) - 2
    if rank not in (1, 2, 3):
        raise untrainable(node, f"it has {rank} spatial axes")
    strides = tuple(node.attrs.get("strides", [1] * rank))
    dilations = tuple(node.attrs.get("dilations", [1] * rank))
    extra = tuple(node.attrs.get("output_padding", [0] * rank))
    groups = int(node.attrs.get("group", 1))
    size, out = shape_of(node.inputs[0])[2:], shape_of(node.outputs[0])[2:]
    # Of the full result and what `output_padding` adds behind it, `out` elements stay.
    whole = [
        (n - 1) * s + (k - 1) * d + 1 + e
        for n, s, k, d, e in zip(size, strides, kernel, dilations, extra, strict=True)
    ]
    total = [w - o for w, o in zip(whole, out, strict=True)]
    auto = text(node.attrs.get("auto_pad", "NOTSET"))
    if auto == "NOTSET" and "output_shape" not in node.attrs:
        begin = [int(p) for p in node.attrs.get("pads", [0] * 2 * rank)[:rank]]
    elif auto == "SAME_UPPER":
        begin = [t // 2 for t in total]
    else:
        begin = [t - t // 2 for t in total]
    function = _TRANSPOSED[rank - 1]
    cut = (slice(None), slice(None), *(slice(b, b + o) for b, o in zip(begin, out, strict=True)))
    short = tuple(max(b + o - w, 0) for b, o, w in zip(begin, out, whole, strict=True))
    grown = tuple(e + s for e, s in zip(extra, short, strict=True))

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        found = function(x, weight, None, strides, 0, 0, groups, dilations)
        found = padded(found, (0,) * rank, grown)[cut]
        return found if bias is None else found + bias.reshape(-1, *(1,) * rank)

    return TorchStep(run, present(node, 3))


def gemm(node: gs.Node) -> TorchStep:
    """Fully connected layer; the canonical one (``transB``, no factors) is torch's own."""
    alpha, beta = float(node.attrs.get("alpha", 1.0)), float(node.attrs.get("beta", 1.0))
    left, right = int(node.attrs.get("transA", 0)), int(node.attrs.get("transB", 0))
    rows = given(node, 2) and len(shape_of(node.inputs[2])) != 1
    mixes = bool(left) or not settled(node.inputs[1]) or broadcasts_images(node)
    if left == 0 and right == 1 and alpha == beta == 1 and not rows:
        return TorchStep(functional.linear, present(node, 3), mixes=mixes)

    def run(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        product = alpha * ((a.T if left else a) @ (b.T if right else b))
        return product if c is None else product + beta * c

    return TorchStep(run, present(node, 3), mixes=mixes)


def matmul(node: gs.Node) -> TorchStep:
    """Matrix product with broadcasting; of two computed matrices without batch axes it mixes images."""
    right = node.inputs[1]
    rows = not settled(right) and len(shape_of(right)) < 3  # its first axis is summed over
    return TorchStep(torch.matmul, (0, 1), mixes=rows or broadcasts_images(node))


def einsum(node: gs.Node) -> TorchStep:
    """Einstein summation."""
    equation = text(node.attrs["equation"])
    inputs, _, output = equation.replace(" ", "").partition("->")
    parts = zip(inputs.split(","), node.inputs, strict=True)
    first = {letters[:1] for letters, tensor in parts if not settled(tensor)}
    return TorchStep(
        lambda *tensors: torch.einsum(equation, *tensors),
        tuple(range(len(node.inputs))),
        mixes=first != {output[:1]},  # the batch is the same letter in front of all
    )


BUILDERS = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
    "Einsum": einsum,
}
