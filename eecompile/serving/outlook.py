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
        halves: Of each stage, seconds within which half of the images leave; of each exit from this stage on
            but the last the confidence from which on an image leaves there or before more likely than not,
            falling; and the seconds to each of these exits and the last. Without, the mean stands for it.
    """

    mean: Float
    reach: Float
    knots: Sequence[tuple[Float, Float] | None]
    halves: Sequence[tuple[float, Float, Float]] = ()

    def expect(self, stage: int, confidence: Float) -> Float:
        """Return the seconds expected of images that had ``confidence``, [N], at the exit before ``stage``.

        Those whose confidence is not known, NaN, have the mean.
        """
        known = self.knots[stage]
        if known is None:
            return np.full(np.shape(confidence), self.mean[stage])
        return np.where(np.isnan(confidence), self.mean[stage], np.interp(confidence, *known))

    def likely(self, stage: int, confidence: Float) -> Float:
        """Return the seconds within which images leave more likely than not; arguments as of `expect`."""
        if not self.halves:
            return np.full(np.shape(confidence), self.mean[stage])
        half, least, seconds = self.halves[stage]
        passed = (confidence[:, None] < least).sum(axis=1)
        return np.where(np.isnan(confidence), half, seconds[passed])


def outlook(service: ServiceTime, confidence: Float, leaves: NDArray[np.int64]) -> Outlook:
    """Learn from val what remains after an exit that was not taken.

    What remains falls as confidence rises, so it is the isotonic regression of the seconds that remained on
    the confidence there (scikit-learn), over the images of val that got there. So is, rising, the chance of
    leaving at an exit or before it.

    Args:
        service: Stage times.
        confidence: [early exits, images of val].
        leaves: [images of val] number of the exit at which each leaves.
    """
    total = service.alone_s
    stages = service.stages
    mean, reach = np.empty(stages), np.zeros(stages)
    knots: list[tuple[Float, Float] | None] = [None] * stages
    halves = []
    for stage in range(stages):
        there = leaves >= stage
        before = total[stage - 1] if stage else 0.0
        left = total[leaves[there]] - before
        mean[stage] = left.mean() if there.any() else total[-1] - before
        if there.any():
            reach[stage] = (leaves > stage).sum() / there.sum()
        if stage and there.sum() >= FEWEST:
            knots[stage] = _isotonic(confidence[stage - 1, there], left, rising=False)
        told = None if knots[stage] is None else confidence[stage - 1, there]
        halves.append(_halves(total[stage:] - before, leaves[there] - stage, told))
    return Outlook(mean, reach, knots, halves)


def _isotonic(confidence: Float, values: Float, rising: bool) -> tuple[Float, Float]:
    from sklearn.isotonic import IsotonicRegression  # a server that has its knots does without

    fit = IsotonicRegression(increasing=rising, out_of_bounds="clip").fit(confidence, values)
    return fit.X_thresholds_, fit.y_thresholds_


def _halves(
    seconds: Float, leaves: NDArray[np.int64], confidence: Float | None
) -> tuple[float, Float, Float]:
    """Return `Outlook.halves` of a stage.

    Args:
        seconds: To each exit from here on.
        leaves: [images that get here] which of these exits each takes.
        confidence: [images that get here] at the exit before; ``None`` where it tells nothing.
    """
    if not len(leaves):
        return float(seconds[-1]), np.full(len(seconds) - 1, np.inf), seconds
    shares = np.array([(leaves <= last).mean() for last in range(len(seconds) - 1)])
    least = np.where(shares >= 0.5, -np.inf, np.inf)
    half = float(seconds[(shares < 0.5).sum()])
    if confidence is not None:
        for last in range(len(least)):
            found, chance = _isotonic(confidence, (leaves <= last).astype(np.float64), rising=True)
            least[last] = np.append(found, np.inf)[(chance < 0.5).sum()]
    return half, np.minimum.accumulate(least), seconds
