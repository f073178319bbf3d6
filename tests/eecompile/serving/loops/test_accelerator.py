"""An accelerator whose cores work on several requests at once: what may run when, and what it comes to."""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.serving.arrivals import Poisson
from eecompile.serving.batches.batching import Batching, batching_of
from eecompile.serving.cores.use import CoreUse
from eecompile.serving.crowd import Crowd
from eecompile.serving.dispatch import NextRun, Ticket
from eecompile.serving.loops.accelerator import Accelerator
from eecompile.serving.loops.in_batches import serve_in_batches
from eecompile.serving.memory import kept_together
from eecompile.serving.outcome import ServingOutcome
from eecompile.serving.outlook import outlook
from eecompile.serving.policies import POLICIES
from eecompile.serving.requests import merged, stream
from eecompile.serving.service import ServiceTime
from tests.eecompile.serving.cores.stages import CORES, ROOM, a_use, alone, meet, served, use

FIFO = POLICIES["fifo"]
PIPE = use(2.0, npu=((0.0, 1.0),), dsp=((1.0, 2.0),))


def crowd_of(services: list[ServiceTime], count: int, gap: float, seed: int = 0, slo: float = 9.0) -> Crowd:
    """Return Poisson requests to each network, images drawn at random."""
    draw = np.random.default_rng(seed)
    confidences = [draw.random((one.stages - 1, 40)) for one in services]
    leaves = [
        (draw.random((one.stages - 1, 40)) < c).sum(0).astype(np.int64)
        for one, c in zip(services, confidences, strict=True)
    ]
    times = [Poisson(1 / gap).times(count, seed + n) for n in range(len(services))]
    parts = [stream(times[n], leaves[n], seed, slo, n, 1.0 + n) for n in range(len(services))]
    outlooks = [outlook(*of) for of in zip(services, confidences, leaves, strict=True)]
    return Crowd(merged(parts), services, outlooks, confidences)


def all_at_once(service: ServiceTime, count: int) -> Crowd:
    """Return requests that are all there, and run to the end."""
    last = np.full(1, service.stages - 1, np.int64)
    seen = outlook(service, np.zeros((service.stages - 1, 1)), last)
    return Crowd(stream(np.zeros(count), last, 0), [service], [seen], [np.zeros((service.stages - 1, 1))])


