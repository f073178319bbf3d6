from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eecompile.exits.fronts.front_problem import FrontLimits
from passes.errors import InputError
from tests.eecompile.exits.fronts.test_subset_front import drawn


def test_what_may_be_at_each_mount_and_what_static_costs() -> None:
    problem = replace(drawn(0), static_final=1)
    assert problem.options == ((None, 0, 1), (None, 2), (None, 3, 4))
    assert problem.subsets == 36
    few = replace(problem, limits=FrontLimits(exits=1))
    assert few.subsets == 12
    assert few.is_network((0,)) and not few.is_network((0, 3))
    costs = problem.costs["edp"]
    total = costs.stages.sum(axis=0) + costs.finals[1]
    assert problem.static_costs["edp"] == pytest.approx(total.prod())


def test_what_reads_an_exit_comes_next_behind_it() -> None:
    problem = replace(drawn(0), reads=(None, None, frozenset({0}), None, frozenset({1, 2})))
    assert problem.is_network((0, 2, 4)) and problem.is_network((1, 4)) and problem.is_network(())
    for broken in ((2,), (1, 2), (0, 4), (4,)):
        assert not problem.is_network(broken), broken
    assert problem.goes_behind(None, 3) and not problem.goes_behind(None, 2) and problem.goes_behind(0, 2)
    # (), 0, 1, 3, 0-2, 0-3, 1-3, 1-4, 0-2-3, 0-2-4; of each two final heads
    assert problem.subsets == 20
    assert replace(problem, limits=FrontLimits(exits=2)).subsets == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": ("accuracy",)}, "two or three different objectives"),
        ({"objectives": ("accuracy", "edp", "edp")}, "two or three different objectives"),
        ({"objectives": ("accuracy", "edq")}, "unknown objective 'edq'"),
        ({"objectives": ("accuracy", "memory"), "memory": None}, "'memory' of networks"),
        ({"memory": None, "limits": FrontLimits(memory=3.0)}, "'memory' of networks"),
        ({"limits": FrontLimits(cost_ratio=0.5, figure="macs")}, "'macs' of networks"),
        ({"limits": FrontLimits(means={"macs": 1.0})}, "'macs' of networks"),
        ({"objectives": ("accuracy", "worst_latency"), "costs": {}}, "'worst_latency' of networks"),
    ],
)
def test_what_nothing_is_known_of_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(drawn(0), **changes)


def test_answers_and_costs_that_do_not_belong_together_are_refused() -> None:
    problem = drawn(0)
    costs = {"edp": replace(problem.costs["edp"], heads=np.ones((2, 2)))}
    for changes, message in [
        ({"mounts": (1, 0, 1, 2, 2)}, "shallow to deep"),
        ({"mounts": (0, 0, 1)}, "each with its mount"),
        ({"reads": (None, frozenset({0}), None, None, None)}, "does not come before it"),
        ({"finals": problem.finals[:, 1:]}, "the same images"),
        ({"costs": costs}, "not of these mounts"),
    ]:
        with pytest.raises(ValueError, match=message):
            replace(problem, **changes)  # type: ignore[arg-type]
