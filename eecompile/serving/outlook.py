"""How much work a request has still before it, as far as the confidences seen so far tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from eecompile.serving.requests import Requests
from eecompile.serving.service import ServiceTime

Float = NDArray[np.float64]
# Fewer images than this at an exit say nothing about what its confidence means: their mean is taken.
FEWEST = 20


@dataclass(frozen=True)
class Outlook:
    """Seconds of one image alone from the start of a stage to where it leaves, [stages, images].

    Attributes:
        mean: Expected of all that get to this stage, [stages].
        expected: Expected from the confidence of the image at the exit before.
        reach: Share of the images that go on of those at this stage, [stages]; 0 at the last.
    """

    mean: Float
    expected: Float
    reach: Float


def outlook(
    service: ServiceTime,
    val_confidence: Float,
    val_leaves: NDArray[np.int64],
    confidence: Float,
) -> Outlook:
    """Learn from val what remains after an exit that was not taken, and say it for other images.

    What remains falls as confidence rises, so it is the isotonic regression of the seconds that remained on
    the confidence there (scikit-learn), over the images of val that got there.

    Args:
        service: Stage times.
        val_confidence: [early exits, images of val].
        val_leaves: [images of val] number of the exit at which each leaves.
        confidence: [early exits, images] of those to tell about.
    """
    times = service.stage_s[:, 0]
    total = np.cumsum(times)
    stages, images = service.stages, confidence.shape[1]
    expected = np.empty((stages, images))
    mean, reach = np.empty(stages), np.zeros(stages)
    for stage in range(stages):
        there = val_leaves >= stage
        before = total[stage - 1] if stage else 0.0
        left = total[val_leaves[there]] - before
        mean[stage] = left.mean() if there.any() else total[-1] - before
        expected[stage] = mean[stage]
        if there.any():
            reach[stage] = (val_leaves > stage).sum() / there.sum()
        if stage and there.sum() >= FEWEST:
            fit = IsotonicRegression(increasing=False, out_of_bounds="clip")
            fit.fit(val_confidence[stage - 1, there], left)
            expected[stage] = fit.predict(confidence[stage - 1])
    return Outlook(mean, expected, reach)


def per_request(outlooks: Sequence[Outlook], requests: Requests, what: str) -> list[Float]:
    """Return, for each stage, seconds that remain for each request: [stages] of [N].

    Args:
        outlooks: One per network.
        requests: The requests.
        what: ``mean`` or ``expected``.
    """
    stages = max(len(one.mean) for one in outlooks)
    found = [np.full(len(requests), np.inf) for _ in range(stages)]
    for number, one in enumerate(outlooks):
        of = requests.model == number
        for stage in range(len(one.mean)):
            values = one.expected[stage][requests.image[of]] if what == "expected" else one.mean[stage]
            found[stage][of] = values
    return found


def true_remaining(services: Sequence[ServiceTime], requests: Requests) -> list[Float]:
    """Return what remains in truth, which nobody knows before: [stages] of [N] seconds."""
    stages = max(service.stages for service in services)
    found = [np.full(len(requests), np.inf) for _ in range(stages)]
    for number, service in enumerate(services):
        of = requests.model == number
        total = service.alone_s
        for stage in range(service.stages):
            before = total[stage - 1] if stage else 0.0
            found[stage][of] = np.maximum(total[requests.stages[of] - 1] - before, 0.0)
    return found
