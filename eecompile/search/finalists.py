"""Finalists: networks of the front, trained on by themselves, scheduled in full and measured on test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.cache.key import Key
from eecompile.exits.answers import answers
from eecompile.exits.statistics import wilson_interval
from eecompile.run.prepare import cost_of
from eecompile.search.space.design import Design
from eecompile.search.space.tables import ConstraintsTable
from eecompile.search.study.proposals import Params
from eecompile.search.worth.evaluation import DesignEvaluation
from eecompile.search.worth.inner_front import KEYS, inner_front
from eecompile.search.worth.integers import Float32, logits_of
from eecompile.search.worth.part_costs import cost_figures, part_costs
from eecompile.search.worth.supernet import Reach, bytes_of_graph, graph_of_bytes
from passes.confidence import confidence_rule
from passes.exits.chain import keep_exits, set_rules, set_thresholds
from passes.model.writing import save
from passes.state import state_of
from targets.evaluation.paths import Cost

FORM = 1
"""Of how finalists are trained: another one makes other networks."""


@dataclass(frozen=True)
class Finalist:
    """A point of the front as it came out.

    Attributes:
        point: As it stands in ``front.json``.
        network: The float network with its exits, thresholds and rules.
    """

    point: dict[str, Any]
    network: gs.Graph


def finish(
    evaluation: DesignEvaluation,
    trial: int,
    params: Params,
    reach: Reach,
    point: Mapping[str, Any],
    progress: Callable[[str], None],
) -> Finalist:
    """Train the network of a point on, quantize it, choose thresholds on val, and measure it once on test.

    Args:
        evaluation: Of the search.
        trial: Index of the candidate.
        params: Its genes.
        reach: How far its supernet was trained, and from where.
        point: Of its inner front.
        progress: Told a line now and then.
    """
    design = evaluation.space.design(params)
    names = [item["name"] for item in point["exits"]]
    network, answering = _networks(evaluation, design, reach, names, progress)
    told = [confidence_rule(item["confidence"]) for item in point["exits"]]
    images = evaluation.images
    costed = evaluation.assigned(network, design)
    val = logits_of(answering, images.dataset.val, images)
    chosen = _chosen(evaluation, costed, val, told, point)
    kept = [item["name"] for item in chosen["exits"]]
    final, answering = keep_exits(network, kept), keep_exits(answering, kept)
    rules = [confidence_rule(item["confidence"]) for item in chosen["exits"]]
    set_rules(final, [*rules, state_of(final).exits[-1].confidence])
    thresholds = [np.float32(item["threshold"]) for item in chosen["exits"]]
    set_thresholds(final, [float(value) for value in thresholds])
    ratios = [*(item["ratio"] for item in chosen["exits"]), chosen["final_ratio"]]
    report = cost_of(keep_exits(costed, kept), evaluation.target, evaluation.objective, ratios=ratios)
    on_test = answers(answering, images.dataset.test, images.preprocess)
    _, correct = replace(on_test, rules=tuple(rules)).leaving(thresholds)  # measured once
    figures = cost_figures(Cost.mean([path.cost for path in report.exits], ratios))
    figures["worst_latency_cycles"] = float(report.total.latency_cycles)
    summed = {key: chosen[key] for key in figures if key in chosen}
    found = {
        "trial": trial,
        "accuracy_val": chosen["accuracy_val"],
        "accuracy": float(correct.mean()),
        "accuracy_ci95": list(wilson_interval(int(correct.sum()), len(correct))),
        **figures,
        "memory_bytes": chosen["memory_bytes"],
        "exits": chosen["exits"],
        "final_ratio": chosen["final_ratio"],
        "design": design.text,
        "params": dict(params),
        "before": {key: point[key] for key in ("accuracy_val", *figures)},
        "summed": summed,
        "feasible": chosen["feasible"],
    }
    return Finalist(found, final)


def _networks(
    evaluation: DesignEvaluation,
    design: Design,
    reach: Reach,
    names: Sequence[str],
    progress: Callable[[str], None],
) -> tuple[gs.Graph, gs.Graph]:
    """Return a network with some exits of a supernet, trained on, in float and as it answers."""
    numbers, training = evaluation.numbers, evaluation.space.training
    parts = {
        "form": FORM,
        "supernet": evaluation.supernets.key(design, reach).digest,
        "exits": list(names),
        "epochs": training.final_epochs,
        "seed": evaluation.question.seed,
    }

    def train() -> bytes:
        network = keep_exits(evaluation.supernets.trained(design, reach), names)
        _train_on(evaluation, network, progress)
        return bytes_of_graph(network)

    title = f"{design.text} with {len(names)} exits"
    network = graph_of_bytes(evaluation.cache.get(Key.of("finalist", parts, title), train))
    if not numbers.quantized:
        return network, network
    parts |= {
        "numbers": evaluation.numbers_text(design),
        "quantize": training.quantize,
        "qat_epochs": training.qat_epochs,
    }

    def lower() -> bytes:
        calibrated = evaluation.calibrated(network, design)
        _train_integers(evaluation, calibrated, network, progress)
        return bytes_of_graph(numbers.lowered(calibrated))

    lowered = graph_of_bytes(evaluation.cache.get(Key.of("finalist-integers", parts, title), lower))
    return network, lowered


def _train_on(evaluation: DesignEvaluation, network: gs.Graph, progress: Callable[[str], None]) -> None:
    """Fine-tune a network with the exits it has, in place."""
    epochs = evaluation.space.training.final_epochs
    if epochs == 0:
        return
    from eecompile.training.checkpoint import NOWHERE
    from eecompile.training.contract import Course
    from eecompile.training.joint import train_jointly
    from eecompile.training.recipe import FRESH

    recipe = replace(FRESH, rate=FRESH.rate / 4, samples=FRESH.samples // 4)
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    given = evaluation.supernets.training_images
    train_jointly(network, given, recipe, Course(evaluation.question.seed, progress, NOWHERE), [])


def _train_integers(
    evaluation: DesignEvaluation, calibrated: gs.Graph, network: gs.Graph, progress: Callable[[str], None]
) -> None:
    """Train a calibrated network for its integers, in place, where the space asks for it."""
    from eecompile.training.recipe import QAT, QUANTIZED

    training = evaluation.space.training
    if training.quantize != QAT:
        return
    from eecompile.training.checkpoint import NOWHERE
    from eecompile.training.contract import Course
    from eecompile.training.integers.quantized import train_quantized

    recipe = QUANTIZED if training.qat_epochs is None else replace(QUANTIZED, epochs=training.qat_epochs)
    given = evaluation.supernets.training_images
    course = Course(evaluation.question.seed, progress, NOWHERE)
    train_quantized(calibrated, network, given, recipe, course)


def _chosen(
    evaluation: DesignEvaluation,
    network: gs.Graph,
    val: tuple[Float32, ...],
    rules: Sequence[Any],
    point: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the point of the trained network that is as accurate on val as its plan and costs least.

    Where none is as accurate it is the most accurate one; where none keeps the constraints any more, one that
    does not, which says so.
    """
    space = evaluation.space
    costs = part_costs(network, evaluation.whole)

    def points(constraints: ConstraintsTable) -> list[dict[str, Any]]:
        return inner_front(
            network,
            val,
            evaluation.images.dataset.val.y,
            costs,
            list(dict.fromkeys(rules)) or space.exits.confidence[:1],
            space.objectives.front,
            constraints,
            joint=_joint(evaluation),
            genetic=evaluation.genetic,
        ).points

    feasible = points(space.constraints)
    found = feasible or points(ConstraintsTable())
    costly = next(KEYS[name] for name in space.objectives.front if name != "accuracy")
    enough = [item for item in found if item["accuracy_val"] >= point["accuracy_val"] - 1e-12]
    if enough:
        chosen = min(enough, key=lambda item: (item[costly], -item["accuracy_val"]))
    else:
        chosen = max(found, key=lambda item: (item["accuracy_val"], -item[costly]))
    return {**chosen, "feasible": bool(feasible)}


def _joint(evaluation: DesignEvaluation) -> bool:
    """Return whether finalists have one threshold: also where their front is over no mean cost."""
    front = evaluation.space.objectives.front
    return evaluation.joint or not any(name in ("edp", "latency", "energy", "macs") for name in front)


def write_network(finalist: Finalist, folder: Path) -> Path:
    """Write the float network of a finalist, with its exits, thresholds and rules; return where."""
    folder.mkdir(parents=True, exist_ok=True)
    point = finalist.point
    return save(finalist.network, folder / f"trial_{point['trial']}_{point['point']}.onnx", "N")
