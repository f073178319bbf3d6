"""Which core a layer runs on, or why none takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from passes.errors import InputError, did_you_mean
from targets.cost.base import LayerCost

OBJECTIVES: Mapping[str, Callable[[LayerCost], float]] = {
    "edp": lambda cost: cost.energy_pj * cost.latency_cycles,
    "latency": lambda cost: float(cost.latency_cycles),
    "energy": lambda cost: cost.energy_pj,
}


@dataclass(frozen=True)
class Candidate:
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
    candidates: tuple[Candidate, ...]
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


def objective_key(name: str) -> Callable[[LayerCost], float]:
    """Return the cost an objective minimises; raises InputError for an unknown one."""
    if name not in OBJECTIVES:
        raise InputError(f"unknown objective '{name}'", did_you_mean(name, OBJECTIVES))
    return OBJECTIVES[name]
