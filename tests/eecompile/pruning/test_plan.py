"""How many channels stay, against all choices there are."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from eecompile.pruning.plan import Counts, PrunableGroup, plan_counts
from passes.errors import NoSolutionError


def core(counts: Counts) -> float:
    """Return the cycles of three layers on a core that makes 8 channels at once, and some for each input."""
    a, b, c = (counts[name] for name in "abc")
    return 100 + 40 * math.ceil(a / 8) + a * math.ceil(b / 8) * 2 + b * math.ceil(c / 8) * 2


def groups(seed: int = 0) -> list[PrunableGroup]:
    rng = np.random.default_rng(seed)
    return [
        PrunableGroup(name, tuple(sorted(rng.uniform(0.5, 1.5, count) * weight)))
        for name, count, weight in (("a", 16, 1.0), ("b", 32, 0.5), ("c", 32, 0.5))
    ]


def test_counts_are_what_a_core_computes_at_once() -> None:
    given = groups()
    whole = core({"a": 16, "b": 32, "c": 32})
    plan = plan_counts(given, core, 0.75 * whole)
    assert plan.cost == core(plan.counts) <= 0.75 * whole
    assert plan.counts["c"] % 8 == 0, "fewer of these cost less by eight alone"
    for name, count in plan.counts.items():
        size = next(len(group) for group in given if group.name == name)
        for more in range(count + given[0].step, size + 1, given[0].step):
            step = next(group.step for group in given if group.name == name)
            if more % step == 0:
                assert core({**plan.counts, name: more}) > 0.75 * whole, "nothing could have stayed"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [0.9, 0.7, 0.5])
def test_the_loss_is_close_to_the_least_of_all_choices(seed: int, share: float) -> None:
    given = groups(seed)
    goal = share * core({"a": 16, "b": 32, "c": 32})
    plan = plan_counts(given, core, goal)
    losses = []
    for counts in itertools.product(*(group.counts for group in given)):
        if core(dict(zip("abc", counts, strict=True))) <= goal:
            losses.append(sum(g.loss(count) for g, count in zip(given, counts, strict=True)))
    assert min(losses) <= plan.loss + 1e-9
    assert plan.loss <= 1.35 * min(losses)
    assert plan.tried < math.prod(len(group.counts) for group in given) / 2


def test_a_group_that_carries_more_the_fewer_are_left_is_not_emptied() -> None:
    group = PrunableGroup("a", (1.0,) * 8)
    assert [group.loss(count) for count in (8, 7)] == [0, 1]
    assert group.loss(4) == pytest.approx(sum((8 / (8 - k)) ** 2 for k in range(4)))


def test_the_whole_schedule_decides_where_plans_are_looked_for_by_another() -> None:
    given = groups()
    whole = core({"a": 16, "b": 32, "c": 32})

    def exact(counts: Counts) -> float:
        return 300 + 0.8 * core(counts)  # saves less than the quick one says

    goal = 0.8 * exact({"a": 16, "b": 32, "c": 32})
    quick = plan_counts(given, core, 0.8 * whole)
    plan = plan_counts(given, core, goal, exact)
    assert exact(quick.counts) > goal
    assert plan.cost == exact(plan.counts) <= goal


@pytest.mark.parametrize("exact", [None, core])
def test_what_cannot_be_reached_says_what_can(exact: object) -> None:
    whole, least = core({"a": 16, "b": 32, "c": 32}), core({"a": 2, "b": 4, "c": 8})
    with pytest.raises(NoSolutionError) as error:
        plan_counts(groups(), core, 0.1 * whole, core if exact else None)
    assert f"pruning can save {100 * (1 - least / whole):.1f} % at most" in str(error.value)
