"""Requests: which network, which image, when, and by when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Drift:
    """Images become harder.

    Attributes:
        hard: [images] which half of them is.
        until: Share of the requests that draw from that half at the end; half of them do at the beginning,
            and more, or fewer, from request to request.
    """

    hard: NDArray[np.bool_]
    until: float

    def draw(self, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Return the numbers of ``count`` images."""
        share = np.linspace(0.5, self.until, count)
        hard, easy = (np.flatnonzero(half) for half in (self.hard, ~self.hard))
        picked = np.where(
            random.random(count) < share, random.choice(hard, count), random.choice(easy, count)
        )
        return picked.astype(np.int64)


def hard_half(surest: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which half of the images is hard: those that the final exit is least sure of.

    Args:
        surest: [images] its largest probability.
    """
    found = np.zeros(len(surest), np.bool_)
    found[np.argsort(surest, kind="stable")[: len(found) // 2]] = True
    return found


@dataclass(frozen=True)
class Requests:
    """N requests in order of arrival.

    Attributes:
        arrival_s: [N] float64, seconds, sorted.
        source: [N] int64, number of the stream it came by.
        model: [N] int64, number of the network.
        image: [N] int64, number of the image whose answers are replayed.
        stages: [N] int64, how many stages it takes until it leaves.
        deadline_s: [N] float64, seconds, absolute; infinite: none.
        priority: [N] float64, larger is more important.
    """

    arrival_s: NDArray[np.float64]
    source: NDArray[np.int64]
    model: NDArray[np.int64]
    image: NDArray[np.int64]
    stages: NDArray[np.int64]
    deadline_s: NDArray[np.float64]
    priority: NDArray[np.float64]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.arrival_s)


def stream(
    arrival_s: NDArray[np.float64],
    leaves_at: NDArray[np.int64],
    seed: int,
    slo_s: float = np.inf,
    model: int = 0,
    priority: float = 1.0,
    source: int = 0,
    drift: Drift | None = None,
) -> Requests:
    """Return requests for one network; each draws one of its images, all alike.

    Args:
        arrival_s: [N] seconds, sorted.
        leaves_at: [images] number of the exit at which each leaves.
        seed: Of the images drawn.
        slo_s: Seconds from arrival to deadline.
        model: Number of the network.
        priority: Of its requests.
        source: Number of the stream; each draws images of its own.
        drift: Hard images become more; without, all are drawn alike.
    """
    count = len(arrival_s)
    draw = np.random.default_rng([seed, source])
    image = draw.integers(0, len(leaves_at), count) if drift is None else drift.draw(count, draw)
    return Requests(
        np.asarray(arrival_s, np.float64),
        np.full(count, source, np.int64),
        np.full(count, model, np.int64),
        image,
        leaves_at[image].astype(np.int64) + 1,
        arrival_s + slo_s,
        np.full(count, priority, np.float64),
    )


def merged(streams: Sequence[Requests]) -> Requests:
    """Return all requests of several streams in order of arrival."""
    order = np.argsort(np.concatenate([one.arrival_s for one in streams]), kind="stable")
    joined = {
        name: np.concatenate([getattr(one, name) for one in streams])[order] for name in vars(streams[0])
    }
    return Requests(**joined)
