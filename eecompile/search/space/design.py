"""A design: what must be trained to know how accurate it is. And the genes that lead to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_graphsurgeon as gs

from eecompile.pruning.goal import PruningGoal
from eecompile.quantization.layer_schemes import BACKBONE, HEAD
from eecompile.quantization.wishes import SchemeWish
from eecompile.search.backbones.family import Number
from eecompile.search.backbones.final_head import FinalHead, split_finals
from eecompile.search.space.bits import BackboneBits, BitsByPart, bits_text
from passes.exits.chain import head_nodes, keep_exits
from passes.operator_sets import FLOAT_LINEAR
from passes.option_text import print_named
from passes.state import Exit, state_of

Value = Number | str


@dataclass(frozen=True)
class SpaceGene:
    """One choice that makes a design.

    Attributes:
        name: The path of its key in the file of the space.
        choices: What there is; the order of what is ``ordered``.
        of: The family that has it; empty if all have.
        ordered: Choices are numbers that rise.
        falls: The last of them is the one that costs least, not most.
    """

    name: str
    choices: tuple[Value, ...]
    of: str = ""
    ordered: bool = False
    falls: bool = False


@dataclass(frozen=True)
class Design:
    """A backbone, the numbers it is computed with, and how much of it is pruned.

    Attributes:
        family: Name of the family; ``file`` for a network of the user.
        genes: Values of the genes of the family; none for a file.
        backbone: Canonical text of the backbone.
        backbone_bits: Bits of its weights, all alike or by part; ``None``: the usual ones.
        head_bits: Of the weights of heads.
        placement: ``auto``, ``analog`` or ``digital``.
        goal: What pruning shall save; ``None``: the backbone stays whole.
    """

    family: str
    genes: Mapping[str, Number] = field(hash=False)
    backbone: str
    backbone_bits: BackboneBits
    head_bits: int | None
    placement: str
    goal: PruningGoal | None

    @property
    def text(self) -> str:
        """The design as one text, the same for equal designs alone."""
        said = {
            "backbone": self.backbone,
            "bits": bits_text(self.backbone_bits),
            "head_bits": bits_text(self.head_bits),
            "placement": self.placement,
            "prune": "none" if self.goal is None else str(self.goal),
        }
        return print_named("design", said)

    def wish(self, graph: gs.Graph, finals: Sequence[FinalHead] = (None,)) -> SchemeWish:
        """Return what it asks of the numbers of layers.

        Final heads count as the backbone: also those of a supernet that stand beside the one that closes it.

        Args:
            graph: A network of the design, or its supernet.
            finals: Final heads among its exits.
        """
        exits, bits = state_of(graph).exits, dict[str, int]()
        if isinstance(self.backbone_bits, BitsByPart):
            bits |= self.backbone_bits.of_layers(keep_exits(graph, []) if exits else graph)
        elif self.backbone_bits is not None:
            bits[BACKBONE] = self.backbone_bits
        if self.head_bits is not None:
            bits[HEAD] = self.head_bits
        if len(finals) == 1:
            return SchemeWish(self.placement, bits)
        # What is no early exit is among the heads here, so that each layer is told by its name.
        early, closing = split_finals(exits, finals)
        for part, key in ((early, HEAD), (closing, BACKBONE)):
            if key in bits:
                bits |= dict.fromkeys(_head_layers(graph, part), bits[key])
        bits.pop(HEAD, None)
        return SchemeWish(self.placement, bits)


def _head_layers(graph: gs.Graph, exits: Sequence[Exit]) -> list[str]:
    """Return the names of the layers with weights that run for some exits alone, but for the last one."""
    last = state_of(graph).exits[-1]
    nodes = (node for item in exits if item is not last for node in head_nodes(graph, item))
    return [node.name for node in nodes if node.op in FLOAT_LINEAR]
