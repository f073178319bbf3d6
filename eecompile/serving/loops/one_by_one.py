"""One request at a time on one accelerator, chosen anew at each stage boundary."""

from __future__ import annotations

import math

import numpy as np

from eecompile.serving.crowd import Crowd
from eecompile.serving.loads import KeptWeights
from eecompile.serving.loops.accelerator import interrupted
from eecompile.serving.loops.known import KnownBefore
from eecompile.serving.moving.adapting import Adapting
from eecompile.serving.moving.giving_way import GivingWay
from eecompile.serving.outcome import Ran, ServingOutcome
from eecompile.serving.policies import Policy


def serve_one_by_one(
    crowd: Crowd,
    policy: Policy,
    preempt: bool = True,
    watch: bool = False,
    moving: GivingWay | Adapting | None = None,
) -> ServingOutcome:
    """Serve all requests, in the order in which `Dispatcher` would without batches.

    A plain loop over arrivals and stages: SimPy, which resumes a generator for each, takes ten times as long
    (`tools/bench/bench_simulation.py`).

    Args:
        crowd: Requests and networks.
        policy: Who is next.
        preempt: Between two stages another may come first; without, a request that began ends.
        watch: Note each stage that ran, too.
        moving: Says at each exit whether a request leaves there; without, `Requests.stages` does.
            Policies rank whoever begins to wait by what is known of the thresholds that hold then. One that
            adapts gets the time in which nobody waits.
    """
    requests, services, count = crowd.requests, crowd.services, len(crowd.requests)
    # Lists: a scalar of numpy takes five times as long in this loop.
    arrival = [*requests.arrival_s.tolist(), math.inf]
    model, stages = requests.model.tolist(), requests.stages.tolist()
    times, joules = (
        [found[:, 0].tolist() for found in of]
        for of in ([one.stage_s for one in services], [one.stage_j for one in services])
    )
    at, finish = [0] * count, [0.0] * count
    known = KnownBefore(crowd, policy, moving)
    queue, (keys, latest) = known.queue(at), known.values()
    add, due = queue.add, requests.deadline_s.tolist()
    weights, memory, ran = KeptWeights(services), interrupted(services), list[Ran]()
    now = busy = energy = 0.0
    interruptions = refused = come = 0
    loaded = last = held = -1
    while True:
        if held < 0 and not queue:
            if come == count:
                break
            now = max(now if moving is None else moving.idle(now, arrival[come], loaded), arrival[come])
        while arrival[come] <= now:
            add(come, keys[0][come], latest[0][come], due[come])
            come += 1
        refused += held >= 0 and preempt and len(queue) > 0
        one, held = (held if held >= 0 else queue.take(now)), -1
        stage, network, begin = at[one], model[one], now
        if last != one:
            interruptions += last >= 0
            if memory is not None:
                leaves = (last, model[last], at[last]) if last >= 0 else None
                moved_s, moved_j = memory.change(leaves, (one, network, stage))
                now, energy = now + moved_s, energy + moved_j
        if network != loaded:
            load_s, load_j = weights.bring(network)
            now, energy, loaded = now + load_s, energy + load_j, network
        now += times[network][stage]
        busy += now - begin
        energy += joules[network][stage]
        if watch:
            ran.append(Ran(begin, now, network, stage, (one,)))
        at[one] = stage = stage + 1
        if moving is not None:
            stages[one] = moving.ends(one, stage, now)
            keys, latest = known.values()
        if stage == stages[one]:
            finish[one], last = now, -1
        elif preempt and (memory is None or memory.may_leave(network, stage)):
            last = one
            add(one, keys[stage][one], latest[stage][one], due[one])
        else:
            last = held = one
    found = ServingOutcome(
        np.array(finish), busy, energy, weights.loads, interruptions, ran, refused=refused,
        spills=0 if memory is None else memory.spills, peak_bits=0 if memory is None else memory.peak_bits,
    )  # fmt: skip
    return found if moving is None else moving.beside(found)
