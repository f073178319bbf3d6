"""Runs under load: early exits by each policy, and the network without exits beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

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
    Interval,
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
from eecompile.serving.one_by_one import serve_one_by_one
from eecompile.serving.outlook import Outlook, outlook
from eecompile.serving.policies import Policy, policy_named
from eecompile.serving.service import ServiceTime, service_time, static_service_time
from eecompile.serving.shown.detail import RATES, ServingDetail, detail_of
from eecompile.serving.streams import ServingLoad
from eecompile.serving.trace import write_window
from passes.errors import InputError
from passes.progress import each
from passes.shown_result import ShownResult

STATIC, EXITS = "static", "exits"
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
        correct: [images], whether the answer there is right.
        target: The accelerator it was made for.
    """

    name: str
    service: ServiceTime
    outlook: Outlook
    confidence: NDArray[np.float64]
    leaves: NDArray[np.int64]
    correct: NDArray[np.bool_]
    target: str = ""


@dataclass(frozen=True)
class ServedRow:
    """A policy: means over seeds with 95 % intervals.

    Attributes:
        form: ``static`` or ``exits``: without and with early exits.
        policy: Its name.
        batch: How requests ran together, as `Batching` writes it.
        figures: Of `ServingFigures`: latencies in seconds, energy in joules per request.
        streams: The same of the requests of each stream, as far as a stream has them.
        capacity: Highest rate, requests per second, at which at most 1 % are late of each stream;
            ``None`` if not asked for.
    """

    form: str
    policy: str
    batch: str
    figures: dict[str, Interval]
    streams: list[dict[str, Interval]]
    capacity: Interval | None


@dataclass(frozen=True)
class ServedStream:
    """A stream that was served.

    Attributes:
        name: Of it.
        network: Name of its network.
        rate: Requests per second on average.
        slo_s: Seconds from arrival to deadline.
        priority: Of its requests.
    """

    name: str
    network: str
    rate: float
    slo_s: float
    priority: float


