"""What a plan comes to on test is the mean over its images, and its tail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eecompile.exits.thresholds import leaves_at
from eecompile.split.choosing import LATENCY, best_plan, device_paths
from eecompile.split.figures import plan_figures
from tests.eecompile.split.test_choosing import COSTS, N, question, terms

BIT_S = 4e-4


def figures_of(loss: float = 0.0) -> tuple[Any, Any, Any]:
    asked, about = question(), terms(loss=loss)
    plan = best_plan(asked, terms(), BIT_S, [2])
    assert plan is not None and plan.exits
    seen = asked.observed(plan.exits, 2)
    found = plan_figures(plan, about, COSTS, asked.offers[2], seen, asked.behind[2], BIT_S)
    return plan, seen, found


def test_means_are_those_of_images() -> None:
    plan, seen, found = figures_of()
    where = leaves_at(seen.confidence, [np.float32(t) for t in plan.thresholds])
    sent = where == len(plan.exits)
    assert found.sent == sent.mean() and sum(found.leaves) == pytest.approx(1)
    assert found.latency_s == pytest.approx(plan.fixed + plan.slope * BIT_S)
    sizes = question().behind[2].payload_bytes
    assert found.payload_bytes == sizes[sent].mean()
    right = seen.correct[where, np.arange(N)]
    assert found.accuracy == right.mean() and found.images == N
    assert found.drop.points == pytest.approx(100 * (1 - right.mean()))
    times = np.array(device_paths(COSTS, plan.exits, question().offers[2], LATENCY))[where]
    times[sent] += terms().sending(sizes[sent], 0.2, LATENCY).at(BIT_S)
    assert found.p99_s == pytest.approx(np.quantile(times, 0.99), rel=0.01)


def test_what_is_lost_on_the_way_is_in_the_tail() -> None:
    clean, lossy = figures_of()[2], figures_of(0.2)[2]
    assert lossy.p99_s > clean.p99_s + 0.09, "a round trip more, at the least"
    assert lossy.latency_s > clean.latency_s and lossy.energy_j > clean.energy_j
    assert lossy.accuracy == clean.accuracy


def test_a_plan_that_sends_nothing() -> None:
    asked = question()
    plan = best_plan(asked, terms(), BIT_S, [None])
    assert plan is not None
    found = plan_figures(plan, terms(), COSTS, None, asked.observed(plan.exits, None), None, BIT_S)
    assert (found.sent, found.payload_bytes, found.entropy_bytes) == (0, 0, None)
    assert found.latency_s == pytest.approx(plan.fixed)
    assert found.p99_s <= 7.75 + 1e-9
