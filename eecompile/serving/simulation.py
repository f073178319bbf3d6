"""Runs under load: early exits by each policy, and the network without exits beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eecompile.run_files.samples import read_samples
from eecompile.run_files.summary import load_summary
from eecompile.serving.arrivals import Times, rate_of
from eecompile.serving.batches.batching import Batching
from eecompile.serving.batches.costs import run_batches
from eecompile.serving.batches.gain import BatchCost, grown, least_s
from eecompile.serving.crowd import Crowd
from eecompile.serving.figures import (
    ServingFigures,
    StreamFigures,
    capacity,
    figures,
    interval,
    most_late,
    over_seeds,
    stream_figures,
)
from eecompile.serving.in_batches import serve
from eecompile.serving.loads import loading_notes
from eecompile.serving.moving.adapting import Adapting, FreeLabels
from eecompile.serving.moving.giving_way import GivingWay
from eecompile.serving.moving.ladder import Rung, ladder_of, observed_val
from eecompile.serving.one_by_one import serve_one_by_one
from eecompile.serving.outcome import ServingOutcome
from eecompile.serving.outlook import Outlook, outlook
from eecompile.serving.policies import Policy, policy_named
from eecompile.serving.requests import hard_half
from eecompile.serving.result import ServedRow, ServedRung, ServedStream, SimulationResult
from eecompile.serving.service import ServiceTime, service_time, static_service_time
from eecompile.serving.shown.detail import RATES, detail_of
from eecompile.serving.streams import ServingLoad
from eecompile.serving.trace import write_window
from passes.errors import InputError
from passes.progress import each

STATIC, EXITS, FLOOR, ADAPT = "static", "exits", "floor", "adapt"
# Of the requests, the first ones fill the queue and are not counted.
WARM_UP = 0.05
# By p99: what is late is at most one in a hundred.
LATE = 0.01
ONE_BY_ONE = (Batching(),)


@dataclass(frozen=True)
class ServedNetwork:
    """A network that is served, with the answers of its images: with its exits, or without.

    Attributes:
        name: Of its run directory.
        service: Stage times.
        outlook: What its confidences tell.
        confidence: [early exits, images].
        leaves: [images] exit at which each leaves.
        right: [exits, images], whether the answer there is right.
        target: The accelerator it was made for.
        ladder: Thresholds that it may have under overload, those of the run first, then less and less work;
            ``None``: those of the run hold.
        hard: [images] which half of them is hard; ``None`` where nobody asked.
        labels: What running on behind exits would tell; ``None`` where nobody asked.
    """

    name: str
    service: ServiceTime
    outlook: Outlook
    confidence: NDArray[np.float64]
    leaves: NDArray[np.int64]
    right: NDArray[np.bool_]
    target: str = ""
    ladder: Sequence[Rung] | None = None
    hard: NDArray[np.bool_] | None = None
    labels: FreeLabels | None = None

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the answer where it leaves is right, [images]."""
        found: NDArray[np.bool_] = self.right[self.leaves, np.arange(len(self.leaves))]
        return found


@dataclass(frozen=True)
class ServingWay:
    """A way to serve: the form of the networks, who is next, and who runs together."""

    form: str
    policy: Policy
    batching: Batching = ONE_BY_ONE[0]

    def __str__(self) -> str:
        """Return it as progress tells it."""
        together = "" if self.batching.kind == "none" else f", {self.batching}"
        return f"{self.form}, {self.policy.name}{together}"


