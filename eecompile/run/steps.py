"""The steps of the main job, each a function on what the steps before it found out."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.data.dataset import Split, halves
from eecompile.data.for_network import open_data
from eecompile.data.in_memory import ImagesInMemory
from eecompile.deployment.model_files import Forms, prove, write_models
from eecompile.exits.answers import Answers, answers
from eecompile.exits.candidates import called, names_in_files, renamed
from eecompile.exits.choice import oversized
from eecompile.exits.confidence_fits import fitted, gate_images
from eecompile.exits.recycling import Carried, carried_on, network_with
from eecompile.exits.reliability import reliability
from eecompile.quantization.kept_grids import NOTE as KEPT_NOTE
from eecompile.run import provenance, summarize
from eecompile.run.accelerator import is_file, keep_description
from eecompile.run.choosing import choose_on_val
from eecompile.run.curve import front
from eecompile.run.evidence import Evidence
from eecompile.run.finished import differences
from eecompile.run.integers.by_form import FLOAT
from eecompile.run.integers.quantizing import quantize
from eecompile.run.kept.whole import write_kept
from eecompile.run.options import to_record
from eecompile.run.other_models import recost
from eecompile.run.per_image import samples_of
from eecompile.run.prepare import cost_of, cycles_by_model
from eecompile.run_files import directory, tables
from eecompile.run_files.samples import write_samples
from eecompile.run_files.views import write_views
from eecompile.training.recipe import FRESH, FROZEN, NONE, PTQ, SCRATCH, JointRecipe, Recipe
from passes.exits.added_head import reading_on
from passes.exits.chain import keep_exits, set_rules, set_thresholds
from passes.exits.insert_exits import add_rival_heads
from passes.files import write_atomic
from passes.heads.designs import AUTO, HeadDesign, rivals_on
from passes.model.in_memory import ModelInMemory, sha256_of_network
from passes.progress import Count, counting
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.contract.target import Target
from targets.evaluation.points import choose_point
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes
from targets.schedule.view.trace import trace_text

# Up to so many mounts, `auto` tries both kinds of head on each: every choice is costed and searched.
MAX_RIVALS = 4

_IN_MEMORY = (ModelInMemory, ImagesInMemory)


@dataclass(frozen=True)
class Step:
    """A named part of the main job; what it finds out it writes into the evidence."""

    name: str
    run: Callable[[Evidence], None]


def open_images(evidence: Evidence) -> None:
    """Load the images, and find out how they become the network's input."""
    options = evidence.options
    if options.data is None:
        raise ValueError("the steps of a run without images do not open any")
    evidence.dataset, evidence.tried = open_data(
        evidence.prepared.plain,
        options.data,
        options.preprocess if evidence.finished is None else evidence.finished.preprocess,
        options.seed,
        str(options.model),
        options.guarantee is not None,
        fresh=options.train == SCRATCH,
    )
    if evidence.finished is not None:
        evidence.finished.check_images(evidence.dataset, options.data)
    choice = evidence.tried
    for note in evidence.dataset.notes:  # before the work that they make longer
        evidence.clock.progress(note)
    seen = "" if options.train == SCRATCH else f" ({100 * choice.accuracy:.1f} % on {choice.images})"
    evidence.clock.progress(f"preprocessing: {choice.preprocess.name}{seen}")


