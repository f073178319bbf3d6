"""What an operator becomes: a function of tensors, made once from its node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from passes.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class Step:
    """One node as torch runs it.

    Attributes:
        run: From the tensors it reads to the tensor it writes, or to a tuple of them.
        reads: Which inputs of the node are given to ``run``, by position; the others are settled by their
            values when the step is made.
        learns: ``run`` takes a last argument, whether the network is being trained.
        mixes: It works along the first axis, so that it is right for one image at a time only.
    """

    run: Callable[..., Any]
    reads: tuple[int, ...] = (0,)
    learns: bool = False
    mixes: bool = False


# From a node with static shapes (batch 1 in front) to its step. The step takes any batch.
Builder = Callable[[gs.Node], Step]


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


def shape_of(tensor: gs.Tensor) -> tuple[int, ...]:
    """Return the static shape of a tensor, the batch of 1 counted."""
    return tuple(int(d) for d in tensor.shape)


def axes_of(axes: Sequence[int], rank: int) -> list[int]:
    """Return ``axes`` counted from the front."""
    return [axis % rank for axis in axes]


def text(value: Any) -> str:
    """Return an attribute that is a text, which libraries hold as bytes or as a string."""
    return value.decode() if isinstance(value, bytes) else str(value)


def only_output(node: gs.Node, names: str) -> None:
    """Check that nobody reads more than the first output.

    Raises:
        InputError: Somebody does; ``names`` says what the others are.
    """
    if any(t.outputs for t in node.outputs[1:]):
        raise untrainable(node, f"its {names} are read")


def untrainable(node: gs.Node, reason: str) -> InputError:
    """Return the error for a node that torch cannot run."""
    return InputError(
        f"node '{node.name}' ({node.op}) cannot be trained through: {reason}",
        "train heads only (the default), or change that part of the network",
    )
