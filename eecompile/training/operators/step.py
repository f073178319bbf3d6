"""What an operator becomes: a function of tensors, made once from its node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch
from numpy.typing import NDArray

from passes.errors import InputError
from passes.operator_sets import CARRIERS, COPIES

Array = NDArray[Any]
Tensor = torch.Tensor
# Operators of forms that are only trained: whole numbers around 0 of stored integers, the step of products,
# and that of a grid; values on their grid.
WHOLE, SUMS_STEP, STEP, SNAP = "WholeNumbers", "SumsStep", "GridStep", "SnapToGrid"
# What of constants alone is again one: rearranged, quantized, and what is computed of steps.
_HANDED_ON = CARRIERS | COPIES | {WHOLE, SUMS_STEP, SNAP, "Slice", STEP, "Mul", "Max", "Min", "ReduceMax"}


@dataclass(frozen=True)
class TorchStep:
    """One node as torch runs it.

    Attributes:
        run: From the tensors it reads, and those it holds behind them, to the tensor it writes, or to a tuple
            of them.
        reads: Which inputs of the node are given to ``run``, by position; the others are settled by their
            values when the step is made.
        holds: Numbers that follow from the node (places, factors); they move with the module to where it
            runs and to the type it runs in, and are no numbers of the network.
        learns: ``run`` takes a last argument, whether the network is being trained.
        many: It writes all outputs of the node, not the first alone.
        mixes: It works along the first axis, so that it is right for one image at a time only.
    """

    run: Callable[..., Any]
    reads: tuple[int, ...] = (0,)
    holds: tuple[Tensor, ...] = ()
    learns: bool = False
    many: bool = False
    mixes: bool = False


# From a node with static shapes (batch 1 in front) to its step. The step takes any batch.
Builder = Callable[[gs.Node], TorchStep]


def given(node: gs.Node, index: int) -> bool:
    """Return whether ``node`` has an input at ``index``."""
    return len(node.inputs) > index and not node.inputs[index].is_empty()


def present(node: gs.Node, count: int) -> tuple[int, ...]:
    """Return the positions of the first ``count`` inputs that are there."""
    return tuple(index for index in range(count) if given(node, index))


def constant(node: gs.Node, index: int) -> Array | None:
    """Return the value of a constant input; ``None`` where the node has no such input.

    Raises:
        InputError: The input is computed, so that the step cannot be made beforehand.
    """
    if not given(node, index):
        return None
    if not isinstance(node.inputs[index], gs.Constant):
        raise untrainable(node, f"its input '{node.inputs[index].name}' is computed by the network")
    value: Array = np.asarray(node.inputs[index].values)
    return value


def integers(node: gs.Node, index: int, attribute: str = "") -> list[int] | None:
    """Return integers that are a constant input or, in earlier opsets, an attribute; ``None`` if neither."""
    value = constant(node, index)
    if value is not None:
        return [int(v) for v in value.reshape(-1)]
    found = node.attrs.get(attribute)
    return (
        None if found is None else [int(v) for v in (found if isinstance(found, list | tuple) else [found])]
    )


def settled(tensor: gs.Tensor) -> bool:
    """Return whether ``tensor`` is a constant, or made of constants by quantizing, its steps, rearranging."""
    if isinstance(tensor, gs.Constant) or not tensor.inputs:
        return isinstance(tensor, gs.Constant)
    maker = tensor.inputs[0]
    return maker.op in _HANDED_ON and all(settled(t) for t in maker.inputs if not t.is_empty())


def broadcasts_images(node: gs.Node) -> bool:
    """Return whether broadcasting lines up the batch of an input with another axis of the result."""
    rank = len(shape_of(node.outputs[0]))
    computed = (t for t in node.inputs if not t.is_empty() and not settled(t))
    return any(len(shape_of(tensor)) != rank for tensor in computed)


def shape_of(tensor: gs.Tensor) -> tuple[int, ...]:
    """Return the static shape of a tensor, the batch of 1 counted."""
    return tuple(int(d) for d in tensor.shape)


def axes_of(axes: Sequence[int], rank: int) -> list[int]:
    """Return ``axes`` counted from the front."""
    return [axis % rank for axis in axes]


def text(value: Any) -> str:
    """Return an attribute that is a text, which libraries hold as bytes or as a string."""
    return value.decode() if isinstance(value, bytes) else str(value)


def root(x: Tensor, p: float = 2) -> Tensor:
    """Return the p-th root of ``x`` >= 0; its gradient at 0, which is infinite, is taken as 0."""
    zero = x == 0
    return x.masked_fill(zero, 1) ** (1 / p) * ~zero


def untrainable(node: gs.Node, reason: str) -> InputError:
    """Return the error for a node that torch cannot run."""
    return InputError(
        f"node '{node.name}' ({node.op}) cannot be trained through: {reason}",
        "train heads only (the default), or change that part of the network",
    )
