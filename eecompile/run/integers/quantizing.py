"""From the float network to integers: calibrated and rounded, and with ``qat`` trained for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.data.dataset import evenly
from eecompile.exits.candidates import called
from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.calibration import IMAGES, calibrate
from eecompile.quantization.equalization import equalize
from eecompile.quantization.layer_schemes import weighted_layers
from eecompile.quantization.mapping.channel_splits import divide
from eecompile.quantization.mapping.scheme_front import LabelledImages, SchemeSearch
from eecompile.quantization.mapping.scheme_tables import front_json
from eecompile.quantization.placements import ANALOG, MIXED
from eecompile.quantization.post_training import integer_forms
from eecompile.quantization.rounding import hand_on_grid
from eecompile.quantization.wishes import SchemeWish, not_analog
from eecompile.run.evidence import Baseline, Evidence
from eecompile.run.integers import kept_integers
from eecompile.training.recipe import JOINT, NONE, QAT, QUANTIZED, SCRATCH
from passes.exits.chain import keep_exits
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of

Told = dict[str, Any]


def quantize(evidence: Evidence) -> None:
    """Bring the network into Q/DQ and integer form, each node by the numbers of the core it runs on.

    With ``qat`` the static network is trained for its integers on its own. Where the backbone was trained
    with its exits, all of the network is trained likewise; where not, it takes over that backbone, and only
    the heads are trained. A network that was pruned is another one than static, whatever was trained of it.
    """
    if evidence.finished is not None and evidence.finished.quantized is not None:
        _deliver(evidence, evidence.finished.quantized, evidence.finished.integers)
        return
    if evidence.prepared.kept:
        kept, evidence.calibration = kept_integers.calibrated(evidence)
        evidence.baseline = evidence.calibrated = None
        evidence.quantized, evidence.lowered = integer_forms(kept)
        return
    if evidence.options.quantize == NONE:
        _stay_float(evidence)
        return
    trains = evidence.options.quantize == QAT
    wish, mapping = _wish(evidence)
    graph, of_graph = _divided(evidence, evidence.prepared.graph, wish)
    calibrated, graph, told = _calibrated(evidence, graph, of_graph)
    told |= mapping
    evidence.baseline = None
    evidence.calibrated = integer_forms(calibrated).lowered if trains else None
    whole = evidence.training["trainer"] in (JOINT, SCRATCH)
    if whole or evidence.pruned is not None:
        given, of_given = _divided(evidence, evidence.given, wish)
        static, given, told["static"] = _calibrated(evidence, given, of_given)
        if trains:
            told["static"]["training"] = _trained(evidence, static, given, "static")
        evidence.baseline = Baseline(*integer_forms(static))
    if trains and whole:
        told["training"] = _trained(evidence, calibrated, graph, "exits")
    elif trains:
        alone, part = keep_exits(calibrated, []), "static" if evidence.pruned is None else "pruned"
        told[part] = {"training": _trained(evidence, alone, keep_exits(graph, []), part)}
        _take_over(alone, calibrated)
        if len(state_of(graph).exits) > 1:
            told["training"] = _trained(evidence, calibrated, graph, "exits", heads_only=True)
    evidence.quantized, evidence.lowered = integer_forms(calibrated)
    evidence.calibration = told


def _deliver(evidence: Evidence, quantized: gs.Graph, integers: Mapping[str, Any]) -> None:
    """Take the integers that a search has found; static is the same network without its exits."""
    evidence.baseline = evidence.calibrated = None
    evidence.quantized, evidence.lowered = quantized, copy_graph(quantized)
    parse_pipeline("fold-qdq")(evidence.lowered)
    evidence.calibration = {"kept": True, **integers}


def _stay_float(evidence: Evidence) -> None:
    """Let the network answer in float; its costs are those of the target's usual integers."""
    evidence.calibrated, evidence.calibration = None, {}
    evidence.quantized = evidence.lowered = copy_graph(evidence.prepared.graph)
    trained = evidence.training["trainer"] in (JOINT, SCRATCH)
    given = copy_graph(evidence.given)
    evidence.baseline = Baseline(given, given) if trained or evidence.pruned is not None else None


