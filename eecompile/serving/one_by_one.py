"""One request at a time on one accelerator, chosen anew at each stage boundary."""

from __future__ import annotations

import math

import numpy as np

from eecompile.serving.crowd import Crowd
from eecompile.serving.outcome import Ran, ServingOutcome
from eecompile.serving.policies import Policy
from eecompile.serving.queues import KeyQueue, LiveQueue


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
    add, first, until = queue.add, keys[0], latest[0]
    ran: list[Ran] = []
    now = busy = energy = 0.0
    loads = interruptions = come = 0
    loaded = last = held = -1
    while True:
        if held < 0 and not queue:
            if come == count:
                break
            now = max(now, arrival[come])
        while arrival[come] <= now:
            add(come, first[come], until[come])
            come += 1
        one, held = (held if held >= 0 else queue.take(now)), -1
        if last not in (one, -1):
            interruptions += 1
        stage, network, begin = at[one], model[one], now
        if network != loaded:
            if loaded >= 0:
                now += services[network].load_s
                energy += services[network].load_j
                loads += 1
            loaded = network
        now += times[network][stage]
        busy += now - begin
        energy += joules[network][stage]
        if watch:
            ran.append(Ran(begin, now, network, stage, (one,)))
        at[one] = stage = stage + 1
        if stage == stages[one]:
            finish[one], last = now, -1
        elif preempt:
            last = one
            add(one, keys[stage][one], latest[stage][one])
        else:
            last = held = one
    return ServingOutcome(np.array(finish), busy, energy, loads, interruptions, ran)


Values = list[list[float]]


def _queue(crowd: Crowd, policy: Policy, at: list[int]) -> tuple[KeyQueue | LiveQueue, Values, Values]:
    """Return an empty queue, and of each stage and request its key and until when it may begin.

    ``at``: the stages for which requests wait, while time goes by.
    """
    waiting, count = crowd.waiting(), len(at)
    always = [[math.inf] * count] * crowd.stages
    if policy.rank is not None:
        live = LiveQueue(policy.rank, lambda numbers: waiting.at(([at[one] for one in numbers], numbers)))
        return live, always, always
    assert policy.key is not None
    return KeyQueue(), policy.key(waiting).tolist(), waiting.latest_s.tolist() if policy.gives_up else always
