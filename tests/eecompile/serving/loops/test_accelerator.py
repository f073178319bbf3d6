"""An accelerator whose cores work on several requests at once: what may run when, and what it comes to."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

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
LATE = use(4.0, dsp=((0.0, 1.0), (3.0, 4.0)))


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


def arriving(
    services: Sequence[ServiceTime], times: Sequence[Sequence[float]], priority: Sequence[float] = ()
) -> Crowd:
    """Return requests to each network that run to its end, at these times."""
    parts, seen = [], []
    for number, (service, at) in enumerate(zip(services, times, strict=True)):
        last, nothing = np.full(1, service.stages - 1, np.int64), np.zeros((service.stages - 1, 1))
        level = priority[number] if priority else 1.0
        parts.append(stream(np.array(at), last, 0, model=number, priority=level, source=number))
        seen.append(outlook(service, nothing, last))
    return Crowd(merged(parts), services, seen, [np.zeros((one.stages - 1, 1)) for one in services])


def ends_of(crowd: Crowd, done: ServingOutcome) -> list[list[float]]:
    """Return when the requests to each network leave."""
    return [done.finish_s[crowd.requests.model == n].tolist() for n in range(len(crowd.services))]


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
    ends = {
        one: [stage for stage in done.ran if one in stage.requests]
        for one in (range(len(requests)) if not done.spills else ())  # who is moved lies elsewhere
    }
    for begin, _, _ in ran:
        runs = [use for since, end, use in ran if since <= begin < end - 1e-9]
        lies = sum(
            left
            for end in ends.values()
            if any(a.end_s <= begin < b.begin_s - 1e-9 for a, b in pairwise(end))
        )
        assert len(runs) == 1 or there + sum(use.bits.get("sram", 0) for use in runs) + lies <= ROOM
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
        other = use(seconds, dsp=((0.0, seconds),))
        crowd = arriving([served(one) for one in (first, head, other)], [[0.0]] * 3)
        done = serve_in_batches(crowd, FIFO, Batching(), overlap=True)
        assert done.finish_s.tolist() == ends, seconds


SECOND = ((0.0, 1.0),)
NPU, DSP, BUS = use(1.0, npu=SECOND), use(1.0, dsp=SECOND), use(1.0, bus=SECOND)


def test_what_others_leave_in_the_memories_makes_the_one_that_is_next_no_later() -> None:
    """The head needs 60 of 100 bits beside 10 at 10 s; another that is over then would leave 30, or 31."""
    runs = served(use(100.0, 10, npu=((0.0, 10.0),), dsp=((10.0, 100.0),)))
    head = served(dataclasses.replace(NPU, bits={"sram": 60}))
    for left, fills in ((30, True), (31, False)):
        later = dataclasses.replace(NPU, bits={"sram": 31})
        other = served(use(2.0, 20, bus=((0.0, 2.0),)), later, left=left)
        crowd = arriving([runs, head, other], [[0.0], [0.1], [0.2]])
        done = serve_in_batches(crowd, FIFO, Batching(), watch=True, overlap=True)
        assert ends_of(crowd, done)[1] == [11.0]
        (first,) = (one.begin_s for one in done.ran if (one.model, one.stage) == (2, 0))
        assert first == pytest.approx(0.2) if fills else first >= 10.0


def test_a_core_that_becomes_free_within_a_stage_is_used_though_another_waits_for_a_third() -> None:
    runs, head = use(10.0, npu=((0.0, 1.0),), dsp=((1.0, 10.0),)), use(2.0, dsp=((0.0, 2.0),))
    services = [served(one) for one in (runs, head, NPU, BUS)]
    crowd = arriving(services, [[0.0], [0.1], [0.2], [50.0]])
    done = serve_in_batches(crowd, FIFO, Batching(), overlap=True)
    assert ends_of(crowd, done) == [[10.0], [12.0], [2.0], [51.0]]


def test_a_batch_that_waits_no_longer_begins_though_another_waits_for_a_core() -> None:
    """Of two networks one has the npu; a batch of the dsp that is not full begins after a second."""
    services = [served(use(10.0, npu=((0.0, 10.0),)), batch=2), served(NPU, batch=2), served(DSP, batch=2)]
    crowd = arriving(services, [[0.0], [0.1], [2.0, 30.0]])
    done = serve_in_batches(crowd, FIFO, batching_of("timeout:2,1s"), overlap=True)
    assert ends_of(crowd, done)[2] == [4.0, 31.0]


def test_waiting_is_that_of_the_first_whoever_is_next() -> None:
    """A batch is due 1 s after the first came, at 1.5 s, though the earliest deadline is of the second."""
    services = [served(use(2.2, npu=((0.0, 2.2),)), batch=3), served(NPU, batch=3), served(BUS, batch=3)]
    last = np.zeros(1, np.int64)
    parts = [
        stream(np.array(at), last, 0, slo, model)
        for at, slo, model in (([0.0], 1.0, 0), ([0.5, 30.0], 50.0, 1), ([1.4], 5.0, 1))
    ]
    seen = [outlook(one, np.zeros((0, 1)), last) for one in services]
    crowd = Crowd(merged(parts), services, seen, [np.zeros((0, 1))] * 3)
    for overlap in (False, True):
        done = serve_in_batches(
            crowd, POLICIES["edf"], batching_of("timeout:3,1s"), watch=True, overlap=overlap
        )
        assert set(done.ran[1].requests) == {1, 2} and done.ran[1].begin_s == pytest.approx(3.2)


def test_without_preemption_no_stream_of_others_holds_up_the_one_that_is_next() -> None:
    """They may go on, on the npu: that is where the one that is next is waiting for the end of another."""
    whole = use(10.0, npu=((0.0, 10.0),))
    others = served(DSP, use(5.0, npu=((0.0, 5.0),)))
    crowd = arriving(
        [served(whole), served(whole), others], [[0.0], [0.1], [0.2 + 0.1 * n for n in range(6)]]
    )
    for overlap in (False, True):
        done = serve_in_batches(crowd, FIFO, Batching(), preempt=False, overlap=overlap)
        assert ends_of(crowd, done)[1] == [20.0]


def test_where_one_has_to_go_on_next_nobody_begins_before() -> None:
    """The second goes on when the first leaves the npu, and only then another begins, on the free dsp."""
    services = [served(use(10.0, npu=((0.0, 10.0),))), served(BUS, use(3.0, npu=((0.0, 3.0),))), served(DSP)]
    crowd = arriving(services, [[0.0], [0.1], [5.0]])
    for preempt, ends in ((True, 6.0), (False, 11.0)):
        done = serve_in_batches(crowd, FIFO, Batching(), preempt, overlap=True)
        assert ends_of(crowd, done) == [[10.0], [13.0], [ends]]


class Noted:
    """Thresholds that do not move, and note when there is nothing to do."""

    rung = 0

    def __init__(self, crowd: Crowd) -> None:
        self.stages, self.free = crowd.requests.stages, list[tuple[float, float]]()

    def known_at(self, rung: int, crowd: Crowd) -> Crowd:
        del rung
        return crowd

    def ends(self, one: int, stage: int, now: float) -> int:
        del now
        return max(stage, int(self.stages[one]))

    def idle(self, now: float, until: float, loaded: int) -> float:
        del loaded
        self.free.append((now, until))
        return now

    def beside(self, found: ServingOutcome) -> ServingOutcome:
        return found


def test_there_is_nothing_to_do_only_while_nothing_runs_or_waits() -> None:
    crowd = crowd_of([served(PIPE, LATE)], 60, 3.0)
    noted: Any = Noted(crowd)
    done = serve_in_batches(crowd, FIFO, Batching(), watch=True, moving=noted, overlap=True)
    assert len(noted.free) > 5
    for begin, end in noted.free:
        assert not any(one.begin_s < end and begin < one.end_s for one in done.ran)


@pytest.mark.parametrize("between", [[], [5.0], [5.0, 6.0]])
def test_those_that_go_on_do_so_in_their_order_however_often_it_is_asked(between: list[float]) -> None:
    first, second = served(BUS, use(3.0, npu=((0.0, 3.0),))), served(DSP, use(3.0, npu=((0.0, 3.0),)))
    services = [served(use(10.0, npu=((0.0, 10.0),))), first, second, served(NPU)]
    crowd = arriving(services, [[0.0], [0.1], [0.5], between or [90.0]])
    done = serve_in_batches(crowd, FIFO, Batching(), preempt=False, watch=True, overlap=True)
    assert [one.model for one in done.ran if one.stage == 1] == [1, 2]


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


def test_what_was_moved_away_waits_for_quiet_though_its_core_is_free() -> None:
    """The first is moved for the second, and comes back when that has ended, at 6.5 s."""
    first = served(use(2.0, 60, npu=((0.0, 2.0),)), use(2.0, 10, bus=((0.0, 2.0),)), left=60)
    second = served(use(4.0, 60, npu=((0.0, 4.0),)))
    crowd = arriving([first, second], [[0.0], [1.0]], [1.0, 2.0])
    done = serve_in_batches(crowd, POLICIES["priority"], Batching(), watch=True, overlap=True)
    assert done.spills == 1 and ends_of(crowd, done) == [[9.0], [6.5]]


def test_who_waits_between_two_stages_takes_room() -> None:
    """Of 100 bits 30 run and 50 wait for a core: who is next by the policy, and needs 40, waits for quiet."""
    runs = served(use(10.0, 30, dsp=((0.0, 10.0),)))
    waits = served(use(1.0, 50, bus=SECOND), use(1.0, 50, dsp=SECOND), left=50)
    head = served(use(1.0, 40, npu=SECOND))
    crowd = arriving([runs, waits, head], [[0.0], [0.1], [2.0]], [1.0, 1.0, 2.0])
    done = serve_in_batches(crowd, POLICIES["priority"], Batching(), overlap=True)
    assert ends_of(crowd, done) == [[10.0], [11.0], [11.0]]


def test_nothing_new_lies_in_the_way_of_the_one_that_waits_for_room() -> None:
    """It has room when the first of two ends, at 10 s: 60 bits beside 10, not beside 31 that another left."""
    runs = served(use(10.0, 40, dsp=((0.0, 10.0),))), served(use(100.0, 10, bus=((0.0, 100.0),)))
    head = served(use(1.0, 60, npu=SECOND))
    other = served(use(1.0, 31, npu=SECOND), use(1.0, 31, dsp=SECOND), left=31)
    crowd = arriving([*runs, head, other], [[0.0], [0.0], [0.1], [0.2]])
    done = serve_in_batches(crowd, FIFO, Batching(), overlap=True)
    assert ends_of(crowd, done)[:3] == [[10.0], [100.0], [11.0]]


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
