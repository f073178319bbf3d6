"""Targets with closed-form costs, as the scheduler sees them: every layer is a trip from the outer store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from targets.contract.target import Constraint, Demand, Support, Target
from targets.cost.layer_cost import LayerCost, energy_pj
from targets.description.architecture import Architecture
from targets.description.mapping import NoMappingError
from targets.network.layer import Layer
from targets.network.workload import Workload
from targets.schedule.machine import OUTER, Machine, Store, Word
from targets.schedule.network import Held, Option, network_of, weights_name
from targets.schedule.room import coming_from_beyond, weight_bits
from targets.schedule.tiles import weight_extent


def closed_form_machine(arch: Architecture, outer_memory: str = "", word_bits: int = 1) -> Machine:
    """Return the machine on which every layer reads all it needs from one store and writes its result there.

    What that takes is part of the layer's cost, so nothing else moves and no core holds anything in between.

    Args:
        arch: The accelerator.
        outer_memory: The memory tensors lie in between layers; empty leaves them room without end.
        word_bits: They are padded to whole words of so many bits.
    """
    engines = [core.name for core in arch.cores] + ([arch.dma.name] if arch.dma is not None else [])
    if outer_memory:
        store = Store(outer_memory, 8 * arch.size_bytes(outer_memory), Word(1), Word(1))
    else:
        store = Store(OUTER, None, Word(1), Word(1))
    return Machine(dict.fromkeys(engines, 1.0), {OUTER: store}, {}, {}, word_bits=word_bits)


class ClosedFormCosts:
    """Costs of a target's layers, each found out once; see :class:`targets.schedule.network.CoreCosts`."""

    def __init__(self, target: ClosedFormTarget, beyond: Mapping[str, int] | None = None) -> None:
        self._target = target
        self._beyond = beyond or {}
        self._cores: dict[Layer, tuple[str, ...]] = {}
        self._options: dict[tuple[Layer, str], Option] = {}

    def cores(self, layer: Layer) -> tuple[str, ...]:
        """Return the cores that take ``layer`` by their rules, by name."""
        if layer not in self._cores:
            found = []
            for core in self._target.survey(layer).cores:
                try:
                    self._options[layer, core] = self._option(layer, core)
                except NoMappingError:
                    continue
                found.append(core)
            self._cores[layer] = tuple(sorted(found))
        return self._cores[layer]

    def _option(self, layer: Layer, core: str) -> Option:
        cost, name = self._target.cost(layer, core), weights_name(layer)
        workspace = self._target.workspace_bits(layer, core)
        buffers = ((OUTER, workspace),) if workspace else ()
        if name not in self._beyond:
            return Option(cost, buffers)
        return Option(self._target.fetching(layer, core, cost), (*buffers, (OUTER, self._beyond[name])))

    def alike(self, core: str) -> str:
        """Return ``core``: no two cores of such a target are alike."""
        return core

    def option(self, tile: Layer, core: str, held: Held) -> Option | None:  # noqa: ARG002
        """Return the cost of ``tile`` with its trip; ``None`` where the rules of ``core`` refuse it."""
        self.cores(tile)
        return self._options.get((tile, core))

    def resources(self, core: str, cost: LayerCost) -> tuple[tuple[str, float], ...]:
        """Return the core, the DMA for transfers, and the host for its work or because it waits busily."""
        arch = self._target.arch
        taken = [core]
        if cost.dma_cycles and arch.dma is not None:
            taken.append(arch.dma.name)
        if arch.host is not None and (arch.host_waits or cost.host_cycles or cost.job_cycles):
            taken.append(arch.host)
        return tuple((name, 1.0) for name in dict.fromkeys(taken))


