"""Where the weights of a network lie in those of the largest network of its family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.step import shape_of
from eecompile.training.torch_graph import learnt_constants
from passes.errors import InputError
from passes.exits.chain import head_nodes
from passes.state import state_of

Tensor = torch.Tensor


@dataclass(frozen=True)
class WeightSlice:
    """Where one constant lies in a larger one.

    Attributes:
        name: Of the larger one.
        index: What of it, axis by axis.
    """

    name: str
    index: tuple[slice, ...]

    def of(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return that part of the larger constant: a view, through which gradients flow back."""
        return values[self.name][self.index]


def slices_of(part: gs.Graph, whole: gs.Graph) -> dict[str, WeightSlice]:
    """Return for each constant that ``part`` learns where it lies in ``whole``.

    * Layers go by name, heads of early exits by their mount and design, as exits are counted in each network.
    * Of channels the leading ones are taken, of kernels the centre.

    Args:
        part: A network, or the form in which it is trained.
        whole: One of the same family that is nowhere smaller, in the same form.

    Raises:
        InputError: A layer that the larger network does not have, or has otherwise.
    """
    twins = _twins(part, whole)
    learnt = set(learnt_constants(part))
    found = {}
    for node in part.nodes:
        for number, tensor in enumerate(node.inputs):
            if not isinstance(tensor, gs.Constant) or tensor.name not in learnt:
                continue
            twin = twins.get(node.name)
            if twin is None:
                raise _unlike(node, "the largest network of its family has no such layer")
            found[tensor.name] = _slice(node, twin, number)
    return found


def _twins(part: gs.Graph, whole: gs.Graph) -> dict[str, gs.Node]:
    """Return for the nodes of ``part`` by name those of ``whole`` that they are."""
    theirs = {node.name: node for node in whole.nodes}
    ours = {(item.mount, item.head): item for item in state_of(part).exits[:-1]}
    given = {(item.mount, item.head): item for item in state_of(whole).exits[:-1]}
    twins: dict[str, gs.Node] = {}
    heads: set[str] = set()
    for place, item in ours.items():
        nodes = head_nodes(part, item)
        heads |= {node.name for node in nodes}
        if place in given:
            twins |= {
                node.name: twin for node, twin in zip(nodes, head_nodes(whole, given[place]), strict=False)
            }
    return twins | {
        node.name: theirs[node.name] for node in part.nodes if node.name not in heads and node.name in theirs
    }


def _slice(node: gs.Node, twin: gs.Node, number: int) -> WeightSlice:
    """Return where an input of a layer lies in that of its twin."""
    if node.op != twin.op or len(node.inputs) != len(twin.inputs):
        raise _unlike(node, f"it is {twin.op} '{twin.name}' in the largest network of its family")
    maps = [shape_of(one.outputs[0])[2:] for one in (node, twin)]
    if maps[0] != maps[1]:
        raise _unlike(node, f"it makes a map of {list(maps[0])} places, and {list(maps[1])} in the largest")
    small, large = (shape_of(one.inputs[number]) for one in (node, twin))
    if len(small) != len(large) or any(a > b for a, b in zip(small, large, strict=True)):
        raise _unlike(node, f"it has {list(small)} weights, and {list(large)} in the largest")
    index = []
    for axis, (size, most) in enumerate(zip(small, large, strict=True)):
        first = (most - 1) // 2 - (size - 1) // 2 if node.op == "Conv" and axis > 1 else 0
        index.append(slice(first, first + size))
    return WeightSlice(str(twin.inputs[number].name), tuple(index))


def _unlike(node: gs.Node, reason: str) -> InputError:
    return InputError(
        f"{node.op} '{node.name}' is no slice of the largest network: {reason}",
        "search without `share`; who wrote the family says with `shares` which genes allow it",
    )