def used_of(crowd: Crowd, done: ServingOutcome) -> list[tuple[float, float, CoreUse]]:
    """Return of each stage that ran when all was there that it needs, its end, and what it takes."""
    uses = [crowd.services[one.model].uses[one.stage][len(one.requests) - 1] for one in done.ran]
    return [(one.end_s - use.seconds, one.end_s, use) for one, use in zip(done.ran, uses, strict=True)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(a_use(40), min_size=1, max_size=3), min_size=1, max_size=2),
    st.integers(0, 30), st.integers(0, 50), st.sampled_from([0.0, 0.25]), st.floats(0.2, 3.0),
    st.sampled_from(sorted(POLICIES)), st.sampled_from(["none", "fluid:3", "fixed:2", "timeout:2,300ms"]),
    st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_no_core_is_in_use_twice_and_everything_has_room(
    networks: list[list[CoreUse]], left: int, kept: int, load: float, gap: float, name: str, text: str,
    preempt: bool, seed: int,
) -> None:  # fmt: skip
    """Of all pairs that run at once, core by core; and of the memory at each begin."""
    batching = batching_of(text)
    services = [served(*of, left=left, kept=kept, load=load, batch=batching.size) for of in networks]
    crowd = crowd_of(services, 25, gap, seed)
    done = serve_in_batches(crowd, POLICIES[name], batching, preempt, watch=True, overlap=True)
    requests, ran = crowd.requests, used_of(crowd, done)
    for (begin, end, first), (later, _, then) in combinations(ran, 2):
        assert later >= end or not meet(first, then, later - begin)
    stages = [(one, stage.stage) for stage in done.ran for one in stage.requests]
    assert sorted(stages) == [(one, s) for one in range(len(requests)) for s in range(requests.stages[one])]
    ended: dict[int, float] = {}
    for stage in done.ran:
        for one in stage.requests:
            assert stage.begin_s >= max(requests.arrival_s[one], ended.get(one, 0.0)) - 1e-9
            ended[one] = stage.end_s
    assert done.finish_s == pytest.approx([ended[one] for one in range(len(requests))])
    together = kept_together([one.footprint for one in services])
    there = kept * (len(networks) if together else 1)
    for begin, _, _ in ran:
        runs = [use for since, end, use in ran if since <= begin < end - 1e-9]
        assert len(runs) == 1 or there + sum(use.bits["sram"] for use in runs) <= ROOM
    for core in CORES:
        assert done.used_s.get(core, 0.0) == pytest.approx(sum(use.busy_s(core) for _, _, use in ran))
    points = sorted({edge for one in done.ran for edge in (one.begin_s, one.end_s)})
    busy = sum(
        until - since
        for since, until in pairwise(points)
        if any(one.begin_s <= since and until <= one.end_s for one in done.ran)
    )
    assert done.busy_s == pytest.approx(busy)
    assert done.loads >= (len(set(requests.model)) if load else 0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(a_use(), min_size=1, max_size=3), st.sampled_from(sorted(POLICIES)), st.booleans(),
    st.sampled_from(["none", "fluid:3", "fixed:2"]), st.integers(0, 99),
)  # fmt: skip
def test_where_each_stage_takes_all_of_the_machine_it_is_one_at_a_time(
    stages: list[CoreUse], name: str, preempt: bool, text: str, seed: int
) -> None:
    batching = batching_of(text)
    crowd = crowd_of([alone(served(*stages, batch=batching.size))], 30, 1.0, seed)
    one, other = (
        serve_in_batches(crowd, POLICIES[name], batching, preempt, watch=True, overlap=overlap)
        for overlap in (False, True)
    )
    np.testing.assert_allclose(one.finish_s, other.finish_s)
    assert [ran.requests for ran in one.ran] == [ran.requests for ran in other.ran]
    assert (one.busy_s, one.interruptions) == pytest.approx((other.busy_s, other.interruptions))
    assert one.used_s == {} and set(other.used_s) == set(CORES)


def test_a_pipeline_of_two_cores_serves_twice_as_many() -> None:
    """A second on one core, then one on another: a request a second, after two for the first."""
    crowd = all_at_once(served(PIPE), 20)
    done = serve_in_batches(crowd, FIFO, Batching(), overlap=True)
    assert done.finish_s.tolist() == [2.0 + n for n in range(20)]
    assert (done.busy_s, done.used_s) == (21.0, {"npu": 20.0, "dsp": 20.0})
    assert serve_in_batches(crowd, FIFO, Batching()).finish_s[-1] == 40.0


def test_networks_on_cores_of_their_own_do_not_wait_for_each_other() -> None:
    """Each leaves when it would if it had the accelerator alone: who cannot begin holds up nobody else."""
    services = [served(use(3.0, npu=((0.0, 3.0),))), served(use(5.0, dsp=((0.0, 5.0),)))]
    crowd = crowd_of(services, 200, 6.0)
    done = serve_in_batches(crowd, FIFO, Batching(), overlap=True)
    for number, seconds in enumerate((3.0, 5.0)):
        of, free = crowd.requests.model == number, 0.0
        for arrival, finish in zip(crowd.requests.arrival_s[of], done.finish_s[of], strict=True):
            free = max(free, arrival) + seconds
            assert finish == pytest.approx(free)


def test_who_begins_before_the_one_that_is_next_does_not_make_it_later() -> None:
    """The first has the npu for 4 s, and the next needs it; there is time for a second of the dsp, not 5.

    At 4 s the third, long one, and the one that is next want the dsp: it is the turn of that one.
    """
    first, head = use(4.0, npu=((0.0, 4.0),)), use(2.0, npu=((0.0, 1.0),), dsp=((1.0, 2.0),))
    for seconds, ends in ((1.0, [4.0, 6.0, 1.0]), (5.0, [4.0, 6.0, 5.0]), (5.5, [4.0, 6.0, 11.5])):
        services = [served(one) for one in (first, head, use(seconds, dsp=((0.0, seconds),)))]
        nothing = np.zeros(1, np.int64)
        parts = [stream(np.zeros(1), nothing, 0, model=n) for n in range(3)]
        seen = [outlook(one, np.zeros((0, 1)), nothing) for one in services]
        crowd = Crowd(merged(parts), services, seen, [np.zeros((0, 1))] * 3)
        done = serve_in_batches(crowd, FIFO, Batching(), overlap=True)
        assert done.finish_s.tolist() == ends, seconds


