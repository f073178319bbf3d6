"""Batches against theory and bounds, and what no batch may change."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.serving.arrivals import Poisson
from eecompile.serving.batches.batching import Batching, batching_of
from eecompile.serving.crowd import Crowd
from eecompile.serving.dispatch import Dispatcher
from eecompile.serving.loops.in_batches import serve_in_batches
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.moving.adapting import Adapting
from eecompile.serving.moving.giving_way import GivingWay
from eecompile.serving.outlook import outlook
from eecompile.serving.policies import POLICIES
from eecompile.serving.requests import merged, stream
from tests.eecompile.serving.crowds import mixture, service
from tests.eecompile.serving.loops.test_one_by_one import small_network
from tests.eecompile.serving.moving.test_adapting import LABELS
from tests.eecompile.serving.moving.test_adapting import crowd as adapting_crowd
from tests.eecompile.serving.moving.test_giving_way import LADDER
from tests.eecompile.serving.moving.test_giving_way import crowd as giving_way_crowd
from tests.eecompile.serving.test_dispatch import two_networks

FIFO = POLICIES["fifo"]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(POLICIES)), st.booleans(), st.floats(0.3, 1.5), st.integers(0, 99))
def test_batches_of_one_are_one_by_one(name: str, preempt: bool, load: float, seed: int) -> None:
    crowd = two_networks(40, load, seed)
    loop = serve_one_by_one(crowd, POLICIES[name], preempt, watch=True)
    for batching in (Batching(), Batching("fluid", 1), Batching("fixed", 1), Batching("timeout", 1, 0.5)):
        found = serve_in_batches(crowd, POLICIES[name], batching, preempt, watch=True)
        np.testing.assert_allclose(found.finish_s, loop.finish_s)
        assert found.ran == loop.ran
        assert (found.busy_s, found.energy_j) == pytest.approx((loop.busy_s, loop.energy_j))
        assert (found.loads, found.interruptions) == (loop.loads, loop.interruptions)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.05, 2.0), min_size=1, max_size=4),
    st.floats(0.1, 2.0),
    st.sampled_from(sorted(POLICIES)),
    st.sampled_from(["fixed:3", "timeout:4,100ms", "fluid:4"]),
    st.booleans(),
    st.integers(0, 99),
)
def test_nobody_is_lost_and_no_stage_runs_twice(
    times: list[float], load: float, name: str, text: str, preempt: bool, seed: int
) -> None:
    batching = batching_of(text)
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(times))).tolist()
    arrival = Poisson(load / sum(times)).times(80, seed)
    crowd = mixture(arrival, service(*times, batch=batching.size), shares, 3 * sum(times), seed, 0.5)
    done = serve_in_batches(crowd, POLICIES[name], batching, preempt, watch=True)
    requests, known = crowd.requests, crowd.services[0]
    ran = [(one, stage.stage) for stage in done.ran for one in stage.requests]
    assert sorted(ran) == [(one, s) for one in range(len(requests)) for s in range(requests.stages[one])]
    assert max(len(stage.requests) for stage in done.ran) <= batching.size
    cost = [known.stage_s[stage.stage, len(stage.requests) - 1] for stage in done.ran]
    assert [stage.end_s - stage.begin_s for stage in done.ran] == pytest.approx(cost)
    assert done.busy_s == pytest.approx(sum(cost))
    ended, now = dict.fromkeys(range(len(requests)), 0.0), 0.0
    for stage in done.ran:
        assert stage.begin_s >= now - 1e-9, "one stage at a time"
        now = stage.end_s
        for one in stage.requests:
            assert stage.begin_s >= max(requests.arrival_s[one], ended[one]) - 1e-9
            ended[one] = stage.end_s
    assert done.finish_s == pytest.approx([ended[one] for one in range(len(requests))])
    if not preempt:
        assert done.interruptions == 0


def test_a_timeout_waits_no_longer_than_it_says_while_nothing_runs() -> None:
    """Of a lightly loaded accelerator: begin less arrival is at most the wait, and mostly all of it."""
    batching = Batching("timeout", 8, 0.7)
    crowd = mixture(Poisson(0.05).times(2000, 1), service(0.1, batch=8), [1.0])
    done = serve_in_batches(crowd, FIFO, batching, watch=True)
    idle = [
        (stage.begin_s - crowd.requests.arrival_s[one])
        for before, stage in zip(done.ran, done.ran[1:], strict=False)
        for one in stage.requests
        if before.end_s <= crowd.requests.arrival_s[one]
    ]
    assert max(idle) <= 0.7 + 1e-9 and np.median(idle) == pytest.approx(0.7)


def test_full_batches_are_a_d_x_d_1_queue() -> None:
    """Every 8th arrival brings a batch: the wait to be full is (8 - 1) / 2 arrivals on average, then D/1."""
    gap, size = 1.0, 8
    crowd = mixture(np.arange(8000.0) * gap, service(2.0, batch=size, fixed=0.8), [1.0])
    seconds = float(crowd.services[0].stage_s[0, -1])
    assert seconds < size * gap
    done = serve_in_batches(crowd, FIFO, Batching("fixed", size))
    latency = done.finish_s - crowd.requests.arrival_s
    assert latency.mean() == pytest.approx((size - 1) / 2 * gap + seconds)


def test_batches_that_cost_the_same_whatever_their_size_are_a_bulk_queue() -> None:
    """M/D^[1,inf)/1 (Bailey 1954): a server takes all that wait.

    Of those who come in a service T, Poisson, each waits T / 2 on average; an idle server adds nothing to T.
    """
    rate, seconds = 4.0, 1.0
    crowd = mixture(Poisson(rate).times(60_000, 2), service(seconds, batch=64, fixed=1.0), [1.0])
    done = serve_in_batches(crowd, FIFO, Batching("fluid", 64), watch=True)
    empty = np.exp(-rate * seconds)  # nobody came in a service: the next one finds it idle
    busy = rate * seconds / (rate * seconds + empty)  # share of arrivals that find it at work
    latency = done.finish_s - crowd.requests.arrival_s
    assert latency.mean() == pytest.approx(seconds + busy * seconds / 2, rel=0.01)
    sizes = np.array([len(stage.requests) for stage in done.ran])
    assert sizes.mean() == pytest.approx(rate * seconds + empty, rel=0.02)


def test_more_is_served_in_batches_and_fluid_ones_wait_least_at_light_load() -> None:
    crowd = mixture(Poisson(0.2).times(4000, 3), service(0.4, 0.6, batch=8, fixed=0.7), [0.6, 0.4])
    mean = {}
    for text in ("fluid:8", "timeout:8,500ms", "fixed:8"):
        found = serve_in_batches(crowd, FIFO, batching_of(text))
        mean[text] = float((found.finish_s - crowd.requests.arrival_s).mean())
    assert mean["fluid:8"] < mean["timeout:8,500ms"] < mean["fixed:8"]
    heavy = mixture(Poisson(2.5).times(4000, 3), service(0.4, 0.6, batch=8, fixed=0.7), [0.6, 0.4])
    alone, fluid = (
        serve_in_batches(heavy, FIFO, batching).finish_s.max()
        for batching in (Batching(), Batching("fluid", 8))
    )
    assert fluid < 0.8 * alone


def test_costs_that_are_not_known_are_refused() -> None:
    crowd = mixture(np.arange(3.0), service(1.0, batch=2), [1.0])
    with pytest.raises(ValueError, match="batches of 3"):
        serve_in_batches(crowd, FIFO, Batching("fluid", 3))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 99),
    st.floats(0.2, 1.2),
    st.floats(0.1, 0.9),
    st.sampled_from(["fifo", "remaining", "edf"]),
)
def test_batches_that_save_nothing_change_nothing(seed: int, load: float, early: float, name: str) -> None:
    """Where a batch costs its size times one, who is alone is through sooner, so no batch is made."""
    shares = [early, 1 - early]
    crowd = mixture(
        Poisson(load).times(60, seed), service(0.5, 0.7, batch=8, fixed=0.0), shares, 4.0, seed, 0.5
    )
    alone = serve_one_by_one(crowd, POLICIES[name])
    fluid = serve_in_batches(crowd, POLICIES[name], Batching("fluid", 8))
    np.testing.assert_allclose(fluid.finish_s, alone.finish_s)


def test_fluid_batches_are_as_large_as_pays() -> None:
    """All at once where that is cheap; and the mean latency is below that of always taking all."""
    arrival = np.array([0.0, 100.0, *([200.0] * 8)])
    cheap, dear = (mixture(arrival, service(1.0, batch=8, fixed=fixed), [1.0]) for fixed in (0.9, 0.1))
    ran = [serve_in_batches(crowd, FIFO, Batching("fluid", 8), watch=True).ran for crowd in (cheap, dear)]
    assert [len(stage.requests) for stage in ran[0]] == [1, 1, 8]
    assert [len(stage.requests) for stage in ran[1]] == [1] * 10


def test_survivors_wait_for_those_who_come_where_that_pays() -> None:
    """One that came first waits for a long stage; two more come before it begins."""
    times = service(0.1, 4.0, batch=4, fixed=0.95)
    crowd = mixture(np.array([0.0, 0.05, 0.06]), times, [0.0, 1.0])
    ran = serve_in_batches(crowd, FIFO, Batching("fluid", 4), watch=True).ran
    assert [(stage.stage, stage.requests) for stage in ran] == [(0, (0,)), (0, (1, 2)), (1, (0, 1, 2))]
    due = mixture(np.array([0.0, 0.05, 0.06]), times, [0.0, 1.0], slo=4.15)
    ran = serve_in_batches(due, FIFO, Batching("fluid", 4), watch=True).ran
    assert ran[1].stage == 1 and ran[1].requests == (0,), "waiting would make it late"


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(POLICIES)),
    st.booleans(),
    st.sampled_from([None, 20, 30, 60]),
    st.sampled_from([40, 60, 100]),
    st.integers(0, 99),
)
def test_what_is_interrupted_lies_in_the_same_memories_as_one_by_one(
    name: str, preempt: bool, outer: int | None, peak: int, seed: int
) -> None:
    crowd = of_small_networks(60, 2, outer, peak, seed)
    loop = serve_one_by_one(crowd, POLICIES[name], preempt, watch=True)
    found = serve_in_batches(crowd, POLICIES[name], Batching("fluid", 1), preempt, watch=True)
    assert found.ran == loop.ran
    for figure in ("interruptions", "spills", "refused", "peak_bits", "loads", "energy_j", "busy_s"):
        assert getattr(found, figure) == pytest.approx(getattr(loop, figure)), figure


def of_small_networks(count: int, size: int, outer: int | None, peak: int, seed: int) -> Crowd:
    """Return requests for two networks that leave 30 bits each; a batch of two costs one and a half."""
    draw = np.random.default_rng(seed)
    services = [
        dataclasses.replace(
            small_network(0.25, 0, peak, outer),
            stage_s=np.array([[2.0, 3.0][:size]] * 2),
            stage_j=np.array([[4.0, 6.0][:size]] * 2),
        )
    ] * 2
    confidences = [draw.random((1, 50)) for _ in services]
    leaves = [(one[0] < 0.7).astype(np.int64) for one in confidences]
    parts = [stream(Poisson(0.2).times(count, seed + n), leaves[n], seed, 15.0, n, 1.0 + n) for n in range(2)]
    seen = [outlook(*of) for of in zip(services, confidences, leaves, strict=True)]
    return Crowd(merged(parts), services, seen, confidences)


@pytest.mark.parametrize(
    ("outer", "spills", "refused"), [(None, True, False), (60, True, True), (20, False, True)]
)
def test_batches_that_are_interrupted_have_no_more_room_than_there_is(
    outer: int | None, spills: bool, refused: bool
) -> None:
    """On chip there is none; outside there is some, for two, or for nobody."""
    crowd = of_small_networks(400, 2, outer, 100, 1)
    done = serve_in_batches(crowd, POLICIES["priority"], Batching("fluid", 2), watch=True)
    assert max(len(stage.requests) for stage in done.ran) == 2
    assert done.peak_bits <= (np.inf if outer is None else outer)
    assert (done.spills > 0, done.refused > 0) == (spills, refused)
    moved = sum(one.end_s - one.begin_s - [2.0, 3.0][len(one.requests) - 1] for one in done.ran)
    loads = 0.25 * done.loads
    assert moved - loads == pytest.approx(done.spills * 0.75), "out and back, each of them"
    if not spills:
        assert done.interruptions == 0


@pytest.mark.parametrize("name", ["fifo", "remaining", "sdrm3", "oracle"])
def test_thresholds_give_way_as_one_by_one(name: str) -> None:
    given = giving_way_crowd(np.arange(60) * 0.5, 20.0)
    one, other = (GivingWay(given, [LADDER], [20.0]) for _ in range(2))
    loop = serve_one_by_one(given, POLICIES[name], moving=one)
    found = serve_in_batches(given, POLICIES[name], Batching("fluid", 1), moving=other)
    np.testing.assert_allclose(found.finish_s, loop.finish_s)
    assert other.stages == one.stages and max(one.seconds[1:]) > 0, "they did"


def test_thresholds_that_give_way_in_batches_end_requests_where_they_say() -> None:
    given = giving_way_crowd(np.arange(60) * 0.5, 20.0)
    cheap = dataclasses.replace(given, services=[service(1.0, 3.0, batch=4)])
    giving_way = GivingWay(cheap, [LADDER], [20.0], 4)
    done = serve_in_batches(cheap, FIFO, Batching("fluid", 4), watch=True, moving=giving_way)
    ran = [(one, stage.stage) for stage in done.ran for one in stage.requests]
    left = giving_way.served(cheap).requests.stages
    assert sorted(ran) == [(one, stage) for one in range(60) for stage in range(left[one])]
    assert (left < given.requests.stages).any()
    assert max(len(stage.requests) for stage in done.ran) > 1


def test_what_adapts_gets_idle_time_in_batches_too() -> None:
    given = adapting_crowd(np.arange(3000) * 0.1)
    one, other = (Adapting(given, [LABELS]) for _ in range(2))
    loop = serve_one_by_one(given, FIFO, moving=one)
    found = serve_in_batches(given, FIFO, Batching("fluid", 1), moving=other)
    np.testing.assert_allclose(found.finish_s, loop.finish_s)
    assert other.labels == one.labels > 0 and other.spent == pytest.approx(one.spent)


def test_where_some_wait_for_company_nothing_else_runs_that_makes_them_late() -> None:
    """Batches begin when their wait is over, whatever might run on meanwhile."""
    given = adapting_crowd(np.arange(2000) * 0.0045)
    given = dataclasses.replace(given, services=[service(0.002, 0.008, batch=4)])
    batching = Batching("timeout", 4, 0.0121)
    done = serve_in_batches(given, FIFO, batching, watch=True, moving=Adapting(given, [LABELS]))
    ended = 0.0
    for stage in done.ran:
        if stage.stage == 0 and len(stage.requests) < 4:
            first = min(float(given.requests.arrival_s[one]) for one in stage.requests)
            assert stage.begin_s <= max(first + batching.wait_s, ended) + 1e-9
        ended = stage.end_s


def test_all_that_could_not_be_interrupted_are_counted() -> None:
    """Two run together when a more important one comes: without room both of them go on."""
    both = np.ones(1, np.int64)
    parts = [
        stream(np.array([0.0]), both, 0, source=0), stream(np.array([0.0]), both, 0, source=1),
        stream(np.array([1.0]), both, 0, priority=9.0, source=2),
    ]  # fmt: skip
    times = small_network(0.0, 0, 100, 20)
    times = dataclasses.replace(times, stage_s=np.array([[2.0, 3.0]] * 2), stage_j=np.array([[4.0, 6.0]] * 2))
    crowd = Crowd(merged(parts), [times], [outlook(times, np.zeros((1, 1)), both)], [np.zeros((1, 1))])
    done = serve_in_batches(crowd, POLICIES["priority"], Batching("fixed", 2), watch=True)
    assert [len(stage.requests) for stage in done.ran] == [2, 2, 1, 1]
    assert (done.refused, done.interruptions, done.spills) == (2, 0, 0)


def test_sizes_of_batches_are_chosen_by_the_thresholds_that_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    given, told = giving_way_crowd(np.arange(60) * 0.5, 20.0), []
    cheap = dataclasses.replace(given, services=[service(1.0, 3.0, batch=4)])
    monkeypatch.setattr(Dispatcher, "see", lambda _, outlooks: told.append(outlooks))
    giving_way = GivingWay(cheap, [LADDER], [20.0], 4)
    serve_in_batches(cheap, FIFO, Batching("fluid", 4), moving=giving_way)
    assert told and any(told[0][0] is rung.outlook for rung in LADDER[1:])
