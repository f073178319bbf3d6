"""Who is next: policies of the literature, ours, and an oracle.

A policy with keys orders requests by a number per request and stage, known before the stage begins, so that
a heap holds them; the smallest is next, of equals the first that came. A live one ranks all at each boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.serving.outlook import Outlook, per_request, true_remaining
from eecompile.serving.requests import Requests
from eecompile.serving.service import ServiceTime
from passes.errors import InputError, did_you_mean

Float = NDArray[np.float64]
Ints = NDArray[np.int64]
Keys = list[Float]
# PREMA: waiting counts in units of the time alone, times priority; the highest level reached counts.
LEVELS = np.array([1.0, 3.0, 9.0])


@dataclass(frozen=True)
class Crowd:
    """What policies may look at.

    Attributes:
        requests: All requests; only those that arrived are ranked.
        services: Stage times of each network.
        outlooks: Of each network.
    """

    requests: Requests
    services: Sequence[ServiceTime]
    outlooks: Sequence[Outlook]


Live = Callable[[float, Ints, Ints], Float]


@dataclass(frozen=True)
class Policy:
    """A way to choose.

    Attributes:
        name: As it is asked for.
        keys: [stages] of [N] from a crowd; ``None`` of a live one.
        live: From a crowd, a function of the time, waiting requests and their stages to their ranks.
        gives_up: Requests that cannot keep their deadline any more come behind all others.
        source: Where it is from.
    """

    name: str
    keys: Callable[[Crowd], Keys] | None = None
    live: Callable[[Crowd], Live] | None = None
    gives_up: bool = False
    source: str = ""


def _same(values: Float, crowd: Crowd) -> Keys:
    return [values] * max(service.stages for service in crowd.services)


def _first_come(crowd: Crowd) -> Keys:
    return _same(crowd.requests.arrival_s, crowd)


def _deadline(crowd: Crowd) -> Keys:
    return _same(crowd.requests.deadline_s, crowd)


def _priority(crowd: Crowd) -> Keys:
    return _same(-crowd.requests.priority, crowd)


def _shortest(crowd: Crowd) -> Keys:
    return _same(per_request(crowd.outlooks, crowd.requests, "mean")[0], crowd)


def _remaining(crowd: Crowd) -> Keys:
    return per_request(crowd.outlooks, crowd.requests, "expected")


def _oracle(crowd: Crowd) -> Keys:
    return true_remaining(crowd.services, crowd.requests)


def _slack(crowd: Crowd) -> Keys:
    """Slack less the time that is now, which is the same for all."""
    left = per_request(crowd.outlooks, crowd.requests, "mean")
    return [crowd.requests.deadline_s - values for values in left]


def _of_each(values: Keys, waiting: Ints, stages: Ints) -> Float:
    """Return of [stages] of [N] that of each waiting request at its stage."""
    return np.array([values[stage][one] for one, stage in zip(waiting, stages, strict=True)])


def _prema(crowd: Crowd) -> Live:
    requests = crowd.requests
    left = per_request(crowd.outlooks, requests, "mean")
    alone = left[0]

    def rank(now: float, waiting: Ints, stages: Ints) -> Float:
        slowdown = (now - requests.arrival_s[waiting]) / np.maximum(alone[waiting], 1e-30)
        tokens = requests.priority[waiting] * (1.0 + slowdown)
        reached = LEVELS[tokens.max() >= LEVELS]
        level = reached[-1] if len(reached) else tokens.max()
        estimate = _of_each(left, waiting, stages)
        return np.where(tokens >= level, estimate, np.inf)

    return rank


def _sdrm3(crowd: Crowd) -> Live:
    requests = crowd.requests
    left = per_request(crowd.outlooks, requests, "mean")

    def rank(now: float, waiting: Ints, stages: Ints) -> Float:
        estimate = _of_each(left, waiting, stages)
        slack = requests.deadline_s[waiting] - now
        urgency = np.where(slack > 0, estimate / np.maximum(slack, 1e-30), 0.0)
        starvation = (now - requests.arrival_s[waiting]) / np.maximum(left[0][waiting], 1e-30)
        return -(urgency + 0.1 * starvation)

    return rank


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("fifo", _first_come, source="first come, first served; never interrupts"),
        Policy("edf", _deadline, source="earliest deadline first (Liu and Layland 1973)"),
        Policy("priority", _priority, source="highest priority first, of equals the first that came"),
        Policy("sjf", _shortest, source="shortest expected job first"),
        Policy("slack", _slack, source="least slack, as Planaria (Ghodrati et al. 2020) ranks"),
        Policy("prema", live=_prema, source="tokens, then the shortest (Choi and Rhu 2020)"),
        Policy("sdrm3", live=_sdrm3, source="urgency and starvation, after DREAM (Kim et al. 2023)"),
        Policy(
            "remaining", _remaining, gives_up=True,
            source="least work expected from the confidence so far; what is too late comes last (ours)",
        ),
        Policy("oracle", _oracle, gives_up=True, source="least work in truth, which nobody knows"),
    )
}  # fmt: skip


def policy_named(name: str) -> Policy:
    """Return a policy; raises InputError with a suggestion."""
    if name not in POLICIES:
        raise InputError(f"unknown policy '{name}'", did_you_mean(name, POLICIES) or ", ".join(POLICIES))
    return POLICIES[name]
