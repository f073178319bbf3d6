"""Queues against their theory, and what no policy may change."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.serving.arrivals import Poisson
from eecompile.serving.crowd import Crowd
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.memory import LeftBehind, MemoryNeeds
from eecompile.serving.outcome import ServingOutcome
from eecompile.serving.outlook import outlook
from eecompile.serving.policies import POLICIES
from eecompile.serving.requests import merged, stream
from eecompile.serving.service import ServiceTime
from targets.residence import StoreUse
from tests.eecompile.serving.crowds import mixture, of_models, plain, service, single

COUNT = 200_000
FIFO = POLICIES["fifo"]


def wait_of(crowd: Crowd, name: str = "fifo", preempt: bool = True) -> np.ndarray:
    """Return seconds in the queue, of each request."""
    requests = crowd.requests
    alone = np.zeros(len(requests))
    for number, times in enumerate(crowd.services):
        of = requests.model == number
        alone[of] = times.alone_s[requests.stages[of] - 1]
    waited: np.ndarray = (
        serve_one_by_one(crowd, POLICIES[name], preempt).finish_s - requests.arrival_s - alone
    )
    return waited


def test_one_service_time_is_an_m_d_1_queue() -> None:
    rate, seconds = 0.7, 1.0
    crowd = mixture(Poisson(rate).times(COUNT, 1), service(seconds), [1.0])
    assert wait_of(crowd).mean() == pytest.approx(rate / (2 * (1 - rate)), rel=0.03)


def test_exponential_service_is_an_m_m_1_queue() -> None:
    """Networks of one stage, whose times are quantiles of an exponential; so is the sojourn."""
    kinds, rate = 400, 0.6
    times = -np.log1p(-(np.arange(kinds) + 0.5) / kinds)
    services = single(*times)
    draw = np.random.default_rng(3)
    arrival, model = Poisson(rate).times(COUNT, 2), draw.integers(0, kinds, COUNT)
    requests = of_models(arrival, model, [np.inf] * kinds, [1.0] * kinds)
    crowd = plain(requests, services)
    assert wait_of(crowd).mean() == pytest.approx(rate / (1 - rate), rel=0.04)
    sojourn = serve_one_by_one(crowd, FIFO).finish_s - requests.arrival_s
    assert np.mean(sojourn > 2.5) == pytest.approx(np.exp(-(1 - rate) * 2.5), rel=0.04)


@pytest.mark.parametrize("rate", [0.3, 0.8])
def test_a_mixture_of_exits_waits_as_pollaczek_and_khinchine_say(rate: float) -> None:
    shares, times = np.array([0.6, 0.1, 0.3]), np.array([0.4, 1.0, 2.2])
    crowd = mixture(Poisson(rate).times(COUNT, 4), service(0.4, 0.6, 1.2), shares.tolist())
    mean, square = (shares * times).sum(), (shares * times**2).sum()
    expected = rate * square / (2 * (1 - rate * mean))
    assert wait_of(crowd).mean() == pytest.approx(expected, rel=0.05)


def test_priorities_wait_as_cobham_says() -> None:
    rates, times = np.array([0.3, 0.35]), np.array([1.0, 1.4])
    total = rates.sum()
    model = (np.random.default_rng(5).random(COUNT) > rates[0] / total).astype(int)
    requests = of_models(Poisson(total).times(COUNT, 6), model, [np.inf] * 2, [9.0, 1.0])
    services = single(*times)
    crowd = plain(requests, services)
    waited = wait_of(crowd, "priority")
    load = rates * times
    residual = (rates * times**2).sum() / 2
    urgent = residual / (1 - load[0])
    assert waited[requests.model == 0].mean() == pytest.approx(urgent, rel=0.03)
    assert waited[requests.model == 1].mean() == pytest.approx(urgent / (1 - load.sum()), rel=0.06)


def periodic(periods: list[float], times: list[float], count: int = 4000) -> Crowd:
    """Return periodic networks whose deadlines, and priorities, are their periods, begun at once."""
    arrival = np.concatenate([np.arange(count) * period for period in periods])
    model = np.repeat(np.arange(len(periods)), count)
    order = np.argsort(arrival, kind="stable")
    requests = of_models(arrival[order], model[order], periods, periods)
    services = single(*times)
    return plain(requests, services)


def test_edf_keeps_all_deadlines_that_jeffays_condition_promises() -> None:
    """Not interrupted, they are kept where load is at most 1 and no long job blocks a short one."""
    periods, times = [4.0, 6.0, 12.0], [1.0, 2.0, 4.0 - 1.0]
    assert sum(t / p for t, p in zip(times, periods, strict=True)) <= 1
    for i in range(1, 3):
        for length in np.arange(periods[0] + 0.01, periods[i], 0.01):
            demand = times[i] + sum(np.floor((length - 0.01) / periods[j]) * times[j] for j in range(i))
            assert length >= demand
    crowd = periodic(periods, times)
    done = serve_one_by_one(crowd, POLICIES["edf"])
    assert (done.finish_s <= crowd.requests.deadline_s + 1e-9).all()
    other = serve_one_by_one(crowd, POLICIES["priority"])
    assert (other.finish_s > crowd.requests.deadline_s + 1e-9).any(), "the longest period first does not"


def test_more_load_than_one_misses_deadlines_whoever_is_next() -> None:
    crowd = periodic([4.0, 6.0], [2.0, 3.3], count=400)
    for policy in POLICIES.values():
        assert (serve_one_by_one(crowd, policy).finish_s > crowd.requests.deadline_s).any()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.01, 2.0), min_size=1, max_size=4),
    st.floats(0.1, 1.6),
    st.sampled_from(sorted(POLICIES)),
    st.booleans(),
    st.integers(0, 99),
)
def test_nobody_is_lost_and_no_work(
    times: list[float], load: float, name: str, preempt: bool, seed: int
) -> None:
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(times)))
    crowd = mixture(
        Poisson(load / sum(times)).times(120, seed),
        service(*times),
        shares.tolist(),
        3 * sum(times),
        seed,
        0.5,
    )
    done = serve_one_by_one(crowd, POLICIES[name], preempt, watch=True)
    requests, alone = crowd.requests, crowd.services[0].alone_s[crowd.requests.stages - 1]
    assert (done.finish_s >= requests.arrival_s + alone - 1e-9).all()
    assert done.busy_s == pytest.approx(alone.sum())
    first = serve_one_by_one(crowd, FIFO)
    assert done.finish_s.max() == pytest.approx(first.finish_s.max()), "it is never idle while somebody waits"
    ran = [(one, stage.stage) for stage in done.ran for one in stage.requests]
    assert sorted(ran) == [(one, s) for one in range(len(requests)) for s in range(requests.stages[one])]
    for before, after in zip(done.ran, done.ran[1:], strict=False):
        assert after.begin_s >= before.end_s - 1e-9
    if not preempt or name == "fifo":
        assert done.interruptions == 0


def test_srpt_has_the_least_mean_latency_and_confidence_comes_near() -> None:
    crowd = mixture(Poisson(0.9).times(40_000, 7), service(0.2, 0.5, 1.1), [0.5, 0.2, 0.3])
    mean = {
        name: (serve_one_by_one(crowd, POLICIES[name]).finish_s - crowd.requests.arrival_s).mean()
        for name in ("fifo", "sjf", "remaining", "srpt")
    }
    assert mean["srpt"] < mean["remaining"] < mean["fifo"]
    blind = mixture(Poisson(0.9).times(40_000, 7), service(0.2, 0.5, 1.1), [0.5, 0.2, 0.3], told=0.0)
    unseen = (serve_one_by_one(blind, POLICIES["remaining"]).finish_s - blind.requests.arrival_s).mean()
    assert mean["remaining"] < unseen, "confidences that tell something are worth something"


def test_weights_are_brought_when_the_network_changes() -> None:
    services = [service(1.0, load=0.25), service(1.0, load=0.5)]
    requests = of_models(np.array([0.0, 0.1, 0.2, 0.3]), np.array([0, 1, 0, 0]), [np.inf] * 2, [1.0, 1.0])
    crowd = plain(requests, services)
    done = serve_one_by_one(crowd, FIFO)
    assert done.finish_s.tolist() == pytest.approx([1.25, 2.75, 4.0, 5.0])
    assert done.loads == 3, "the first inference brings them, too"
    assert (done.busy_s, done.energy_j) == pytest.approx((5.0, 4 * 2.0 + 1.0))


def small_network(load: float, kept: int, peak: int, outer: int | None = None) -> ServiceTime:
    """Return two stages of 2 s; 30 bits are left, moved out in .5 s and .125 J, back in .25 s, .0625 J."""
    left = LeftBehind({"sram": 30}, 0, 0.5, 0.125, 0.25, 0.0625)
    stores = (StoreUse("dram", True, outer, 0, 0), StoreUse("sram", False, 100, kept, peak))
    return dataclasses.replace(service(2.0, 2.0, load=load), footprint=MemoryNeeds(stores, (left,)))


def test_weights_that_fit_together_are_brought_once() -> None:
    services = [small_network(0.25, 20, 50), small_network(0.5, 20, 60)]
    nothing = np.zeros(1, np.int64)
    parts = [stream(np.array([0.0, 20.0]), nothing, 0), stream(np.array([10.0]), nothing, 0, model=1)]
    seen = [outlook(services[0], np.zeros((1, 1)), nothing)] * 2
    crowd = Crowd(merged(parts), services, seen, [np.zeros((1, 1))] * 2)
    done = serve_one_by_one(crowd, FIFO)
    assert done.finish_s.tolist() == pytest.approx([2.25, 12.5, 22.0]) and done.loads == 2
    apart = [small_network(0.25, 50, 70), small_network(0.5, 60, 70)]
    again = serve_one_by_one(dataclasses.replace(crowd, services=apart), FIFO)
    assert again.finish_s.tolist() == pytest.approx([2.25, 12.5, 22.25]) and again.loads == 3


def interrupting(outer: int | None, peak: int) -> ServingOutcome:
    """Serve three requests of two stages, of which each is more important than the one before."""
    both = np.ones(1, np.int64)
    parts = [
        stream(np.array([at]), both, 0, model=0, priority=level)
        for at, level in ((0.0, 1.0), (1.0, 2.0), (3.0, 3.0))
    ]
    times = small_network(0.0, 0, peak, outer)
    seen = outlook(times, np.zeros((1, 1)), both)
    crowd = Crowd(merged(parts), [times], [seen], [np.zeros((1, 1))])
    return serve_one_by_one(crowd, POLICIES["priority"], watch=True)


def test_what_is_interrupted_costs_nothing_where_there_is_room_on_chip() -> None:
    done = interrupting(None, 40)
    assert done.finish_s.tolist() == pytest.approx([12.0, 10.0, 8.0])
    assert (done.interruptions, done.spills, done.refused, done.peak_bits) == (2, 0, 0, 60)


def test_what_has_no_room_on_chip_goes_out_and_comes_back() -> None:
    """One fits: the second is moved out at 4 s and back behind the third; the first stays."""
    done = interrupting(None, 60)
    assert done.finish_s.tolist() == pytest.approx([12.75, 10.75, 8.5])
    assert (done.interruptions, done.spills, done.refused, done.peak_bits) == (2, 1, 0, 60)
    assert done.energy_j == pytest.approx(6 * 4.0 + 0.125 + 0.0625)
    assert done.busy_s == pytest.approx(12.75)


def test_where_there_is_no_room_at_all_requests_go_on() -> None:
    """Nothing fits on chip, one outside: the first is moved there, and the second is not interrupted."""
    done = interrupting(30, 100)
    assert done.finish_s.tolist() == pytest.approx([12.75, 6.5, 10.5])
    assert (done.interruptions, done.spills, done.refused, done.peak_bits) == (1, 1, 2, 30)
    never = interrupting(20, 100)
    assert never.finish_s.tolist() == pytest.approx([4.0, 12.0, 8.0])
    assert (never.interruptions, never.spills, never.refused) == (0, 0, 2)
