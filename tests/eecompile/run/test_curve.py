from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eecompile.exits.answers import Answers
from eecompile.run.curve import CURVE_DROPS, curve, front
from eecompile.run.evidence import Evidence
from eecompile.run.figures import ratios_of, saving_of
from passes.confidence import MAX_SOFTMAX
from tests.eecompile.run.made_evidence import evidence, logits_of


def drawn(seed: int, images: int = 400) -> Answers:
    """Return answers that are the likelier right the more confident and the deeper they are."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.51, 0.99, (3, images))
    limits = (confidence[0] * 1.05, confidence[1] * 1.1, np.full(images, 0.97))
    wrong = [set(np.flatnonzero(rng.random(images) > limit).tolist()) for limit in limits]
    logits = tuple(logits_of(c, w) for c, w in zip(confidence.tolist(), wrong, strict=True))
    return Answers(logits, np.zeros(images, np.int64), (MAX_SOFTMAX,) * 2)


def made(**options: object) -> Evidence:
    result = evidence(**options)  # type: ignore[arg-type]
    result.val, result.lowered_test = drawn(0), drawn(1)
    return result


def test_more_allowed_drop_never_saves_less_on_val() -> None:
    points = curve(made(max_drop=0.6, optimistic=True))
    assert [p.max_drop for p in points] == sorted({*CURVE_DROPS, 0.6})
    savings = [p.saving_edp_val for p in points]
    assert savings == sorted(savings)
    assert savings[-1] > savings[0]
    for point in points:
        assert point.val_drop <= point.max_drop + 1e-9


def test_a_bound_allows_no_more_than_the_plain_estimate() -> None:
    careful, hopeful = curve(made(optimistic=False)), curve(made(optimistic=True))
    for one, other in zip(careful, hopeful, strict=True):
        assert one.max_drop == other.max_drop
        assert one.saving_edp_val <= other.saving_edp_val + 1e-12
    assert any(one.saving_edp_val < other.saving_edp_val for one, other in zip(careful, hopeful, strict=True))


def test_a_drop_that_no_thresholds_keep_to_has_no_point() -> None:
    result = made(optimistic=True)
    final = result.val.correct[-1]
    better = final.copy()
    better[np.flatnonzero(~final)[:6]] = True  # 1.5 points better than the final exit
    result.val = replace(result.val, static=np.where(better, 0, 1))
    result.lowered_test = replace(result.lowered_test, static=np.zeros(400, np.int64))
    points = curve(result)
    allowed = {p.max_drop for p in points}
    assert 0.0 not in allowed and {2.0, 3.0, 5.0} <= allowed
    for point in points:
        assert point.val_drop <= point.max_drop + 1e-9
        where = np.full(400, 2)
        for number in (1, 0):
            where[result.lowered_test.confidence[number] >= np.float32(point.thresholds[number])] = number
        right = result.lowered_test.correct[where, np.arange(400)]
        assert point.test_drop == pytest.approx(100 * (1 - right.mean()))


@pytest.mark.parametrize("optimistic", [True, False])
def test_figures_on_test_are_those_of_the_thresholds_chosen_on_val(optimistic: bool) -> None:
    result = made(optimistic=optimistic)
    test = result.lowered_test
    for point in curve(result):
        where = np.full(400, 2)
        for number in (1, 0):
            where[test.confidence[number] >= np.float32(point.thresholds[number])] = number
        right = test.correct[where, np.arange(400)]
        assert point.ratios == pytest.approx([float((where == k).mean()) for k in range(3)])
        assert point.test_drop == pytest.approx(100 * (test.correct[-1].mean() - right.mean()))
        saving = saving_of(result.costs, result.static, ratios_of(where, 3))
        assert point.saving_edp_test == pytest.approx(saving.edp)


def test_along_the_front_less_cost_is_paid_for_with_more_drop() -> None:
    result = made()
    points = front(result)
    assert len(points) > 3 and points[0]["val_drop"] <= 0 < points[-1]["val_drop"]
    drops, costs = (np.array([p[key] for p in points]) for key in ("val_drop", "val_cost"))
    assert (np.diff(drops) > 0).all() and (np.diff(costs) < 0).all()
    values = np.array([path.cost.value(result.options.objective) for path in result.costs.exits])
    for point in points:
        where, right = result.lowered_test.leaving([np.float32(t) for t in point["thresholds"]])
        assert point["test_ratios"] == ratios_of(where, 3).tolist()
        assert point["test_cost"] * result.static.total.value(result.options.objective) == pytest.approx(
            values[where].mean()
        )
        assert point["test_drop"] == pytest.approx(
            100 * (result.lowered_test.correct[-1].mean() - right.mean())
        )
