"""Who runs next, and with whom: the one place that decides it, for a simulated clock and for a real one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Protocol

import numpy as np

from eecompile.serving.batches.batching import Batching
from eecompile.serving.batches.fluid import Fluid
from eecompile.serving.order.lanes import KeyLanes, Lane, Lanes, LiveLanes
from eecompile.serving.outlook import Outlook
from eecompile.serving.policies import Policy
from eecompile.serving.service import ServiceTime
from eecompile.serving.waiting import Waiting

ONE_BY_ONE = Batching()


@dataclass(slots=True)
class Ticket:
    """A request that waits for a stage.

    Attributes:
        number: Of equals the smaller is next; no two that wait share one.
        model: Number of its network.
        arrival_s: Seconds.
        deadline_s: Seconds, absolute; infinite: none.
        priority: Larger is more important.
        stage: That it waits for.
        confidence: At the exit before; NaN where nothing is known.
        batch: Of the batch it runs with; the dispatcher sets it.
    """

    number: int
    model: int
    arrival_s: float
    deadline_s: float = inf
    priority: float = 1.0
    stage: int = 0
    confidence: float = nan
    batch: int = -1


@dataclass(frozen=True, slots=True)
class NextRun:
    """A stage that runs next.

    Attributes:
        model: Number of the network.
        stage: Of it.
        tickets: For whom, at once.
        held: They could not be interrupted.
        places: By which the dispatcher knows where they wait.
    """

    model: int
    stage: int
    tickets: list[Ticket]
    held: bool = False
    places: Sequence[int] = ()


class TicketsKnown(Protocol):
    """What policies know of tickets that wait."""

    def of(self, ticket: Ticket) -> tuple[float, float]:
        """Return its key, and until when it may begin."""

    def gather(self, groups: Sequence[list[Ticket]]) -> Waiting:
        """Return what policies may look at, of the first of each group."""


Group = tuple[int, int, int]
"""Network, stage and batch of tickets that go on together."""


class Dispatcher:
    """Tickets that wait.

    Whoever has an accelerator asks for the next run, runs it, adds those who go on with their new stage and
    confidence, and asks again. It keeps nothing of those who left.
    """

    def __init__(
        self,
        services: Sequence[ServiceTime],
        outlooks: Sequence[Outlook],
        policy: Policy,
        batching: Batching = ONE_BY_ONE,
        preempt: bool = True,
        known: TicketsKnown | None = None,
    ) -> None:
        """Make one that is empty.

        Args:
            services: Stage times of each network.
            outlooks: What val tells of each.
            policy: Who is next.
            batching: With whom.
            preempt: Between two stages others may come first; without, a batch that began ends.
            known: What policies know of tickets, where it was worked out before for all at once.
        """
        self._batching, self._policy, self._preempt = batching, policy, preempt
        self._known: TicketsKnown = _WorkedOut(services, outlooks, policy) if known is None else known
        self._lanes: Lanes[list[Ticket]] = (
            KeyLanes()
            if policy.rank is None and policy.latest is None
            else LiveLanes(policy.rank, self._known.gather)
        )
        self._fluid = Fluid(services, outlooks, batching.size) if batching.kind == "fluid" else None
        self._survivors: dict[Group, list[Ticket]] = {}
        self._held: dict[Group, list[Ticket]] = {}
        self._ended, self._batches, self._count = False, 0, 0

    def __len__(self) -> int:
        """Return how many wait."""
        return self._count

    def add(self, ticket: Ticket, held: bool = False) -> None:
        """Let a ticket wait for its stage; who goes on is added before the next run is asked for.

        Args:
            ticket: It.
            held: It cannot be interrupted: those of its batch that go on run next.
        """
        self._count += 1
        if self._fluid is not None and not ticket.stage:
            self._fluid.came(ticket.model, ticket.arrival_s)
        together = self._batching.kind in ("fixed", "timeout")
        group = ticket.model, ticket.stage, ticket.batch
        if held or (ticket.stage and not self._preempt):
            self._held.setdefault(group, []).append(ticket)
        elif ticket.stage and together:
            self._survivors.setdefault(group, []).append(ticket)
        else:
            self._put([ticket])

    def see(self, outlooks: Sequence[Outlook]) -> None:
        """Take up what val tells of each network now; of its tickets `known` has to tell."""
        if self._fluid is not None:
            self._fluid.see(outlooks)

    def end(self) -> None:
        """Wait for no more: batches begin with those who are there."""
        self._ended = True

    def next(self, now: float) -> NextRun | float | None:
        """Take out what runs at ``now``, seconds.

        Returns:
            A run; or seconds before which nothing may begin unless more are added; or ``None``: nobody waits.
        """
        if self._held:
            return self.take(next(self._have_to_run()))
        ready, later = self._ready(now)
        if not ready:
            return min(later, default=None)
        return self.take(self._proposed(now, *self._chosen(now, ready)))

    def proposals(self, now: float) -> Iterator[NextRun | float]:
        """Yield what may run at ``now``, seconds, those that have to run next first, then by the policy.

        Of each network and stage the first run is proposed. Nothing is taken out, and nothing may change
        before another is asked for. Last come seconds before which no others may begin, if any wait.
        """
        yield from self._have_to_run()
        ready, later = self._ready(now)
        proposed = set[Lane]()
        while ready:
            first, lane, count = self._chosen(now, ready)
            if lane not in proposed:
                yield self._proposed(now, first, lane, count)
            proposed |= {first[0], lane}
            ready = [one for one in ready if one not in proposed]
        if later:
            yield min(later)

    def _have_to_run(self) -> Iterator[NextRun]:
        for (model, stage, _), group in self._held.items():
            yield NextRun(model, stage, group, held=True)

    def _ready(self, now: float) -> tuple[list[Lane], list[float]]:
        """Return the lanes of which some may begin, and when of others."""
        if self._survivors:
            for group in self._survivors.values():
                self._put(group)
            self._survivors.clear()
        waiting = [lane for lane, items in self._lanes.items.items() if items]
        if self._batching.kind in ("none", "fluid") or self._ended:
            return waiting, []
        begins = [(lane, self._begins(lane)) for lane in waiting]
        return [lane for lane, at in begins if at <= now], [at for _, at in begins if at > now]

    def _chosen(self, now: float, ready: Sequence[Lane]) -> tuple[tuple[Lane, int], Lane, int]:
        """Return lane and number of the one that is next, the lane that begins, and how many of it."""
        first = self._lanes.first(now, ready)
        return first, *self._choose(now, *first)

    def _proposed(self, now: float, first: tuple[Lane, int], lane: Lane, count: int) -> NextRun:
        places = [first[1]] if (count, lane) == (1, first[0]) else self._lanes.some(now, lane, count)
        items = self._lanes.items[lane]
        tickets = items[places[0]] if count == 1 else [one for place in places for one in items[place]]
        return NextRun(*lane, tickets, places=places)

    def take(self, run: NextRun) -> NextRun:
        """Take out a run that was proposed, as it begins, and return it."""
        if run.held:
            del self._held[run.model, run.stage, run.tickets[0].batch]
        else:
            self._lanes.remove((run.model, run.stage), run.places)
        self._count -= len(run.tickets)
        self._batches += 1
        for ticket in run.tickets:
            ticket.batch = self._batches
        return run

    def _begins(self, lane: Lane) -> float:
        """Return seconds from which on a batch of a lane may begin."""
        batching, items = self._batching, self._lanes.items[lane]
        if lane[1] or len(items) >= batching.size:
            return -inf
        if batching.kind == "fixed":
            return inf
        return next(iter(items.values()))[0].arrival_s + batching.wait_s

    def _choose(self, now: float, first: Lane, number: int) -> tuple[Lane, int]:
        """Return which lane begins, and how many of it, where ``number`` is next and waits in ``first``."""
        items, (model, stage) = self._lanes.items, first
        if self._fluid is None:
            together = stage > 0 and self._batching.kind != "none"
            return first, 1 if together else min(self._batching.size, len(items[first]))
        waiting, spare = len(items[first]), items[first][number][0].deadline_s - now
        behind = [len(items.get((model, before), ())) for before in range(stage)]
        others = self._count - waiting - sum(behind)
        begins = self._fluid.waits_for(model, stage, waiting, behind, others, spare) if any(behind) else stage
        if begins != stage:
            waiting, spare = behind[begins], inf
        return (model, begins), self._fluid.size(model, begins, waiting, self._count - waiting, spare)

    def _put(self, group: list[Ticket]) -> None:
        """Let tickets wait that go on together; the one of them that would be next stands for all."""
        lane = (group[0].model, group[0].stage)
        if self._policy.rank is not None:
            group.sort(key=lambda one: one.number)
            self._lanes.add(lane, group[0].number, group, 0.0)
            return
        keys = [(*self._known.of(one), one) for one in group]
        key, latest, first = min(keys, key=lambda found: (found[0], found[2].number))
        self._lanes.add(lane, first.number, group, key, latest, first.deadline_s)


class _WorkedOut:
    """What policies know of a ticket, worked out when it is asked for: a server knows of none before."""

    def __init__(self, services: Sequence[ServiceTime], outlooks: Sequence[Outlook], policy: Policy) -> None:
        self._services, self._outlooks, self._policy = services, outlooks, policy

    def of(self, ticket: Ticket) -> tuple[float, float]:
        waiting = self.gather([[ticket]])
        assert self._policy.key is not None
        latest = self._policy.latest
        return float(self._policy.key(waiting)[0]), inf if latest is None else float(latest(waiting)[0])

    def gather(self, groups: Sequence[list[Ticket]]) -> Waiting:
        rows = []
        for ticket, *_ in groups:
            seen, service, stage = self._outlooks[ticket.model], self._services[ticket.model], ticket.stage
            told = np.array([ticket.confidence if stage else nan])
            rows.append(
                (
                    ticket.arrival_s, ticket.deadline_s, ticket.priority, seen.mean[0], seen.mean[stage],
                    seen.expect(stage, told)[0], service.stage_s[stage, 0], seen.likely(stage, told)[0],
                )
            )  # fmt: skip
        return Waiting(*np.array(rows).T)
