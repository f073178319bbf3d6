"""Who leaves where while thresholds give way, by the work that waits."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.serving.crowd import Crowd
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.moving.giving_way import DOWN, UP, GivingWay
from eecompile.serving.moving.ladder import Rung
from eecompile.serving.outlook import outlook
from eecompile.serving.policies import policy_named
from eecompile.serving.requests import merged, stream
from tests.eecompile.serving.crowds import service

TIMES = service(1.0, 3.0)
CONFIDENCE = np.linspace(0, 1, 100)[None]


def rung(threshold: float) -> Rung:
    """Return thresholds by which the share 1 - threshold leaves early."""
    leaves = (CONFIDENCE[0] < threshold).astype(np.int64)
    return Rung(
        (threshold,), 1.0, 1.0, float(TIMES.alone_s[leaves].mean()), outlook(TIMES, CONFIDENCE, leaves)
    )


LADDER = [rung(0.8), rung(0.4), rung(0.0)]


def crowd(arrival: np.ndarray, slo: float) -> Crowd:
    leaves = LADDER[0].leaves_at(CONFIDENCE)
    return Crowd(stream(arrival, leaves, 0, slo), [TIMES], [LADDER[0].outlook], [CONFIDENCE])


def test_a_burst_steps_down_and_comes_back() -> None:
    """Twenty at once, each due in 60 s, then some far apart."""
    given = crowd(np.concatenate([np.zeros(20), 200.0 + 20 * np.arange(20)]), 60.0)
    giving_way = GivingWay(given, [LADDER], [60.0])
    seen: list[tuple[int, int]] = []
    ends = giving_way.ends

    def noted(one: int, stage: int, now: float) -> int:
        waiting = giving_way.rung
        last = ends(one, stage, now)
        seen.append((waiting, giving_way.rung))
        return last

    giving_way.ends = noted  # type: ignore[method-assign]
    outcome = serve_one_by_one(given, policy_named("fifo"), False, True, giving_way)
    assert seen[0] == (0, 2), "twenty times 3.4 s is more than half of the slack, and so is the rung between"
    assert giving_way.rung == 0, "and back"
    left = giving_way.served(given).requests
    confidence = CONFIDENCE[0][left.image]
    assert (left.stages[20:] == (confidence[20:] < 0.8) + 1).all(), "far apart the run's thresholds hold"
    assert (left.stages[:20] < given.requests.stages[:20]).any()
    assert (left.stages == [sum(n in r.requests for r in outcome.ran) for n in range(40)]).all()
    assert outcome.busy_s == pytest.approx(TIMES.alone_s[left.stages - 1].sum())
    shares = giving_way.shares(0.0, float(outcome.finish_s.max()))
    assert sum(shares) == pytest.approx(1) and shares[0] > 0.8 and shares[2] > 0


def test_hysteresis_and_deadlines_of_several_streams() -> None:
    """Of the work of those with no more slack than each has, the most of it counts."""
    assert UP < DOWN
    leaves = LADDER[0].leaves_at(CONFIDENCE)
    both = merged(
        [
            stream(np.zeros(4), leaves, 0, 10.0, source=0),
            stream(np.zeros(30), leaves, 0, np.inf, source=1),
        ]
    )
    requests = Crowd(both, [TIMES], [LADDER[0].outlook], [CONFIDENCE])
    patient = GivingWay(requests, [LADDER], [np.inf, np.inf])
    patient.ends(0, 1, 1.0)
    assert patient.rung == 0, "without deadlines nothing gives way"
    hurried = GivingWay(requests, [LADDER], [10.0, np.inf])
    hurried.ends(0, 1, 1.0)
    assert hurried.rung == 2, "four times 1 s is within 5 s, four times 2.2 s is not"
    later = GivingWay(requests, [LADDER], [40.0, np.inf])
    later.ends(0, 1, 1.0)
    assert later.rung == 0, "those without a deadline do not count"


def test_live_policies_and_keys_know_the_thresholds_that_hold() -> None:
    given = crowd(np.arange(60) * 0.5, 20.0)
    for name in ("remaining", "sdrm3", "oracle"):
        giving_way = GivingWay(given, [LADDER], [20.0])
        outcome = serve_one_by_one(given, policy_named(name), moving=giving_way)
        left = giving_way.served(given).requests.stages
        assert outcome.busy_s == pytest.approx(TIMES.alone_s[left - 1].sum())
        assert (left < given.requests.stages).any() and (left >= 1).all()
    known = giving_way.known_at(2, given)
    assert (known.requests.stages == 1).all() and known.outlooks[0] is LADDER[2].outlook


def test_work_that_waits_is_what_val_expects_and_in_batches_less() -> None:
    given = crowd(np.zeros(3), 10.0)
    deep = service(1.0, 2.0, 4.0)
    confidence = np.ones((2, 10))
    nobody = Rung((0.0, 0.0), 1.0, 1.0, 1.0, outlook(deep, confidence, np.zeros(10, np.int64)))
    all_leave = Crowd(given.requests, [deep], [nobody.outlook], [confidence])
    for requests, ladder in ((given, LADDER), (all_leave, [nobody])):
        one = GivingWay(requests, [ladder], [10.0])
        assert one._means == [pytest.approx(rung.outlook.mean) for rung in ladder]
    cheap = Crowd(given.requests, [service(1.0, 3.0, batch=4)], given.outlooks, given.confidences)
    together = GivingWay(cheap, [LADDER], [10.0], 4)
    assert together._means == [pytest.approx(0.625 * rung.outlook.mean) for rung in LADDER]
