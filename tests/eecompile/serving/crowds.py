"""Small crowds to serve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eecompile.serving.arrivals import Times
from eecompile.serving.crowd import Crowd
from eecompile.serving.outlook import Outlook, outlook
from eecompile.serving.requests import Requests, merged, stream
from eecompile.serving.service import ServiceTime


def service(*stages: float, batch: int = 1, fixed: float = 0.5, load: float = 0.0) -> ServiceTime:
    """Return stage times; of a batch the share ``fixed`` is that of one image, whatever its size."""
    one = np.array(stages)[:, None]
    grows = fixed + (1 - fixed) * np.arange(1, batch + 1)
    return ServiceTime(one * grows, 2 * one * grows, load, load)


def single(*seconds: float) -> list[ServiceTime]:
    """Return networks of one stage."""
    return [service(time) for time in seconds]


def of_models(arrival: Times, model: np.ndarray, slo: Sequence[float], priority: Sequence[float]) -> Requests:
    """Return requests of networks of one stage."""
    nothing = np.zeros(1, np.int64)
    parts = [stream(arrival[model == m], nothing, 0, slo[m], m, priority[m]) for m in range(len(slo))]
    return merged(parts)


def mixture(
    arrival: Times,
    times: ServiceTime,
    shares: Sequence[float],
    slo: float = np.inf,
    seed: int = 0,
    told: float = 1.0,
) -> Crowd:
    """Return requests of one network of which ``shares`` leave at each exit.

    ``told``: 1 where confidences tell who leaves where, 0 where they are drawn.
    """
    draw = np.random.default_rng(seed)
    leaves = np.repeat(np.arange(len(shares)), np.round(np.array(shares) * 2000).astype(int)).astype(np.int64)
    noise = draw.random((len(shares) - 1, len(leaves)))
    confidence = told * (1 - leaves / len(shares)) + (1 - told) * noise
    seen = outlook(times, confidence, leaves)
    return Crowd(stream(arrival, leaves, seed, slo), [times], [seen], [confidence])


def plain_outlook(times: ServiceTime) -> Outlook:
    """Return what is known of a network of one stage."""
    return Outlook(times.stage_s[:1, 0], np.zeros(1), [None])


def plain(requests: Requests, services: Sequence[ServiceTime]) -> Crowd:
    """Return requests for networks of one stage."""
    outlooks = [plain_outlook(one) for one in services]
    return Crowd(requests, services, outlooks, [np.zeros((0, 1))] * len(services))