def networks_of(
    run: Path,
    clock_hz: float | None,
    floor: float | None = None,
    largest: int = 1,
    progress: Callable[[str], None] = lambda _: None,
    watched: bool = False,
) -> tuple[ServedNetwork, ServedNetwork]:
    """Return a run with its exits, and without.

    Args:
        run: Its directory.
        clock_hz: Of a target without a clock of its own.
        floor: Accuracy on val down to which thresholds give way under overload, 0 to 1.
        largest: Images of the largest batch; of more than one, what batches cost is scheduled.
        progress: Called with a line for each schedule.
        watched: Keep which images are hard, and what running on behind exits would tell.

    Raises:
        InputError: No run with exits and answers, a target without a clock and none given, or a run that is
            below the floor.
    """
    summary = load_summary(run)
    samples = read_samples(run, len(summary.exits))
    thresholds = [found.threshold for found in summary.exits[:-1]]
    if samples is None or any(threshold is None for threshold in thresholds):
        raise InputError(
            f"{run} has no answers of images to replay", "run it with data, and keep its samples.npz"
        )
    service, static = service_time(summary, clock_hz), static_service_time(summary, clock_hz)
    val, test = samples.val.leaves_at(thresholds), samples.test.leaves_at(thresholds)
    if largest > 1:
        ratios = (np.bincount(val, minlength=service.stages) / len(val)).tolist()
        service, static = run_batches(run, ratios, (service, static), largest, clock_hz, progress)
    confidences = [split.confidence.astype(np.float64) for split in (samples.val, samples.test)]
    seen = outlook(service, confidences[0], val)
    gives_way, labels, hard = None, None, None
    own = [float(one) for one in thresholds if one is not None]
    if watched or floor is not None:
        observed = observed_val(summary, samples.val)
        if watched:
            hard = hard_half(samples.test.probability[-1])
            labels = FreeLabels.of(own, observed.rules, samples.val, samples.test)
        if floor is not None:
            gives_way = ladder_of(observed, service, own, floor, summary.optimistic, run.name)
    with_exits = ServedNetwork(
        run.name,
        service,
        seen,
        confidences[1],
        test,
        samples.test.correct,
        summary.target,
        gives_way,
        hard,
        labels,
    )
    nothing = np.zeros(len(test), np.int64)
    whole = Outlook(static.stage_s[:, 0], np.zeros(1), [None])
    right = (samples.test.static == samples.test.label)[None]
    return with_exits, ServedNetwork(
        run.name, static, whole, confidences[1][:0], nothing, right, summary.target, hard=hard
    )


