"""Who is next, by each policy."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from eecompile.serving.policies import POLICIES, policy_named
from eecompile.serving.requests import Requests
from passes.errors import InputError
from tests.eecompile.serving.crowds import plain, single

# Three requests that wait at t = 10: the first is long, the second due soonest, the third the important one.
SERVICES = single(4.0, 2.0, 3.0)
REQUESTS = Requests(
    arrival_s=np.array([0.0, 1.0, 2.0]),
    source=np.array([0, 1, 2]),
    model=np.array([0, 1, 2]),
    image=np.zeros(3, np.int64),
    stages=np.ones(3, np.int64),
    deadline_s=np.array([30.0, 15.0, 16.0]),
    priority=np.array([1.0, 1.0, 9.0]),
)
CROWD = plain(REQUESTS, SERVICES)


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("fifo", [0, 1, 2]),
        ("edf", [1, 2, 0]),
        ("priority", [2, 0, 1]),
        ("sjf", [1, 2, 0]),
        ("slack", [1, 2, 0]),  # 15 - 2 and 16 - 3 are equal: the first that came
        ("sdrm3", [1, 2, 0]),  # 2 / 5 of its slack, 3 / 6, 4 / 20; starvation .45, .27, .25
        ("prema", [2, 1, 0]),  # 9 (1 + 8/3) tokens are above 9, the others' 5.5 and 3.5 are not
        ("remaining", [1, 2, 0]),
        ("srpt", [1, 2, 0]),
        ("oracle", [1, 2, 0]),
    ],
)
def test_who_is_next(name: str, order: list[int]) -> None:
    policy, waiting = POLICIES[name], CROWD.waiting().at((0, [0, 1, 2]))
    if policy.rank is not None:
        left, found = [0, 1, 2], []
        while left:
            found.append(left.pop(int(np.argmin(policy.rank(10.0, waiting.at(left))))))
    else:
        assert policy.key is not None
        found = np.argsort(policy.key(waiting), kind="stable").tolist()
    assert found == order


def test_each_is_there_and_says_where_it_is_from() -> None:
    assert set(POLICIES) == {
        "fifo",
        "edf",
        "priority",
        "sjf",
        "slack",
        "prema",
        "sdrm3",
        "remaining",
        "srpt",
        "oracle",
    }
    assert all(
        policy.source and (policy.key is None) != (policy.rank is None) for policy in POLICIES.values()
    )


def test_the_oracle_is_refused_where_nobody_knows() -> None:
    unknown = dataclasses.replace(CROWD.waiting(), true_s=None)
    for policy in POLICIES.values():
        if policy.needs_truth:
            assert policy.key is not None
            with pytest.raises(InputError, match="only a simulation knows"):
                policy.key(unknown)
    assert [name for name, policy in POLICIES.items() if policy.needs_truth] == ["srpt", "oracle"]


def test_an_unknown_one_is_refused_with_what_is_near() -> None:
    with pytest.raises(InputError, match="unknown policy 'fifa'") as found:
        policy_named("fifa")
    assert re.search("fifo", found.value.hint or "")
