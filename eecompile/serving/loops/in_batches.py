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
    served, accelerator = _Served(requests, moving), Accelerator(services, batching.size, overlap, watch)
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
        found, asks = _begins(dispatcher, accelerator, preempt, now)
        if found is not None:
            refused += len(found.tickets) if found.held and preempt and len(dispatcher) else 0
            served.begin(found, now)
            accelerator.begin(found, now)
            now = max(now, min(accelerator.opens_s, accelerator.next_end_s))
            continue
        until = min(asks, comes.next_s, accelerator.next_end_s)
        if until == math.inf:
            break
        if moving is not None and accelerator.idle and not len(dispatcher):
            now = moving.idle(now, until, accelerator.loaded)  # nobody waits, not even for company
        now = max(now, until)
    done = accelerator.outcome(served.finish_s, served.interruptions, refused)
    return done if moving is None else moving.beside(done)


def _begins(
    dispatcher: Dispatcher, accelerator: Accelerator, preempt: bool, now: float
) -> tuple[NextRun | None, float]:
    """Take out who begins now, if any, or else return when somebody may, if nothing happens before.

    That is the one that is next, or one that can begin now and does not make that one later: without
    preemption none that may go on, and while one waits that cannot be interrupted only another such.
    """
    if accelerator.idle:
        first = dispatcher.next(now)
        return (first, now) if isinstance(first, NextRun) else (None, math.inf if first is None else first)
    head, at, asks = None, math.inf, math.inf
    for found in dispatcher.proposals(now):
        if not isinstance(found, NextRun):
            asks = min(asks, found)
            continue
        if head is not None and head.held and not found.held:
            break
        begin = accelerator.begins(found, now)
        if begin > now:
            asks = min(asks, begin)
        elif head is None or (
            (preempt or found.held or accelerator.is_last(found)) and accelerator.fills(found, now, head, at)
        ):
            return dispatcher.take(found), now
        if head is None:
            head, at = found, begin
    return None, asks


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
        if batch.stage:
            self.interruptions += sum(self.finish_s[one.number] != now for one in batch.tickets)

    def through(self, batch: NextRun, now: float) -> list[Ticket]:
        """Note that a stage of a batch ended; return who goes on."""
        for ticket in batch.tickets:
            self.finish_s[ticket.number] = now
            ticket.stage += 1
            if self._moving is not None:
                self._stages[ticket.number] = self._moving.ends(ticket.number, ticket.stage, now)
        return [ticket for ticket in batch.tickets if ticket.stage < self._stages[ticket.number]]
