"""The cost of one layer on one core."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from targets.cost.model.solution import Solution
from targets.description.figure import Known
from targets.objective import Objective

PJ_PER_MW_S = 1e9


@dataclass(frozen=True)
class LayerCost:
    """What a layer costs on a core; the parts follow one another and, less what overlaps, are the latency.

    Attributes:
        compute_cycles: The core computes.
        dma_cycles: A DMA engine moves operands between the outer memory and the core's.
        host_cycles: The host computes.
        job_cycles: The host starts jobs.
        energy_pj: Energy of all parts, in pJ.
        utilization: Cycles an ideal core needs for the arithmetic, over the latency; 0 to 1.
        bound_cycles: Roofline: no schedule of this layer on this core is faster.
        known: How the cost of the layer's arithmetic is known.
        stall_cycles: The core waits for operands in the midst of computing.
        load_cycles: First operands come in before the core computes.
        store_cycles: Last results leave after it has computed.
        padding_bytes: Of what it reads and writes, bytes that hold nothing: tensors padded to whole words.
        overlapped_cycles: Of the parts, cycles in which other layers are at work too and that count there.
        detail: The mapping behind the figures, where the cost engine chose one.
    """

    compute_cycles: int
    dma_cycles: int
    host_cycles: int
    job_cycles: int
    energy_pj: float
    utilization: float
    bound_cycles: int
    known: Known
    stall_cycles: int = 0
    load_cycles: int = 0
    store_cycles: int = 0
    padding_bytes: int = 0
    overlapped_cycles: int = 0
    detail: Solution | None = None

    def value(self, objective: Objective) -> float:
        """Return what is minimised, in cycles and pJ."""
        return objective.value(self.energy_pj, float(self.latency_cycles))

    @property
    def latency_cycles(self) -> int:
        """Cycles from start to end of the layer, less those that count with other layers."""
        on_core = self.load_cycles + self.compute_cycles + self.stall_cycles + self.store_cycles
        return on_core + self.dma_cycles + self.host_cycles + self.job_cycles - self.overlapped_cycles

    def at_energy(self, scale: float) -> LayerCost:
        """Return the cost where every energy is ``scale`` times as large."""
        detail = self.detail and self.detail.at_energy(scale)
        return replace(self, energy_pj=self.energy_pj * scale, detail=detail)


def in_turn(costs: Sequence[LayerCost]) -> LayerCost:
    """Return what tiles of a layer cost that run one after another on a core, at least one.

    There is no mapping behind the sum; how its arithmetic is known is that of the first.
    """
    cycles = sum(cost.latency_cycles for cost in costs)
    used = sum(cost.utilization * cost.latency_cycles for cost in costs)
    return LayerCost(
        compute_cycles=sum(cost.compute_cycles for cost in costs),
        dma_cycles=sum(cost.dma_cycles for cost in costs),
        host_cycles=sum(cost.host_cycles for cost in costs),
        job_cycles=sum(cost.job_cycles for cost in costs),
        energy_pj=sum(cost.energy_pj for cost in costs),
        utilization=min(1.0, used / cycles) if cycles else 0.0,
        bound_cycles=sum(cost.bound_cycles for cost in costs),
        known=costs[0].known,
        stall_cycles=sum(cost.stall_cycles for cost in costs),
        load_cycles=sum(cost.load_cycles for cost in costs),
        store_cycles=sum(cost.store_cycles for cost in costs),
        padding_bytes=sum(cost.padding_bytes for cost in costs),
        overlapped_cycles=sum(cost.overlapped_cycles for cost in costs),
    )


def energy_pj(power_mw: float, cycles: float, clock_hz: float) -> float:
    """Return power times time in pJ: mW x cycles / Hz x 1e9."""
    return power_mw * cycles / clock_hz * PJ_PER_MW_S


def scaled(cycles: float, scale: float) -> int:
    """Return ``cycles`` times ``scale``, rounded up to whole cycles."""
    # Products such as 300 * 1.1 land a rounding error above an integer.
    return math.ceil(round(cycles * scale, 6))


def ceil_div(a: int, b: int) -> int:
    """Return a / b rounded up."""
    return -(-a // b)


def whole_parts(parts: Sequence[float]) -> list[int]:
    """Return ``parts`` as whole cycles that add up to their sum, rounded up."""
    ends = [math.ceil(round(total, 6)) for total in itertools.accumulate(parts)]
    return [end - start for start, end in itertools.pairwise([0, *ends])]
