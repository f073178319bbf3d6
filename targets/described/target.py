"""Any accelerator whose cores have arrays and memories, costed by the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from passes.errors import InputError
from targets.contract.placement import Placement, Refusal
from targets.contract.target import Alternative, Constraint, CostModel, MappingSearch, Support, Target
from targets.cost.layer_cost import LayerCost, whole_parts
from targets.cost.model.aliases import rule_on
from targets.cost.model.nest_of_layer import nest_of
from targets.cost.model.residency import Residency
from targets.cost.model.solution import Solution
from targets.cost.model.unrolling import EXACT, RULES, Rules
from targets.cost.search.engine import DEFAULT_LPF_LIMIT
from targets.described import support as engine_support
from targets.described.costs import EngineCosts
from targets.described.engines import Engines
from targets.described.machine import machine_of
from targets.described.rules import Named, allowed_cores, chosen_rule, foreign_loops, idle_rules
from targets.description.architecture import Architecture
from targets.description.mapping import MappingRule, NoMappingError, RuleError, Unrolling
from targets.network.layer import Bits, Layer
from targets.network.workload import Workload
from targets.objective import EDP, Objective
from targets.schedule.freedom import FUSED, LAYERS, SPLIT, Freedom
from targets.schedule.machine import Machine

ENGINE_MODEL = CostModel(
    "the mapping and cost model of ZigZag 3.8.5",
    "none against that tool by the rules `zigzag`, which give its figures for the same mapping; the rules "
    "`exact` count what these round away; how far from silicon depends on the numbers of the description, "
    "and nobody has measured it here",
)
USUAL_SCHEMES = ("int8-channel",)
"""By which cores compute of which nothing is said: the most that inference engines agree on."""


@dataclass(frozen=True)
class EngineTarget(Target):
    """An accelerator described by arrays and memories; mappings are searched layer by layer.

    Attributes:
        architecture: The description.
        rules: What the user asks of the mapping of some layers.
        lpf_limit: Most temporal factors per layer; ``None`` takes all prime factors.
        locality: Tensors may stay on chip between layers; else each layer reads and writes off chip.
        counting: How latency counts unrollings that leave a remainder.
        objective: What mappings minimise.
        engines: What was found out so far.
        watch: Called with the name of a layer before its mapping is searched.

    Cores compute by the schemes of the description; where it names none, by those of the class, or the usual.
    """

    name: ClassVar[str] = "file"
    cost_models: ClassVar[Mapping[str, CostModel]] = {"engine": ENGINE_MODEL}
    schemes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    # Rules for layers of which the user says nothing.
    own_rules: ClassVar[tuple[MappingRule, ...]] = ()

    architecture: Architecture | None = None
    rules: tuple[MappingRule, ...] = ()
    lpf_limit: int | None = DEFAULT_LPF_LIMIT
    locality: bool = True
    counting: Rules = EXACT
    objective: Objective = EDP
    engines: Engines | None = field(default=None, compare=False, repr=False)
    watch: Callable[[str], None] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            InputError: A wrong option, or no core with an array.
        """
        super().__post_init__()
        if self.lpf_limit is not None and self.lpf_limit < 1:
            raise InputError(f"the limit of temporal factors must be at least 1, not {self.lpf_limit}")
        if self.engines is None:
            object.__setattr__(self, "engines", Engines(self.arch))
        if not any(self._engines.has(core.name) for core in self.arch.cores):
            raise InputError(
                f"no core of {self.arch.name} has an array", "give a core 'array' and 'memories' in its file"
            )

    @property
    def _engines(self) -> Engines:
        if self.engines is None:
            raise ValueError("engines are made on construction")
        return self.engines

    @property
    def arch(self) -> Architecture:
        """The description."""
        if self.architecture is None:
            raise InputError(f"target '{self.name}' needs an accelerator description")
        return self.architecture

    @property
    def title(self) -> str:
        """Name of the description."""
        return self.arch.name

    @property
    def search(self) -> MappingSearch:
        """How mappings are searched."""
        return MappingSearch(self.lpf_limit, self.locality, self.counting)

    def counted_by(self, rules: str) -> EngineTarget:
        """Return this target with latency counted by ``rules``; raises InputError for unknown ones."""
        known = next((name for name in RULES if name == rules), None)
        if known is None:
            raise InputError(f"`rules` {rules}: there are {' and '.join(RULES)}", f"{EXACT} is the default")
        return replace(self, counting=known)

    def alternatives(self) -> tuple[Alternative, ...]:
        """Return this target with latency counted by the other rules, beside what all targets have."""
        others = tuple(
            Alternative(name, "rules", replace(self, counting=name))
            for name in RULES
            if name != self.counting
        )
        return (*super().alternatives(), *others)

    @property
    def precision(self) -> Bits:
        """8-bit operands and results, 16-bit partial sums."""
        return Bits(8, 8, 16, logits=8)

    def scheme_names(self, core: str) -> tuple[str, ...]:
        """Return the names of the schemes that ``core`` can compute in, the usual one first."""
        return self.arch.core(core).schemes or super().scheme_names(core) or USUAL_SCHEMES

    def support(self, core: str) -> Support:
        """Return what a core of its kind runs."""
        known = self._engines.supports
        if core not in known:
            known[core] = engine_support.support(self.arch, core)
        return known[core]

    def hint(self, constraint: Constraint) -> str:
        """Return what helps against a broken rule."""
        return engine_support.HINTS.get(constraint, "")

    def declines(self, layer: Layer, core: str) -> str:
        """Return why the mapping file keeps ``layer`` off ``core``."""
        allowed = self._allowed(layer)
        if allowed and core not in allowed:
            return f"The mapping file allows {', '.join(allowed)}"
        return ""

    def place(self, layer: Layer, objective: Objective = EDP) -> Placement | Refusal:
        """Put ``layer`` on the core where its best mapping for ``objective`` is cheapest."""
        bound = self if objective == self.objective else replace(self, objective=objective)
        placed = super(EngineTarget, bound).place(layer, objective)
        if isinstance(placed, Refusal) and not placed.hint:
            runs = any(layer.op_type in self.support(core.name) for core in self.arch.cores)
            return replace(placed, hint=engine_support.help_with(runs))
        return placed

    def cost(self, layer: Layer, core: str) -> LayerCost:
        """Return the cost of the best mapping of ``layer`` on ``core``.

        Raises:
            NoMappingError: No mapping fits the memories.
            InputError: A rule asks for what cannot be.
        """
        return self.cost_of(self.solution(layer, core), core)

    def cost_of(self, found: Solution, core: str) -> LayerCost:
        """Return a mapping found for ``core`` as the cost of a layer, in whole cycles."""
        # Windows unrolled by what does not divide them move less than their data in the reference model.
        bound_cycles = math.floor(min(found.bound_cycles, found.latency_cycles))
        load, compute, stall, store = whole_parts(
            (found.onload_cycles, found.compute_cycles, found.stall_cycles, found.offload_cycles)
        )
        return LayerCost(
            compute_cycles=compute,
            dma_cycles=0,
            host_cycles=0,
            job_cycles=0,
            energy_pj=found.energy_pj,
            utilization=min(1.0, found.utilization),
            bound_cycles=max(1, bound_cycles),
            known=self._engines.hierarchy(core).array.known,
            stall_cycles=stall,
            load_cycles=load,
            store_cycles=store,
            detail=found,
        )

    def solution(
        self,
        layer: Layer,
        core: str,
        residency: Residency | None = None,
        unrolling: Unrolling | None = None,
    ) -> Solution:
        """Return the best mapping; all operands are off chip unless ``residency`` says what is not.

        Args:
            layer: The layer, or a tile of one.
            core: Name of a core with an array.
            residency: What stays in the memories of the core.
            unrolling: The spatial mapping; ``None`` is that of the layer's rule, searched where it is open.

        Raises:
            NoMappingError: No mapping fits the memories.
            RuleError: A rule asks for what cannot be; the message names the layer.
        """
        nest = nest_of(layer)
        rule = rule_on(nest, self.rule(layer), self._engines.hierarchy(core).dataflow)
        if unrolling is not None and rule.fixed is None:
            rule = replace(rule, spatial=unrolling)
        if self.watch is not None:
            self.watch(layer.name)
        try:
            return self._engines.best(
                nest, rule, self.objective, self.lpf_limit, residency or Residency(core), self.counting
            )
        except NoMappingError:
            raise
        except InputError as error:
            raise RuleError(f"layer '{layer.name}' on core '{core}': {error.message}", error.hint) from None

    def rule(self, layer: Named) -> MappingRule:
        """Return the rule of a layer: what the user says of it, else what the target says."""
        return chosen_rule(layer, self.rules, self.own_rules)

    def alike(self, core: str) -> str:
        """Return the first core that is equal to ``core``."""
        return self._engines.alike(core) if self._engines.has(core) else core

    def offchip(self, core: str) -> frozenset[str]:
        """Return the memories of ``core`` that are off chip."""
        return self._engines.offchip(core) if self._engines.has(core) else frozenset()

    def fixed_stores(self, layer: Layer, core: str) -> dict[str, str] | None:
        """Return the memory of ``core`` each operand starts from in a saved mapping, where it is on chip.

        ``None`` where no complete mapping of the layer is given.
        """
        rule = self.rule(layer)
        if rule.fixed is None:
            return None
        stores = self._engines.stores(core, rule)
        return {operand: found[0][0] for operand, found in stores.items() if found}

    def links(self, layer: Layer) -> Mapping[str, str]:
        """Return operands of ``layer`` that use the memories of another one."""
        return {operand: other for operand, other in self.rule(layer).links.items() if operand != other}

    def machine(self) -> Machine:
        """Return the stores, routes and resources of the description."""
        return machine_of(self.arch, self._engines)

    def costs(self, machine: Machine, workload: Workload) -> EngineCosts:
        """Return what the best mapping of a tile costs, by what lies in the stores of its core."""
        return EngineCosts(self, machine, workload)

    def _allowed(self, layer: Layer) -> tuple[str, ...]:
        """Return the cores a rule restricts ``layer`` to; empty for all."""
        running = {core.name: layer.op_type in self.support(core.name) for core in self.arch.cores}
        return allowed_cores(self.rule(layer), running)

    @property
    def schedules(self) -> Mapping[str, Freedom]:
        """All the scheduler can do first, then less; without locality, cores and order of whole layers."""
        if not self.locality:
            return {LAYERS: Freedom(split=False, fuse=False, hold=False)}
        return {FUSED: Freedom(), SPLIT: Freedom(fuse=False), LAYERS: Freedom(split=False, fuse=False)}

    def with_architecture(self, arch: Architecture) -> EngineTarget:
        """Return this target with another description."""
        return replace(self, architecture=arch, engines=None)

    def for_objective(self, objective: Objective) -> EngineTarget:
        """Return this target with mappings searched for ``objective``."""
        return replace(self, objective=objective)

    def warnings(self, workload: Workload) -> tuple[str, ...]:
        """Name the rules no layer follows, and those that name loops a layer does not have."""
        idle = idle_rules(self.rules, workload.layers)
        unused = (f"no layer follows the mapping of: {', '.join(idle)}",) if idle else ()
        return (*unused, *foreign_loops(self.rules, workload.layers))
