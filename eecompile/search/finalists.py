"""Finalists: networks of the front, trained on by themselves, scheduled in full and measured on test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.cache.key import Key
from eecompile.data.dataset import evenly
from eecompile.exits.answers import answers
from eecompile.exits.confidence_fits import gate_images
from eecompile.exits.statistics import wilson_interval
from eecompile.quantization.calibration import IMAGES
from eecompile.quantization.calibration_names import LEAST_SQUARES
from eecompile.quantization.post_training import integer_forms
from eecompile.run.figures import ratios_of
from eecompile.run.prepare import cost_of
from eecompile.run_files.directory import sha256
from eecompile.search.backbones.final_head import final_name, split_finals
from eecompile.search.point_detail import PointDetail, ThresholdMoves, detail_of
from eecompile.search.space.design import Design
from eecompile.search.space.tables import ConstraintsTable
from eecompile.search.study.proposals import Params
from eecompile.search.worth.evaluation import DesignEvaluation
from eecompile.search.worth.fitted_rules import FittedRules, fit_rules
from eecompile.search.worth.inner_front import (
    KEYS,
    AnsweredSupernet,
    FrontQuestion,
    inner_front,
    ratio_figure,
)
from eecompile.search.worth.integers import logits_of
from eecompile.search.worth.part_costs import cost_figures, expected_figures, part_costs
from eecompile.search.worth.stopwatch import TRAINING
from eecompile.search.worth.supernet import Reach
from eecompile.training.recipe import NONE, QAT, QUANTIZED
from passes.confidence import ConfidenceRule, confidence_rule
from passes.exits.chain import keep_exits, set_rules, set_thresholds
from passes.model.writing import save
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.evaluation.paths import Cost

if TYPE_CHECKING:  # training is an extra
    from eecompile.training.checkpoint import Checkpoints

FORM = 1
"""Of how finalists are trained: another one makes other networks."""


@dataclass(frozen=True)
class Finalist:
    """A point of the front as it came out.

    Attributes:
        point: As it stands in ``front.json``.
        network: The float network with its exits, thresholds and rules; where networks answer in float it
            says with which numbers it is costed.
        quantized: The same in Q/DQ form, as it was measured; ``None`` where networks answer in float.
        detail: What is known of it beside its figures.
    """

    point: dict[str, Any]
    network: gs.Graph
    quantized: gs.Graph | None
    detail: PointDetail


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
    closed = [final_name(head) for head in evaluation.finals].index(point["final_head"])
    network, quantized = finalist_networks(evaluation, design, reach, names, closed, progress)
    runs = answering(network, quantized)
    told = [confidence_rule(item["confidence"]) for item in point["exits"]]
    images = evaluation.images
    costed = evaluation.assigned(network, design)
    val = logits_of(runs, images.dataset.val, images)
    reference = evaluation.reference(design) if closed else None
    train = gate_images(images.dataset.train)
    fitted = fit_rules(
        told, val[:-1], images.dataset.val.y, lambda: (logits_of(runs, train, images)[:-1], train.y)
    )
    answered = AnsweredSupernet(
        costed, val, images.dataset.val.y, part_costs(costed, evaluation.whole), fitted=fitted
    )
    chosen = _chosen(evaluation, answered, told, point, reference)
    given = [item.name for item in state_of(network).exits]
    kept = [item["name"] for item in chosen["exits"]]
    costed = keep_exits(costed, kept)
    final = keep_exits(network if quantized is not None else costed, kept)
    delivered = None if quantized is None else keep_exits(quantized, kept)
    rules = [_fitted(item, given.index(item["name"]), fitted) for item in chosen["exits"]]
    thresholds = [np.float32(item["threshold"]) for item in chosen["exits"]]
    for graph in filter(None, (final, delivered)):
        set_rules(graph, [*rules, state_of(graph).exits[-1].confidence])
        set_thresholds(graph, [float(value) for value in thresholds])
    ratios = [*(item["ratio"] for item in chosen["exits"]), chosen["final_ratio"]]
    at = point["operating_point"]
    target = evaluation.target if at is None else evaluation.target.at_point(at)
    report = cost_of(costed, target, evaluation.objective, ratios=ratios)
    on_test = answers(answering(final, delivered), images.dataset.test, images.preprocess)
    where, correct = replace(on_test, rules=tuple(rules)).leaving(thresholds)  # measured once
    shares = [float(ratio) for ratio in ratios_of(where, len(ratios))]
    figures = expected_figures(report, ratios)
    summed = {key: chosen[key] for key in figures if key in chosen}
    found = {
        "trial": trial,
        "accuracy_val": chosen["accuracy_val"],
        "accuracy": float(correct.mean()),
        "accuracy_ci95": list(wilson_interval(int(correct.sum()), len(correct))),
        **figures,
        "memory_bytes": chosen["memory_bytes"],
        "exits": [_told(item, rule) for item, rule in zip(chosen["exits"], rules, strict=True)],
        "final_head": point["final_head"],
        "final_ratio": chosen["final_ratio"],
        "operating_point": at,
        "on_test": {
            "ratios": shares,
            **cost_figures(Cost.mean([path.cost for path in report.exits], shares)),
        },
        "integers": _integers(evaluation, design, network),
        "design": design.text,
        "params": dict(params),
        "before": {key: point[key] for key in ("accuracy_val", *figures)},
        "summed": summed,
        "feasible": chosen["feasible"],
    }
    logits = [*(val[given.index(name)] for name in kept), val[-1]]
    paths = [path.cost for path in report.exits]
    moves = ThresholdMoves.of(logits, images.dataset.val.y, rules, thresholds, paths)
    detail = detail_of(report, moves, evaluation.space.training, evaluation.numbers.quantized)
    return Finalist(found, final, delivered, detail)


def answering(network: gs.Graph, quantized: gs.Graph | None) -> gs.Graph:
    """Return what answers: a network with integer operators, or in float where nothing is quantized."""
    if quantized is None:
        return network
    lowered = copy_graph(quantized)
    parse_pipeline("fold-qdq")(lowered)
    return lowered


def _integers(evaluation: DesignEvaluation, design: Design, network: gs.Graph) -> dict[str, Any]:
    """Return with which integers a network computes, and how they were found."""
    numbers, training = evaluation.numbers, evaluation.space.training
    if not numbers.quantized:
        return {"quantize": NONE}
    wish = design.wish(keep_exits(network, []))
    epochs = QUANTIZED.epochs if training.qat_epochs is None else training.qat_epochs
    return {
        "quantize": training.quantize,
        "qat_epochs": epochs if training.quantize == QAT else None,
        "schemes": list(numbers.schemes(network, wish)),
        "images": len(evenly(evaluation.images.dataset.train.y, IMAGES)),
        "calibration": LEAST_SQUARES,
        "placement": design.placement,
        "bits": dict(wish.bits),
    }


def finalist_networks(
    evaluation: DesignEvaluation,
    design: Design,
    reach: Reach,
    names: Sequence[str],
    closed: int,
    progress: Callable[[str], None],
) -> tuple[gs.Graph, gs.Graph | None]:
    """Return a network with some exits of a supernet, trained on, in float and in Q/DQ form.

    It is closed with the final head of number ``closed``.
    """
    numbers, training = evaluation.numbers, evaluation.space.training
    parts = {
        "form": FORM,
        "supernet": evaluation.supernets.key(design, reach).digest,
        "exits": list(names),
        "final_head": final_name(evaluation.finals[closed]),
        "epochs": training.final_epochs,
        "seed": evaluation.question.seed,
    }

    def train(checkpoints: Checkpoints) -> gs.Graph:
        supernet = evaluation.supernets.trained(design, reach)
        final = split_finals(state_of(supernet).exits, evaluation.finals)[1][closed]
        network = keep_exits(supernet, names, final.name)
        _train_on(evaluation, network, progress, checkpoints)
        return network

    title = f"{design.text} with {len(names)} exits"
    network = evaluation.supernets.made(Key.of("finalist", parts, title), train)
    if not numbers.quantized:
        return network, None
    parts |= {
        "numbers": evaluation.numbers_text(design),
        "quantize": training.quantize,
        "qat_epochs": training.qat_epochs,
    }

    def quantize(checkpoints: Checkpoints) -> gs.Graph:
        calibrated = evaluation.calibrated(network, design)
        _train_integers(evaluation, calibrated, network, progress, checkpoints)
        return integer_forms(calibrated).quantized

    return network, evaluation.supernets.made(Key.of("finalist-quantized", parts, title), quantize)


def _train_on(
    evaluation: DesignEvaluation,
    network: gs.Graph,
    progress: Callable[[str], None],
    checkpoints: Checkpoints,
) -> None:
    """Fine-tune a network with the exits it has, in place."""
    epochs = evaluation.space.training.final_epochs
    if epochs == 0:
        return
    from eecompile.training.contract import Course
    from eecompile.training.joint import train_jointly
    from eecompile.training.recipe import FRESH

    recipe = replace(FRESH, rate=FRESH.rate / 4, samples=FRESH.samples // 4)
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    given = evaluation.supernets.training_images
    course = Course(evaluation.question.seed, progress, checkpoints)
    with evaluation.watch.on(TRAINING):
        train_jointly(network, given, recipe, course, [])


def _train_integers(
    evaluation: DesignEvaluation,
    calibrated: gs.Graph,
    network: gs.Graph,
    progress: Callable[[str], None],
    checkpoints: Checkpoints,
) -> None:
    """Train a calibrated network for its integers, in place, where the space asks for it."""
    training = evaluation.space.training
    if training.quantize != QAT:
        return
    from eecompile.training.contract import Course
    from eecompile.training.integers.quantized import train_quantized

    recipe = QUANTIZED if training.qat_epochs is None else replace(QUANTIZED, epochs=training.qat_epochs)
    given = evaluation.supernets.training_images
    course = Course(evaluation.question.seed, progress, checkpoints)
    with evaluation.watch.on(TRAINING):
        train_quantized(calibrated, network, given, recipe, course)


def _chosen(
    evaluation: DesignEvaluation,
    answered: AnsweredSupernet,
    rules: Sequence[Any],
    point: Mapping[str, Any],
    reference: Cost | None,
) -> dict[str, Any]:
    """Return the point of the trained network that is as accurate on val as its plan and costs least.

    Where none is as accurate it is the most accurate one; where none keeps the constraints any more, one that
    does not, which says so. The ratio of costs is against ``reference``, if that is not the network's own.
    """
    space = evaluation.space
    costs, kept = answered.costs, space.constraints
    if reference is not None and kept.max_cost_ratio is not None:
        key = KEYS[ratio_figure(space.objectives.front)]
        more = cost_figures(reference)[key] / cost_figures(costs.static)[key]
        kept = kept.model_copy(update={"max_cost_ratio": kept.max_cost_ratio * more})
    there = [at for at in evaluation.points if at is None or at.name == point["operating_point"]]
    question = FrontQuestion(
        list(dict.fromkeys(rules)) or space.exits.confidence[:1],
        space.objectives.front,
        kept,
        joint=_joint(evaluation),
        genetic=evaluation.genetic,
    )
    feasible = inner_front(answered, question, there).points
    found = feasible or inner_front(answered, replace(question, constraints=ConstraintsTable()), there).points
    costly = next(evaluation.keys[name] for name in space.objectives.front if name != "accuracy")
    enough = [item for item in found if item["accuracy_val"] >= point["accuracy_val"] - 1e-12]
    if enough:
        chosen = min(enough, key=lambda item: (item[costly], -item["accuracy_val"]))
    else:
        chosen = max(found, key=lambda item: (item["accuracy_val"], -item[costly]))
    return {**chosen, "feasible": bool(feasible)}


def _fitted(item: Mapping[str, Any], number: int, fitted: FittedRules) -> ConfidenceRule:
    """Return the rule of an exit that was chosen, with all parameters."""
    rule = confidence_rule(item["confidence"])
    return fitted[rule][number] if rule.unfitted else rule


def _told(item: Mapping[str, Any], rule: ConfidenceRule) -> dict[str, Any]:
    """Return an exit as the point of a finalist has it: with its rule and the parameters of that."""
    told = {**item, "confidence": str(rule)}
    return {**told, "confidence_parameters": rule.parameters} if rule.parameters else told


def _joint(evaluation: DesignEvaluation) -> bool:
    """Return whether finalists have one threshold: also where their front is over no mean cost."""
    front = evaluation.space.objectives.front
    return evaluation.joint or not any(name in ("edp", "latency", "energy", "macs") for name in front)


def write_networks(finalist: Finalist, folder: Path) -> dict[str, str]:
    """Write a finalist with its exits, thresholds and rules, in float and in Q/DQ form.

    Returns:
        File -> its SHA-256, the float network first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"trial_{finalist.point['trial']}_{finalist.point['point']}"
    paths = [save(finalist.network, folder / f"{stem}.onnx", "N")]
    if finalist.quantized is not None:
        paths.append(save(finalist.quantized, folder / f"{stem}.quant.onnx", "N"))
    return {path.name: sha256(path) for path in paths}
