"""Which core a layer runs on, or why none takes it."""

from __future__ import annotations

from dataclasses import dataclass

from targets.cost.layer_cost import LayerCost


@dataclass(frozen=True)
class CandidateCore:
    """A core that may run the layer, and what it costs there."""

    core: str
    cost: LayerCost


@dataclass(frozen=True)
class Reason:
    """A rule of a core that a layer breaks: the sentence of its constraint."""

    core: str
    rule: str


@dataclass(frozen=True)
class Placement:
    """The chosen core, all legal cores, and why the others declined.

    Attributes:
        candidates: Legal cores, cheapest first at nominal host cost; the first is the chosen one.
        declined: Cores that run such operators but not this layer.
    """

    layer: str
    candidates: tuple[CandidateCore, ...]
    declined: tuple[Reason, ...] = ()

    @property
    def core(self) -> str:
        """Name of the chosen core."""
        return self.candidates[0].core

    @property
    def cost(self) -> LayerCost:
        """Cost on the chosen core."""
        return self.candidates[0].cost


@dataclass(frozen=True)
class Refusal:
    """A layer no core takes: every rule it breaks, and what would help."""

    layer: str
    op_type: str
    origin: tuple[str, ...]
    reasons: tuple[Reason, ...]
    hint: str

    def __str__(self) -> str:
        why = "; ".join(f"{r.core}: {r.rule}" for r in self.reasons)
        origin = f", from {self.origin[0]}" if self.origin else ""
        hint = f" To help: {self.hint}." if self.hint else ""
        return f"no core takes layer '{self.layer}' ({self.op_type}{origin}). Broken rules: {why}.{hint}"
