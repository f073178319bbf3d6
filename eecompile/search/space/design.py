"""A design: what must be trained to know how accurate it is. And the genes that lead to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eecompile.pruning.goal import PruningGoal
from eecompile.quantization.layer_schemes import BACKBONE, HEAD
from eecompile.quantization.wishes import SchemeWish
from eecompile.search.backbones.family import Number
from passes.option_text import print_named

Value = Number | str


@dataclass(frozen=True)
class SpaceGene:
    """One choice that makes a design.

    Attributes:
        name: The path of its key in the file of the space.
        choices: What there is; the order of what is ``ordered``.
        of: The family that has it; empty if all have.
        ordered: Choices are numbers that rise.
    """

    name: str
    choices: tuple[Value, ...]
    of: str = ""
    ordered: bool = False


@dataclass(frozen=True)
class Design:
    """A backbone, the numbers it is computed with, and how much of it is pruned.

    Attributes:
        family: Name of the family; ``file`` for a network of the user.
        genes: Values of the genes of the family; none for a file.
        backbone: Canonical text of the backbone.
        backbone_bits: Bits of its weights; ``None``: the usual ones.
        head_bits: Likewise of heads.
        placement: ``auto``, ``analog`` or ``digital``.
        goal: What pruning shall save; ``None``: the backbone stays whole.
    """

    family: str
    genes: Mapping[str, Number] = field(hash=False)
    backbone: str
    backbone_bits: int | None
    head_bits: int | None
    placement: str
    goal: PruningGoal | None

    @property
    def text(self) -> str:
        """The design as one text, the same for equal designs alone."""
        said = {
            "backbone": self.backbone,
            "bits": self.backbone_bits or "usual",
            "head_bits": self.head_bits or "usual",
            "placement": self.placement,
            "prune": "none" if self.goal is None else str(self.goal),
        }
        return print_named("design", said)

    @property
    def wish(self) -> SchemeWish:
        """What it asks of the numbers of layers."""
        bits = {BACKBONE: self.backbone_bits, HEAD: self.head_bits}
        return SchemeWish(self.placement, {part: width for part, width in bits.items() if width is not None})
