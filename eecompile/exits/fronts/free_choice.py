"""What images cost at least if each may choose its exit, whatever thresholds and exits are taken.

The Lagrangian with a price for each wrong answer: its value, less the price of the wrong answers that are
allowed, is a bound for any price (Geoffrion 1974).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.front_measures import FrontMeasures
from eecompile.exits.fronts.front_problem import ACCURACY, FrontProblem

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]

# Prices of a wrong answer, as multiples of the mean cost of a path, dear ones first.
PRICES = np.geomspace(1e3, 1e-2, 21)


def free_choice(cost: Float64, right: Ints) -> Float64:
    """Return what images cost at least that choose their exit freely, so many right at least, [images + 1].

    Infinite where not so many are right anywhere.

    Args:
        cost: [exits] of each path.
        right: [exits, n] 1 where an answer is right.
    """
    images = right.shape[1]
    wrong = images - np.arange(images + 1)
    best = np.full(images + 1, images * float(cost.min()))
    for price in PRICES * float(np.abs(cost).mean()):
        free = float((cost[:, None] + price * (1 - right)).min(axis=0).sum())
        best = np.maximum(best, free - price * wrong)
    best[int(right.any(axis=0).sum()) + 1 :] = np.inf
    return best


def free_choice_of_all(problem: FrontProblem, figure: str) -> Float64:
    """Return a bound of a mean cost for all networks at once, so many right at least, [images + 1].

    Every image may take any exit, and pays no head before it.
    """
    costs, exits = problem.costs[figure], range(len(problem.mounts))
    finals = range(len(problem.finals))
    paths = [costs.paths((k,), problem.mounts, 0)[0] for k in exits]
    paths += [costs.paths((), problem.mounts, final)[-1] for final in finals]
    right = np.concatenate([problem.correct, problem.finals])
    return free_choice(np.array(paths), right.astype(np.int64))


def gap_of(
    value: Float64, bounds: Mapping[str, Float64], problem: FrontProblem, measures: FrontMeasures
) -> float:
    """Return by which share less than a point others may cost, in all costs, that are as accurate.

    Args:
        value: Its objectives, as ``measures`` gives them.
        bounds: [images + 1] of each objective that is a mean cost, over all images, so many right at least.
        problem: What is searched.
        measures: How its points are measured.
    """
    right = measures.fewest_right
    if ACCURACY in measures.names:
        right = problem.images - round(value[measures.names.index(ACCURACY)])
    costs = {name: float(value[measures.names.index(name)]) for name in bounds}
    gaps = [1 - float(bounds[name][right]) / cost if cost else 0.0 for name, cost in costs.items()]
    return max(0.0, min(gaps, default=1.0))
