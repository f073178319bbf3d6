"""Ways to serve: whether exits are taken, who is next and who runs together, and what that comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from eecompile.serving.arrivals import Times, rate_of
from eecompile.serving.batches.batching import Batching, way_told
from eecompile.serving.crowd import Crowd
from eecompile.serving.figures import (
    ServingFigures,
    StreamFigures,
    capacity,
    figures,
    most_late,
    stream_figures,
)
from eecompile.serving.loops.in_batches import serve_in_batches
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.moving.adapting import Adapting
from eecompile.serving.moving.giving_way import GivingWay
from eecompile.serving.outcome import ServingOutcome
from eecompile.serving.policies import Policy
from eecompile.serving.served_network import ServedNetwork, crowd_of
from eecompile.serving.streams import ServingLoad

Form = Literal["static", "exits", "floor", "adapt"]
STATIC: Form = "static"
EXITS: Form = "exits"
FLOOR: Form = "floor"
ADAPT: Form = "adapt"
# Of the requests, the first ones fill the queue and are not counted.
WARM_UP = 0.05
# By p99: what is late is at most one in a hundred.
LATE = 0.01


@dataclass(frozen=True)
class ServedCrowd:
    """Requests that were served.

    Attributes:
        crowd: They, with the stages that each took.
        outcome: What happened.
        shares: Of the time in which each rung held, where thresholds gave way.
        adapting: Thresholds that followed the images, if they did.
    """

    crowd: Crowd
    outcome: ServingOutcome
    shares: list[float] = field(default_factory=list)
    adapting: Adapting | None = None


class WayFigures(NamedTuple):
    """What serving comes to.

    Attributes:
        whole: Of all requests.
        streams: Of those of each stream.
        rungs: The shares of `ServedCrowd`.
        cores: Share of time in which each core, link and port is in use, by name; empty where that is not
            known.
    """

    whole: ServingFigures
    streams: list[StreamFigures]
    rungs: list[float]
    cores: dict[str, float]


@dataclass(frozen=True)
class ServingWay:
    """A way to serve.

    Attributes:
        form: Networks without exits, with them, with thresholds that give way or that follow the images.
        policy: Who is next.
        batching: With whom.
        networks: In this form.
    """

    form: Form
    policy: Policy
    batching: Batching
    networks: Sequence[ServedNetwork]

    def __str__(self) -> str:
        """Return it as progress tells it."""
        return way_told(f"{self.form}, {self.policy.name}", str(self.batching))

    def serve(self, load: ServingLoad, times: Sequence[Times], seed: int, watch: bool = False) -> ServedCrowd:
        """Serve requests.

        Args:
            load: What is asked of the networks.
            times: Of each stream, when its requests come.
            seed: Of what they draw.
            watch: Note each stage that ran, too.
        """
        largest = self.batching.size
        networks = [replace(one, service=one.service.in_batches(largest)) for one in self.networks]
        crowd = crowd_of(networks, load, times, seed)
        moving: Adapting | GivingWay | None = None
        if self.form == ADAPT:
            moving = Adapting(crowd, [one.labels for one in networks if one.labels is not None])
        elif self.form == FLOOR:
            ladders = [one.ladder for one in networks if one.ladder is not None]
            due, rates = [one.slo_s for one in load.streams], [rate_of(of) for of in times]
            core = busiest_core(networks, load, rates, largest, True)[0] if load.overlap else None
            moving = GivingWay(crowd, ladders, due, largest, core)
        # The faster loop of the two, where they do the same.
        alone = self.batching.kind == "none" and not load.overlap
        batches = partial(serve_in_batches, batching=self.batching, overlap=load.overlap)
        loop = serve_one_by_one if alone else batches
        outcome = loop(crowd, self.policy, preempt=load.preempt, watch=watch, moving=moving)
        if moving is None:
            return ServedCrowd(crowd, outcome)
        served = moving.served(crowd)
        if isinstance(moving, Adapting):
            return ServedCrowd(served, outcome, adapting=moving)
        begin = float(crowd.requests.arrival_s[0])
        return ServedCrowd(served, outcome, moving.shares(begin, float(outcome.finish_s.max())))

    def figures(self, load: ServingLoad, times: Sequence[Times], seed: int) -> WayFigures:
        """Return what serving comes to; arguments as of `serve`."""
        served = self.serve(load, times, seed)
        crowd, outcome, requests = served.crowd, served.outcome, served.crowd.requests
        right, agrees = (np.zeros(len(requests), np.bool_) for _ in range(2))
        for n, one in enumerate(self.networks):
            of = requests.model == n
            image, left = requests.image[of], requests.stages[of] - 1
            right[of] = one.right[left, image]
            if one.labels is not None:
                agrees[of] = one.labels.agrees[left, image]
        found = figures(crowd, outcome, right, WARM_UP)
        if all(one.labels is not None for one in self.networks):
            count, adapting = len(requests), served.adapting
            found = replace(
                found,
                agreement=float(agrees[int(WARM_UP * count) :].mean()),
                agreement_last=float(agrees[3 * count // 4 :].mean()),
                free_labels=0.0 if adapting is None else adapting.labels / count,
                moves=0.0 if adapting is None else float(adapting.moves),
            )
        streams = range(len(load.streams))
        of_streams = [stream_figures(crowd, outcome, n, right, WARM_UP) for n in streams]
        span = float(outcome.finish_s.max() - requests.arrival_s[0])
        cores = {name: seconds / span for name, seconds in outcome.used_s.items()}
        return WayFigures(found, of_streams, served.shares, cores)

    def work(self, load: ServingLoad, rates: Sequence[float]) -> float:
        """Return the share of time that is work at least, at rates of the streams: of the busiest core."""
        gives_way = self.form == FLOOR
        if load.overlap:
            return busiest_core(self.networks, load, rates, self.batching.size, gives_way)[1]
        return work(self.networks, load, rates, self.batching.size, gives_way)

    def capacity(self, load: ServingLoad, times: Sequence[Times], seed: int, most: float) -> float:
        """Return how many times as fast the same arrivals may come; ``most``: all time is work there."""

        def keeps(factor: float) -> bool:
            served = self.serve(load, [one / factor for one in times], seed)
            return most_late(served.crowd, served.outcome, WARM_UP) <= LATE

        return capacity(keeps, most / 50, most * 1.05)


def work(
    networks: Sequence[ServedNetwork],
    load: ServingLoad,
    rates: Sequence[float],
    largest: int = 1,
    gives_way: bool = False,
) -> float:
    """Return the share of time that is work at least.

    Args:
        networks: That work.
        load: What is asked of them.
        rates: Requests per second of each stream.
        largest: Images of a batch at most.
        gives_way: With the thresholds that take least of those that may give way.
    """
    asked = zip(rates, (networks[one.network] for one in load.streams), strict=True)
    return sum(rate * one.least_s(largest, gives_way) for rate, one in asked)


def busiest_core(
    networks: Sequence[ServedNetwork],
    load: ServingLoad,
    rates: Sequence[float],
    largest: int = 1,
    gives_way: bool = False,
) -> tuple[str, float]:
    """Return the busiest core, link or port, and the share of time in which it works at least; as `work`."""
    found: dict[str, float] = {}
    for rate, stream in zip(rates, load.streams, strict=True):
        for name, seconds in networks[stream.network].least_core_s(largest, gives_way).items():
            found[name] = found.get(name, 0.0) + rate * seconds
    return max(found.items(), key=lambda one: one[1])
