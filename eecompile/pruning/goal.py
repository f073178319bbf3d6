"""What is asked of pruning: a share of the cost of the network as it was given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from passes.errors import InputError
from targets.evaluation.paths import Cost

MEASURES = ("cycles", "energy")
_FORM = re.compile(rf"({'|'.join(MEASURES)})=-(\d+(?:\.\d+)?)%")


@dataclass(frozen=True)
class PruningGoal:
    """How much less a network shall cost on the schedule.

    Attributes:
        measure: ``cycles`` or ``energy``.
        less: By which share, above 0 and below 1.
    """

    measure: str
    less: float

    @staticmethod
    def parse(text: str) -> PruningGoal:
        """Return the goal of ``cycles=-30%`` or ``energy=-20%``.

        Raises:
            InputError: Anything else.
        """
        match = _FORM.fullmatch(text.replace(" ", ""))
        less = float(match[2]) / 100 if match else 0.0
        if match is None or not 0 < less < 1:
            raise InputError(
                f"`prune` cannot be '{text}'",
                "say by how much the network shall cost less on its schedule: cycles=-30% or energy=-20%",
            )
        return PruningGoal(match[1], less)

    @staticmethod
    def of_changes(changes: Mapping[str, float]) -> PruningGoal:
        """Return the goal of ``{"cycles": -0.3}``: by which share a measure shall change.

        Raises:
            InputError: Not one measure, or not so much less.
        """
        items = list(changes.items()) if isinstance(changes, Mapping) else []
        known = len(items) == 1 and items[0][0] in MEASURES and isinstance(items[0][1], int | float)
        if not known or not -1 < items[0][1] < 0:
            raise InputError(
                f"`prune` cannot be {changes!r}",
                "say by which share the network shall cost less on its schedule: {'cycles': -0.3}, or "
                "{'energy': -0.2}",
            )
        return PruningGoal(items[0][0], -float(items[0][1]))

    def of(self, cost: Cost) -> float:
        """Return what is to become less, in cycles or pJ."""
        return cost.latency_cycles if self.measure == "cycles" else cost.energy_pj

    def __str__(self) -> str:
        return f"{self.measure}=-{100 * self.less:g}%"
