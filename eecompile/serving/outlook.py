"""How much work a request has still before it, as far as the confidences seen so far tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.serving.service import ServiceTime
from eecompile.serving.waiting import Float

# Fewer images than this at an exit say nothing about what its confidence means: their mean is taken.
FEWEST = 20


@dataclass(frozen=True)
class Outlook:
    """Seconds of one image alone from the start of a stage to where it leaves, as val has it.

    Attributes:
        mean: Expected of all that get to this stage, [stages].
        reach: Share of the images that go on of those at this stage, [stages]; 0 at the last.
        knots: Of each stage, confidences at the exit before, rising, and the seconds expected from them;
            between them it is linear. ``None`` where confidence tells nothing.
    """

    mean: Float
    reach: Float
    knots: Sequence[tuple[Float, Float] | None]

    def expect(self, stage: int, confidence: Float) -> Float:
        """Return the seconds expected of images that had ``confidence``, [N], at the exit before ``stage``.

        Those whose confidence is not known, NaN, have the mean.
        """
        known = self.knots[stage]
        if known is None:
            return np.full(np.shape(confidence), self.mean[stage])
        return np.where(np.isnan(confidence), self.mean[stage], np.interp(confidence, *known))


def outlook(service: ServiceTime, confidence: Float, leaves: NDArray[np.int64]) -> Outlook:
    """Learn from val what remains after an exit that was not taken.

    What remains falls as confidence rises, so it is the isotonic regression of the seconds that remained on
    the confidence there (scikit-learn), over the images of val that got there.

    Args:
        service: Stage times.
        confidence: [early exits, images of val].
        leaves: [images of val] number of the exit at which each leaves.
    """
    from sklearn.isotonic import IsotonicRegression  # a server that has its knots does without

    total = service.alone_s
    stages = service.stages
    mean, reach = np.empty(stages), np.zeros(stages)
    knots: list[tuple[Float, Float] | None] = [None] * stages
    for stage in range(stages):
        there = leaves >= stage
        before = total[stage - 1] if stage else 0.0
        left = total[leaves[there]] - before
        mean[stage] = left.mean() if there.any() else total[-1] - before
        if there.any():
            reach[stage] = (leaves > stage).sum() / there.sum()
        if stage and there.sum() >= FEWEST:
            fit = IsotonicRegression(increasing=False, out_of_bounds="clip")
            fit.fit(confidence[stage - 1, there], left)
            knots[stage] = (fit.X_thresholds_, fit.y_thresholds_)
    return Outlook(mean, reach, knots)
