"""What each allowed drop would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eecompile.exits.answers import Answers
from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import Limit, choose_within
from eecompile.run.evidence import Evidence
from eecompile.run.figures import ratios_of, saving_of
from eecompile.run_files.summary import CurvePoint
from targets.evaluation.report import CostReport

FRONT_DROP, FRONT_POINTS = 5.0, 21
CURVE_DROPS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)


def curve(evidence: Evidence) -> tuple[CurvePoint, ...]:
    """Choose thresholds on val for a row of allowed drops; show what each gives on val and on test."""
    options, costs, static = evidence.options, evidence.costs, evidence.static
    values = [path.cost.value(options.objective) for path in costs.exits]
    val, test = (seen.select(evidence.kept) for seen in (evidence.val, evidence.lowered_test))
    bound = DropBound(len(val.labels))
    points = []
    for allowed in sorted({*CURVE_DROPS, options.max_drop}):
        choice = choose_within(val.observed(), values, Limit(allowed, options.optimistic), (), bound)
        if choice is None:
            continue  # the network lost more than that while it was trained
        on_val, on_test = (_operating_point(a, choice.thresholds, costs, static) for a in (val, test))
        points.append(
            CurvePoint(
                max_drop=allowed,
                val_drop=on_val[0],
                test_drop=on_test[0],
                saving_edp_val=on_val[1],
                saving_edp_test=on_test[1],
                ratios=on_test[2],
                thresholds=tuple(float(t) for t in choice.thresholds),
            )
        )
    return tuple(points)


def front(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the accuracy-cost front of the exits of the files: on val nothing is cheaper and loses less.

    Drops are plain estimates on val, in points; costs are means of what is minimised, as shares of static.
    What the same thresholds give on test stands beside them.
    """
    options, costs, static = evidence.options, evidence.costs, evidence.static
    values = [path.cost.value(options.objective) for path in costs.exits]
    base = static.total.value(options.objective)
    val, test = (seen.select(evidence.kept) for seen in (evidence.val, evidence.lowered_test))
    bound, found = DropBound(len(val.labels)), list[dict[str, Any]]()
    for allowed in np.linspace(0, FRONT_DROP, FRONT_POINTS):
        choice = choose_within(val.observed(), values, Limit(float(allowed), True), (), bound)
        if choice is None:  # static is another network, and better by more than that
            continue
        point: dict[str, Any] = {"thresholds": [float(t) for t in choice.thresholds]}
        for name, seen in (("val", val), ("test", test)):
            where, right = seen.leaving(choice.thresholds)
            point[f"{name}_drop"] = 100 * float(seen.static_correct.mean() - right.mean())
            point[f"{name}_cost"] = float(np.mean(np.array(values)[where])) / base
            point[f"{name}_ratios"] = ratios_of(where, len(values)).tolist()
        if not found or point["val_cost"] < found[-1]["val_cost"] * (1 - 1e-12):
            # A larger limit may be what lets the mean over neighbours hold, and no more be lost at all.
            while found and found[-1]["val_drop"] >= point["val_drop"]:
                found.pop()
            found.append(point)
    return found


def _operating_point(
    seen: Answers, thresholds: Sequence[np.float32], costs: CostReport, static: CostReport
) -> tuple[float, float, tuple[float, ...]]:
    where, dynamic = seen.leaving(thresholds)
    correct = seen.correct
    ratios = ratios_of(where, len(correct))
    points = 100 * float(seen.static_correct.mean() - dynamic.mean())
    return points, saving_of(costs, static, ratios).edp, tuple(float(r) for r in ratios)
