"""Which core a layer runs on, or why none takes it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from targets.cost.layer_cost import LayerCost

COLUMNS = 78
"""How wide a refusal is told: messages are shown with two blanks in front."""


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
        declined: Every rule that the layer breaks, of cores that run such operators but not this layer.
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
        """Return the rules it breaks, a line per core (or cores that say the same), and what would help."""
        origin = f", from {self.origin[0]}" if self.origin else ""
        rules: dict[str, list[str]] = {}
        for reason in self.reasons:
            rules.setdefault(reason.core, []).append(reason.rule)
        cores: dict[str, list[str]] = {}
        for core, broken in rules.items():
            cores.setdefault("; ".join(dict.fromkeys(broken)), []).append(core)
        lines = [f"no core takes layer '{self.layer}' ({self.op_type}{origin}). Broken rules:"]
        lines += [f"{', '.join(names)}: {broken}" for broken, names in cores.items()]
        if self.hint:
            lines.append(f"To help: {self.hint}.")
        return "\n".join(_wrapped(line, "  " if number else "") for number, line in enumerate(lines))


def _wrapped(line: str, indent: str) -> str:
    """Return ``line`` as lines of at most ``COLUMNS``, but for words that are longer."""
    return textwrap.fill(
        line,
        COLUMNS,
        initial_indent=indent,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
