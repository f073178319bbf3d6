"""Figures of exits and of all inputs, as a summary has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.run_files.summary import BreakEvenInfo, Saving
from targets.evaluation.break_even import break_even
from targets.evaluation.paths import Cost, expected_cost
from targets.evaluation.report import CostReport
from targets.objective import Objective

Array = NDArray[Any]


def expected_of(costs: CostReport, ratios: Array) -> Cost:
    """Return what an input costs on average if such shares leave at the exits."""
    return expected_cost(costs.exits, [float(ratio) for ratio in ratios])


def saving_of(costs: CostReport, static: CostReport, ratios: Array) -> Saving:
    """Return what exits save of the static network, as shares of it."""
    expected, base = expected_of(costs, ratios), static.total
    return Saving(
        macs=1 - expected.macs / base.macs,
        latency=1 - expected.latency_cycles / base.latency_cycles,
        energy=1 - expected.energy_pj / base.energy_pj,
        edp=1 - expected.edp_j_cycles / base.edp_j_cycles,
    )


def break_even_of(costs: CostReport, static: CostReport, objective: Objective) -> BreakEvenInfo | None:
    """Return how many inputs must leave early for exits to pay; ``None`` where there is no early exit."""
    if len(costs.exits) < 2:
        return None
    found = break_even(costs.exits, costs.ratios, static.total, objective)
    return BreakEvenInfo(early=found.early, exits=found.exits)


def ratios_of(where: Array, count: int) -> Array:
    """Return the share of inputs that leave at each of ``count`` exits; ``where`` has that of each."""
    return np.bincount(where, minlength=count) / len(where)
