"""Requests in batches on one accelerator, chosen at each stage boundary by the dispatcher of the server."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from eecompile.serving.batches.batching import Batching
from eecompile.serving.crowd import Crowd
from eecompile.serving.dispatch import Dispatcher, NextRun, Ticket
from eecompile.serving.loads import KeptWeights
from eecompile.serving.one_by_one import serve_one_by_one
from eecompile.serving.outcome import Ran, ServingOutcome
from eecompile.serving.policies import Policy
from eecompile.serving.service import ServiceTime


def serve(
    crowd: Crowd, policy: Policy, batching: Batching, preempt: bool = True, watch: bool = False
) -> ServingOutcome:
    """Serve all requests, by the faster of the two loops; arguments as of `serve_in_batches`."""
    if batching.kind == "none":
        return serve_one_by_one(crowd, policy, preempt, watch)
    return serve_in_batches(crowd, policy, batching, preempt, watch)


def serve_in_batches(
    crowd: Crowd, policy: Policy, batching: Batching, preempt: bool = True, watch: bool = False
) -> ServingOutcome:
    """Serve all requests by a `Dispatcher`; without batches `serve_one_by_one` does the same in less time.

    Args:
        crowd: Requests and networks.
        policy: Who is next.
        batching: With whom.
        preempt: Between two stages others may come first; without, a batch that began ends.
        watch: Note each stage that ran, too.

    Raises:
        ValueError: A network whose costs are not known for such batches.
    """
    requests, services = crowd.requests, crowd.services
    if any(service.largest_batch < batching.size for service in services):
        raise ValueError(f"the cost of batches of {batching.size} is not known of all networks")
    # Lists: a scalar of numpy takes five times as long in this loop.
    arrival = [*requests.arrival_s.tolist(), math.inf]
    deadline, priority = requests.deadline_s.tolist(), requests.priority.tolist()
    model, stages = requests.model.tolist(), requests.stages.tolist()
    dispatcher = Dispatcher(services, crowd.outlooks, policy, batching, preempt, _known(crowd, policy))
    tell = _told(crowd) if policy.rank is not None else lambda _: None
    count, finish = len(requests), [0.0] * len(requests)
    accelerator = _Accelerator(services, watch)
    now, come, interruptions = 0.0, 0, 0
    while True:
        while arrival[come] <= now:
            new = Ticket(come, model[come], arrival[come], deadline[come], priority[come])
            tell(new)
            dispatcher.add(new)
            come += 1
        if come == count:
            dispatcher.end()
        found = dispatcher.next(now)
        if not isinstance(found, NextRun):
            if found is None and come == count:
                break
            now = min(arrival[come], math.inf if found is None else found)
            continue
        begin, now = now, accelerator.run(found, now)
        for ticket in found.tickets:
            one = ticket.number
            interruptions += ticket.stage > 0 and finish[one] != begin
            finish[one] = now
            ticket.stage += 1
            if ticket.stage < stages[one]:
                tell(ticket)
                dispatcher.add(ticket)
    done = accelerator
    return ServingOutcome(np.array(finish), done.busy_s, done.energy_j, done.loads, interruptions, done.ran)


class _Accelerator:
    """What runs, and what that takes."""

    def __init__(self, services: Sequence[ServiceTime], watch: bool) -> None:
        self._watch, self._loaded, self._weights = watch, -1, KeptWeights(services)
        self._seconds = [service.stage_s.tolist() for service in services]
        self._joules = [service.stage_j.tolist() for service in services]
        self.busy_s = self.energy_j = 0.0
        self.ran = list[Ran]()

    @property
    def loads(self) -> int:
        """How often weights were brought."""
        return self._weights.loads

    def run(self, batch: NextRun, begin: float) -> float:
        """Run a stage from ``begin`` seconds on; return when it has ended."""
        network, stage, last = batch.model, batch.stage, len(batch.tickets) - 1
        end = begin
        if network != self._loaded:
            load_s, load_j = self._weights.bring(network)
            end, self._loaded = end + load_s, network
            self.energy_j += load_j
        end += float(self._seconds[network][stage][last])
        self.busy_s += end - begin
        self.energy_j += self._joules[network][stage][last]
        if self._watch:
            numbers = tuple(one.number for one in batch.tickets)
            self.ran.append(Ran(begin, end, network, stage, numbers))
        return end


def _known(crowd: Crowd, policy: Policy) -> Callable[[Ticket], tuple[float, float]] | None:
    """Return keys and latest starts, worked out for all requests and stages at once."""
    if policy.key is None:
        return None
    waiting = crowd.waiting()
    keys = policy.key(waiting).tolist()
    if policy.latest is None:
        return lambda one: (keys[one.stage][one.number], math.inf)
    latest = policy.latest(waiting).tolist()
    return lambda one: (keys[one.stage][one.number], latest[one.stage][one.number])


def _told(crowd: Crowd) -> Callable[[Ticket], None]:
    """Return what tells a ticket its confidence at the exit before, and what is left in truth."""
    requests = crowd.requests

    def tell(ticket: Ticket) -> None:
        one, stage = ticket.number, ticket.stage
        total = crowd.services[ticket.model].alone_s
        ticket.true_s = total[requests.stages[one] - 1]
        if stage:
            ticket.true_s -= total[stage - 1]
            ticket.confidence = crowd.confidences[ticket.model][stage - 1, requests.image[one]]

    return tell
