"""Designs of a family as slices of one network, the one of its largest genes, that is trained once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.search.backbones.family import Number
from eecompile.search.space.design import Design
from eecompile.search.space.searched_backbones import SearchedFamily
from eecompile.search.space.space import Space

Genes = tuple[Number, ...]


@dataclass(frozen=True)
class SharedFamily:
    """The designs of a family that share weights: those that differ in genes of the backbone.

    Attributes:
        space: What is searched.
        family: One of its families.
        network: The supernet of a design with weights absent.
    """

    space: Space
    family: SearchedFamily
    network: Callable[[Design], gs.Graph]

    @property
    def choices(self) -> dict[str, tuple[Number, ...]]:
        """Values of each gene, those that cost least first."""
        return {
            gene.name: self.family.choices[gene.name][:: -1 if gene.falls else 1]
            for gene in self.family.family.genes
        }

    @property
    def smallest(self) -> Genes:
        """Genes of the design that costs least."""
        return tuple(values[0] for values in self.choices.values())

    @property
    def largest(self) -> Genes:
        """Genes of the design that all others are slices of."""
        return tuple(values[-1] for values in self.choices.values())

    def draw(self, rng: np.random.Generator) -> Genes:
        """Return genes of one of the designs, each as likely."""
        return tuple(values[int(rng.integers(len(values)))] for values in self.choices.values())

    def absent(self, genes: Genes) -> gs.Graph:
        """Return the supernet of a design with weights absent."""
        chosen = dict(zip(self.choices, genes, strict=True))
        return self.network(self.space.backbone_design(self.family, chosen))

    def build(self, genes: Genes) -> gs.Graph:
        """Return the supernet of a design, its weights drawn: they are of no meaning."""
        from eecompile.training.fresh_weights import draw_network

        graph = self.absent(genes)
        draw_network(graph, 0)
        return graph