def _wish(evidence: Evidence) -> tuple[SchemeWish, Told]:
    """Return what is wished of the numbers of layers, and what is told of how that was found.

    ``mixed`` takes the cheapest mapping of which no exit loses more than ``max_drop`` on val against the
    network in its usual schemes.
    """
    options, dataset = evidence.options, evidence.dataset
    wish = options.wish
    if options.placement != MIXED:
        return wish, {}
    val = LabelledImages(evidence.preprocess.apply(dataset.val.x), dataset.val.y)
    train = evidence.preprocess.apply(evenly(dataset.train.x, IMAGES))
    graph, target, objective = evidence.prepared.graph, evidence.prepared.target, options.objective
    detail, calibration = evidence.clock.detail, options.calibration
    search = SchemeSearch(
        graph, target, objective, train, val, wish, detail, calibration, options.schedule or ""
    )
    front = search.run()
    taken = front.within(options.max_drop, objective)
    return replace(wish, chosen=taken.schemes), {"mapping": front_json(front, objective, taken)}


def _divided(evidence: Evidence, graph: gs.Graph, wish: SchemeWish) -> tuple[gs.Graph, SchemeWish]:
    """Return a network with the layers in parts that several schemes share, and what is wished of it."""
    layers = weighted_layers(graph, evidence.prepared.target)
    if wish and graph is not evidence.prepared.graph:
        wish = wish.of_part(layers)  # the static network has no early heads
    made, chosen = divide(graph, layers, wish.chosen)
    return made, replace(wish, chosen=chosen)


def _calibrated(evidence: Evidence, graph: gs.Graph, wish: SchemeWish) -> tuple[gs.Graph, gs.Graph, Told]:
    """Return a copy with integer grids and weights on them, what it was in float, and how it was calibrated.

    In float its answers are those of ``graph``, whose channels may have other scales.
    """
    options = evidence.options
    images = evidence.preprocess.apply(evenly(evidence.dataset.train.x, IMAGES))
    calibrated = copy_graph(graph)
    target, objective = evidence.prepared.target, options.objective.for_schedules
    schemes = assign_precisions(calibrated, target, objective, wish=wish)
    equalization = equalize(calibrated, images, options.calibration)
    given = copy_graph(calibrated)
    done = calibrate(calibrated, images, options.calibration)
    told = {
        "images": done.images,
        "calibration": done.calibration,
        "schemes": schemes,
        "rounding": done.rounding,
    }
    if equalization is not None:
        told["equalization"] = equalization.to_json()
        evidence.clock.progress(equalization.note)
    if options.placement is not None:
        told["placement"] = options.placement
    if options.placement == ANALOG:
        told["not_analog"] = not_analog(weighted_layers(graph, target))
    if wish.bits:
        told["bits"] = dict(wish.bits)
    return calibrated, given, told


def _trained(
    evidence: Evidence, calibrated: gs.Graph, graph: gs.Graph, part: str, heads_only: bool = False
) -> Told:
    """Train a calibrated network for its integers, in place, by what ``graph`` answers; return the log."""
    from eecompile.training.checkpoint import Checkpoints
    from eecompile.training.contract import Course, TrainingImages
    from eecompile.training.integers.quantized import train_quantized

    options, dataset = evidence.options, evidence.dataset
    recipe = QUANTIZED if options.qat_epochs is None else replace(QUANTIZED, epochs=options.qat_epochs)
    checkpoints = Checkpoints.kept_in(evidence.checkpoints).part(f"quantized-{part}")
    prepared = evidence.prepared
    names = called(prepared.graph, prepared.mount_names) if prepared.inserted else {}
    course = Course(options.seed, evidence.clock.detail, checkpoints, names)
    images = TrainingImages(dataset.train, dataset.val, evidence.preprocess)
    exits = "the heads" if heads_only else "the network with its exits"
    what = {"static": "the static network", "pruned": "the pruned network", "exits": exits}
    evidence.clock.progress(f"{what[part]}, trained for integers")
    return train_quantized(calibrated, graph, images, recipe, course, heads_only=heads_only).to_json()


def _take_over(source: gs.Graph, graph: gs.Graph) -> None:
    """Give constants and grids of ``graph`` what they have in ``source``, a part of it."""
    tensors = graph.tensors()
    for name, tensor in source.tensors().items():
        if isinstance(tensor, gs.Constant):
            tensors[name].values = tensor.values
        if (grid := state_of(source).grids.get(name)) is not None:
            state_of(graph).grids[name] = grid
    for node in graph.nodes:
        hand_on_grid(node, state_of(graph).grids)