@dataclass(frozen=True)
class ClosedFormTarget(Target):
    """A target whose costs are closed forms with every layer's transfers in them.

    Attributes:
        outer_memory: The memory tensors and weights lie in between layers; empty takes it to be endless.
        inner_memory: The memory of the cores; weights from beyond come in pieces of at most its size.
        spill_memory: The memory from which weights are fetched that do not fit ``outer_memory`` beside all
            else; empty where the description has none, so that such a network is refused.
        word_bits: Tensors are padded to whole words of so many bits.
        rules: Core -> the operators it runs, each with its rules.
        hints: What helps against a broken rule.
        demands: What a layer needs of the capacity that a rule is about, how much there is, and of what.
        changed: A description in place of the target's own.
    """

    rules: ClassVar[Mapping[str, Support]]
    hints: ClassVar[Mapping[Constraint, str]] = {}
    demands: ClassVar[Mapping[Constraint, Demand]] = {}
    outer_memory: ClassVar[str] = ""
    inner_memory: ClassVar[str] = ""
    spill_memory: ClassVar[str] = ""
    word_bits: ClassVar[int] = 1

    changed: Architecture | None = field(default=None, kw_only=True, hash=False)

    def with_architecture(self, arch: Architecture) -> ClosedFormTarget:
        """Return this target with another description.

        Raises:
            InputError: Its class does not look for one that is changed.
        """
        found = replace(self, changed=arch)
        if found.arch is not arch:
            super().with_architecture(arch)  # refuses
        return found

    def support(self, core: str) -> Support:
        """Return the operators of ``core`` and their rules."""
        self.arch.core(core)
        return self.rules[core]

    def hint(self, constraint: Constraint) -> str:
        """Return what helps against a broken rule."""
        return self.hints.get(constraint, "")

    def demand(self, constraint: Constraint, layer: Layer) -> str:
        """Return demand and bound of the capacity that a broken rule is about."""
        if constraint not in self.demands:
            return ""
        need, bound, unit = self.demands[constraint](layer, self.arch)
        return f" (needs {need:,} {unit}, there are {bound:,.0f})"

    def machine(self) -> Machine:
        """Return the machine on which no tensor stays in a core between layers."""
        return closed_form_machine(self.arch, self.outer_memory, self.word_bits)

    def costs(self, machine: Machine, workload: Workload) -> ClosedFormCosts:  # noqa: ARG002
        """Return the costs of whole layers, trips and all."""
        return ClosedFormCosts(self, self.beyond(workload))

    def beyond(self, workload: Workload) -> Mapping[str, int]:
        """Return the weights that ``outer_memory`` has no room for beside all else, if they can be fetched.

        They can be if ``spill_memory`` holds all weights of the network.
        """
        if not (self.outer_memory and self.spill_memory):
            return {}
        network = network_of(workload, self.machine(), ClosedFormCosts(self), {})
        if sum(weight_bits(network, i) for i in network.order) > 8 * self.arch.size_bytes(self.spill_memory):
            return {}
        outer_bits, piece_bits = (8 * self.arch.size_bytes(m) for m in (self.outer_memory, self.inner_memory))
        return coming_from_beyond(network, outer_bits, piece_bits)

    def workspace_bits(self, layer: Layer, core: str) -> int:  # noqa: ARG002
        """Return what ``layer`` takes of the outer memory beside its tensors while it runs; usually none."""
        return 0

    def fetching(self, layer: Layer, core: str, cost: LayerCost) -> LayerCost:
        """Return ``cost`` with the weights of ``layer`` fetched from ``spill_memory`` before all else.

        Each comes once, while ``core`` waits at its active power; what the memory itself takes is not known.
        """
        extent = weight_extent(layer)
        bandwidth = self.arch.memory(self.spill_memory).bandwidth_bytes_per_cycle.value
        cycles = math.ceil(extent.bits_of(extent.whole) / 8 / bandwidth)
        power_mw, clock_hz = self.arch.core(core).active_power_mw, self.arch.clock_hz
        waiting_pj = 0.0
        if power_mw is not None and clock_hz is not None:
            waiting_pj = energy_pj(power_mw.value, cycles, clock_hz)
        return replace(
            cost,
            load_cycles=cost.load_cycles + cycles,
            energy_pj=cost.energy_pj + waiting_pj,
            utilization=cost.utilization * cost.latency_cycles / (cost.latency_cycles + cycles),
            bound_cycles=max(cost.bound_cycles, cycles),
        )

    def warnings(self, workload: Workload) -> tuple[str, ...]:
        """Tell which weights do not stay in ``outer_memory``."""
        beyond = self.beyond(workload)
        if not beyond:
            return ()
        extents = {weights_name(layer): weight_extent(layer) for layer in workload.layers}
        fetched = sum(extents[name].bits_of(extents[name].whole) for name in beyond)
        layers = f"{len(beyond)} layers" if len(beyond) > 1 else "1 layer"
        return (
            f"{self.outer_memory} has no room for all weights: those of {layers}, {math.ceil(fetched / 8):,} "
            f"bytes, are fetched from {self.spill_memory} for each inference; what that takes in this memory "
            "itself is not in the energy",
        )