def test_weights_that_do_not_fit_together_are_brought_when_nothing_runs() -> None:
    """Each keeps 60 of 100 bits: the second network waits for the end of the first, and for its weights."""
    services = [
        served(use(3.0, npu=((0.0, 3.0),)), kept=60, load=0.5),
        served(use(5.0, dsp=((0.0, 5.0),)), kept=60, load=0.5),
    ]
    nothing = np.zeros(1, np.int64)
    parts = [stream(np.array([float(n)]), nothing, 0, model=n) for n in range(2)]
    seen = [outlook(one, np.zeros((0, 1)), nothing) for one in services]
    crowd = Crowd(merged(parts), services, seen, [np.zeros((0, 1))] * 2)
    done = serve_in_batches(crowd, FIFO, Batching(), overlap=True)
    assert done.finish_s.tolist() == [3.5, 9.0] and done.loads == 2
    fit = [dataclasses.replace(served(one.uses[0][0], kept=40, load=0.5)) for one in services]
    done = serve_in_batches(dataclasses.replace(crowd, services=fit), FIFO, Batching(), overlap=True)
    assert done.finish_s.tolist() == [3.5, 9.0], "they are brought over links that others may use"


def test_what_was_moved_away_comes_back_when_nothing_runs() -> None:
    """Two stages that leave 60 of 100 bits: nobody is interrupted in place beside 60 that the other needs."""
    both = served(use(2.0, 60, npu=((0.0, 2.0),)), use(2.0, 60, npu=((0.0, 2.0),)), left=60)
    ones = np.ones(1, np.int64)
    parts = [stream(np.array([at]), ones, 0, priority=level) for at, level in ((0.0, 1.0), (1.0, 2.0))]
    seen = outlook(both, np.zeros((1, 1)), ones)
    crowd = Crowd(merged(parts), [both], [seen], [np.zeros((1, 1))])
    serial, beside = (
        serve_in_batches(crowd, POLICIES["priority"], Batching(), watch=True, overlap=overlap)
        for overlap in (False, True)
    )
    assert serial.spills == beside.spills == 1
    assert serial.finish_s.tolist() == beside.finish_s.tolist() == [9.0, 6.5]


def test_room_decides_who_runs_beside_whom() -> None:
    for bits, last in ((50, 21.0), (51, 40.0)):
        crowd = all_at_once(served(dataclasses.replace(PIPE, bits={"sram": bits})), 20)
        assert serve_in_batches(crowd, FIFO, Batching(), overlap=True).finish_s[-1] == last


def test_without_preemption_a_request_goes_on_before_another_begins_but_beside_it() -> None:
    two = served(PIPE, PIPE)
    done = serve_in_batches(all_at_once(two, 3), FIFO, Batching(), preempt=False, watch=True, overlap=True)
    assert Counter(one.stage for one in done.ran) == {0: 3, 1: 3}
    first = [one for one in done.ran if one.requests == (0,)]
    assert [one.begin_s for one in first] == [0.0, 2.0]


def test_what_is_next_is_asked_at_the_time_at_which_it_can_begin() -> None:
    accelerator = Accelerator([served(PIPE)], overlap=True)
    batch = NextRun(0, 0, [Ticket(0, 0, 0.0)])
    assert accelerator.idle and accelerator.begins(batch, 0.25) == 0.25
    accelerator.begin(batch, 0.25)
    other = NextRun(0, 0, [Ticket(1, 0, 0.0)])
    assert (accelerator.opens_s, accelerator.next_end_s) == (1.25, 2.25)
    assert accelerator.begins(other, 0.5) == 1.25 and accelerator.ended(2.0) == []
    accelerator.begin(other, 1.25)
    assert accelerator.ended(2.25) == [batch] and accelerator.next_end_s == 3.25


def test_stages_whose_cores_are_not_known_do_not_run_beside_each_other() -> None:
    with pytest.raises(ValueError, match="not known"):
        Accelerator([dataclasses.replace(served(PIPE), uses=())], overlap=True)
