"""What the search hands out: a mapping and all that is known about its cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from targets.description.mapping import Mapping
from targets.objective import Objective


@dataclass(frozen=True)
class MemoryAccess:
    """Accesses of one operand, memory and direction."""

    operand: str
    memory: str
    direction: str
    words: float
    energy_pj: float


@dataclass(frozen=True)
class Solution:
    """A costed mapping.

    Attributes:
        mapping: The mapping.
        compute_cycles: Iterations times cycles per operation.
        stall_cycles: Stall of the worst port.
        onload_cycles: Loading before the first operation.
        offload_cycles: Writing back after the last.
        stalls: Cycles per port, ``memory.port``, largest first, ports that never wait left out.
        operation_energy_pj: Energy of the array.
        accesses: Accesses of the memories.
        ideal_cycles: Cycles with the whole array at work.
        bound_cycles: Roofline. Unrollings with a remainder may go below it: the model then moves less
            than there is.
        considered: Mappings costed to find it; 1 for a given mapping.
        gap: Proven distance from the best value of the space searched, as a share of the value; 0 is exact,
            ``None`` where nothing was proven.
        rooms: Bits an operand takes in one instance of a memory: operand, memory, bits.
    """

    mapping: Mapping
    compute_cycles: float
    stall_cycles: float
    onload_cycles: float
    offload_cycles: float
    stalls: tuple[tuple[str, float], ...]
    operation_energy_pj: float
    accesses: tuple[MemoryAccess, ...]
    ideal_cycles: float
    bound_cycles: float
    considered: int = 1
    gap: float | None = None
    rooms: tuple[tuple[str, str, float], ...] = ()

    @property
    def latency_cycles(self) -> float:
        """Cycles from the first load to the last write-back."""
        return self.compute_cycles + self.stall_cycles + self.onload_cycles + self.offload_cycles

    @property
    def energy_pj(self) -> float:
        """Energy of the array and its memories, in pJ."""
        return self.operation_energy_pj + sum(a.energy_pj for a in self.accesses)

    @property
    def utilization(self) -> float:
        """Share of the array's cycles that do work, 0 to 1."""
        return self.ideal_cycles / self.latency_cycles

    def at_energy(self, scale: float) -> Solution:
        """Return the same mapping where every energy is ``scale`` times as large."""
        accesses = tuple(replace(access, energy_pj=access.energy_pj * scale) for access in self.accesses)
        return replace(self, operation_energy_pj=self.operation_energy_pj * scale, accesses=accesses)

    def value(self, objective: Objective) -> float:
        """Return what is minimised, in cycles and pJ."""
        return objective.value(self.energy_pj, self.latency_cycles)
