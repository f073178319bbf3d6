"""One request at a time on one accelerator, chosen anew at each stage boundary."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from eecompile.serving.crowd import Crowd
from eecompile.serving.loads import KeptWeights
from eecompile.serving.memory import Interrupted
from eecompile.serving.order.fewest_late import FewestLateQueue
from eecompile.serving.order.queues import KeyQueue, LiveQueue
from eecompile.serving.outcome import Ran, ServingOutcome
from eecompile.serving.policies import Policy
from eecompile.serving.service import ServiceTime


def serve_one_by_one(
    crowd: Crowd, policy: Policy, preempt: bool = True, watch: bool = False
) -> ServingOutcome:
    """Serve all requests, in the order in which `Dispatcher` would without batches.

    A plain loop over arrivals and stages: SimPy, which resumes a generator for each, takes ten times as long
    (`tools/bench/bench_simulation.py`).

    Args:
        crowd: Requests and networks.
        policy: Who is next.
        preempt: Between two stages another may come first; without, a request that began ends.
        watch: Note each stage that ran, too.
    """
    requests, services = crowd.requests, crowd.services
    count = len(requests)
    # Lists: a scalar of numpy takes five times as long in this loop.
    arrival = [*requests.arrival_s.tolist(), math.inf]
    model, stages = requests.model.tolist(), requests.stages.tolist()
    times = [service.stage_s[:, 0].tolist() for service in services]
    joules = [service.stage_j[:, 0].tolist() for service in services]
    at, finish = [0] * count, [0.0] * count
    queue, keys, latest = _queue(crowd, policy, at)
    add, first, until, due = queue.add, keys[0], latest[0], requests.deadline_s.tolist()
    ran: list[Ran] = []
    now = busy = energy = 0.0
    interruptions = refused = come = 0
    loaded = last = held = -1
    weights, memory = KeptWeights(services), interrupted(services)
    while True:
        if held < 0 and not queue:
            if come == count:
                break
            now = max(now, arrival[come])
        while arrival[come] <= now:
            add(come, first[come], until[come], due[come])
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
        if stage == stages[one]:
            finish[one], last = now, -1
        elif preempt and (memory is None or memory.may_leave(network, stage)):
            last = one
            add(one, keys[stage][one], latest[stage][one], due[one])
        else:
            last = held = one
    spills, peak = (0, 0) if memory is None else (memory.spills, memory.peak_bits)
    return ServingOutcome(
        np.array(finish), busy, energy, weights.loads, interruptions, ran, spills, refused, peak
    )


def interrupted(services: Sequence[ServiceTime]) -> Interrupted | None:
    """Return the memories for what is interrupted; ``None`` where not all networks tell what they need."""
    known = [one.footprint for one in services if one.footprint is not None]
    return Interrupted(known) if len(known) == len(services) else None


Values = list[list[float]]


def _queue(
    crowd: Crowd, policy: Policy, at: list[int]
) -> tuple[KeyQueue | LiveQueue | FewestLateQueue, Values, Values]:
    """Return an empty queue, and of each stage and request its key and until when it may begin.

    ``at``: the stages for which requests wait, while time goes by.
    """
    waiting = crowd.waiting()
    always = [[math.inf] * len(at)] * crowd.stages
    if policy.rank is not None:
        live = LiveQueue(policy.rank, lambda numbers: waiting.at(([at[one] for one in numbers], numbers)))
        return live, always, always
    assert policy.key is not None
    keys = policy.key(waiting).tolist()
    if policy.latest is None:
        return KeyQueue(), keys, always
    return FewestLateQueue(), keys, policy.latest(waiting).tolist()
