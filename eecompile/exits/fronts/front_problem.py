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
        reads: Of each exit those of which one is the exit before it, whose head its own reads; ``None``: it
            reads none, and may come behind any or be the first.
        kinds: Of each exit a number that it shares with others of its mount which differ in what they read
            alone, of which one at most goes with what is before. ``None``: each is of its own kind.
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
    reads: tuple[frozenset[int] | None, ...] | None = None
    kinds: tuple[int, ...] | None = None
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
            if read is not None and any(self.mounts[b] >= self.mounts[k] for b in read):
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
        """Return whether there are no more exits than may be, each behind the one it reads."""
        if self.limits.exits is not None and len(kept) > self.limits.exits:
            return False
        befores: tuple[int | None, ...] = (None, *kept[:-1])
        return all(self.goes_behind(b, k) for b, k in zip(befores, kept, strict=True)) if kept else True

    def goes_behind(self, before: int | None, k: int) -> bool:
        """Return whether an exit may come next behind another, ``None``: as the first."""
        read = None if self.reads is None else self.reads[k]
        return read is None or before in read

    @property
    def subsets(self) -> int:
        """How many networks there are."""
        mounts, most = len(self.options), self.limits.exits
        ending = np.zeros((len(self.mounts), mounts + 1), dtype=object)  # by the last exit and their number
        so_far = np.zeros(mounts + 1, dtype=object)
        so_far[0] = 1
        for options in self.options:
            here = [k for k in options if k is not None]
            for k in here:
                read = None if self.reads is None else self.reads[k]
                behind = so_far if read is None else ending[sorted(read)].sum(axis=0)
                ending[k, 1:] = behind[:-1]
            so_far = so_far + ending[here].sum(axis=0)
        return int(sum(so_far[: None if most is None else most + 1])) * len(self.finals)

    @property
    def static_costs(self) -> dict[str, float]:
        """What the network without exits costs."""
        return {
            name: float(costs.paths((), self.mounts, self.static_final)[0])
            for name, costs in self.costs.items()
        }
