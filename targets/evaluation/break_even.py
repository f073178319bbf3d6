"""Whether early exits pay: how many inputs must leave early for the mean input to cost as much as static."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from targets.evaluation.paths import J_PER_PJ, Cost, PathCost, expected_cost
from targets.objective import Objective

# Equal but for the order in which floats were added.
_SLACK = 1e-9


@dataclass(frozen=True)
class BreakEven:
    """A network with exits beside the same network without.

    Attributes:
        objective: What is compared.
        static: Cost of the network without early exits, scheduled alike.
        mean: Cost of the mean input of the network with them.
        early: Share of inputs (0 to 1) that must leave early, as many at each early exit, so that the mean of
            the objective equals that of static; 0 if the deepest path costs no more than static, ``None`` if
            no share is enough.
        exits: The same for each early exit alone, where none leaves at the others.
    """

    objective: Objective
    static: Cost
    mean: Cost
    early: float | None
    exits: tuple[float | None, ...]

    @property
    def mean_over_static(self) -> float | None:
        """The objective of the mean input over that of static; ``None`` where static takes nothing."""
        base = self.static.value(self.objective)
        return _of_mean(self.mean, self.objective) / base if base else None

    @property
    def is_worse(self) -> bool:
        """Whether the mean input costs more than static."""
        base = self.static.value(self.objective)
        return _of_mean(self.mean, self.objective) > base * (1 + _SLACK)


def break_even(
    exits: Sequence[PathCost], ratios: Sequence[float], static: Cost, objective: Objective
) -> BreakEven:
    """Compare a network with exits with the same without.

    Args:
        exits: Cost of every exit path, with speculation where that was asked for; the final one is last.
        ratios: Share of inputs that leave at each.
        static: Cost of the network without early exits.
        objective: What is compared; of several inputs it is the mean, not the objective of means.
    """
    costs = [path.cost if path.speculative is None else path.speculative.cost for path in exits]
    *early, final = [cost.value(objective) for cost in costs]
    base = static.value(objective)
    together = sum(early) / len(early)
    return BreakEven(
        objective,
        static,
        expected_cost(exits, ratios),
        _share(together, final, base),
        tuple(_share(value, final, base) for value in early),
    )


def _share(early: float, final: float, static: float) -> float | None:
    """Return s with s · early + (1 - s) · final = static."""
    if final <= static * (1 + _SLACK):
        return 0.0
    return (final - static) / (final - early) if early < static else None


def _of_mean(mean: Cost, objective: Objective) -> float:
    """Return the mean of the objective, in cycles and pJ: EDP of a mean is that of products."""
    return mean.edp_j_cycles / J_PER_PJ if objective.is_product else mean.value(objective)