def train(evidence: Evidence) -> None:
    """Train what was asked for: the heads that were inserted, or all of the network, once or twice.

    From scratch the static network is trained alone by the same recipe, so that it is no by-product of exits.
    """
    prepared, options = evidence.prepared, evidence.options
    evidence.training = {"trainer": None, "trained": [], "epochs": []}
    if options.train == FROZEN and not prepared.inserted:
        return
    graph = prepared.graph
    if prepared.inserted and options.head == AUTO and len(state_of(graph).exits) <= MAX_RIVALS + 1:
        add_rival_heads(graph, _rivals(graph, options.train), options.seed)
    from eecompile.training.checkpoint import Checkpoints
    from eecompile.training.contract import Course, TrainingImages
    from eecompile.training.frozen_heads import train_heads
    from eecompile.training.joint import train_jointly

    images = TrainingImages(evidence.dataset.train, evidence.dataset.val, evidence.preprocess)
    drawn = [e.name for e in state_of(graph).exits[:-1]] if prepared.inserted else []
    checkpoints = Checkpoints.kept_in(evidence.checkpoints)
    names = called(graph, prepared.mount_names) if prepared.inserted else {}
    course = Course(options.seed, evidence.clock.detail, checkpoints.part("exits"), names)
    if options.train == FROZEN:
        recipe = Recipe()
        recipe = recipe if options.epochs is None else replace(recipe, epochs=options.epochs)
        evidence.training = train_heads(graph, images, recipe, course, drawn).to_json()
        return
    scratch = options.train == SCRATCH
    joint = FRESH if scratch else JointRecipe()
    joint = joint if options.epochs is None else replace(joint, epochs=options.epochs)
    told: dict[str, Any] = {}
    if scratch:
        evidence.clock.progress("the static network, trained alone")
        alone = replace(course, checkpoints=checkpoints.part("static"))
        told["static"] = train_jointly(prepared.plain, images, joint, alone, [], scratch=True).to_json()
        evidence.clock.progress("the network with its exits")
    found = train_jointly(graph, images, joint, course, drawn, scratch=scratch)
    evidence.training = found.to_json() | told


def _rivals(graph: gs.Graph, trainer: str) -> dict[str, tuple[HeadDesign, ...]]:
    """Return mount -> the heads that `auto` tries there beside the one that is there."""
    tensors = graph.tensors()
    return {
        item.mount: rivals_on(reading_on(tensors[item.mount], graph).shape, joint=trainer != FROZEN)
        for item in state_of(graph).exits[:-1]
    }


def answer(evidence: Evidence) -> None:
    """Run the network with all exits on validation and test images, and the static one beside it.

    Fits what the confidence rules of the exits lack.
    """
    val, test, base = evidence.dataset.val, evidence.dataset.test, evidence.baseline

    alone, more = (1 if base is None else 2), int(evidence.calibrated is not None)
    total = len(val) * (2 * alone + more) + len(test) * (3 * alone + more)
    with counting("images", total) as count:
        _answer(evidence, count)


def _answer(evidence: Evidence, count: Count) -> None:
    val, test, base = evidence.dataset.val, evidence.dataset.test, evidence.baseline

    def seen(graph: gs.Graph, split: Split, static: gs.Graph | None) -> Answers:
        found = answers(graph, split, evidence.preprocess)
        if static is None:
            return found
        return replace(found, static=answers(static, split, evidence.preprocess).logits[-1].argmax(axis=1))

    plain = None if base is None else evidence.given
    quantized, lowered = (None, None) if base is None else (base.quantized, base.lowered)
    found = seen(evidence.lowered, val, lowered)

    def of_gates() -> Answers:
        some = gate_images(evidence.dataset.train)
        count.total = (count.total or 0) + len(some)
        return answers(evidence.lowered, some, evidence.preprocess)

    rules = fitted([item.confidence for item in state_of(evidence.lowered).exits], found, of_gates)
    forms = (evidence.prepared.graph, evidence.quantized, evidence.lowered, evidence.calibrated)
    for graph in filter(None, forms):
        set_rules(graph, rules)
    carried = _carried(evidence, found)
    evidence.val = replace(found, rules=rules[:-1], carried=carried)
    evidence.float_test = replace(seen(evidence.prepared.graph, test, plain), carried=carried)
    evidence.quant_test = replace(seen(evidence.quantized, test, quantized), carried=carried)
    evidence.lowered_test = replace(seen(evidence.lowered, test, lowered), carried=carried)
    evidence.seen = {
        FLOAT: (replace(seen(evidence.prepared.graph, val, plain), carried=carried), evidence.float_test)
    }
    if evidence.calibrated is not None:
        on_val, on_test = (replace(seen(evidence.calibrated, s, None), carried=carried) for s in (val, test))
        evidence.seen[PTQ] = on_val, on_test
    if evidence.options.quantize != NONE:
        evidence.seen[evidence.options.quantize] = evidence.val, evidence.lowered_test