def simulate_load(
    served: Sequence[tuple[ServedNetwork, ServedNetwork]],
    load: ServingLoad,
    policies: Sequence[str],
    wants_capacity: bool,
    trace: Path | None,
    progress: Callable[[str], None],
    batchings: Sequence[Batching] = ONE_BY_ONE,
) -> SimulationResult:
    """Serve the same requests by each policy, and without exits in the order they come.

    Args:
        served: Each network with its exits, and without.
        load: What is asked of them.
        policies: Names.
        wants_capacity: Find the highest rate at which at most 1 % are late, too.
        trace: File for a window of the last policy's first seed.
        progress: Called with a line for each policy.
        batchings: How requests run together; each is tried with each policy, and without exits.

    Raises:
        InputError: An unknown policy, arrivals that are none, or networks for different accelerators.
    """
    chosen = [policy_named(name) for name in policies]
    if not chosen:
        raise InputError("there is no policy", "name one or several")
    size = max(one.size for one in batchings)
    exits, static = ([_grown(pair[n], size) for pair in served] for n in range(2))
    if len(targets := {one.target for one in exits}) > 1:
        raise InputError(
            f"one accelerator serves all runs, and these were made for {', '.join(sorted(targets))}",
            "name runs for one target",
        )
    drawn = [load.times(seed) for seed in load.seeds]
    rates = [float(np.mean([rate_of(times[n]) for times in drawn])) for n in range(len(load.streams))]

    def work(form: Sequence[ServedNetwork], largest: int = 1) -> float:
        asked = zip(rates, (form[one.network] for one in load.streams), strict=True)
        return sum(rate * least_s(one.service, one.leaves, largest) for rate, one in asked)

    ways = [ServingWay(STATIC, policy_named("fifo"), batching) for batching in batchings]
    for batching in batchings:
        for one in chosen:
            ways.append(ServingWay(EXITS, one, batching))
            if exits[0].ladder is not None and batching == batchings[0]:
                ways.append(ServingWay(FLOOR, one))
            if load.adapt and batching == batchings[0]:
                ways.append(ServingWay(ADAPT, one))
    floor_s = sum(rate * _least_s(exits[one.network]) for rate, one in zip(rates, load.streams, strict=True))
    rows = []
    for way in each(ways, "ways to serve"):
        networks = static if way.form == STATIC else exits
        progress(f"serving {way}")
        found = [
            _one(networks, load, times, seed, way) for times, seed in zip(drawn, load.seeds, strict=True)
        ]
        most = None
        if wants_capacity:
            mean = floor_s if way.form == FLOOR else work(networks, way.batching.size)
            most = interval(
                [
                    sum(rates) * _capacity(networks, load, times, seed, way, 1 / mean)
                    for times, seed in zip(drawn, load.seeds, strict=True)
                ]
            )
        rows.append(
            ServedRow(
                way.form, way.policy.name, str(way.batching), over_seeds([whole for whole, _, _ in found]),
                [over_seeds(of) for of in zip(*(parts for _, parts, _ in found), strict=True)], most,
                [interval(of) for of in zip(*(shares for _, _, shares in found), strict=True)],
            )
        )  # fmt: skip
    if trace is not None:
        watched = _served(exits, load, drawn[0], load.seeds[0], ways[-1], watch=True)
        write_window(trace, [one.name for one in exits], watched.crowd, watched.outcome)
    streams = [
        ServedStream(one.name, exits[one.network].name, rate, one.slo_s, one.priority)
        for rate, one in zip(rates, load.streams, strict=True)
    ]
    forms = ((STATIC, static), (EXITS, exits))
    costs = [BatchCost.of(one.name, form, one.service) for form, networks in forms for one in networks]
    return SimulationResult(
        [one.name for one in exits], streams, sum(rates), work(static), work(static) / work(exits),
        work(static) / work(exits, size), costs if size > 1 else [],
        round(sum(len(one) for times in drawn for one in times) / len(drawn)), list(load.seeds), rows,
        loading_notes([one.name for one in exits], [one.service for one in exits]),
        ladders=[_rungs(one) for one in exits if one.ladder is not None],
    )  # fmt: skip


def detailed(
    found: SimulationResult, served: Sequence[tuple[ServedNetwork, ServedNetwork]], load: ServingLoad
) -> SimulationResult:
    """Return a result with what a page shows beside its figures, of the first seed.

    Args:
        found: What `simulate_load` returned.
        served: As it was given.
        load: As it was given.
    """
    seed, exits, static = load.seeds[0], [one for one, _ in served], [one for _, one in served]
    times = load.times(seed)

    def crowds(networks: Sequence[ServedNetwork]) -> Callable[[float], Crowd]:
        return lambda factor: crowd_of(networks, load, [one / factor for one in times], seed)

    most = [row.capacity.mean for row in found.rows if row.capacity is not None]
    detail = detail_of(
        {STATIC: crowds(static), EXITS: crowds(exits)},
        [(row.form, row.policy) for row in found.rows if row.form in (STATIC, EXITS)],
        [share * max(most) / found.rate for share in RATES] if most else [],
        seed, lambda crowd, policy, watch: serve_one_by_one(crowd, policy, load.preempt, watch), WARM_UP,
    )  # fmt: skip
    return replace(found, detail=detail)


def _grown(network: ServedNetwork, size: int) -> ServedNetwork:
    return replace(network, service=grown(network.service, size))


def _least_s(network: ServedNetwork) -> float:
    """Return the mean time of an image with the thresholds that take least."""
    ladder, where = network.ladder, network.leaves
    return least_s(network.service, where if ladder is None else ladder[-1].leaves_at(network.confidence), 1)


