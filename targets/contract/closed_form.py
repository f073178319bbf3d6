"""Targets with closed-form costs, as the scheduler sees them: every layer is a trip from the outer store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from targets.contract.target import Target
from targets.cost.layer_cost import LayerCost
from targets.description.architecture import Architecture
from targets.description.mapping import NoMappingError
from targets.network.layer import Layer
from targets.network.workload import Workload
from targets.schedule.machine import OUTER, Machine, Store, Word
from targets.schedule.network import Held, Option


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

    def __init__(self, target: Target) -> None:
        self._target = target
        self._cores: dict[Layer, tuple[str, ...]] = {}
        self._options: dict[tuple[Layer, str], Option] = {}

    def cores(self, layer: Layer) -> tuple[str, ...]:
        """Return the cores that take ``layer`` by their rules, by name."""
        if layer not in self._cores:
            found = []
            for core in self._target.survey(layer).cores:
                try:
                    self._options[layer, core] = Option(self._target.cost(layer, core))
                except NoMappingError:
                    continue
                found.append(core)
            self._cores[layer] = tuple(sorted(found))
        return self._cores[layer]

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
        outer_memory: The memory in which tensors lie between layers; empty takes it to be endless.
        word_bits: Tensors are padded to whole words of so many bits.
    """

    outer_memory: ClassVar[str] = ""
    word_bits: ClassVar[int] = 1

    def machine(self) -> Machine:
        """Return the machine on which no tensor stays in a core between layers."""
        return closed_form_machine(self.arch, self.outer_memory, self.word_bits)

    def costs(self, machine: Machine, workload: Workload) -> ClosedFormCosts:  # noqa: ARG002
        """Return the costs of whole layers, trips and all."""
        return ClosedFormCosts(self)
