"""The engines of an accelerator: one per kind of core and per what stays in its memories."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from targets.cost.model.nest import LoopNest
from targets.cost.model.residency import Residency, tensor_stores, without_trips
from targets.cost.model.solution import Solution
from targets.cost.model.unrolling import ZIGZAG, Rules
from targets.cost.search.engine import Engine
from targets.description.architecture import Architecture
from targets.description.hierarchy import OPERANDS, Hierarchy
from targets.description.mapping import MappingRule
from targets.network.layer import Layer
from targets.objective import Objective

# Per operand, memories that can hold a whole tensor of it and their bits, outermost first.
Stores = Mapping[str, tuple[tuple[str, int], ...]]


class Engines:
    """Costs nests on the cores of an accelerator; equal cores share what was found out.

    Attributes:
        supports: What each core runs, as far as it was asked for.
    """

    def __init__(self, arch: Architecture) -> None:
        self.supports: dict[str, Mapping[str, tuple[Callable[[Layer, Architecture], bool], ...]]] = {}
        self._hierarchies: dict[str, Hierarchy] = {}
        self._alike: dict[str, str] = {}
        self._engines: dict[tuple[Residency, tuple[tuple[str, str], ...], int | None, Rules], Engine] = {}
        self._offchip = frozenset(arch.offchip)
        for core in arch.cores:
            hierarchy = arch.hierarchy(core.name)
            if hierarchy is not None:
                same = (name for name, other in self._hierarchies.items() if other == hierarchy)
                self._alike[core.name] = next(same, core.name)
                self._hierarchies[core.name] = hierarchy

    def has(self, core: str) -> bool:
        """Whether ``core`` has an array."""
        return core in self._hierarchies

    def alike(self, core: str) -> str:
        """Return the first core that is equal to ``core``."""
        return self._alike[core]

    def hierarchy(self, core: str) -> Hierarchy:
        """Return the array and memories of ``core``."""
        return self._hierarchies[core]

    def offchip(self, core: str) -> frozenset[str]:
        """Return the memories of ``core`` that are off chip: where none is said to be, the outermost."""
        return self._offchip or frozenset(list(self._hierarchies[core].memories)[-1:])

    def stores(self, core: str, rule: MappingRule) -> Stores:
        """Return the memories whole tensors can stay in, per operand of a layer with ``rule``.

        A complete mapping says by the number of its levels which memory an operand starts from.
        """
        hierarchy, found = self._hierarchies[core], {}
        for operand in OPERANDS:
            chain = hierarchy.levels(rule.links.get(operand, operand))
            stores = tensor_stores(hierarchy, rule.links.get(operand, operand), self.offchip(core))
            if rule.fixed is not None:
                count = len(rule.fixed.levels.get(operand, ()))
                top = chain[count - 1][0] if 0 < count <= len(chain) else ""
                stores = tuple(store for store in stores if store[0] == top)
            found[operand] = stores
        return found

    def best(
        self,
        nest: LoopNest,
        rule: MappingRule,
        objective: Objective,
        lpf_limit: int | None,
        residency: Residency,
        counting: Rules = ZIGZAG,
    ) -> Solution:
        """Return the best mapping of ``nest`` on the core of ``residency``; raises what the engine raises."""
        seen = residency.seen_by(nest)
        alike = Residency(self._alike[seen.core], seen.operands, seen.reserved)
        links = tuple(sorted(rule.links.items()))
        key = (alike, links, lpf_limit, counting)
        if key not in self._engines:
            hierarchy = without_trips(self._hierarchies[alike.core], alike, rule.links)
            self._engines[key] = Engine(hierarchy, lpf_limit, rules=counting)
        return self._engines[key].best(nest, objective, rule)
