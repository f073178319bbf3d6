"""Requests in batches on one accelerator, chosen at each stage boundary by the dispatcher of the server."""

from __future__ import annotations

import itertools
import math

from eecompile.serving.batches.batching import Batching
from eecompile.serving.crowd import Crowd
from eecompile.serving.dispatch import Dispatcher, NextRun, Ticket
from eecompile.serving.loops.accelerator import Accelerator
from eecompile.serving.loops.known import KnownBefore
from eecompile.serving.moving.adapting import Adapting
from eecompile.serving.moving.giving_way import GivingWay
from eecompile.serving.outcome import ServingOutcome
from eecompile.serving.policies import Policy
from eecompile.serving.requests import Requests


def serve_in_batches(
    crowd: Crowd,
    policy: Policy,
    batching: Batching,
    preempt: bool = True,
    watch: bool = False,
    moving: GivingWay | Adapting | None = None,
    overlap: bool = False,
) -> ServingOutcome:
    """Serve all requests by a `Dispatcher`.

    Without batches and ``overlap`` `serve_one_by_one` does the same in less time.

    Args:
        crowd: Requests and networks.
        policy: Who is next.
        batching: With whom.
        preempt: Between two stages others may come first; without, a batch that began ends.
        watch: Note each stage that ran, too.
        moving: Says at each exit whether a request leaves there, as in `serve_one_by_one`.
        overlap: Stages run beside each other where `Accelerator` lets them. At each stage boundary, each
            arrival and each time at which the one that is next may begin it is chosen anew; until that time
            others begin where they do not make it later (as EASY backfills: Lifka 1995).

    Raises:
        ValueError: A network whose costs are not known for such batches, or of which it is not known what its
            stages take.
    """
    requests, services = crowd.requests, crowd.services
    if any(service.largest_batch < batching.size for service in services):
        raise ValueError(f"the cost of batches of {batching.size} is not known of all networks")
    comes = _Arrivals(requests)
    known = KnownBefore(crowd, policy, moving)
    dispatcher = Dispatcher(services, known.outlooks, policy, batching, preempt, known)
    served, accelerator = _Served(requests, moving), Accelerator(services, overlap, watch)
    now, refused = 0.0, 0
    while True:
        for ended in accelerator.ended(now):
            going = served.through(ended, now)
            if known.look():
                dispatcher.see(known.outlooks)
            held = not (accelerator.leave(going) and preempt)
            for ticket in going:
                dispatcher.add(ticket, held)
        if accelerator.opens_s > now:
            now = min(accelerator.opens_s, accelerator.next_end_s)
            continue
        comes.until(now, dispatcher)
        found = dispatcher.next(now)
        until = min(comes.next_s, accelerator.next_end_s)
        if isinstance(found, NextRun):
            begin = accelerator.begins(found, now)
            if begin > now:
                found = _filling(dispatcher, accelerator, found, begin, now)
            if found is None:
                now = min(begin, until)
                continue
            refused += len(found.tickets) if found.held and preempt and len(dispatcher) else 0
            served.begin(found, now)
            accelerator.begin(found, now)
            continue
        until = until if found is None else min(until, found)
        if until == math.inf:
            break
        if moving is not None and found is None and accelerator.idle:
            now = moving.idle(now, until, accelerator.loaded)  # nobody waits, not even for company
        now = max(now, until)
    done = accelerator.outcome(served.finish_s, served.interruptions, refused)
    return done if moving is None else moving.beside(done)


def _filling(
    dispatcher: Dispatcher, accelerator: Accelerator, head: NextRun, begin: float, now: float
) -> NextRun | None:
    """Return who begins now though another is next, which cannot before ``begin`` and is no later for it.

    All of a network and stage need the same cores: one of each is tried.
    """
    aside, found = [head], None
    while found is None:
        other = dispatcher.next(now, {(one.model, one.stage) for one in aside})
        if not isinstance(other, NextRun):
            break
        if (other.held or not head.held) and accelerator.fills(other, now, head, begin):
            found = other
        else:
            aside.append(other)
    for one in aside:
        dispatcher.put_back(one)
    return found


class _Arrivals:
    """Requests that are yet to come."""

    def __init__(self, requests: Requests) -> None:
        # Lists: a scalar of numpy takes five times as long in this loop.
        facts = requests.model, requests.arrival_s, requests.deadline_s, requests.priority
        self._tickets = map(Ticket, itertools.count(), *(of.tolist() for of in facts))
        self._next = next(self._tickets, None)

    @property
    def next_s(self) -> float:
        """When the next one comes; infinite: none will."""
        return math.inf if self._next is None else self._next.arrival_s

    def until(self, now: float, dispatcher: Dispatcher) -> None:
        """Let those wait who come by ``now``."""
        while self._next is not None and self._next.arrival_s <= now:
            dispatcher.add(self._next)
            self._next = next(self._tickets, None)
        if self._next is None:
            dispatcher.end()


class _Served:
    """How far requests are."""

    def __init__(self, requests: Requests, moving: GivingWay | Adapting | None) -> None:
        self._moving, self._stages = moving, requests.stages.tolist()
        self.finish_s, self.interruptions = [0.0] * len(requests), 0

    def begin(self, batch: NextRun, now: float) -> None:
        """Note that a stage of a batch begins: who waited since the stage before was interrupted."""
        self.interruptions += sum(one.stage > 0 and self.finish_s[one.number] != now for one in batch.tickets)

    def through(self, batch: NextRun, now: float) -> list[Ticket]:
        """Note that a stage of a batch ended; return who goes on."""
        for ticket in batch.tickets:
            self.finish_s[ticket.number] = now
            ticket.stage += 1
            if self._moving is not None:
                self._stages[ticket.number] = self._moving.ends(ticket.number, ticket.stage, now)
        return [ticket for ticket in batch.tickets if ticket.stage < self._stages[ticket.number]]
