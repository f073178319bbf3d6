"""Bits of weights of the parts of a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from passes.operator_sets import FLOAT_LINEAR

USUAL = "usual"
WHOLE_BYTE = 8


@dataclass(frozen=True)
class BitsByPart:
    """Bits of weights by part; what is in none has the usual ones.

    Attributes:
        parts: Names and bits, sorted by name. A part is a layer (``stem``), or all whose names begin with it
            and a dot: a stage or a block (``stage_2``, ``stage_2.block_0``). The longest name counts.
    """

    parts: tuple[tuple[str, int], ...]

    @property
    def name(self) -> str:
        """The parts as one text."""
        return "/".join(f"{part}:{bits}" for part, bits in self.parts)

    def of_layers(self, graph: gs.Graph) -> Mapping[str, int]:
        """Return the bits of all layers of a backbone that are in a part, by name."""
        found: dict[str, int] = {}
        for part, bits in sorted(self.parts, key=lambda item: len(item[0])):
            found |= dict.fromkeys(_layers_of(graph, part), bits)
        return found

    def missing(self, graph: gs.Graph) -> frozenset[str]:
        """Return the parts that have no layer of a backbone."""
        return frozenset(part for part, _ in self.parts if not _layers_of(graph, part))


def _layers_of(graph: gs.Graph, part: str) -> list[str]:
    names = (node.name for node in graph.nodes if node.op in FLOAT_LINEAR)
    return [name for name in names if name == part or name.startswith(f"{part}.")]


BackboneBits = int | BitsByPart | None


def bits_text(bits: BackboneBits) -> str:
    """Return bits as designs and genes name them."""
    if bits is None:
        return USUAL
    return bits.name if isinstance(bits, BitsByPart) else str(bits)


def bits_size(bits: BackboneBits) -> float:
    """Return what to order bits by; of parts it is half way from the fewest to eight."""
    if isinstance(bits, BitsByPart):
        return (min(width for _, width in bits.parts) + WHOLE_BYTE) / 2
    return WHOLE_BYTE if bits is None else bits
