"""The fewest late, against all subsets."""

from __future__ import annotations

from itertools import combinations, permutations
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.serving.arrivals import Poisson
from eecompile.serving.crowd import Crowd
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.order.fewest_late import FewestLateQueue
from eecompile.serving.policies import POLICIES
from tests.eecompile.serving.crowds import mixture, of_models, plain, service, single

Jobs = list[tuple[float, float, float]]


def can_all(jobs: Jobs) -> bool:
    """Return whether jobs of (arrival, work, deadline) can all be in time: preemptive EDF, small integers."""
    left = {n: work for n, (_, work, _) in enumerate(jobs)}
    now = 0.0
    while left:
        there = [n for n in left if jobs[n][0] <= now]
        if not there:
            now = min(jobs[n][0] for n in left)
            continue
        one = min(there, key=lambda n: jobs[n][2])
        coming = [jobs[n][0] for n in left if jobs[n][0] > now]
        ran = min(left[one], min(coming, default=inf) - now)
        now, left[one] = now + ran, left[one] - ran
        if left[one] <= 0:
            del left[one]
            if now > jobs[one][2]:
                return False
    return True


def fewest(jobs: Jobs) -> int:
    """Return how many are late at least, whoever is interrupted whenever, all known from the start."""
    for kept in range(len(jobs), -1, -1):
        if any(can_all(list(chosen)) for chosen in combinations(jobs, kept)):
            return len(jobs) - kept
    raise AssertionError("none can always be kept")


def missed(jobs: Jobs, name: str) -> int:
    """Return how many a policy misses of jobs of one stage."""
    arrival, work, due = (np.array(values) for values in zip(*jobs, strict=True))
    requests = of_models(arrival, np.arange(len(jobs)), list(due - arrival), [1.0] * len(jobs))
    crowd = plain(requests, single(*work))
    return int((serve_one_by_one(crowd, POLICIES[name]).finish_s > crowd.requests.deadline_s).sum())


JOBS = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5), st.integers(1, 12)), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(JOBS)
def test_of_those_that_are_all_there_the_oracle_misses_the_fewest(drawn: list[tuple[int, int, int]]) -> None:
    together: Jobs = [(0.0, float(work), float(due)) for _, work, due in drawn]
    assert missed(together, "oracle") == fewest(together)


@settings(max_examples=100, deadline=None)
@given(JOBS)
def test_of_those_that_come_later_nobody_misses_fewer_than_hindsight(
    drawn: list[tuple[int, int, int]],
) -> None:
    jobs = sorted((float(at), float(work), float(at + due)) for at, work, due in drawn)
    assert missed(jobs, "oracle") >= fewest(jobs)


def test_brute_force_is_right_itself() -> None:
    jobs: Jobs = [(0.0, 3.0, 3.0), (0.0, 2.0, 4.0), (0.0, 2.0, 4.0)]
    best = min(
        sum(total > due for total, due in zip(np.cumsum([j[1] for j in p]), [j[2] for j in p], strict=True))
        for p in permutations(jobs)
    )
    assert best == fewest(jobs) == 1


@pytest.mark.parametrize("seed", range(3))
def test_the_oracle_misses_fewer_than_all_that_do_not_know(seed: int) -> None:
    times = service(0.2, 0.5, 1.1)
    crowd = mixture(Poisson(1.4).times(4000, seed), times, [0.5, 0.2, 0.3], 4.0, seed, 0.5)
    late = {
        name: (serve_one_by_one(crowd, policy).finish_s > crowd.requests.deadline_s).sum()
        for name, policy in POLICIES.items()
    }
    others = [count for name, count in late.items() if name != "oracle"]
    assert late["oracle"] < min(others)
    assert late["remaining"] == min(count for name, count in late.items() if not POLICIES[name].needs_truth)


def test_long_ones_are_not_begun_where_most_of_them_would_be_late() -> None:
    """Most take 2 s, and 1.5 s are left: with the next exit .5 s away it would be begun all the same."""
    crowd = mixture(np.array([0.0, 0.0]), service(0.5, 1.5), [0.2, 0.8], 1.5, 0, 0.0)
    waiting = crowd.waiting()
    latest = POLICIES["remaining"].latest
    assert latest is not None
    assert (latest(waiting)[0] < 0).all(), "more of them are late than not"
    free = mixture(np.array([0.0, 0.0]), service(0.5, 1.5), [0.6, 0.4], 1.5, 0, 0.0)
    assert (latest(free.waiting())[0] == 1.0).all(), "more of them leave at the first exit"


def test_what_is_taken_out_is_gone_and_orders_are_complete() -> None:
    queue = FewestLateQueue()
    for number, (work, due) in enumerate([(3.0, 3.0), (2.0, 4.0), (2.0, 4.0), (1.0, inf), (9.0, 5.0)]):
        queue.add(number, work, due - work, due)
    whole = [1, 2, 3, 0, 4]  # the longest of the first three waits; the last is late
    for some in ({0, 1, 2, 3, 4}, {0, 2, 4}, {4, 0}, {3}, set[int]()):
        assert list(queue.order(0.0, some)) == [number for number in whole if number in some]
    queue.remove(4)
    queue.remove(1)
    assert len(queue) == 3 and list(queue.order(0.0, {0, 2, 3})) == [2, 3, 0]
    assert [queue.take(now) for now in (0.0, 2.0, 3.0)] == [2, 3, 0]
    assert len(queue) == 0 and list(queue.order(0.0, ())) == []


def crowd_without_deadlines() -> Crowd:
    """Return requests that may take as long as they like."""
    return mixture(Poisson(0.9).times(3000, 7), service(0.2, 0.5, 1.1), [0.5, 0.2, 0.3])


def test_without_deadlines_the_least_work_is_next() -> None:
    crowd = crowd_without_deadlines()
    done = [serve_one_by_one(crowd, POLICIES[name]).finish_s for name in ("oracle", "srpt")]
    np.testing.assert_array_equal(done[0], done[1])
