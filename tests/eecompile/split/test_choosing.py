"""Plans are the best there are, and at the ends of all links what they have to be."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eecompile.exits.thresholds import Limit, Observed
from eecompile.split.choosing import (
    ENERGY,
    LATENCY,
    Plan,
    SplitQuestion,
    Terms,
    best_plan,
    device_paths,
    exit_sets,
)
from eecompile.split.device_costs import CutPlace, DeviceCosts, LayerTime
from eecompile.split.link import SplitLink
from eecompile.split.offers import Behind, Offer
from passes.confidence import MAX_SOFTMAX
from passes.confidence.patience import Patience
from passes.state import Exit
from tests.eecompile.split.small_split import WIFI

N = 60
RNG = np.random.default_rng(5)


def layer(number: int, seconds: float, head: bool = False) -> LayerTime:
    return LayerTime("l", number, head, frozenset(), seconds, seconds / 100, 1)


BACKBONE = (layer(0, 1.0), layer(1, 2.0), layer(2, 4.0))
COSTS = DeviceCosts(BACKBONE, ((layer(0, 0.25, True),), (layer(1, 0.5, True),)), (1, 2), ())
CODEC: Any = None
EXITS = [Exit("exit_0", "", ""), Exit("exit_1", "", "")]


def offer_of(layers: int, server_s: float) -> Offer:
    return Offer(CutPlace("x", "x", "uint8", (1, 1), layers), CODEC, server_s, 1.0, 1.0)


def question(max_drop: float = 5.0, seed: int = 0) -> SplitQuestion:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, N)
    sure = np.sort(rng.random((2, N)).astype(np.float32), axis=1)
    early = rng.random((2, N)) < 0.5 + 0.5 * sure
    correct = np.concatenate([early, np.ones((1, N), np.bool_)])
    seen = Observed(sure, correct, (MAX_SOFTMAX, MAX_SOFTMAX), np.ones(N, np.bool_))
    worse = np.where(np.arange(N) % 15 == 0, (labels + 1) % 3, labels)
    behind = (
        Behind(labels, rng.integers(900, 1100, N).astype(float), 1.0),
        Behind(worse, rng.integers(90, 110, N).astype(float), 1.0),
        Behind(labels, rng.integers(300, 500, N).astype(float), 1.0),
    )
    offers = (offer_of(0, 0.3), offer_of(0, 0.3), offer_of(1, 0.2))
    return SplitQuestion(COSTS, seen, labels, offers, behind, Limit(max_drop, True), exit_sets(EXITS))


def terms(objective: str = LATENCY, rtt_s: float = 0.1, loss: float = 0.0) -> Terms:
    return Terms(SplitLink(rtt_s, loss), WIFI, 0.1, 200, objective)


def test_exits_that_stand_alone_make_all_sets_and_a_chain_its_prefixes() -> None:
    assert exit_sets(EXITS) == ((), (0,), (1,), (0, 1)) and exit_sets([]) == ((),)
    chained = [EXITS[0], replace(EXITS[1], reads="exit_0"), Exit("exit_2", "", "")]
    assert exit_sets(chained) == ((), (0,), (2,), (0, 1), (0, 2), (0, 1, 2))
    counting = [replace(item, confidence=Patience()) for item in chained]
    assert exit_sets(counting) == ((), (0,), (0, 1), (0, 1, 2))


def test_a_final_exit_takes_over_only_where_all_it_needs_are_there() -> None:
    costs = replace(COSTS, final_reads=(0, 1), merge=(layer(2, 0.125),))
    assert device_paths(costs, (0, 1), None, LATENCY)[-1] == 7.875
    assert device_paths(costs, (0,), None, LATENCY)[-1] == 7.25
    assert device_paths(costs, (0, 1), offer_of(2, 0.0), LATENCY)[-1] == 3.75, "the server's takes over none"
    plain = question()
    asked = replace(plain, costs=costs, alone_label=(plain.labels + 1) % 3)
    assert asked.observed((0, 1), None).correct[-1].all() and asked.observed((0, 1), 0).correct[-1].all()
    assert not asked.observed((0,), None).correct[-1].any() and not asked.observed((), None).correct[-1].any()


def test_paths_of_the_device_hold_what_was_run_before() -> None:
    assert device_paths(COSTS, (), None, LATENCY) == (7.0,)
    assert device_paths(COSTS, (0, 1), None, LATENCY) == (1.25, 3.75, 7.75)
    assert device_paths(COSTS, (1,), offer_of(0, 0.0), LATENCY) == (3.5, 3.5), "the image is still there"
    assert device_paths(COSTS, (0,), offer_of(2, 0.0), LATENCY) == (1.25, 3.25)
    assert device_paths(COSTS, (0,), offer_of(2, 0.0), ENERGY) == pytest.approx((0.0125, 0.0325))


def test_where_bits_take_no_time_all_goes_to_the_server() -> None:
    plan = best_plan(question(0.0), terms(rtt_s=0.0), 0.0)
    assert plan is not None and plan.exits == () and plan.offer in (0, 1)
    assert plan.fixed == pytest.approx(0.3)


def test_where_bits_take_for_ever_all_stays_on_the_device() -> None:
    for objective in (LATENCY, ENERGY):
        plan = best_plan(question(), terms(objective), 1e6)
        assert plan is not None and plan.offer is None and plan.slope == 0


def exhaustive(asked: SplitQuestion, about: Terms, bit_s: float) -> float:
    """Return the least objective of all offers, exits and thresholds, each image looked at."""
    best = np.inf
    for offer in (None, *range(len(asked.offers))):
        for exits in asked.may_leave:
            seen = asked.observed(exits, offer)
            found = None if offer is None else asked.offers[offer]
            paths = device_paths(COSTS, exits, found, about.objective)
            sending = 0.0
            if found is not None and offer is not None:
                line = about.sending(asked.behind[offer].payload_bytes, found.server_s, about.objective)
                sending = float(line.at(bit_s).mean())
            costs = np.array([*paths[:-1], paths[-1] + sending])
            steps = [np.concatenate([[2.0], np.unique(row)]) for row in seen.confidence]
            for thresholds in itertools.product(*steps):
                where = np.full(N, len(exits))
                for k in reversed(range(len(exits))):
                    where[seen.confidence[k] >= thresholds[k]] = k
                right = seen.correct[where, np.arange(N)]
                if 100 * (N - right.sum()) / N <= asked.limit.max_drop + 1e-9:
                    best = min(best, float(costs[where].mean()))
    return best


@pytest.mark.parametrize("bit_s", [1e-5, 2e-4, 1e-3])
def test_no_plan_of_all_is_better(bit_s: float) -> None:
    """Thresholds must also keep the mean over neighbours, so a plan may cost a little more than the least."""
    asked = question()
    plan = best_plan(asked, terms(), bit_s)
    assert plan is not None
    least = exhaustive(asked, terms(), bit_s)
    now = plan.fixed + plan.slope * bit_s
    assert now >= least * 0.98, "bytes of those that are sent may differ from the mean of all"
    assert now <= least * 1.1


def test_a_plan_tells_what_its_images_come_to() -> None:
    asked = question()
    found = [best_plan(asked, terms(), bit_s, [2]) for bit_s in (1e-4, 4e-4, 8e-4)]
    plan = next(one for one in found if one is not None and one.exits)
    seen = asked.observed(plan.exits, 2)
    where = np.full(N, len(plan.exits))
    for k in reversed(range(len(plan.exits))):
        where[seen.confidence[k] >= np.float32(plan.thresholds[k])] = k
    paths = np.array(device_paths(COSTS, plan.exits, asked.offers[2], LATENCY))[where]
    sent = where == len(plan.exits)
    line = terms().sending(asked.behind[2].payload_bytes[sent], 0.2, LATENCY)
    assert plan.slope == pytest.approx(line.per_bit_s.sum() / N)
    assert plan.fixed == pytest.approx((paths.sum() + line.fixed.sum()) / N)


def test_a_limit_that_nothing_keeps_has_no_plan_and_a_looser_one_the_smaller_payload() -> None:
    asked = question()
    hopeless = replace(asked, seen=replace(asked.seen, correct=np.zeros((3, N), np.bool_)), behind=[
        replace(one, label=(asked.labels + 1) % 3) for one in asked.behind
    ])  # fmt: skip
    assert best_plan(hopeless, terms(), 1e-4) is None
    strict, loose = (best_plan(question(drop), terms(), 1e-3, [0, 1]) for drop in (0.0, 10.0))
    assert strict is not None and loose is not None
    assert (strict.offer, loose.offer) == (0, 1)


def test_plans_are_the_same_by_what_is_done() -> None:
    assert Plan((0,), (0.5,), 1, 1.0, 2.0) == Plan((0,), (0.5,), 1, 3.0, 4.0)
    assert Plan((0,), (0.5,), 1, 1.0, 2.0) != Plan((0,), (0.6,), 1, 1.0, 2.0)
