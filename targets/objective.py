"""What is minimised: latency, energy, their product, or multiplications that are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from passes.errors import InputError, did_you_mean

# One cost, or those of many mappings at once.
Amount = TypeVar("Amount", float, NDArray[np.float64])


@dataclass(frozen=True)
class Objective:
    """A cost to be minimised: energy, latency, energy times latency, or MACs.

    Attributes:
        name: Name in options and files.
        words: What it is called in a sentence.
        key: The figure of a cost in documents and tables that tells it.
        counts_energy: Energy is a factor of it.
        counts_latency: Latency is a factor of it.
        counts_macs: It is MACs, which no schedule changes: schedules are then for energy times latency.
    """

    name: str
    words: str
    key: str
    counts_energy: bool = True
    counts_latency: bool = True
    counts_macs: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def is_product(self) -> bool:
        """Both count, so that one may be traded for the other."""
        return self.counts_energy and self.counts_latency and not self.counts_macs

    @property
    def for_schedules(self) -> Objective:
        """What schedules and mappings minimise."""
        return EDP if self.counts_macs else self

    def value(self, energy: Amount, latency: Amount, share: float = 1.0) -> Amount:
        """Return the cost of ``energy`` (any unit) and ``latency`` (any unit), times ``share``."""
        if not self.counts_energy:
            return share * latency
        if not self.counts_latency:
            return share * energy
        return share * latency * energy

    def expected(
        self, ratios: Sequence[float], latencies: Sequence[float], energies: Sequence[float]
    ) -> float:
        """Return the mean cost over exits.

        Args:
            ratios: Share of inputs that leave at each exit.
            latencies: Latency of each exit path.
            energies: Energy of each exit path.
        """
        return sum(self.value(e, t, r) for r, t, e in zip(ratios, latencies, energies, strict=True))


EDP = Objective("edp", "energy-delay product", "edp_j_cycles")
LATENCY = Objective("latency", "latency", "latency_cycles", counts_energy=False)
ENERGY = Objective("energy", "energy", "energy_pj", counts_latency=False)
MACS = Objective("macs", "MACs", "macs", counts_macs=True)
# What a schedule can minimise, and what exits and thresholds can.
OBJECTIVES = (EDP, LATENCY, ENERGY)
CHOICES = (*OBJECTIVES, MACS)


def objective_named(name: str) -> Objective:
    """Return the objective called ``name``; raises InputError for an unknown one."""
    for objective in CHOICES:
        if objective.name == name:
            return objective
    raise InputError(f"unknown objective '{name}'", did_you_mean(name, [o.name for o in CHOICES]))


def uniform(count: int) -> tuple[float, ...]:
    """Return equal ratios for ``count`` exits: what is assumed where no ratios are known."""
    return tuple(1.0 / count for _ in range(count))
