"""What a plan comes to on images that chose nothing, on a link of a known speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.statistics import PairedDrop, accuracy_interval, paired_drop
from eecompile.exits.thresholds import Observed, leaves_at
from eecompile.split.choosing import ENERGY, LATENCY, Plan, Terms, device_paths
from eecompile.split.device_costs import DeviceCosts
from eecompile.split.offers import Behind, Offer

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class PlanFigures:
    """A plan on N images of test.

    Attributes:
        latency_s: Expected seconds of an image.
        p99_s: Of all images, with what is lost on the way, 99 of 100 take no longer.
        energy_j: Expected joules of the device.
        sent: Share of images that are sent.
        payload_bytes: Mean of those that are sent, measured; 0 if none is.
        entropy_bytes: Mean empirical entropy of what all images would send; ``None``: nothing or floats.
        leaves: Share of images that leave at each early exit of the plan, then behind them.
        accuracy: Share of right answers.
        accuracy_ci95: Its 95 % interval.
        drop: Against the network without exits, on the device.
        images: N.
    """

    latency_s: float
    p99_s: float
    energy_j: float
    sent: float
    payload_bytes: float
    entropy_bytes: float | None
    leaves: tuple[float, ...]
    accuracy: float
    accuracy_ci95: tuple[float, float]
    drop: PairedDrop
    images: int


def plan_figures(
    plan: Plan,
    terms: Terms,
    costs: DeviceCosts,
    offer: Offer | None,
    observed: Observed,
    found: Behind | None,
    bit_s: float,
) -> PlanFigures:
    """Return what a plan comes to where a bit takes ``bit_s`` seconds.

    Args:
        plan: The plan.
        terms: What sending costs.
        costs: Of the device.
        offer: What it sends.
        observed: Answers of its exits and of what comes behind them, on test.
        found: What its offer comes to on test.
        bit_s: Seconds.
    """
    where = leaves_at(observed.confidence, [np.float32(t) for t in plan.thresholds])
    last = len(plan.exits)
    sent = (where == last) if offer is not None else np.zeros(len(where), np.bool_)
    amounts = {}
    for name in (LATENCY, ENERGY):
        amounts[name] = np.asarray(device_paths(costs, plan.exits, offer, name), np.float64)[where]
        if offer is not None and found is not None and sent.any():
            line = terms.sending(found.payload_bytes[sent], offer.server_s, name)
            amounts[name][sent] += line.at(bit_s)
    right = observed.correct[where, np.arange(len(where))]
    accuracy, low, high = accuracy_interval(right)
    sizes = found.payload_bytes[sent] if found is not None else np.zeros(0)
    entropy = None if found is None or np.isnan(found.entropy_bytes) else found.entropy_bytes
    return PlanFigures(
        float(amounts[LATENCY].mean()),
        _p99(plan, terms, costs, offer, where, sizes, bit_s),
        float(amounts[ENERGY].mean()),
        float(sent.mean()),
        float(sizes.mean()) if len(sizes) else 0.0,
        entropy,
        tuple(float((where == k).mean()) for k in range(last + 1)),
        accuracy,
        (low, high),
        paired_drop(observed.static_correct, right),
        len(where),
    )


def _p99(
    plan: Plan,
    terms: Terms,
    costs: DeviceCosts,
    offer: Offer | None,
    where: NDArray[np.int64],
    sizes: Float64,
    bit_s: float,
) -> float:
    """Return the seconds within which 99 of 100 images are answered; what the link loses is spread evenly."""
    paths = np.asarray(device_paths(costs, plan.exits, offer, LATENCY), np.float64)
    times = [paths[where[where < len(plan.exits)]]]
    if offer is None:
        times.append(paths[where[where == len(plan.exits)]])
    times = [np.repeat(some, _DRAWS) for some in times]
    shares = (np.arange(_DRAWS) + 0.5) / _DRAWS
    if offer is not None:
        for size in sizes:
            request = float(size + terms.request_head_bytes)
            there = terms.link.quantile_latency(request, offer.server_s, bit_s, shares)
            times.append(paths[-1] + there)
    return float(np.quantile(np.concatenate(times), 0.99))


_DRAWS = 100