def _carried(evidence: Evidence, val: Answers) -> Carried:
    """Return what exits take over from those before them, seen on the images that choose."""
    options, exits = evidence.options, state_of(evidence.lowered).exits
    if not options.recycles or any(item.confidence.of_own_logits for item in exits[:-1]):
        return {}
    if options.guarantee is not None:
        val = val.part(halves(len(val.labels), options.seed)[0])
    alone = [k for k, item in enumerate(exits) if item.reads or item.apart]
    return carried_on(val.logits, val.labels, alone)


def choose(evidence: Evidence) -> None:
    """Choose exits, heads and thresholds on validation images."""
    found = choose_on_val(
        evidence, lambda graph, ratios, speculate: _cost(evidence, graph, ratios, speculate)
    )
    evidence.chosen, evidence.guarantee = found.chosen, found.guarantee
    evidence.notes, evidence.proxies = found.notes, found.proxies
    kept = [f"exit_{number} is the {item}" for number, item in enumerate(found.chosen.kept.exits)]
    evidence.clock.progress(", ".join(kept) or "no early exit is kept")
    if evidence.pruned is not None and evidence.baseline is not None:
        evidence.pruned.costs = evidence.chosen.static
        given = _cost(evidence, keep_exits(evidence.baseline.lowered, []))
        evidence.chosen = replace(evidence.chosen, static=given)
    _at_its_point(evidence, evidence.chosen.figures.costs, evidence.chosen.static)


def deliver(evidence: Evidence) -> None:
    """Write the model files, and prove them against the flat lowered network on every test image."""
    evidence.forms = _forms(evidence)
    thresholds = evidence.chosen.figures.thresholds
    flat = evidence.lowered_test.select(evidence.kept)
    seen = np.bincount(flat.leaving(thresholds)[0], minlength=len(flat.logits)).tolist()
    names = evidence.dataset.class_names
    delivery = write_models(evidence.work, evidence.forms, thresholds, evidence.preprocess, seen, names)
    at, test = evidence.at_hand, evidence.dataset.test
    there = Split(test.x, test.y[at])
    evidence.agreement, evidence.measured = prove(
        delivery, evidence.forms, flat.part(at), thresholds, there, evidence.preprocess
    )


def vary_models(evidence: Evidence) -> None:
    """Cost the network of the files, and static, by all other models of the chip that are allowed."""
    forms, ratios, speculate = evidence.forms, evidence.costs.ratios, evidence.options.speculate

    def cost(target: Target) -> tuple[CostReport, CostReport]:
        costs = _cost(evidence, forms.lowered, ratios, speculate, target)
        return costs, _cost(evidence, forms.static, target=target)

    evidence.recosted = recost(
        evidence.prepared.target, cost, evidence.clock.detail, evidence.costs.schedule.mode
    )


