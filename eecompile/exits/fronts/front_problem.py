"""What a front over exits and thresholds is sought in: answers, costs, objectives and limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.additive_costs import AdditiveCosts
from eecompile.exits.allowed import Allows
from eecompile.exits.fronts.pareto import MOST_OBJECTIVES
from passes.errors import InputError, did_you_mean

Bools = NDArray[np.bool_]
Kept = tuple[int, ...]

ACCURACY = "accuracy"
MEMORY = "memory"
WORST_LATENCY = "worst_latency"
LATENCY = "latency"
FINAL_RATIO = "final_ratio"


@dataclass(frozen=True)
class FrontLimits:
    """What every point of a front keeps; ``None``: nothing is asked.

    Attributes:
        final_ratio: Largest share of images that reach the final exit (arXiv 2512.04705 asks for 0.5).
        cost_ratio: Largest mean of ``figure``, as a share of the network without exits (there 0.5).
        figure: Which of the costs that is.
        worst_latency: The path to the final exit takes no longer, in the unit of the costs.
        memory: The network needs no more.
        allows: From (lost, gained) against static, arrays of counts of images, to which are within the limit
            on the drop. More lost images are never allowed where fewer are not.
        means: Largest mean over the images of costs, by their names.
        accuracy: Smallest share of right answers.
        exits: Largest number of early exits.
    """

    final_ratio: float | None = None
    cost_ratio: float | None = None
    figure: str = "edp"
    worst_latency: float | None = None
    memory: float | None = None
    allows: Allows | None = None
    means: Mapping[str, float] = field(default_factory=dict)
    accuracy: float | None = None
    exits: int | None = None


@dataclass(frozen=True)
class AskingExits:
    """Exits that are as sure as the exits before them let them be.

    Attributes:
        exits: Which they are.
        confidence: From all exits that are kept before, shallow to deep, and one of these behind them, to its
            confidence [n].
        values: All confidences there may be, each once.
    """

    exits: frozenset[int]
    confidence: Callable[[Kept, int], NDArray[np.float32]]
    values: NDArray[np.float32]


@dataclass(frozen=True)
class FrontProblem:
    """Exits on mounts, final heads, what they answered for n images, and what they cost.

    Attributes:
        confidence: [exits, n] of early exits, shallow to deep; not a number: never leaves.
        correct: [exits, n] whether each is right.
        mounts: Of each exit the number of its mount, not falling; a network has one exit per mount at most.
            Heads and confidence rules that rival each other at a mount are exits of their own.
        finals: [finals, n] whether each final head is right.
        static: [n] whether the network without exits is right, against which drops are.
        costs: Figures by name (edp, latency, energy, macs), each a sum of parts or a product of such sums.
        objectives: Two or three of accuracy, names of ``costs`` (the mean over the images), worst_latency and
            memory.
        limits: What every point keeps.
        static_final: Final head of the network without exits, against which the cost ratio is.
        memory: From kept exits and final head to the memory that the network needs.
        reads: Of each exit the one whose head its own reads, if it reads one: it comes only with that.
        asking: Exits whose confidence depends on those kept before; ``confidence`` says it where none is.
    """

    confidence: NDArray[np.float32]
    correct: Bools
    mounts: tuple[int, ...]
    finals: Bools
    static: Bools
    costs: Mapping[str, AdditiveCosts]
    objectives: tuple[str, ...]
    limits: FrontLimits = field(default_factory=FrontLimits)
    static_final: int = 0
    memory: Callable[[Kept, int], float] | None = None
    reads: tuple[int | None, ...] | None = None
    asking: AskingExits | None = None

    def __post_init__(self) -> None:
        exits, images = self.confidence.shape
        if (
            self.correct.shape != (exits, images)
            or self.finals.shape[1:] != (images,)
            or not len(self.finals)
        ):
            raise ValueError("answers of exits and final heads do not belong to the same images")
        if list(self.mounts) != sorted(self.mounts) or len(self.mounts) != exits:
            raise ValueError("exits must be given from shallow to deep, each with its mount")
        for k, read in enumerate(self.reads or ()):
            if read is not None and self.mounts[read] >= self.mounts[k]:
                raise ValueError("an exit reads another that does not come before it")
        for costs in self.costs.values():
            sizes = len(costs.stages) - 1, len(costs.heads), len(costs.finals)
            if sizes[0] <= max(self.mounts, default=-1) or sizes[1:] != (exits, len(self.finals)):
                raise ValueError("costs are not of these mounts, exits and final heads")
        self._check_names()

    def _check_names(self) -> None:
        known = {ACCURACY: True, **dict.fromkeys(self.costs, True)}
        known[WORST_LATENCY], known[MEMORY] = LATENCY in self.costs, self.memory is not None
        names = self.objectives
        if not 2 <= len(names) <= MOST_OBJECTIVES or len(set(names)) < len(names):
            raise InputError(
                f"a front is over two or three different objectives, not over {', '.join(names) or 'none'}",
                f"choose of {', '.join(known)}",
            )
        for name in names:
            if name not in known:
                raise InputError(f"unknown objective '{name}'", did_you_mean(name, list(known)))
        limits = self.limits
        asked = [
            *names,
            *([WORST_LATENCY] if limits.worst_latency is not None else []),
            *([MEMORY] if limits.memory is not None else []),
            *([limits.figure] if limits.cost_ratio is not None else []),
            *limits.means,
        ]
        for name in asked:
            if not known.get(name, False):
                raise InputError(
                    f"'{name}' of networks is asked for, and nothing says what it is",
                    "give `memory`" if name == MEMORY else "give the `costs` it is made of",
                )

    def confidence_of(self, before: Kept, k: int) -> NDArray[np.float32]:
        """Return the confidence [n] of an exit behind all that are kept before it."""
        if before and self.asks(k):
            assert self.asking is not None
            return self.asking.confidence(before, k)
        found: NDArray[np.float32] = self.confidence[k]
        return found

    def asks(self, k: int) -> bool:
        """Return whether the confidence of an exit depends on the exits before it."""
        return self.asking is not None and k in self.asking.exits

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.static)

    @property
    def options(self) -> tuple[tuple[int | None, ...], ...]:
        """Return for each mount what may be there: nothing, or one of its exits."""
        return tuple(
            (None, *(k for k, at in enumerate(self.mounts) if at == mount))
            for mount in sorted(set(self.mounts))
        )

    def is_network(self, kept: Kept) -> bool:
        """Return whether there are no more exits than may be, each together with the one it reads."""
        if self.limits.exits is not None and len(kept) > self.limits.exits:
            return False
        return self.reads is None or all(self.reads[k] in (None, *kept) for k in kept)

    @property
    def subsets(self) -> int:
        """How many networks there are, those included that lack an exit another reads."""
        counts = np.ones(1, dtype=object)  # by the number of exits, of any size
        for options in self.options:
            counts = np.convolve(counts, np.array([1, len(options) - 1], dtype=object))
        most = self.limits.exits
        return int(sum(counts[: None if most is None else most + 1])) * len(self.finals)

    @property
    def static_costs(self) -> dict[str, float]:
        """What the network without exits costs."""
        return {
            name: float(costs.paths((), self.mounts, self.static_final)[0])
            for name, costs in self.costs.items()
        }
