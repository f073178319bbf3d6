"""How much fronts dominate, all of them up to one reference, so that they can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.front_problem import ACCURACY
from eecompile.exits.fronts.pareto import hypervolume
from eecompile.search.shown.front import ShownFront
from eecompile.search.shown.measures import TEST_ACCURACY, ShownMeasure

Float64 = NDArray[np.float64]
Reference = Mapping[str, float]
Measures = Mapping[str, ShownMeasure]


def common_reference(
    fronts: Sequence[ShownFront], objectives: Sequence[str], measures: Measures
) -> dict[str, float]:
    """Return, by name of an objective, the worst value any of the fronts has it as its reference.

    Fronts that name none are counted by their points and designs.
    """
    found = {}
    for name in objectives:
        measure = measures[name]
        told = [front.reference[measure.key] for front in fronts if measure.key in front.reference]
        if not told:
            told = [
                values[measure.key] for front in fronts for values in _all(front) if measure.key in values
            ]
        if told:
            found[name] = min(told) if measure.rises else max(told)
    return found


def _all(front: ShownFront) -> list[Mapping[str, float]]:
    inner = [values for design in front.designs for values in (*design.statics, *design.points)]
    return [*(point.figures for point in front.points), *inner]


def volume(
    points: Sequence[Mapping[str, float]], reference: Reference, measures: Measures, *, test: bool = False
) -> float | None:
    """Return the hypervolume of points as a share of the box between the reference and the ideal.

    The ideal is no cost at all, and all answers right.

    Args:
        points: Figures by key.
        reference: By name of an objective; see :func:`common_reference`.
        measures: By name: with the units that the reference has.
        test: Accuracy is that on test.

    Returns:
        ``None`` where a point lacks a figure, or nothing spans a volume.
    """
    names = list(reference)
    corner = np.array([_minimised(measures[name], reference[name]) for name in names])
    ideal = np.array([-1.0 if measures[name].rises else 0.0 for name in names])
    box = float(np.prod(corner - ideal))
    keys = [measures[_on(name, test)].key for name in names]
    if not names or box <= 0 or any(key not in point for point in points for key in keys):
        return None
    if not points:
        return 0.0
    rows = [[_minimised(measures[n], p[key]) for n, key in zip(names, keys, strict=True)] for p in points]
    return hypervolume(np.array(rows, np.float64), corner) / box


def volumes(front: ShownFront, reference: Reference, measures: Measures) -> tuple[float | None, float | None]:
    """Return the volume of the points of a front, on val and on test."""
    points = [point.figures for point in front.points]
    return volume(points, reference, measures), volume(points, reference, measures, test=True)


def growth(front: ShownFront, reference: Reference, measures: Measures) -> list[float]:
    """Return the volume of all designs tried so far, design after design, by figures as they were planned."""
    points: list[Mapping[str, float]] = []
    found = []
    for design in front.designs:
        points += design.points
        found.append(volume(points, reference, measures))
    return [] if None in found else [value for value in found if value is not None]


def _on(name: str, test: bool) -> str:
    return TEST_ACCURACY if test and name == ACCURACY else name


def _minimised(measure: ShownMeasure, value: float) -> float:
    return -value if measure.rises else value