def conclude(evidence: Evidence) -> None:
    """Put the figures of the files together; every accuracy is on test images."""
    options, tried, dataset = evidence.options, evidence.tried, evidence.dataset
    warnings = [*filter(None, (evidence.prepared.doubt, tried.warning)), *evidence.notes]
    if options.quantize == NONE:
        warnings.insert(0, provenance.in_float(evidence.prepared.target.title))
    if evidence.prepared.kept:
        warnings.append(KEPT_NOTE)
    if evidence.agreement.images < len(dataset.test):
        warnings.append(provenance.proved_on_some(evidence.agreement.images, len(dataset.test)))
    if different := provenance.disagreement(evidence.agreement):
        warnings.append(f"early-exit files and flat model disagree: {different}")
    warnings += [] if options.keep_thresholds else provenance.few_images(len(dataset.val), options.max_drop)
    warnings += provenance.no_answers(evidence.lowered_test.select(evidence.kept))
    kept_val = evidence.val.select(evidence.kept)
    thresholds, given = evidence.chosen.figures.thresholds, options.keep_thresholds
    warnings += [*dataset.notes, *oversized(kept_val, thresholds, given=given)]
    study = None
    if evidence.finished is not None:
        lowered_test = evidence.lowered_test.select(evidence.kept)
        study = evidence.finished.compared(kept_val, lowered_test, thresholds, evidence.costs)
        warnings += differences(study)
    if not evidence.float_test.note:  # else the notes of the data have it
        warnings += [note for note in [evidence.quant_test.note or evidence.lowered_test.note] if note]
    evidence.summary = summarize.summarize(evidence, warnings, provenance.caution(tried), study)
    names = names_in_files(evidence.prepared.graph, evidence.prepared.mount_names, evidence.chosen.kept.exits)
    evidence.info = {
        **_origin(evidence),
        "data_sha256": dict(dataset.hashes),
        "preprocess": evidence.preprocess.to_json(),
        "preprocess_tried": [list(attempt) for attempt in tried.tried],
        "from_cache": evidence.taken,
        "pruning": None if evidence.pruned is None else evidence.pruned.info,
        "training": renamed(evidence.training, names),
        "calibration": renamed(evidence.calibration, names),
        "front": front(evidence),
        "agreement": asdict(evidence.agreement),
        "measured": evidence.measured,
        "confidence": _confidence(evidence),
        "recycled": list(evidence.val.weights(evidence.kept)),
    }


def _confidence(evidence: Evidence) -> list[dict[str, Any]]:
    """Return by which rule each exit of the files decides, and how well it knows how sure it may be."""
    val, test = (seen.select(evidence.kept) for seen in (evidence.val, evidence.lowered_test))
    return [
        {
            "exit": item.name,
            "rule": item.confidence.name,
            "parameters": item.confidence.parameters,
            **reliability(item.confidence, number, val, test),
        }
        for number, item in enumerate(state_of(evidence.forms.exits).exits)
    ]


def conclude_costs(evidence: Evidence) -> None:
    """Put the costs together: nothing was trained, no accuracy is claimed."""
    _at_its_point(evidence, evidence.prepared.costs, _cost(evidence, evidence.prepared.plain))
    evidence.summary = summarize.costs_only(evidence)
    evidence.info = {**_origin(evidence), "data_sha256": {}}


def write(evidence: Evidence) -> None:
    """Write summary, tables, answers per image, schedule and report."""
    from eecompile.report import render

    work = evidence.work
    evidence.clock.step("")
    info = evidence.info | {"seconds": evidence.clock.seconds}
    if isinstance(evidence.options.model, ModelInMemory):
        write_atomic(work / evidence.options.model.name, evidence.options.model.data)
    write_atomic(work / "summary.json", evidence.summary.to_text().encode())
    directory.write_json(work / "run.json", {"schema_version": 1, **info})
    keep_description(work, evidence.options.target, evidence.prepared.target)
    directory.write_csv(work / "exits.csv", tables.exit_rows(evidence.summary))
    directory.write_csv(work / "layers.csv", tables.layer_rows(evidence.costs))
    if evidence.summary.quantization is not None:
        directory.write_csv(work / "quantization.csv", tables.form_rows(evidence.summary.quantization))
    write_atomic(work / "schedule.trace.json", trace_text(evidence.costs.to_trace()).encode())
    lowered = None if evidence.options.data is None else evidence.forms.lowered
    write_views(work, evidence.options.model, evidence.costs, lowered)
    if evidence.options.data is not None:
        write_samples(work, samples_of(evidence))
        if evidence.finished is None:
            options = {**info["options"], "told": info["told"]}
            write_kept(evidence, work, options, info["model_sha256"])
    write_atomic(work / "report.html", render(work).encode())


