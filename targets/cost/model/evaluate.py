"""Cost of mappings on one core, a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from targets.cost.model.allocation import Levels
from targets.cost.model.batch import Batch
from targets.cost.model.energy import Access, accesses
from targets.cost.model.latency import Latency, latency
from targets.cost.model.nest import Floats
from targets.cost.model.traffic import both_chains
from targets.cost.model.unrolling import Placed
from targets.description.hierarchy import Hierarchy


@dataclass(frozen=True)
class BatchCosts:
    """Latency and energy of N mappings.

    Attributes:
        latency: Its parts, in cycles.
        accesses: Memory accesses with their energy.
        operation_energy_pj: Energy of the array.
    """

    latency: Latency
    accesses: list[Access]
    operation_energy_pj: Floats

    @property
    def energy_pj(self) -> Floats:
        """Energy of the array and of all accesses, ``[N]``."""
        return np.asarray(self.operation_energy_pj + sum(a.energy_pj for a in self.accesses))


def evaluate(
    batch: Batch,
    levels: Levels,
    hierarchy: Hierarchy,
    placed: Placed,
    links: dict[str, str],
    array_energy_pj: float,
    precharge_pj: float = 0.0,
) -> BatchCosts:
    """Return the costs of a batch of orders with their allocation.

    Args:
        batch: The orders.
        levels: Their allocation.
        hierarchy: The core.
        placed: The spatial mapping.
        links: Operands that use the memories of another one.
        array_energy_pj: Energy of the array that is the same for all orders.
        precharge_pj: Energy of turning to another weight of a cell in every iteration; it is spent only where
            the weight changes.
    """
    mean, whole = both_chains(batch, levels, placed)
    array = np.full(batch.count, array_energy_pj)
    if precharge_pj and "W" in mean:
        array = array + precharge_pj / mean["W"].period[0]
    return BatchCosts(
        latency(hierarchy, mean, whole, links, hierarchy.array.cycles_per_operation, placed.rules),
        accesses(hierarchy, mean, links),
        array,
    )
