"""Requests in batches on one accelerator, chosen at each stage boundary by the dispatcher of the server."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from eecompile.serving.batches.batching import Batching
from eecompile.serving.crowd import Crowd
from eecompile.serving.dispatch import Dispatcher, NextRun, Ticket
from eecompile.serving.loads import KeptWeights
from eecompile.serving.loops.known import KnownBefore
from eecompile.serving.loops.one_by_one import interrupted
from eecompile.serving.moving.adapting import Adapting
from eecompile.serving.moving.giving_way import GivingWay
from eecompile.serving.outcome import Ran, ServingOutcome
from eecompile.serving.policies import Policy
from eecompile.serving.service import ServiceTime


def serve_in_batches(
    crowd: Crowd,
    policy: Policy,
    batching: Batching,
    preempt: bool = True,
    watch: bool = False,
    moving: GivingWay | Adapting | None = None,
) -> ServingOutcome:
    """Serve all requests by a `Dispatcher`; without batches `serve_one_by_one` does the same in less time.

    Args:
        crowd: Requests and networks.
        policy: Who is next.
        batching: With whom.
        preempt: Between two stages others may come first; without, a batch that began ends.
        watch: Note each stage that ran, too.
        moving: Says at each exit whether a request leaves there, as in `serve_one_by_one`.

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
    known = KnownBefore(crowd, policy, moving)
    dispatcher = Dispatcher(services, known.outlooks, policy, batching, preempt, known)
    count, finish = len(requests), [0.0] * len(requests)
    accelerator = _Accelerator(services, watch)
    now, come, interruptions, refused, held = 0.0, 0, 0, 0, False
    while True:
        while arrival[come] <= now:
            dispatcher.add(Ticket(come, model[come], arrival[come], deadline[come], priority[come]))
            come += 1
        if come == count:
            dispatcher.end()
        found = dispatcher.next(now)
        if not isinstance(found, NextRun):
            if found is None and come == count:
                break
            until = min(arrival[come], math.inf if found is None else found)
            if moving is not None and found is None:  # nobody waits, not even for company
                now = moving.idle(now, until, accelerator.loaded)
            now = max(now, until)
            continue
        refused += len(found.tickets) if held and preempt and len(dispatcher) else 0
        begin, now = now, accelerator.run(found, now)
        going = []
        for ticket in found.tickets:
            one = ticket.number
            interruptions += ticket.stage > 0 and finish[one] != begin
            finish[one] = now
            ticket.stage += 1
            if moving is not None:
                stages[one] = moving.ends(one, ticket.stage, now)
            if ticket.stage < stages[one]:
                going.append(ticket)
        if known.look():
            dispatcher.see(known.outlooks)
        held = not (accelerator.leave(going) and preempt)
        for ticket in going:
            dispatcher.add(ticket, held)
    done = accelerator.outcome(finish, interruptions, refused)
    return done if moving is None else moving.beside(done)


class _Accelerator:
    """What runs, what that takes, and what lies in its memories."""

    def __init__(self, services: Sequence[ServiceTime], watch: bool) -> None:
        self._watch, self.loaded, self._weights = watch, -1, KeptWeights(services)
        self._seconds = [service.stage_s.tolist() for service in services]
        self._joules = [service.stage_j.tolist() for service in services]
        self._busy_s = self._energy_j = 0.0
        self._ran = list[Ran]()
        self._memory = interrupted(services)
        self._there: list[Ticket] = []

    def leave(self, going: list[Ticket]) -> bool:
        """Say who goes on from the batch that ran; return whether others may run before them."""
        self._there = going
        if self._memory is None or not going:
            return True
        return self._memory.may_leave(going[0].model, going[0].stage, len(going))

    def run(self, batch: NextRun, begin: float) -> float:
        """Run a stage from ``begin`` seconds on; return when it has ended."""
        network, stage, last = batch.model, batch.stage, len(batch.tickets) - 1
        end = begin + self._moved(batch)
        if network != self.loaded:
            load_s, load_j = self._weights.bring(network)
            end, self.loaded = end + load_s, network
            self._energy_j += load_j
        end += float(self._seconds[network][stage][last])
        self._busy_s += end - begin
        self._energy_j += self._joules[network][stage][last]
        if self._watch:
            numbers = tuple(one.number for one in batch.tickets)
            self._ran.append(Ran(begin, end, network, stage, numbers))
        return end

    def _moved(self, batch: NextRun) -> float:
        """Return the seconds of moving what the batch needs back, and then what others have away."""
        there, self._there = self._there, []
        if self._memory is None:
            return 0.0
        here, runs = {one.number for one in there}, {one.number for one in batch.tickets}
        moved = [
            self._memory.back(one.number, one.model, one.stage)
            for one in batch.tickets
            if one.stage and one.number not in here
        ]
        moved += [
            self._memory.leave(one.number, one.model, one.stage) for one in there if one.number not in runs
        ]
        self._energy_j += sum(joules for _, joules in moved)
        return sum(seconds for seconds, _ in moved)

    def outcome(self, finish: list[float], interruptions: int, refused: int) -> ServingOutcome:
        """Return what happened."""
        memory = self._memory
        return ServingOutcome(
            np.array(finish), self._busy_s, self._energy_j, self._weights.loads, interruptions, self._ran,
            refused=refused, spills=0 if memory is None else memory.spills,
            peak_bits=0 if memory is None else memory.peak_bits,
        )  # fmt: skip
