"""How far GAP9's predictions are from what was measured, and whether that is near enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from targets.gap9.target import Gap9Target
from tools.gap9.calibration import Evidence, predict
from tools.gap9.log_report import Compared, medians, total_ratio
from tools.gap9.measured import MEASURED, clock_hz

LATENCY, ENERGY = "latency", "energy"
GOALS = {LATENCY: 0.10, ENERGY: 0.12}
"""Largest relative error of a network that was left out."""
KIND_GOAL = 0.05
"""Largest distance from 1 of the median ratio of a kind of layers, and of the whole log."""
PJ_PER_J = 1e12


@dataclass(frozen=True)
class Compare:
    """One quantity of one network at one operating point, in cycles or pJ.

    Attributes:
        predicted: By what is shipped, which is fitted to this network too.
        left_out: By a fit without this network.
    """

    network: str
    point: str
    quantity: str
    measured: float
    predicted: float
    left_out: float

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted / self.measured - 1

    @property
    def honest_error(self) -> float:
        """Relative error of the fit that has not seen the network."""
        return self.left_out / self.measured - 1


def comparisons(
    evidence: Evidence, shipped: Gap9Target, without: Mapping[str, Gap9Target]
) -> tuple[Compare, ...]:
    """Return all quantities of all networks at all points."""
    found = []
    for name, case in evidence.networks.items():
        for point, measured in MEASURED[name].items():
            seen, unseen = predict(shipped, case, point), predict(without[name], case, point)
            cycles = measured.latency_s * clock_hz(point)
            found += [
                Compare(name, point, LATENCY, cycles, seen.latency_cycles, unseen.latency_cycles),
                Compare(name, point, ENERGY, measured.energy_j * PJ_PER_J, seen.energy_pj, unseen.energy_pj),
            ]
    return tuple(found)


def misses(found: Sequence[Compare], log: Sequence[Compared]) -> list[str]:
    """Return which goals are missed, one sentence each."""
    told = [
        f"{one.network} at {one.point}, {one.quantity}: left out {one.honest_error:+.1%}, goal "
        f"{GOALS[one.quantity]:.0%}"
        for one in found
        if abs(one.honest_error) > GOALS[one.quantity]
    ]
    for kind, (_, ratio) in medians(log).items():
        if ratio is not None and abs(ratio - 1) > KIND_GOAL:
            told.append(f"{kind}: median ratio {ratio:.3f}, goal within {KIND_GOAL:.0%}")
    whole = total_ratio(log)
    if whole is not None and abs(whole - 1) > KIND_GOAL:
        told.append(f"whole log: ratio {whole:.3f}, goal within {KIND_GOAL:.0%}")
    return told
