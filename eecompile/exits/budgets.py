"""What thresholds must keep beside accuracy: shares of images, means and worst cases over exit paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from targets.evaluation.paths import Cost
from targets.objective import Objective

# The percentile of latency that can be bounded.
PERCENTILE = 0.95


@dataclass(frozen=True)
class Budget:
    """What images may take at most on average, by the exit they leave at.

    Attributes:
        option: The parameter it comes from.
        name: What is limited.
        amounts: What an image takes that leaves at each exit, the final one included.
        at_most: Largest mean over the images.
        of_every_input: It holds for inputs nobody has seen: some exit lets all pass before a path that takes
            anything.
    """

    option: str
    name: str
    amounts: tuple[float, ...]
    at_most: float
    of_every_input: bool = False


@dataclass(frozen=True)
class Constraints:
    """What the user asks of all networks that may be chosen; ``None``: nothing.

    Attributes:
        max_latency_p95: 95 % of the images take at most so long, in s.
        max_worst_latency: No input takes longer, in s.
        max_final_ratio: Largest share of images that reach the final exit (arXiv 2512.04705 asks for 0.5).
        max_cost_ratio: Largest mean cost, as a share of the network without exits (likewise 0.5).
        clock_hz: Clock of the target; needed for those in s.
    """

    max_latency_p95: float | None = None
    max_worst_latency: float | None = None
    max_final_ratio: float | None = None
    max_cost_ratio: float | None = None
    clock_hz: float | None = None

    def budgets(
        self, paths: Sequence[Cost], static: Cost, objective: Objective, slack: float = 1.0
    ) -> tuple[Budget, ...]:
        """Return what thresholds of a network have to keep.

        Args:
            paths: Cost of each of its exit paths.
            static: Cost of the network without exits.
            objective: What the mean cost is of.
            slack: Bounds on costs are so many times as loose, for paths that are only estimated.
        """
        found = []
        latencies_s = [path.latency_cycles / (self.clock_hz or 1.0) for path in paths]
        if (bound := self.max_latency_p95) is not None:
            late = tuple(float(latency > bound * slack) for latency in latencies_s)
            name = f"the share of images that take longer than {bound:g} s"
            found.append(Budget("max_latency_p95", name, late, 1 - PERCENTILE))
        if (bound := self.max_worst_latency) is not None:
            late = tuple(float(latency > bound * slack) for latency in latencies_s)
            name = f"the share of inputs that may take longer than {bound:g} s"
            found.append(Budget("max_worst_latency", name, late, 0.0, of_every_input=True))
        if (bound := self.max_final_ratio) is not None:
            final = (*(0.0 for _ in paths[1:]), 1.0)
            found.append(
                Budget("max_final_ratio", "the share of images that reach the final exit", final, bound)
            )
        if (bound := self.max_cost_ratio) is not None:
            parts = tuple(path.value(objective) / static.value(objective) for path in paths)
            name = f"the mean {objective.words} as a share of that without exits"
            found.append(Budget("max_cost_ratio", name, parts, bound * slack))
        return tuple(found)
