"""Runs under load: early exits by each policy, and the network without exits beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from eecompile.serving.arrivals import rate_of
from eecompile.serving.batches.batching import Batching
from eecompile.serving.batches.gain import BatchCost, grown
from eecompile.serving.dispatch import ONE_BY_ONE
from eecompile.serving.figures import interval, over_seeds
from eecompile.serving.loads import loading_notes
from eecompile.serving.loops.together import may_overlap
from eecompile.serving.policies import policy_named
from eecompile.serving.result import ServedRow, ServedRung, ServedStream, SimulationResult
from eecompile.serving.served_network import ServedNetwork, check_targets
from eecompile.serving.shown.detail import RATES, ServingDetail, detail_of
from eecompile.serving.streams import ServingLoad
from eecompile.serving.trace import write_window
from eecompile.serving.ways import (
    ADAPT,
    EXITS,
    FLOOR,
    STATIC,
    WARM_UP,
    Form,
    ServedCrowd,
    ServingWay,
    busiest_core,
    work,
)
from passes.errors import InputError
from passes.progress import each


def simulate_load(
    served: Sequence[tuple[ServedNetwork, ServedNetwork]],
    load: ServingLoad,
    policies: Sequence[str],
    wants_capacity: bool,
    trace: Path | None,
    progress: Callable[[str], None],
    batchings: Sequence[Batching] = (ONE_BY_ONE,),
    wants_detail: bool = False,
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
        wants_detail: Look at the first seed of each again, for what a page shows.

    Raises:
        InputError: An unknown policy, arrivals that are none, or networks for different accelerators.
    """
    chosen = [policy_named(name) for name in policies]
    if not chosen:
        raise InputError("there is no policy", "name one or several")
    sizes = sorted({one.size for one in batchings})
    size = sizes[-1]
    exits, static = (
        [replace(pair[n], service=grown(pair[n].service, size)) for pair in served] for n in range(2)
    )
    check_targets([(one.name, one.target) for one in exits])
    drawn = [load.times(seed) for seed in load.seeds]
    rates = [float(np.mean([rate_of(times[n]) for times in drawn])) for n in range(len(load.streams))]

    ways = [ServingWay(STATIC, policy_named("fifo"), batching, static) for batching in batchings]
    moving: list[Form] = [FLOOR] if exits[0].ladder is not None else []
    moving += [ADAPT] if load.adapt else []
    ways += [
        ServingWay(form, one, batching, exits)
        for batching in batchings
        for one in chosen
        for form in (EXITS, *moving)
    ]
    rows = []
    for way in each(ways, "ways to serve"):
        progress(f"serving {way}")
        found = [way.figures(load, times, seed) for times, seed in zip(drawn, load.seeds, strict=True)]
        most = None
        if wants_capacity:
            faster = 1 / way.work(load, rates)
            most = interval(
                [
                    sum(rates) * way.capacity(load, times, seed, faster)
                    for times, seed in zip(drawn, load.seeds, strict=True)
                ]
            )
        rows.append(
            ServedRow(
                way.form, way.policy.name, str(way.batching), over_seeds([one.whole for one in found]),
                [over_seeds(of) for of in zip(*(one.streams for one in found), strict=True)], most,
                [interval(of) for of in zip(*(one.rungs for one in found), strict=True)],
                {
                    name: interval([one.cores.get(name, 0.0) for one in found])
                    for name in sorted({name for one in found for name in one.cores})
                },
            )
        )  # fmt: skip
    if trace is not None:
        watched = ways[-1].serve(load, drawn[0], load.seeds[0], watch=True)
        write_window(trace, [one.name for one in exits], watched.crowd, watched.outcome)
    streams = [
        ServedStream(one.name, exits[one.network].name, rate, one.slo_s, one.priority)
        for rate, one in zip(rates, load.streams, strict=True)
    ]
    forms = ((STATIC, static), (EXITS, exits))
    notes = loading_notes([one.name for one in exits], [one.service for one in exits], sizes)
    if load.overlap:
        notes += [
            f"no two stages of networks {words} can run beside each other: both use some core or link then"
            for words, of in (("without exits", static), ("with exits", exits))
            if not may_overlap([one.service for one in of])
        ]
    busiest = busiest_core(exits, load, rates, size) if load.overlap else None
    once, exits_once = work(static, load, rates), work(exits, load, rates)
    costs = [BatchCost.of(one.name, form, one.service) for form, networks in forms for one in networks]
    return SimulationResult(
        [one.name for one in exits], streams, sum(rates), once, once / exits_once,
        once / work(exits, load, rates, size), costs if size > 1 else [],
        round(sum(len(one) for times in drawn for one in times) / len(drawn)), list(load.seeds), rows,
        notes,
        ladders=[_rungs(one) for one in exits if one.ladder is not None],
        core_bound=once / busiest[1] if busiest else None,
        busiest=busiest[0] if busiest else None,
        detail=_detail(ways, rows, load, sum(rates)) if wants_detail else None,
    )  # fmt: skip


def _detail(
    ways: Sequence[ServingWay], rows: Sequence[ServedRow], load: ServingLoad, rate: float
) -> ServingDetail:
    seed = load.seeds[0]
    times = load.times(seed)

    def serve(number: int, factor: float, watch: bool) -> ServedCrowd:
        return ways[number].serve(load, [one / factor for one in times], seed, watch)

    most = [row.capacity.mean for row in rows if row.capacity is not None]
    asked = [(row.form, row.policy, row.batch) for row in rows]
    factors = [share * max(most) / rate for share in RATES] if most else []
    return detail_of(asked, factors, seed, serve, WARM_UP)


def _rungs(network: ServedNetwork) -> list[ServedRung]:
    return [
        ServedRung(network.name, list(one.thresholds), one.accuracy_val, one.bounded_val, one.expected_s)
        for one in (network.ladder or ())
    ]
