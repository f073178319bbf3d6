"""The prune-branches pass: what an Add adds goes whole, and all layers that serve nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.errors import InputError
from passes.model.graph import tidy
from passes.pruning.channels import shape_of
from passes.pruning.groups import MAKERS
from passes.rewrite.rewriter import Rewriter
from passes.state import state_of

_REMOVE = re.compile(r"add_(\d+)/(\d+):([01])")


@dataclass(frozen=True)
class Branch:
    """One of the two operands of an Add, which may go: the other one then stands for the sum.

    Attributes:
        text: What ``prune-branches`` removes it by: ``add_0/3:1`` is the second operand of the first of 3.
        add: Name of the Add.
        operand: Which one.
        layers: Names of the layers with weights that go with it.
    """

    text: str
    add: str
    operand: int
    layers: tuple[str, ...]


@dataclass(frozen=True)
class PruneBranches(Pass):
    """Take away what an Add adds to something else, and with it all layers that serve nothing else.

    1. ``remove``: the operands listed, ``add_0/3:1`` for the second of the first Add of three; Adds count
       that add two computed tensors. What read the sum reads the other operand. Where there are fewer Adds,
       nothing happens.
    2. An operand stays that is repeated or has no layers of its own: these must have weights, and nobody else
       may read what they make, neither another layer nor an exit.
    """

    name: ClassVar[str] = "prune-branches"
    remove: tuple[str, ...] = ()

    def requires(self, graph: gs.Graph) -> None:
        """A network that is not quantized: grids were found for what there was."""
        if state_of(graph).grids or any(node.op == "QuantizeLinear" for node in graph.nodes):
            raise self.broken(graph, "the network has integer grids", "prune before `quantize`")

    def run(self, graph: gs.Graph) -> bool:
        """Remove what was asked for."""
        rewriter = Rewriter(graph, self.name)
        known = {branch.text: branch for branch in find_branches(graph)}
        adds = _adds(graph)
        asked = [_asked(text, adds, known) for text in dict.fromkeys(self.remove)]
        found = [branch for branch in asked if branch is not None]
        if len({branch.add for branch in found}) < len(found):
            raise InputError(
                f"`remove` {'+'.join(self.remove)}: one operand has to stay", "name one of an Add"
            )
        changed = False
        for branch in found:
            add = next((node for node in graph.nodes if node.name == branch.add), None)
            if add is None:  # it went with another branch
                continue
            if not rewriter.replace(add.outputs[0], add.inputs[1 - branch.operand]):
                rewriter.decline(add, "what it adds to is what the network reads or answers")
                continue
            tidy(graph)
            changed = True
        return changed


def find_branches(graph: gs.Graph) -> list[Branch]:
    """Return the operands of Adds that may go, in the order of the network."""
    found = []
    rewriter, adds = Rewriter(graph, PruneBranches.name), _adds(graph)
    for number, add in enumerate(adds):
        if shape_of(add.inputs[0]) != shape_of(add.inputs[1]) or add.inputs[0] is add.inputs[1]:
            continue
        for operand in (0, 1):
            layers = _own_layers(rewriter, add, operand)
            if layers:
                found.append(Branch(f"add_{number}/{len(adds)}:{operand}", add.name, operand, layers))
    return found


def _adds(graph: gs.Graph) -> list[gs.Node]:
    """Return the Adds of two computed tensors, in the order of the network."""
    return [
        node
        for node in graph.nodes
        if node.op == "Add" and not any(isinstance(t, gs.Constant) for t in node.inputs)
    ]


def _own_layers(rewriter: Rewriter, add: gs.Node, operand: int) -> tuple[str, ...]:
    """Return the names of the layers with weights all whose readers serve this operand."""
    own: dict[int, gs.Node] = {}

    def serves(tensor: gs.Tensor) -> bool:
        if rewriter.is_output(tensor) or rewriter.is_mount(tensor):
            return False
        return all(
            id(reader) in own or (reader is add and add.inputs[operand] is tensor)
            for reader in tensor.outputs
        )

    for node in reversed(rewriter.graph.nodes):  # readers come first
        if node is not add and node.inputs and all(serves(tensor) for tensor in node.outputs):
            own[id(node)] = node
    return tuple(node.name for node in reversed([*own.values()]) if node.op in MAKERS)


def _asked(text: str, adds: Sequence[gs.Node], known: dict[str, Branch]) -> Branch | None:
    match = _REMOVE.fullmatch(text)
    if match is None or int(match[1]) >= int(match[2]):
        raise InputError(
            f"`remove` cannot be '{text}'",
            "say which operand of which Add goes: add_0/3:1 is the second of the first of three",
        )
    if len(adds) < int(match[2]):
        return None
    if len(adds) > int(match[2]):
        raise InputError(f"`remove` {text}: there are {len(adds)} Adds", "take the text for this network")
    if text not in known:
        add = adds[int(match[1])]
        raise InputError(
            f"`remove` {text}: what '{add.name}' adds there is repeated, or no layers serve it alone",
            "it can remove " + (", ".join(known) or "nothing"),
        )
    return known[text]
