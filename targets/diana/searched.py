"""DIANA's cost model `engine`: mappings searched on the arrays and memories of its description."""

from __future__ import annotations

from targets.cost.model.nest_of_layer import nest_of
from targets.cost.model.residency import Residency
from targets.cost.model.solution import Solution
from targets.cost.search.engine import DEFAULT_LPF_LIMIT
from targets.described.engines import Engines
from targets.description.architecture import Architecture
from targets.description.mapping import MappingRule
from targets.diana.tiling import elementwise_traffic, linear_traffic
from targets.network.layer import Layer
from targets.objective import LATENCY


class Searched:
    """The fastest mappings on DIANA: with energy as power times time, no others are better.

    Each layer reads its operands from L2 and writes its result back, as under the other cost models.
    """

    def __init__(self, arch: Architecture) -> None:
        self.arch = arch
        self.engines = Engines(arch)

    def solution(self, layer: Layer, core: str) -> Solution:
        """Return the fastest mapping of ``layer``; raises NoMappingError if none fits the memories."""
        rule = MappingRule("default", spatial=self.arch.core(core).dataflow)
        return self.engines.best(nest_of(layer), rule, LATENCY, DEFAULT_LPF_LIMIT, Residency(core))

    def jobs(self, layer: Layer, core: str) -> int:
        """Return how often the host starts the core, as under the other cost models."""
        l1_bytes = self.arch.size_bytes("l1")
        if core == "digital":
            pieces = linear_traffic(layer, l1_bytes, self.arch.size_bytes("digital_weights"))
            if pieces is not None:
                return pieces.jobs
        return elementwise_traffic(layer, l1_bytes).jobs
