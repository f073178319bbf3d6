"""Latency, misses, throughput, energy, accuracy and fairness of what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from eecompile.serving.crowd import Crowd
from eecompile.serving.outcome import ServingOutcome


@dataclass(frozen=True, kw_only=True)
class StreamFigures:
    """What the requests of one stream, or of all, saw.

    Attributes:
        mean_s: Latency from arrival to answer, seconds; median, 95th and 99th percentile beside.
        p50_s: Median.
        p95_s: 95th percentile.
        p99_s: 99th percentile.
        missed: Share of requests behind their deadline.
        accuracy: Share of right answers; ``None`` where images have no labels.
    """

    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    missed: float
    accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class ServingFigures(StreamFigures):
    """One simulation.

    Attributes:
        agreement: Share of answers that are those of the final exit; ``None``: nobody asked, as below.
        agreement_last: The same of the last quarter of the requests.
        free_labels: Requests that left early and ran on to the final exit, per request.
        moves: How often thresholds moved.
        throughput: Requests per second from the first arrival to the last answer.
        utilisation: Share of that time in which the accelerator worked.
        energy_j: Joules per request, loads included.
        fairness: Jain's index of slowdowns (latency over time alone): 1 where all are slowed alike, 1/N where
            one bears all.
        interruptions: Per request.
        loads: How often weights were brought, per request.
        spills: How often an interrupted request was moved off chip, per request.
        refused: How often one went on while others waited, for lack of room to leave it, per request.
        peak_memory: The most that interrupted requests had in the memories at a time, bytes.
    """

    agreement: float | None = None
    agreement_last: float | None = None
    free_labels: float | None = None
    moves: float | None = None
    throughput: float
    utilisation: float
    energy_j: float
    fairness: float
    interruptions: float
    loads: float
    spills: float
    refused: float
    peak_memory: float


def figures(
    crowd: Crowd, outcome: ServingOutcome, correct: NDArray[np.bool_] | None = None, warm_up: float = 0.0
) -> ServingFigures:
    """Return the figures of a simulation.

    Args:
        crowd: What was served.
        outcome: What happened.
        correct: [N], whether each answer is right.
        warm_up: Share of the requests, the first ones, that count for nothing but utilisation and energy.
    """
    requests = crowd.requests
    count = len(requests)
    latency = outcome.finish_s - requests.arrival_s
    alone = np.zeros(count)
    for number, service in enumerate(crowd.services):
        of = requests.model == number
        alone[of] = service.alone_s[requests.stages[of] - 1]
    slowdown = latency / np.maximum(alone, 1e-30)
    kept = slice(int(warm_up * count), None)
    span = float(outcome.finish_s.max() - requests.arrival_s[0])
    return ServingFigures(
        **asdict(_seen(crowd, outcome, kept, correct)),
        throughput=count / span,
        utilisation=outcome.busy_s / span,
        energy_j=outcome.energy_j / count,
        fairness=float(slowdown[kept].sum() ** 2 / (len(slowdown[kept]) * (slowdown[kept] ** 2).sum())),
        interruptions=outcome.interruptions / count,
        loads=outcome.loads / count,
        spills=outcome.spills / count,
        refused=outcome.refused / count,
        peak_memory=outcome.peak_bits / 8,
    )


def stream_figures(
    crowd: Crowd, outcome: ServingOutcome, source: int, correct: NDArray[np.bool_], warm_up: float
) -> StreamFigures:
    """Return what the requests of a stream saw; arguments as of `figures`."""
    kept = np.flatnonzero(crowd.requests.source == source)
    return _seen(crowd, outcome, kept[int(warm_up * len(kept)) :], correct)


def most_late(crowd: Crowd, outcome: ServingOutcome, warm_up: float) -> float:
    """Return the share of requests that are late in the stream where most are."""
    kept = slice(int(warm_up * len(crowd.requests)), None)
    source = crowd.requests.source[kept]
    late = np.bincount(source, (outcome.finish_s > crowd.requests.deadline_s)[kept])
    return float((late / np.maximum(np.bincount(source), 1)).max())


def _seen(
    crowd: Crowd,
    outcome: ServingOutcome,
    kept: slice | NDArray[np.int64],
    correct: NDArray[np.bool_] | None,
) -> StreamFigures:
    requests, finish = crowd.requests, outcome.finish_s[kept]
    latency = finish - requests.arrival_s[kept]
    p50, p95, p99 = np.percentile(latency, [50, 95, 99])
    return StreamFigures(
        mean_s=float(latency.mean()),
        p50_s=float(p50),
        p95_s=float(p95),
        p99_s=float(p99),
        missed=float((finish > requests.deadline_s[kept]).mean()),
        accuracy=None if correct is None else float(correct[kept].mean()),
    )


@dataclass(frozen=True)
class Interval:
    """A mean over seeds, with the 95 % interval of Student's t; of one seed there is none."""

    mean: float
    low: float | None
    high: float | None


def over_seeds(found: Sequence[StreamFigures]) -> dict[str, Interval]:
    """Return each figure over simulations of several seeds; one that some lack is left out."""
    rows = [asdict(one) for one in found]
    return {
        name: interval([row[name] for row in rows])
        for name in rows[0]
        if all(row[name] is not None for row in rows)
    }


def interval(values: Sequence[float]) -> Interval:
    """Return mean and interval of one figure."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, None, None)
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


def capacity(keeps: Callable[[float], bool], low: float, high: float, tolerance: float = 0.005) -> float:
    """Return the highest rate that keeps what is asked, by bisection.

    Args:
        keeps: Whether a rate, requests per second, keeps it; true up to some rate and false above.
        low: A rate to begin at.
        high: A rate that cannot be kept.
        tolerance: Share of the rate that is left open.

    Returns:
        Requests per second; 0 where even ``low`` is too much.
    """
    if not keeps(low):
        return 0.0
    while high - low > tolerance * high:
        middle = (low + high) / 2
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return low
