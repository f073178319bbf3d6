"""What a policy may look at of requests that wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Waiting:
    """Requests that wait, each for a stage: arrays of one shape, [N] or [stages, N].

    Attributes:
        arrival_s: Seconds.
        deadline_s: Seconds, absolute; infinite: none.
        priority: Larger is more important.
        job_s: Seconds that the whole job takes alone, the mean of val.
        mean_s: Seconds expected from the start of this stage, of all that get there.
        expected_s: The same, given the confidence at the exit before.
        stage_s: Seconds of this stage, for one image.
        likely_s: Seconds within which it leaves more likely than not, given the same confidence.
        true_s: Seconds from the start of this stage in truth; ``None`` but in a simulation.
    """

    arrival_s: Float
    deadline_s: Float
    priority: Float
    job_s: Float
    mean_s: Float
    expected_s: Float
    stage_s: Float
    likely_s: Float
    true_s: Float | None = None

    def at(self, index: Any) -> Waiting:
        """Return those at an index of numpy."""
        truth = None if self.true_s is None else self.true_s[index]
        known = {name: values[index] for name, values in vars(self).items() if name != "true_s"}
        return Waiting(**known, true_s=truth)