STEPS: Sequence[Step] = (
    Step("data", open_images),
    Step("train", train),
    Step("quantize", quantize),
    Step("evaluate", answer),
    Step("choose exits and thresholds", choose),
    Step("write and prove", deliver),
    Step("cost by other models of the chip", vary_models),
    Step("put the figures together", conclude),
    Step("write the report", write),
)
CHOICE_STEPS: Sequence[Step] = STEPS[[step.name for step in STEPS].index("evaluate") + 1 :]
"""What follows where all exits that are tried have answered."""
COST_STEPS: Sequence[Step] = (
    Step("put the figures together", conclude_costs),
    Step("write the report", write),
)


def _cost(
    evidence: Evidence,
    graph: gs.Graph,
    ratios: Sequence[float] | None = None,
    speculate: bool = False,
    target: Target | None = None,
) -> CostReport:
    """Return the costs of a network, scheduled for ``ratios``; equal shares if not given."""
    wishes = Wishes(evidence.options.schedule or "", speculate=speculate)
    target = target or evidence.prepared.target
    return cost_of(graph, target, evidence.options.objective, ratios=ratios, wishes=wishes)


def _at_its_point(evidence: Evidence, costs: CostReport, static: CostReport) -> None:
    """Let all figures be for the best operating point within the bound on latency, if there is one.

    What was chosen before is the same at every point: cycles are, and all energies scale alike.

    Raises:
        NoSolutionError: The network of the files is not as fast as that at any.
    """
    bound_s, asked = evidence.options.max_latency, evidence.options.point
    if bound_s is not None:
        costs = choose_point(costs, bound_s, asked)
    evidence.costs = costs
    evidence.static = static if costs.point is None else static.at(costs.point.name)


def _forms(evidence: Evidence) -> Forms:
    names = [item.name for item in evidence.chosen.kept.exits]
    whole = (evidence.prepared.graph, evidence.quantized, evidence.lowered)
    weights = evidence.val.weights(evidence.kept)
    exits, quant, lowered = (network_with(graph, names, weights) for graph in whole)
    for graph in (exits, quant, lowered):
        set_thresholds(graph, [float(t) for t in evidence.chosen.figures.thresholds])
    parse_pipeline(evidence.prepared.target.pipeline(quantized=False))(lowered)  # names the layers anew
    base = evidence.baseline
    static = keep_exits(evidence.lowered if base is None else base.lowered, [])
    return Forms(exits, quant, lowered, static=static, given=evidence.given)


def _hash_of_file(target: str) -> str | None:
    """Return the SHA-256 of the file of an accelerator; ``None`` of a target, or where it is gone."""
    return directory.sha256(Path(target)) if is_file(target) and Path(target).is_file() else None


def _origin(evidence: Evidence) -> dict[str, Any]:
    """Return by what command, on what machine and from what files the run was made."""
    options, target = evidence.options, evidence.prepared.target
    info: dict[str, Any] = {
        "command": provenance.command(options),
        "options": to_record(options),
        "told": sorted(options.told),
        "in_memory": [name for name in ("model", "data") if isinstance(getattr(options, name), _IN_MEMORY)],
        "rules": None if target.search is None else target.search.rules,
        "schedule": evidence.costs.schedule.mode,
        "seeds": {"seed": options.seed},
        "versions": provenance.versions(),
        "machine": {"python": platform.python_version(), "system": platform.system()},
        "model_sha256": evidence.model_sha256 or sha256_of_network(options.model),
        "target_sha256": _hash_of_file(options.target),
    }
    if len(target.cost_models) > 1:
        wishes = Wishes(options.schedule or "")
        cycles = cycles_by_model(evidence.given, target, evidence.static, wishes=wishes)
        info["static_cycles_by_cost_model"] = cycles
    return info
