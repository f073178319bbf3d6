"""Who is next: policies of the literature, ours, and two that know the truth.

A policy with keys orders requests by a number per request and stage, known before the stage begins, so that
a heap holds them; the smallest is next, of equals the first that came. Where deadlines are planned with, keys
are work that is left. A live one ranks all that wait each time. All look at `Waiting` alone, so that a server
and a simulation order alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eecompile.serving.waiting import Float, Waiting
from passes.errors import InputError, did_you_mean

# PREMA: waiting counts in units of the time alone, times priority; the highest level reached counts.
LEVELS = np.array([1.0, 3.0, 9.0])


@dataclass(frozen=True)
class Policy:
    """A way to choose.

    Attributes:
        name: As it is asked for.
        key: From requests that wait to their keys, of the same shape; ``None`` of a live one.
        rank: From the time and all requests that wait, [N], to their ranks.
        latest: Of those with a key, until when the stage may begin for the deadline to be kept; then the
            earliest deadline is next of those that can all be kept, by keys as seconds of work
            (`FewestLateQueue`). ``None`` where keys alone count.
        needs_truth: It asks for what only a simulation knows.
        source: Where it is from.
    """

    name: str
    key: Callable[[Waiting], Float] | None = None
    rank: Callable[[float, Waiting], Float] | None = None
    latest: Callable[[Waiting], Float] | None = None
    needs_truth: bool = False
    source: str = ""


def _truth(waiting: Waiting) -> Float:
    if waiting.true_s is None:
        raise InputError("only a simulation knows what the oracle asks for", "name another policy")
    return waiting.true_s


def _prema(now: float, waiting: Waiting) -> Float:
    slowdown = (now - waiting.arrival_s) / np.maximum(waiting.job_s, 1e-30)
    tokens = waiting.priority * (1.0 + slowdown)
    reached = LEVELS[tokens.max() >= LEVELS]
    level = reached[-1] if len(reached) else tokens.max()
    return np.where(tokens >= level, waiting.mean_s, np.inf)


def _sdrm3(now: float, waiting: Waiting) -> Float:
    slack = waiting.deadline_s - now
    urgency = np.where(slack > 0, waiting.mean_s / np.maximum(slack, 1e-30), 0.0)
    starvation = (now - waiting.arrival_s) / np.maximum(waiting.job_s, 1e-30)
    return -(urgency + 0.1 * starvation)


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("fifo", lambda w: w.arrival_s, source="first come, first served; never interrupts"),
        Policy("edf", lambda w: w.deadline_s, source="earliest deadline first (Liu and Layland 1973)"),
        Policy(
            "priority", lambda w: -w.priority, source="highest priority first, of equals the first that came"
        ),
        Policy("sjf", lambda w: w.job_s, source="shortest expected job first"),
        # Slack less the time that is now, which is the same for all.
        Policy(
            "slack", lambda w: w.deadline_s - w.mean_s,
            source="least slack, as Planaria (Ghodrati et al. 2020) ranks",
        ),
        Policy("prema", rank=_prema, source="tokens, then the shortest (Choi and Rhu 2020)"),
        Policy("sdrm3", rank=_sdrm3, source="urgency and starvation, after DREAM (Kim et al. 2023)"),
        Policy(
            "remaining", lambda w: w.expected_s, latest=lambda w: w.deadline_s - w.likely_s,
            source="fewest late by the work expected from the confidence so far (ours)",
        ),
        Policy("srpt", _truth, needs_truth=True, source="least work in truth, which nobody knows"),
        Policy(
            "oracle", _truth, latest=lambda w: w.deadline_s - _truth(w), needs_truth=True,
            source="fewest late by the work in truth (Moore 1968), which nobody knows",
        ),
    )
}  # fmt: skip


def policy_named(name: str) -> Policy:
    """Return a policy; raises InputError with a suggestion."""
    if name not in POLICIES:
        raise InputError(f"unknown policy '{name}'", did_you_mean(name, POLICIES) or ", ".join(POLICIES))
    return POLICIES[name]
