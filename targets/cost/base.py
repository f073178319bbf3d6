"""The cost of one layer on one core."""

from __future__ import annotations

import math
from dataclasses import dataclass

from targets.arch import Known

PJ_PER_MW_S = 1e9


@dataclass(frozen=True)
class LayerCost:
    """What a layer costs on a core; the parts follow one another and add up to the latency.

    Attributes:
        compute_cycles: The core computes.
        dma_cycles: Operands move between the outer memory and the core's.
        host_cycles: The host computes.
        job_cycles: The host starts jobs.
        energy_pj: Energy of all parts, in pJ.
        utilization: Cycles an ideal core needs for the arithmetic, over the latency; 0 to 1.
        bound_cycles: Roofline: no schedule of this layer on this core is faster.
        known: How the cost of the layer's arithmetic is known.
    """

    compute_cycles: int
    dma_cycles: int
    host_cycles: int
    job_cycles: int
    energy_pj: float
    utilization: float
    bound_cycles: int
    known: Known

    @property
    def latency_cycles(self) -> int:
        """Cycles from start to end of the layer: nothing overlaps."""
        return self.compute_cycles + self.dma_cycles + self.host_cycles + self.job_cycles


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
