"""The numbers of GAP9's energy model, fitted to the measured energies of whole networks.

The chip takes one power while NE16 works or all wait, another while the cluster computes, and an energy per
product of NE16. That the measured average power rises with the rate of products and not with time alone is
why one power will not do.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from targets.gap9.target import Gap9Target
from tools.gap9.cycles_fit import Case, chain_of
from tools.gap9.measured import HIGH, LOW, MEASURED, clock_hz

WAITING, COMPUTING, PRODUCT = "ne16.active_power_mw", "cluster.active_power_mw", "ne16.energy_pj_per_mac"
SCALE = f"{LOW}.energy_scale"
PUBLISHED_PJ = 0.3
"""Energy of a product: 8 bit multiply and 32 bit add of Horowitz, ISSCC 2014 (45 nm, 0.9 V)."""
DISTRUST = 0.01
"""A product of twice the published energy counts like a network with an error of so much.

Three networks alone leave the energy of a product all but free.
"""


@dataclass(frozen=True)
class Busy:
    """What energy follows from.

    Attributes:
        waiting_s: Time in which the cluster does not compute.
        computing_s: Time in which it does.
        products: Multiply-accumulates on NE16.
    """

    waiting_s: float
    computing_s: float
    products: int


def busy(target: Gap9Target, case: Case) -> Busy:
    """Return what a case is to the energy model at the first operating point."""
    clock = clock_hz(HIGH)
    chain = chain_of(target, case)
    computing = sum(one.cost.host_cycles for one in chain)
    total = sum(one.cost.latency_cycles for one in chain)
    products = sum(one.layer.macs for one in chain if one.core == "ne16")
    return Busy((total - computing) / clock, computing / clock, products)


def fit_energy(target: Gap9Target, cases: Mapping[str, Case]) -> dict[str, float]:
    """Return powers, energy of a product and scale of the second point by least squared relative errors.

    Args:
        target: The chip with the numbers that cycles follow from.
        cases: Networks by their name in the measurements.
    """
    found = {name: busy(target, case) for name, case in cases.items()}
    rows, goals = [], []
    for name, one in found.items():
        energy_j = MEASURED[name][HIGH].energy_j
        rows.append(
            [
                1e-3 * one.waiting_s / energy_j,
                1e-3 * one.computing_s / energy_j,
                1e-12 * one.products / energy_j,
            ]
        )
        goals.append(1.0)
    rows.append([0.0, 0.0, DISTRUST / PUBLISHED_PJ])
    goals.append(DISTRUST)
    solved, *_ = np.linalg.lstsq(np.array(rows), np.array(goals), rcond=None)
    waiting, computing, product = map(float, solved)
    ratios = [MEASURED[name][LOW].energy_j / MEASURED[name][HIGH].energy_j for name in cases]
    return {
        WAITING: waiting, COMPUTING: computing, PRODUCT: product,
        SCALE: math.exp(statistics.fmean(map(math.log, ratios))),
    }  # fmt: skip
