"""The choice: what is sent, which exits stay on the device, and their thresholds, for a speed of the link."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import Choice, Limit, Observed, choose_within, leaves_at
from eecompile.split.device_costs import DeviceCosts
from eecompile.split.link import Linear, SplitLink
from eecompile.split.offers import Behind, Offer
from eecompile.split.radios import Radio
from passes.state import Exit

Float64 = NDArray[np.float64]
LATENCY, ENERGY = "latency", "energy"


@dataclass(frozen=True)
class Terms:
    """What sending costs.

    Attributes:
        link: The link but for its rate.
        radio: Of the device.
        idle_w: Watts of the device while it waits.
        request_head_bytes: Bytes around a payload: the request's head, and what describes the payload.
        objective: ``latency`` or ``energy``.
    """

    link: SplitLink
    radio: Radio
    idle_w: float
    request_head_bytes: int
    objective: str

    def sending(self, payload_bytes: Float64, server_s: float, objective: str) -> Linear:
        """Return seconds, or joules of the device, of payloads [N] until their answers are there."""
        request = payload_bytes + self.request_head_bytes
        if objective == LATENCY:
            return self.link.latency(request, server_s)
        return self.link.energy(request, server_s, self.radio, self.idle_w)


@dataclass(frozen=True)
class Plan:
    """What is done with an image.

    Attributes:
        exits: Numbers of the early exits that the device has.
        thresholds: One for each.
        offer: Number of the offer that is sent behind them; ``None``: the device goes on to the final exit.
        fixed: Expected objective where a bit takes no time, on val.
        slope: What each second of a bit adds.
    """

    exits: tuple[int, ...]
    thresholds: tuple[float, ...]
    offer: int | None
    fixed: float = field(compare=False)
    slope: float = field(compare=False)


@dataclass(frozen=True)
class SplitQuestion:
    """All that plans are chosen among, on val.

    Attributes:
        costs: Of the device.
        seen: Answers of all early exits of the run and of its final one, and what drops are against.
        labels: [N] of val.
        offers: What may be sent.
        behind: What comes of it on val.
        limit: Of the drop.
        may_leave: Sets of exits that the device may have.
        alone_label: [N] answers of a final exit that takes over none of others; ``None``: of the run's own.
    """

    costs: DeviceCosts
    seen: Observed
    labels: NDArray[np.int64]
    offers: Sequence[Offer]
    behind: Sequence[Behind]
    limit: Limit
    may_leave: tuple[tuple[int, ...], ...]
    alone_label: NDArray[np.int64] | None = None

    @functools.cached_property
    def bound(self) -> DropBound:
        """The bound of drops, which all choices share."""
        return DropBound(len(self.labels))

    def observed(self, exits: Sequence[int], offer: int | None) -> Observed:
        """Return the answers of a device with ``exits`` and of what comes behind them."""
        kept = self.seen.select(exits)
        correct = kept.correct.copy()
        if offer is not None:
            correct[-1] = self.behind[offer].label == self.labels
        elif self.alone_label is not None and not self.costs.takes_over(exits):
            correct[-1] = self.alone_label == self.labels
        return Observed(kept.confidence, correct, kept.rules, self.seen.static_correct)


def exit_sets(early: Sequence[Exit]) -> tuple[tuple[int, ...], ...]:
    """Return all sets of early exits that can be without the others, the empty one first.

    An exit needs the one that it reads, and all before it where its confidence counts them.
    """
    names = [item.name for item in early]
    needs = [
        set(range(number))
        if item.confidence.reads_before
        else {names.index(item.reads)}
        if item.reads
        else set()
        for number, item in enumerate(early)
    ]
    return tuple(
        chosen
        for size in range(len(early) + 1)
        for chosen in itertools.combinations(range(len(early)), size)
        if all(needs[k] <= {*chosen} for k in chosen)
    )


def device_paths(
    costs: DeviceCosts, exits: Sequence[int], offer: Offer | None, objective: str
) -> tuple[float, ...]:
    """Return seconds or joules of the device until each exit, and until it sends or is at the final one."""
    which = 0 if objective == LATENCY else 1
    paths = [costs.until(costs.reached[k], exits[: n + 1])[which] for n, k in enumerate(exits)]
    layers = len(costs.backbone) if offer is None else offer.place.layers
    deepest = max([layers, *(costs.reached[k] for k in exits)])
    merged = offer is None and costs.takes_over(exits)
    return (*paths, costs.until(deepest, exits, merged)[which])


def best_plan(
    question: SplitQuestion, terms: Terms, bit_s: float, offers: Sequence[int | None] | None = None
) -> Plan | None:
    """Return the plan of least expected objective where a bit takes ``bit_s`` seconds.

    For each offer and each set of exits the thresholds are solved; a payload counts by its mean over val
    there, and with the bytes of the images that are sent in what the plan tells.

    Args:
        question: What there is.
        terms: What sending costs.
        bit_s: Seconds.
        offers: Numbers of the offers that may be taken, ``None`` for staying on the device; all if absent.

    Returns:
        The plan; ``None`` if no thresholds keep the limit.
    """
    among = [None, *range(len(question.offers))] if offers is None else list(offers)
    best: Plan | None = None
    least = np.inf
    for offer, exits in itertools.product(among, question.may_leave):
        found = None if offer is None else question.offers[offer]
        paths = device_paths(question.costs, exits, found, terms.objective)
        sending = 0.0
        if offer is not None and found is not None:
            sizes = question.behind[offer].payload_bytes
            sending = float(terms.sending(sizes, found.server_s, terms.objective).at(bit_s).mean())
        cheapest = min((*paths[:-1], paths[-1] + sending))
        if cheapest >= least:
            continue
        observed = question.observed(exits, offer)
        chosen = _chosen(question, observed, (*paths[:-1], paths[-1] + sending))
        if chosen is None:
            continue
        plan = _plan(question, terms, exits, chosen, offer, paths)
        now = plan.fixed + plan.slope * bit_s
        if now < least:
            best, least = plan, now
    return best


def _chosen(question: SplitQuestion, observed: Observed, costs: Sequence[float]) -> Choice | None:
    return choose_within(observed, costs, question.limit, (), question.bound)


def _plan(
    question: SplitQuestion,
    terms: Terms,
    exits: tuple[int, ...],
    chosen: Choice,
    offer: int | None,
    paths: tuple[float, ...],
) -> Plan:
    observed = question.observed(exits, offer)
    where = leaves_at(observed.confidence, chosen.thresholds)
    fixed = np.asarray(paths, np.float64)[where]
    slope = np.zeros(len(where))
    if offer is not None:
        sent = where == len(exits)
        some = question.behind[offer].payload_bytes[sent]
        line = terms.sending(some, question.offers[offer].server_s, terms.objective)
        fixed[sent] += line.fixed
        slope[sent] = line.per_bit_s
    thresholds = tuple(float(value) for value in chosen.thresholds)
    return Plan(exits, thresholds, offer, float(fixed.mean()), float(slope.mean()))
