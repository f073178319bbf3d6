"""Streams of requests: what each asks for, and what a load of several comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.serving.arrivals import Arrivals, Times
from eecompile.serving.requests import Drift, Requests, merged, stream
from passes.errors import InputError


@dataclass(frozen=True)
class RequestStream:
    """Requests from one place, as from one camera.

    Attributes:
        name: As results call it.
        network: Number of the network that it asks; several streams may ask one.
        arrivals: When they come.
        slo_s: Seconds from arrival to deadline.
        priority: Larger is more important.
    """

    name: str
    network: int
    arrivals: Arrivals
    slo_s: float
    priority: float = 1.0


@dataclass(frozen=True)
class ServingLoad:
    """What is asked of the networks.

    Attributes:
        streams: Who asks.
        requests: The most of each stream and seed. All end when the first has sent so many, so that the mix
            is the same from beginning to end.
        seeds: Each draws arrivals and images anew, of each stream apart.
        preempt: Others may come between two stages of a request.
        drift: Share of the requests that draw a hard image at the end; ``None``: all images are alike.
        adapt: Serve by thresholds that follow what images have become, too.
        overlap: Stages run beside each other where their schedules let them.
    """

    streams: Sequence[RequestStream]
    requests: int
    seeds: Sequence[int]
    preempt: bool = True
    drift: float | None = None
    adapt: bool = False
    overlap: bool = False

    def times(self, seed: int) -> list[Times]:
        """Return when the requests of each stream come, seconds.

        Raises:
            InputError: A file that is no trace, or a stream that sends nothing before another has ended.
        """
        drawn = [one.arrivals.times(self.requests, (seed, n)) for n, one in enumerate(self.streams)]
        end = min(times[-1] for times in drawn)
        kept = [times[: int(np.searchsorted(times, end, "right"))] for times in drawn]
        for one, times in zip(self.streams, kept, strict=True):
            if not len(times):
                raise InputError(
                    f"{one.name} sends nothing in the {end:.4g} s until another stream has sent all",
                    "ask for more `requests`",
                )
        return kept

    def requests_at(
        self,
        times: Sequence[Times],
        leaves: Sequence[NDArray[np.int64]],
        seed: int,
        hard: Sequence[NDArray[np.bool_]] = (),
    ) -> Requests:
        """Return all requests of a seed in order of arrival.

        Args:
            times: When those of each stream come.
            leaves: [images] of each network, exit at which each leaves.
            seed: Of the images drawn.
            hard: [images] of each network, which half is hard; needed where images drift.
        """
        drifts = [None if self.drift is None else Drift(of, self.drift) for of in hard]

        return merged(
            [
                stream(
                    times[n],
                    leaves[one.network],
                    seed,
                    one.slo_s,
                    one.network,
                    one.priority,
                    n,
                    drifts[one.network] if drifts else None,
                )
                for n, one in enumerate(self.streams)
            ]
        )
