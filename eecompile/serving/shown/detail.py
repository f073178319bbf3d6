"""What a page shows beside the figures: tails, exits, misses against load, and a window of what ran."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eecompile.serving.batches.batching import way_told
from eecompile.serving.crowd import Crowd
from eecompile.serving.figures import most_late
from eecompile.serving.outcome import ServingOutcome
from eecompile.serving.ways import ServedCrowd
from passes.progress import each

# Shares of requests that are slower; of each, ten requests at least must be.
SLOWER = (0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
FEWEST_SLOWER = 10
# Of the highest capacity, the rates at which misses are counted.
RATES = (0.25, 0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.25)
# Stages of a window.
SHOWN_STAGES = 40

Serve = Callable[[int, float, bool], ServedCrowd]
"""Serves requests in the way of a number, so many times as fast, and notes what ran where told to."""


@dataclass(frozen=True)
class WayDetail:
    """A way to serve the requests of one seed.

    Attributes:
        form: As of `ServedRow`.
        policy: Its name.
        batch: How requests ran together.
        tail: Shares of the requests, falling, and the latency that each is slower than, seconds.
        exits: Of each network, the share of its requests that leave at each exit.
        curve: Requests per second, rising, and the share that is late then; empty if not asked for.
    """

    form: str
    policy: str
    batch: str
    tail: list[tuple[float, float]]
    exits: list[list[float]]
    curve: list[tuple[float, float]]

    def __str__(self) -> str:
        """Return the way as charts name it."""
        return way_told(f"{self.form}, {self.policy}", self.batch)


@dataclass(frozen=True)
class ShownStage:
    """A stage that ran, of networks and requests by their numbers."""

    begin_s: float
    end_s: float
    network: int
    stage: int
    requests: list[int]


@dataclass(frozen=True)
class ShownRequest:
    """A request of which a stage is shown; all seconds are absolute."""

    number: int
    network: int
    arrival_s: float
    deadline_s: float | None
    finish_s: float


@dataclass(frozen=True)
class ServingDetail:
    """What is shown of one seed.

    Attributes:
        seed: Which.
        rows: Each way, in the order of the figures.
        stages: Of a window of the last way, in the order they ran.
        requests: That had these stages, by arrival.
    """

    seed: int
    rows: list[WayDetail]
    stages: list[ShownStage]
    requests: list[ShownRequest]


def detail_of(
    asked: Sequence[tuple[str, str, str]], factors: Sequence[float], seed: int, serve: Serve, warm_up: float
) -> ServingDetail:
    """Return what is shown of one seed.

    Args:
        asked: Form, policy and batches of each way.
        factors: How many times as fast to count misses at, beside the mean rate at that; nothing: do not.
        seed: Of these requests.
        serve: Serves them.
        warm_up: Share of the requests, the first ones, that are left out.
    """
    rows = []
    for number, way in enumerate(each(asked, "ways to look at")):
        served = serve(number, 1.0, number == len(asked) - 1)
        curve = []
        for factor in factors:
            faster = serve(number, factor, False)
            arrival = faster.crowd.requests.arrival_s
            late = most_late(faster.crowd, faster.outcome, warm_up)
            curve.append((len(arrival) / float(arrival[-1]), late))
        tail = _tail(served.crowd, served.outcome, warm_up)
        rows.append(WayDetail(*way, tail, _exits(served.crowd), curve))
    stages, requests = _window(served.crowd, served.outcome, warm_up)
    return ServingDetail(seed, rows, stages, requests)


def _tail(crowd: Crowd, outcome: ServingOutcome, warm_up: float) -> list[tuple[float, float]]:
    latency = (outcome.finish_s - crowd.requests.arrival_s)[int(warm_up * len(crowd.requests)) :]
    shares = [share for share in SLOWER if share * len(latency) >= FEWEST_SLOWER]
    return [(share, float(np.quantile(latency, 1 - share))) for share in shares]


def _exits(crowd: Crowd) -> list[list[float]]:
    requests, found = crowd.requests, []
    for number, service in enumerate(crowd.services):
        stages = requests.stages[requests.model == number]
        counts = np.bincount(stages - 1, minlength=service.stages)
        found.append((counts / max(len(stages), 1)).tolist())
    return found


def _window(
    crowd: Crowd, outcome: ServingOutcome, warm_up: float
) -> tuple[list[ShownStage], list[ShownRequest]]:
    ran = outcome.ran[int(warm_up * len(outcome.ran)) :][:SHOWN_STAGES]
    stages = [ShownStage(one.begin_s, one.end_s, one.model, one.stage, list(one.requests)) for one in ran]
    requests = crowd.requests
    shown = [
        ShownRequest(
            number, int(requests.model[number]), float(requests.arrival_s[number]),
            float(requests.deadline_s[number]) if np.isfinite(requests.deadline_s[number]) else None,
            float(outcome.finish_s[number]),
        )
        for number in sorted({number for one in stages for number in one.requests})
    ]  # fmt: skip
    return stages, shown
