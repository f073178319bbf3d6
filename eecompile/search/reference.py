"""What the figures of a search are worst at: the corner that hypervolumes are counted from."""

from __future__ import annotations

import numpy as np

from eecompile.exits.fronts.front_problem import ACCURACY
from eecompile.search.space.design import Design
from eecompile.search.worth.at_points import figures_at
from eecompile.search.worth.evaluation import DesignEvaluation
from eecompile.search.worth.inner_front import KEYS
from passes.errors import EecompileError

_DRAWN = 16
"""So many designs are drawn where the target cannot run a corner of the space."""


def worst_figures(evaluation: DesignEvaluation) -> dict[str, float]:
    """Return what each figure is worst at: no right answer, the costs of the largest designs.

    Where the target cannot run a corner, designs are drawn instead, always the same, and it is twice theirs.

    Raises:
        EecompileError: The target can run no corner, and none of those that were drawn.
    """
    worst: dict[str, float] = {KEYS[ACCURACY]: 0.0}
    refusals = []
    for design in evaluation.space.corners().values():
        try:
            _add(worst, evaluation, design)
        except EecompileError as error:
            refusals.append(error)
    for design in _drawn(evaluation) if refusals else ():
        try:
            _add(worst, evaluation, design)
        except EecompileError:
            continue
    if len(worst) == 1:
        raise refusals[0]
    margin = 2.0 if refusals else 1.0  # of designs that were not drawn
    return {key: margin * value for key, value in worst.items()}


def _add(worst: dict[str, float], evaluation: DesignEvaluation, design: Design) -> None:
    costs = evaluation.costs(design)
    figures = {
        **costs.worst,
        "worst_latency_cycles": 2 * costs.worst["latency_cycles"],
        "memory_bytes": 2 * max((*costs.memory, *costs.final_memory)),
    }
    for there in (figures_at(figures, point) for point in evaluation.points):
        worst |= {key: max(value, worst.get(key, 0.0)) for key, value in there.items()}


def _drawn(evaluation: DesignEvaluation) -> list[Design]:
    rng, space = np.random.default_rng(0), evaluation.space
    return [
        space.design({gene.name: gene.choices[rng.integers(len(gene.choices))] for gene in space.genes})
        for _ in range(_DRAWN)
    ]
