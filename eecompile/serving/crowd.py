"""All requests of a simulation, and what is known of their networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eecompile.serving.outlook import Outlook
from eecompile.serving.requests import Requests
from eecompile.serving.service import ServiceTime
from eecompile.serving.waiting import Float, Waiting


@dataclass(frozen=True)
class Crowd:
    """N requests for some networks.

    Attributes:
        requests: All requests.
        services: Stage times of each network.
        outlooks: What val tells of each.
        confidences: [early exits, images] of each, of the images that requests draw.
    """

    requests: Requests
    services: Sequence[ServiceTime]
    outlooks: Sequence[Outlook]
    confidences: Sequence[Float]

    @property
    def stages(self) -> int:
        """The most stages a network has."""
        return max(service.stages for service in self.services)

    def waiting(self) -> Waiting:
        """Return every request as it waits for each stage, [stages, N].

        Stages that its network lacks are infinitely long. Nobody may ask for a stage that a request does not
        get to, so no exit tells of an image what it has not seen.
        """
        requests, shape = self.requests, (self.stages, len(self.requests))
        job = np.empty(shape[1])
        mean, expected, next_stage, likely, true = (np.full(shape, np.inf) for _ in range(5))
        for number, (service, seen) in enumerate(zip(self.services, self.outlooks, strict=True)):
            of = requests.model == number
            images, leaves = requests.image[of], requests.stages[of] - 1
            job[of] = seen.mean[0]
            total = service.alone_s
            for stage in range(service.stages):
                mean[stage, of] = seen.mean[stage]
                expected[stage, of] = seen.mean[0]
                likely[stage, of] = seen.likely(0, np.full(1, np.nan))
                if stage:
                    told = self.confidences[number][stage - 1]
                    expected[stage, of] = seen.expect(stage, told)[images]
                    likely[stage, of] = seen.likely(stage, told)[images]
                next_stage[stage, of] = service.stage_s[stage, 0]
                true[stage, of] = np.maximum(total[leaves] - (total[stage - 1] if stage else 0.0), 0.0)
        arrival, deadline, priority, whole = (
            np.broadcast_to(values, shape)
            for values in (requests.arrival_s, requests.deadline_s, requests.priority, job)
        )
        return Waiting(arrival, deadline, priority, whole, mean, expected, next_stage, likely, true)