@dataclass(frozen=True, repr=False)
class SimulationResult(ShownResult):
    """What serving comes to.

    Attributes:
        networks: Names of the runs.
        streams: Who asks them.
        rate: Requests per second that arrive on average, of all streams.
        static_load: Share of time in which the static networks alone would work.
        bound: Mean service time of static over that of early exits: how many times the rate of static
            they can serve at most, in whatever order, one by one.
        batch_bound: The same where each stage runs in the batches that cost least per image.
        batch_costs: What an image takes in batches of each network; empty where none were asked for.
        requests: Of each seed, on average.
        seeds: The seeds.
        rows: Static first.
        notes: What is known of the memories that networks share.
        detail: What a page shows beside, where one was asked for.
    """

    networks: list[str]
    streams: list[ServedStream]
    rate: float
    static_load: float
    bound: float
    batch_bound: float
    batch_costs: list[BatchCost]
    requests: int
    seeds: list[int]
    rows: list[ServedRow]
    notes: list[str]
    detail: ServingDetail | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all of it; intervals are ``[mean, low, high]``."""
        document = asdict(self)
        for row, found in zip(document["rows"], self.rows, strict=True):
            row["figures"] = {name: _three(value) for name, value in found.figures.items()}
            row["streams"] = [{name: _three(value) for name, value in of.items()} for of in found.streams]
            row["capacity"] = None if found.capacity is None else _three(found.capacity)
        return {"schema_version": 1, **document}

    def _words(self) -> str:
        best = min(self.rows, key=lambda row: row.figures["missed"].mean)
        return (
            f"{', '.join(self.networks)} at {self.rate:.4g} requests/s: fewest late by {best.form}, "
            f"{best.policy}{'' if best.batch == 'none' else f', {best.batch}'}: "
            f"{100 * best.figures['missed'].mean:.2f} %, p99 {1e3 * best.figures['p99_s'].mean:.4g} ms"
        )

    def _rows(self) -> Sequence[dict[str, Any]]:
        return [
            {"form": row.form, "policy": row.policy, "batch": row.batch}
            | {name: value.mean for name, value in row.figures.items()}
            | {"capacity": None if row.capacity is None else row.capacity.mean}
            for row in self.rows
        ]

    def _axes(self) -> tuple[str, str]:
        return ("policy", "p99_s")


def networks_of(
    run: Path, clock_hz: float | None, largest: int = 1, progress: Callable[[str], None] = lambda _: None
) -> tuple[ServedNetwork, ServedNetwork]:
    """Return a run with its exits, and without.

    Args:
        run: Its directory.
        clock_hz: Of a target without a clock of its own.
        largest: Images of the largest batch; of more than one, what batches cost is scheduled.
        progress: Called with a line for each schedule.

    Raises:
        InputError: No run with exits and answers, or a target without a clock and none given.
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
    right = samples.test.correct[test, np.arange(len(test))]
    with_exits = ServedNetwork(run.name, service, seen, confidences[1], test, right, summary.target)
    nothing = np.zeros(len(test), np.int64)
    whole = Outlook(static.stage_s[:, 0], np.zeros(1), [None])
    right = samples.test.static == samples.test.label
    return with_exits, ServedNetwork(
        run.name, static, whole, confidences[1][:0], nothing, right, summary.target
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

    rows = []
    for form, networks, policy, batching in each(
        [
            *((STATIC, static, policy_named("fifo"), batching) for batching in batchings),
            *((EXITS, exits, one, batching) for batching in batchings for one in chosen),
        ],
        "policies",
    ):
        progress(f"serving {form}, {policy.name}, batches {batching}")
        found = [
            _one(networks, load, times, seed, policy, batching)
            for times, seed in zip(drawn, load.seeds, strict=True)
        ]
        most = None
        if wants_capacity:
            mean = work(networks, batching.size)
            most = interval(
                [
                    sum(rates) * _capacity(networks, load, times, seed, policy, batching, 1 / mean)
                    for times, seed in zip(drawn, load.seeds, strict=True)
                ]
            )
        rows.append(
            ServedRow(
                form, policy.name, str(batching), over_seeds([whole for whole, _ in found]),
                [over_seeds(of) for of in zip(*(parts for _, parts in found), strict=True)], most,
            )
        )  # fmt: skip
    if trace is not None:
        crowd = crowd_of(exits, load, drawn[0], load.seeds[0])
        watched = serve(crowd, chosen[-1], batchings[-1], load.preempt, watch=True)
        write_window(trace, [one.name for one in exits], crowd, watched)
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


def crowd_of(
    networks: Sequence[ServedNetwork], load: ServingLoad, times: Sequence[Times], seed: int
) -> Crowd:
    """Return the requests of a seed to ``networks``."""
    return Crowd(
        load.requests_at(times, [one.leaves for one in networks], seed),
        [one.service for one in networks], [one.outlook for one in networks],
        [one.confidence for one in networks],
    )  # fmt: skip


def _one(
    networks: Sequence[ServedNetwork],
    load: ServingLoad,
    times: Sequence[Times],
    seed: int,
    policy: Policy,
    batching: Batching,
) -> tuple[ServingFigures, list[StreamFigures]]:
    crowd = crowd_of(networks, load, times, seed)
    right = np.zeros(len(crowd.requests), np.bool_)
    for n, one in enumerate(networks):
        of = crowd.requests.model == n
        right[of] = one.correct[crowd.requests.image[of]]
    outcome = serve(crowd, policy, batching, load.preempt)
    return (
        figures(crowd, outcome, right, WARM_UP),
        [stream_figures(crowd, outcome, n, right, WARM_UP) for n in range(len(load.streams))],
    )


def _capacity(
    networks: Sequence[ServedNetwork],
    load: ServingLoad,
    times: Sequence[Times],
    seed: int,
    policy: Policy,
    batching: Batching,
    most: float,
) -> float:
    """Return how many times as fast the same arrivals may come; ``most``: all time is work there."""

    def keeps(factor: float) -> bool:
        crowd = crowd_of(networks, load, [one / factor for one in times], seed)
        return most_late(crowd, serve(crowd, policy, batching, load.preempt), WARM_UP) <= LATE

    return capacity(keeps, most / 50, most * 1.05)


def _three(value: Interval) -> list[float | None]:
    return [value.mean, value.low, value.high]
