"""A search that tries all designs of its space: what experiments compare, with no luck of a sampler in it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.exits.answers import answers
from eecompile.exits.fronts.pareto import nondominated
from eecompile.run.prepare import cost_of
from eecompile.search.study.proposals import Params
from eecompile.search.worth.evaluation import DesignEvaluation
from eecompile.search.worth.supernet import Reach
from passes.confidence import confidence_rule
from passes.errors import EecompileError
from passes.exits.chain import keep_exits
from targets.evaluation.paths import Cost


@dataclass(frozen=True)
class PlannedNetwork:
    """A network of a front.

    Attributes:
        params: Of its design.
        point: As planned from the answers of the supernet and sums of costs.
    """

    params: Params
    point: Mapping[str, Any]


def gene(text: str) -> tuple[str, str]:
    """Return the name and the choices of ``width=8,12``."""
    name, _, values = text.partition("=")
    return name, values


def designs(evaluation: DesignEvaluation) -> list[Params]:
    """Return all designs of a space, each once."""
    space = evaluation.space
    genes = space.genes
    choices = itertools.product(*(gene.choices for gene in genes))
    every = [dict(zip((gene.name for gene in genes), values, strict=True)) for values in choices]
    return list({space.design(params).text: params for params in every}.values())


def front(evaluation: DesignEvaluation, cost: str) -> list[PlannedNetwork]:
    """Return the front over all designs that the target can run, of accuracy on val and one cost."""
    found = []
    for number, params in enumerate(designs(evaluation)):
        try:
            result = evaluation(number, params, len(evaluation.supernets.epochs) - 1, "")
        except EecompileError as error:
            evaluation.progress(f"not tried: {error.message}")
            continue
        found += [PlannedNetwork(params, point) for point in result["points"]]
    return [found[k] for k in nondominated(rows(found, cost)).tolist()]


def rows(found: Sequence[PlannedNetwork], cost: str) -> NDArray[np.float64]:
    """Return accuracy with its sign turned and a cost, one row each."""
    return np.array([[-one.point["accuracy_val"], one.point[cost]] for one in found], np.float64)


def scheduled_edp(evaluation: DesignEvaluation, one: PlannedNetwork) -> float:
    """Return the expected EDP (J·cycles) of a network that is scheduled in full, at the shares of val."""
    design = evaluation.space.design(one.params)
    early = one.point["exits"]
    ratios = [*(item["ratio"] for item in early), one.point["final_ratio"]]
    network = evaluation.assigned(_trained(evaluation, one), design)
    report = cost_of(_cut(network, one), evaluation.target, evaluation.objective, ratios=ratios)
    return Cost.mean([path.cost for path in report.exits], ratios).edp_j_cycles


def right_on_test(evaluation: DesignEvaluation, one: PlannedNetwork) -> NDArray[np.bool_]:
    """Return which test images a network answers right, with its thresholds."""
    images, design = evaluation.images, evaluation.space.design(one.params)
    network = _trained(evaluation, one)
    if evaluation.numbers.quantized:
        network = evaluation.numbers.lowered(evaluation.calibrated(network, design))
    found = answers(_cut(network, one), images.dataset.test, images.preprocess)
    rules = tuple(confidence_rule(item["confidence"]) for item in one.point["exits"])
    _, correct = replace(found, rules=rules).leaving(
        [np.float32(item["threshold"]) for item in one.point["exits"]]
    )
    return np.asarray(correct, np.bool_)


def _trained(evaluation: DesignEvaluation, one: PlannedNetwork) -> gs.Graph:
    design = evaluation.space.design(one.params)
    return evaluation.supernets.trained(design, Reach(len(evaluation.supernets.epochs) - 1))


def _cut(network: gs.Graph, one: PlannedNetwork) -> gs.Graph:
    return keep_exits(network, [item["name"] for item in one.point["exits"]])
