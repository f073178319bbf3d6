"""What paths through networks with some of the exits cost, as sums of what stages and heads add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class AdditiveCosts:
    """What stages and heads add to a path; a path costs the product of its sums over all ``parts``.

    Attributes:
        stages: [mounts + 1, parts] of the backbone up to each mount from the one before, then to its end.
        heads: [exits, parts] of each early exit's head, which every image pays that gets there.
        finals: [finals, parts] of each final head.
    """

    stages: Float64
    heads: Float64
    finals: Float64

    def __post_init__(self) -> None:
        if any((part < 0).any() for part in (self.stages, self.heads, self.finals)):
            raise ValueError("no stage and no head costs less than nothing")

    def paths(self, kept: Sequence[int], mounts: Sequence[int], final: int) -> Float64:
        """Return the cost of the path to each kept exit and to the final head, [kept + 1]."""
        reached = np.cumsum(self.stages, axis=0)
        heads = np.cumsum(self.heads[list(kept)], axis=0) if kept else np.zeros((0, reached.shape[1]))
        early = reached[[mounts[k] for k in kept]] + heads
        last = reached[-1] + self.finals[final] + (heads[-1] if kept else 0.0)
        paths: Float64 = np.concatenate([early, last[None]]).prod(axis=1)
        return paths