def _rungs(network: ServedNetwork) -> list[ServedRung]:
    return [
        ServedRung(network.name, list(one.thresholds), one.accuracy_val, one.bounded_val, one.expected_s)
        for one in (network.ladder or ())
    ]


def crowd_of(
    networks: Sequence[ServedNetwork], load: ServingLoad, times: Sequence[Times], seed: int
) -> Crowd:
    """Return the requests of a seed to ``networks``."""
    hard = [one.hard for one in networks if one.hard is not None]
    return Crowd(
        load.requests_at(times, [one.leaves for one in networks], seed, hard),
        [one.service for one in networks], [one.outlook for one in networks],
        [one.confidence for one in networks],
    )  # fmt: skip


@dataclass(frozen=True)
class _Served:
    """Who was served, what happened, shares of time on rungs, and thresholds that adapted, if any."""

    crowd: Crowd
    outcome: ServingOutcome
    shares: list[float] = field(default_factory=list)
    adapting: Adapting | None = None


def _served(
    networks: Sequence[ServedNetwork],
    load: ServingLoad,
    times: Sequence[Times],
    seed: int,
    way: ServingWay,
    watch: bool = False,
) -> _Served:
    crowd = crowd_of(networks, load, times, seed)
    policy = way.policy
    if way.form == ADAPT:
        adapting = Adapting(crowd, [one.labels for one in networks if one.labels is not None])
        outcome = serve_one_by_one(crowd, policy, load.preempt, watch, adapting)
        return _Served(adapting.served(crowd), outcome, adapting=adapting)
    if way.form != FLOOR:
        return _Served(crowd, serve(crowd, policy, way.batching, load.preempt, watch))
    ladders = [one.ladder for one in networks if one.ladder is not None]
    giving_way = GivingWay(crowd, ladders, [one.slo_s for one in load.streams])
    outcome = serve_one_by_one(crowd, policy, load.preempt, watch, giving_way)
    shares = giving_way.shares(float(crowd.requests.arrival_s[0]), float(outcome.finish_s.max()))
    return _Served(giving_way.served(crowd), outcome, shares)


def _one(
    networks: Sequence[ServedNetwork],
    load: ServingLoad,
    times: Sequence[Times],
    seed: int,
    way: ServingWay,
) -> tuple[ServingFigures, list[StreamFigures], list[float]]:
    served = _served(networks, load, times, seed, way)
    crowd, outcome, requests = served.crowd, served.outcome, served.crowd.requests
    right, agrees = (np.zeros(len(requests), np.bool_) for _ in range(2))
    for n, one in enumerate(networks):
        of = requests.model == n
        image, left = requests.image[of], requests.stages[of] - 1
        right[of] = one.right[left, image]
        if one.labels is not None:
            agrees[of] = one.labels.agrees[left, image]
    found = figures(crowd, outcome, right, WARM_UP)
    if all(one.labels is not None for one in networks):
        count, adapting = len(requests), served.adapting
        found = replace(
            found,
            agreement=float(agrees[int(WARM_UP * count) :].mean()),
            agreement_last=float(agrees[3 * count // 4 :].mean()),
            free_labels=0.0 if adapting is None else adapting.labels / count,
            moves=0.0 if adapting is None else float(adapting.moves),
        )
    of_streams = [stream_figures(crowd, outcome, n, right, WARM_UP) for n in range(len(load.streams))]
    return found, of_streams, served.shares


def _capacity(
    networks: Sequence[ServedNetwork],
    load: ServingLoad,
    times: Sequence[Times],
    seed: int,
    way: ServingWay,
    most: float,
) -> float:
    """Return how many times as fast the same arrivals may come; ``most``: all time is work there."""

    def keeps(factor: float) -> bool:
        faster = [one / factor for one in times]
        served = _served(networks, load, faster, seed, way)
        return most_late(served.crowd, served.outcome, WARM_UP) <= LATE

    return capacity(keeps, most / 50, most * 1.05)
