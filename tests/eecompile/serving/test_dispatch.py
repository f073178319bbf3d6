"""The dispatcher of the server and the loop of the simulation choose alike; batches keep their promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.serving.arrivals import Poisson
from eecompile.serving.batches.batching import Batching, batching_of
from eecompile.serving.crowd import Crowd
from eecompile.serving.dispatch import Dispatcher, NextRun, Ticket
from eecompile.serving.loops.known import KnownBefore
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.outlook import outlook
from eecompile.serving.policies import POLICIES
from eecompile.serving.requests import merged, stream
from tests.eecompile.serving.crowds import mixture, plain_outlook, service

FIFO = POLICIES["fifo"]


def two_networks(count: int, load: float, seed: int) -> Crowd:
    """Return requests for a network of three stages and one of two, of different priority."""
    draw = np.random.default_rng(seed)
    services = [service(1.0, 0.5, 1.5), service(0.5, 3.0)]
    confidences = [draw.random((one.stages - 1, 40)) for one in services]
    leaves = [
        (draw.random((one.stages - 1, 40)) < c).sum(0) for one, c in zip(services, confidences, strict=True)
    ]
    rate = load / 2.5
    requests = merged(
        [
            stream(
                Poisson(rate / 2).times(count, seed + n),
                leaves[n].astype(np.int64),
                seed,
                6.0 + n,
                n,
                1 + 8.0 * n,
            )
            for n in range(2)
        ]
    )
    outlooks = [outlook(*of) for of in zip(services, confidences, leaves, strict=True)]
    return Crowd(requests, services, outlooks, confidences)


def order_by_dispatcher(crowd: Crowd, name: str, preempt: bool) -> list[tuple[float, int, int]]:
    """Return when which request ran which stage, one ticket at a time as a server hands them over."""
    requests = crowd.requests
    policy = POLICIES[name]
    truth = KnownBefore(crowd, policy, None) if policy.needs_truth else None  # no server has such a policy
    dispatcher = Dispatcher(crowd.services, crowd.outlooks, policy, Batching(), preempt, truth)
    found, now, come = [], 0.0, 0

    def tell(ticket: Ticket) -> Ticket:
        stage, image = ticket.stage, requests.image[ticket.number]
        if stage:
            ticket.confidence = crowd.confidences[ticket.model][stage - 1, image]
        return ticket

    while come < len(requests) or len(dispatcher):
        while come < len(requests) and requests.arrival_s[come] <= now:
            ticket = Ticket(
                come, int(requests.model[come]), requests.arrival_s[come], requests.deadline_s[come],
                requests.priority[come],
            )  # fmt: skip
            dispatcher.add(tell(ticket))
            come += 1
        run = dispatcher.next(now)
        if run is None:
            now = float(requests.arrival_s[come])
            continue
        assert isinstance(run, NextRun)
        (ticket,) = run.tickets
        found.append((now, ticket.number, ticket.stage))
        now += float(crowd.services[run.model].stage_s[run.stage, 0])
        if ticket.stage + 1 < requests.stages[ticket.number]:
            ticket.stage += 1
            dispatcher.add(tell(ticket))
    return found


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(POLICIES)), st.booleans(), st.floats(0.3, 1.5), st.integers(0, 99))
def test_server_and_simulation_order_alike(name: str, preempt: bool, load: float, seed: int) -> None:
    crowd = two_networks(40, load, seed)
    simulated = serve_one_by_one(crowd, POLICIES[name], preempt, watch=True)
    served = order_by_dispatcher(crowd, name, preempt)
    assert [(one, stage) for _, one, stage in served] == [(*ran.requests, ran.stage) for ran in simulated.ran]
    assert [at for at, _, _ in served] == pytest.approx([ran.begin_s for ran in simulated.ran])


def dispatcher_of(batching: Batching, preempt: bool = True) -> Dispatcher:
    times = service(1.0, 1.0, 1.0, batch=8)
    return Dispatcher([times], [outlook(times, np.zeros((2, 1)), np.array([2]))], FIFO, batching, preempt)


def ran(found: NextRun | float | None) -> tuple[int, list[int]]:
    """Return stage and numbers of a run."""
    assert isinstance(found, NextRun)
    return found.stage, [ticket.number for ticket in found.tickets]


def test_a_fixed_batch_waits_until_it_is_full_or_no_more_come() -> None:
    waits = dispatcher_of(Batching("fixed", 2))
    assert waits.next(0.0) is None
    waits.add(Ticket(0, 0, 0.0))
    assert waits.next(5.0) == math.inf and len(waits) == 1
    waits.add(Ticket(1, 0, 5.0))
    waits.add(Ticket(2, 0, 5.5))
    assert ran(waits.next(6.0)) == (0, [0, 1])
    assert waits.next(6.0) == math.inf
    waits.end()
    assert ran(waits.next(6.0)) == (0, [2])
    assert waits.next(6.0) is None and len(waits) == 0


def test_a_timeout_is_of_the_first_that_waits() -> None:
    waits = dispatcher_of(Batching("timeout", 3, 2.0))
    waits.add(Ticket(0, 0, 1.0))
    waits.add(Ticket(1, 0, 2.5))
    assert waits.next(2.5) == 3.0
    assert ran(waits.next(3.0)) == (0, [0, 1])
    for number in range(2, 6):
        waits.add(Ticket(number, 0, 3.5))
    assert ran(waits.next(3.5)) == (0, [2, 3, 4]), "it is full"
    assert waits.next(3.5) == 5.5


@pytest.mark.parametrize("kind", ["fixed", "timeout"])
def test_who_goes_on_goes_on_together_and_nobody_joins(kind: str) -> None:
    waits = dispatcher_of(Batching(kind, 2))  # type: ignore[arg-type]
    for number in range(4):
        waits.add(Ticket(number, 0, 0.0))
    first = waits.next(0.0)
    assert ran(first) == (0, [0, 1]) and isinstance(first, NextRun)
    for ticket in first.tickets[::-1]:
        ticket.stage = 1
        waits.add(ticket)
    second = waits.next(1.0)
    assert ran(second)[0] == 1 and sorted(ran(second)[1]) == [0, 1]
    assert isinstance(second, NextRun)
    second.tickets[-1].stage = 2
    waits.add(second.tickets[-1])
    assert ran(waits.next(2.0)) == (2, [second.tickets[-1].number]), "one has left"
    assert ran(waits.next(3.0)) == (0, [2, 3])


def test_a_fluid_batch_is_of_all_that_wait_for_the_stage() -> None:
    waits = dispatcher_of(Batching("fluid", 8))
    early = [Ticket(number, 0, 0.0, stage=1) for number in (0, 1)]
    for ticket in (*early, Ticket(2, 0, 0.0, stage=1, batch=7), Ticket(3, 0, 0.0)):
        waits.add(ticket)
    assert ran(waits.next(0.0)) == (1, [0, 1, 2])


def test_without_interruptions_a_batch_ends_before_another_begins() -> None:
    sooner = dispatcher_of(Batching("timeout", 2), preempt=False)
    for number in (5, 6):
        sooner.add(Ticket(number, 0, 5.0))
    begun = sooner.next(5.0)
    assert isinstance(begun, NextRun)
    for number in (0, 1):
        sooner.add(Ticket(number, 0, 0.0))
    begun.tickets[0].stage = 1
    sooner.add(begun.tickets[0])
    assert ran(sooner.next(6.0)) == (1, [5])
    assert ran(sooner.next(7.0)) == (0, [0, 1])


@pytest.mark.parametrize("name", ["fifo", "edf", "priority", "remaining", "sdrm3"])
@pytest.mark.parametrize("text", ["none", "fixed:2", "timeout:3,500ms", "fluid:4"])
@pytest.mark.parametrize("preempt", [True, False])
def test_to_look_at_proposals_changes_nothing(name: str, text: str, preempt: bool) -> None:
    """The first of them is the next; of each network and stage there is one; all wait, and none in two."""
    told = []
    for looks in (False, True):
        crowd = two_networks(30, 1.2, 7)
        batching = batching_of(text)
        services = [service(*one.stage_s[:, 0], batch=batching.size) for one in crowd.services]
        dispatcher = Dispatcher(services, crowd.outlooks, POLICIES[name], batching, preempt)
        requests, now = crowd.requests, 0.0
        runs: list[tuple[int, tuple[int, list[int]], bool]] = []
        come = 0
        while come < len(requests) or len(dispatcher):
            while come < len(requests) and requests.arrival_s[come] <= now:
                at, level = requests.arrival_s[come], requests.priority[come]
                dispatcher.add(Ticket(come, int(requests.model[come]), at, requests.deadline_s[come], level))
                come += 1
            if come == len(requests):
                dispatcher.end()
            if looks:
                found = list(dispatcher.proposals(now))
                proposed = [one for one in found if isinstance(one, NextRun)]
                lanes = [(one.model, one.stage) for one in proposed if not one.held]
                numbers = [ticket.number for one in proposed for ticket in one.tickets]
                assert len(set(lanes)) == len(lanes) and len(set(numbers)) == len(numbers) <= len(dispatcher)
                assert all(isinstance(one, NextRun) for one in found[:-1])
            run, waiting = dispatcher.next(now), len(dispatcher)
            if not isinstance(run, NextRun):
                now += 0.05
                continue
            assert not looks or (proposed[0].tickets, len(dispatcher)) == (run.tickets, waiting)
            runs.append((run.model, ran(run), run.held))
            now += services[run.model].stage_s[run.stage, len(run.tickets) - 1]
            for ticket in run.tickets:
                ticket.stage += 1
                ticket.confidence = 0.5
                if ticket.stage < requests.stages[ticket.number]:
                    dispatcher.add(ticket, held=ticket.number % 3 == 0)
        told.append(runs)
    assert told[0] == told[1]
    assert sum(len(numbers) for _, (_, numbers), _ in told[0]) == requests.stages.sum()


def test_those_that_have_to_run_next_do_so_in_the_order_in_which_they_came() -> None:
    dispatcher = dispatcher_of(Batching(), preempt=False)
    for number, batch in ((5, 1), (3, 2), (4, 3)):
        dispatcher.add(Ticket(number, 0, 0.0, stage=1, batch=batch))
    dispatcher.add(Ticket(0, 0, 0.0))
    found = [ran(one) for one in dispatcher.proposals(0.0)]
    assert found == [(1, [5]), (1, [3]), (1, [4]), (0, [0])]
    assert [ran(dispatcher.next(0.0)) for _ in range(4)] == found


@pytest.mark.parametrize("name", ["fifo", "remaining", "sdrm3"])
@pytest.mark.parametrize("slo", [math.inf, 5.0])
def test_nothing_grows_with_those_who_were_served(name: str, slo: float) -> None:
    """A dispatcher that has served many holds as much as one that has served few."""
    kept = []
    times = service(1.0, 1.0, 1.0, batch=8)
    seen = outlook(times, np.zeros((2, 1)), np.array([2]))
    for count in (10, 1000):
        served = Dispatcher([times], [seen], POLICIES[name])
        for number in range(count):
            served.add(Ticket(number, 0, float(number), number + slo))
            assert ran(served.next(float(number))) == (0, [number])
        lanes = vars(served)["_lanes"]
        held = vars(lanes)
        queues = [held["_queue"]] if "_queue" in held else list(held["_queues"].values())
        parts = [part for queue in queues for part in vars(queue).values() if hasattr(part, "__len__")]
        kept.append(len(repr(lanes.items)) + len(served) + sum(map(len, parts)))
    assert queues and kept[0] == kept[1]


def test_a_late_ticket_waits_behind_one_that_can_still_be_in_time() -> None:
    crowd = mixture(np.zeros(1), service(1.0), [1.0])
    policy = POLICIES["remaining"]
    waits = Dispatcher(crowd.services, [plain_outlook(service(1.0))], policy)
    waits.add(Ticket(0, 0, 0.0, deadline_s=2.0))
    waits.add(Ticket(1, 0, 0.5, deadline_s=4.0))
    assert ran(waits.next(1.5)) == (0, [1]) and ran(waits.next(2.5)) == (0, [0])
