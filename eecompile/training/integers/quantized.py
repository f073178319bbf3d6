"""Train a quantized network: what the integers of its file compute is what is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.cache.content import hash_of
from eecompile.data.dataset import evenly
from eecompile.quantization.calibration import IMAGES
from eecompile.training.augment import Augmentation
from eecompile.training.checkpoint import Checkpoints
from eecompile.training.contract import Course, TrainingImages, TrainingLog, watched
from eecompile.training.device import Device
from eecompile.training.fresh_weights import relative_rates
from eecompile.training.graph_training import GraphTraining, Start, answers_of, teacher_of
from eecompile.training.integers.learnt_steps import LearntSteps, learn_steps
from eecompile.training.integers.live_form import (
    freeze,
    hold_converters,
    in_arrays,
    live_form,
    with_bits,
)
from eecompile.training.integers.low_bits import fewest_bits, from_float, round_to
from eecompile.training.integers.quantized_form import quantized_form
from eecompile.training.observed import fit_normalizations, moments
from eecompile.training.recipe import AUTO, ESTIMATED, NO, NONE, NOWHERE, QAT, QuantizedRecipe
from eecompile.training.torch_graph import TorchGraph, learnt_constants
from eecompile.training.training_form import diverged
from passes.errors import InputError
from passes.exits.chain import ancestors
from passes.state import QuantGrid, state_of

Array = NDArray[Any]

# What a recipe cannot ask for where every number is on a grid that was chosen before.
_ALLOWED = {"batch_norm": NOWHERE, "bfloat16": NO, "balance": NONE}


def train_quantized(
    graph: gs.Graph,
    given: gs.Graph,
    images: TrainingImages,
    recipe: QuantizedRecipe,
    course: Course,
    *,
    heads_only: bool = False,
) -> TrainingLog:
    """Train weights, biases and steps of a calibrated network, in place, for the integers they become.

    Weights of few bits start from those in float and are trained in stages of fewer and fewer bits. Layers of
    an analog array have a live normalization first (:mod:`.live_form`), where their weights are learnt, each
    by one layer; it is folded into their affine before what the file computes is trained. Each exit
    learns from its own answers in float, and from labels. What has a larger loss on validation images in the
    end than calibration alone is thrown away.

    Args:
        graph: A calibrated float network: with ``state.grids``. Its constants and grids get the trained
            values; ``quantize`` then rounds to what was trained.
        given: The float network it was made of, with the same exits: what teaches.
        images: What it is trained on.
        recipe: How. Nothing is normalized, computed in bfloat16 or balanced here.
        course: Seed, checkpoints, progress.
        heads_only: The backbone and the final exit stay as they are.

    Returns:
        What is told of it; ``trained`` names the exits that were.

    Raises:
        InputError: A node without a torch function, a recipe that asks for what cannot be, before anything
            is trained; or training diverged.
    """
    for name, allowed in _ALLOWED.items():
        if getattr(recipe, name) != allowed:
            raise InputError(
                f"`{name}` of a recipe for a quantized network cannot be '{getattr(recipe, name)}'",
                f"its numbers are those of a file: '{allowed}'",
            )
    work = _Training(graph, given, images, recipe, course, heads_only)
    log = TrainingLog(QAT, work.trained, work.recipe, course.seed, watched(images.val))
    start, before = _held(graph), work.loss()
    epochs = work.recipe.epochs_on(len(images.train))
    live = round(recipe.live * epochs) if work.can_be_live else 0
    if live:
        log.epochs += work.train_live(live)
    stages = [(work.bits, epochs - live)] if live else work.recipe.stages_for(work.bits, epochs)
    if len(stages) > 1:
        from_float(graph, given, work.learnt)
    for bits, epochs in (stage for stage in stages if stage[1]):
        if len(stages) > 1:
            round_to(graph, work.learnt, bits, images.preprocess.apply(evenly(images.train.x, IMAGES)))
        part = f"{bits} bit" if len(stages) > 1 else ""
        done = work.train(part, recipe.for_bits(bits), epochs, len(log.epochs))
        log.epochs += [{**line, "epoch": len(log.epochs) + k, "bits": bits} for k, line in enumerate(done, 1)]
    after = work.loss()
    kept = after <= before
    if not kept:
        course.progress(
            f"training for integers: the loss on val rose from {before:.4g} to {after:.4g}, so the network "
            "stays as calibrated"
        )
        _restore(graph, start)
    log.details = {
        "mirrored": work.augmentation.mirror,
        "device": work.device.name,
        "loss_on_val": {"calibrated": before, "trained": after},
        "kept": "trained" if kept else "calibrated",
    }
    return log


class _Training:
    """What all stages share, and one of them."""

    def __init__(
        self,
        graph: gs.Graph,
        given: gs.Graph,
        images: TrainingImages,
        recipe: QuantizedRecipe,
        course: Course,
        heads_only: bool,
    ) -> None:
        self._graph, self._images, self._course = graph, images, course
        self.device = Device.choose(recipe.bfloat16)
        exits = [e.name for e in state_of(graph).exits]
        self.trained = exits[:-1] if heads_only else exits
        self._fixed = _of_backbone(graph) if heads_only else set()
        self.learnt = [name for name in learnt_constants(graph) if name not in self._fixed]
        self.bits = fewest_bits(graph, self.learnt)
        arrays = [node.inputs[1].name for node in in_arrays(graph)]
        self.recipe = recipe.for_bits(2 if set(arrays) & set(self.learnt) else self.bits)
        self._given, self._teacher = given, teacher_of(given, self.device)
        # a normalization follows its own weights: not those that are shared, or stay
        self.can_be_live = (
            bool(arrays) and set(arrays) <= set(self.learnt) and len(arrays) == len(set(arrays))
        )
        self.can_be_live &= not self._teacher.mapped
        answers = answers_of(self._teacher, images, self.device)
        self.augmentation = Augmentation.of(self.recipe, images.train, answers)

    def train(self, part: str, recipe: QuantizedRecipe, epochs: int, before: int) -> list[dict[str, Any]]:
        """Train the graph as it is, in place; return the log of the epochs."""
        recipe = replace(recipe, epochs=epochs)
        training, steps = self._ready(recipe, part, before)
        log = training.run()
        grids = steps.grids(training.form, self._graph)
        _give_back(training.module, self._graph)
        state_of(self._graph).grids = grids
        return log

    def _checkpoints(self, recipe: QuantizedRecipe) -> Checkpoints:
        """Return those of a training of the graph as it is, on the grids it has."""
        found = self._course.checkpoints_of(self._graph, self._images, recipe, self.trained, QAT)
        grids = hash_of(sorted(state_of(self._graph).grids.items()))
        return replace(found, identity={**found.identity, "calibration": grids})

    def train_live(self, epochs: int) -> list[dict[str, Any]]:
        """Train the graph with live normalizations behind its arrays, in place; return the log."""
        graph, images, recipe = self._graph, self._images, self.recipe
        form, layers = live_form(graph, self._given)
        device = Device.choose(AUTO)
        norms = [node for node in form.nodes if node.op == "BatchNormalization"]
        some = evenly(images.train.x, IMAGES)
        read = [node.inputs[0].name for node in norms]
        fit_normalizations(
            norms, moments(form, read, lambda s: (images.preprocess.apply(some[s]),), len(some), device)
        )
        of_layers = {
            name: 1.0
            for layer in layers.values()
            for name in (layer.weights, layer.octaves, *layer.affine[:2])
        }
        others = [name for name in self.learnt if name in form.tensors()]
        own = relative_rates(graph, others) if recipe.relative else {}
        rates = {**of_layers, **{name: recipe.backbone_rate * own.get(name, 1.0) for name in others}}
        checkpoints = self._checkpoints(recipe)
        log: list[dict[str, Any]] = []
        for bits, count, held in _live_stages(recipe, epochs):
            staged = with_bits(form, layers, bits)
            part = f"live-{bits}-bit{'-held' if held else ''}"
            if held:
                for layer in layers.values():
                    rates.pop(layer.octaves)
                hold_converters(staged, layers)
            start = Start(
                staged, self.augmentation, device, checkpoints.part(part),
                self._teacher if recipe.teacher_share or recipe.final_teacher_share else None,
                rates, list(rates), len(log),
            )  # fmt: skip
            # averaged weights are rounded to others than the averaged statistics are of
            how = replace(recipe, epochs=count, rate=recipe.live_rate, statistics=ESTIMATED)
            done = GraphTraining(
                start, images, how, self._course, f"training for the array, {bits} bit"
            ).run()
            log += [
                {**line, "epoch": len(log) + k, "bits": bits, "live": True} for k, line in enumerate(done, 1)
            ]
            form = staged
        freeze(form, graph, layers)
        return log

    def loss(self) -> float:
        """Return the loss of the graph as it is on validation images."""
        return self._ready(self.recipe, "", 0)[0].loss()

    def _ready(self, recipe: QuantizedRecipe, part: str, before: int) -> tuple[GraphTraining, LearntSteps]:
        graph, learnt = self._graph, self.learnt
        form = quantized_form(graph)
        steps = learn_steps(form, graph)
        octaves = {
            name: recipe.exponent_rate if tensor in steps.powers else recipe.step_rate
            for tensor, name in steps.octaves.items()
            if tensor not in self._fixed
        }
        own = relative_rates(graph, learnt) if recipe.relative else {}
        rates = {name: recipe.backbone_rate * own.get(name, 1.0) for name in learnt}
        checkpoints = self._checkpoints(recipe)
        start = Start(
            form,
            self.augmentation,
            self.device,
            checkpoints.part(part.replace(" ", "-")) if part else checkpoints,
            self._teacher if recipe.teacher_share or recipe.final_teacher_share else None,
            rates | {name: recipe.backbone_rate * factor for name, factor in octaves.items()},
            [*learnt, *octaves],
            before,
        )
        what = "training for integers" + (f", {part}" if part else "")
        return GraphTraining(start, self._images, recipe, self._course, what), steps


def _held(graph: gs.Graph) -> tuple[dict[str, Array], dict[str, QuantGrid]]:
    """Return copies of the constants and of the grids."""
    constants = {t.name: t for t in graph.tensors().values() if isinstance(t, gs.Constant)}
    return {name: np.array(t.values) for name, t in constants.items()}, dict(state_of(graph).grids)


def _restore(graph: gs.Graph, held: tuple[dict[str, Array], dict[str, QuantGrid]]) -> None:
    """Go back to what :func:`_held` returned."""
    tensors = graph.tensors()
    for name, values in held[0].items():
        tensors[name].values = values
    state_of(graph).grids = held[1]


def _live_stages(recipe: QuantizedRecipe, epochs: int) -> list[tuple[int, int, bool]]:
    """Return bits and epochs of the stages with a live normalization, and whether converters are held."""
    share = epochs // (len(recipe.live_stages) + 2)
    stages = [(bits, share, False) for bits in recipe.live_stages if share]
    last = epochs - share * len(stages)
    held = int(recipe.live_held * last)
    return [
        (bits, count, is_held)
        for bits, count, is_held in (*stages, (2, last - held, False), (2, held, True))
        if count
    ]


def _of_backbone(graph: gs.Graph) -> set[str]:
    """Return the names of all tensors that nodes of the final exit read or write."""
    final = state_of(graph).exits[-1].output
    names = ancestors([t for t in graph.outputs if t.name == final])
    return {t.name for n in graph.nodes if n.name in names for t in (*n.inputs, *n.outputs)}


def _give_back(module: TorchGraph, graph: gs.Graph) -> None:
    """Write all values that ``graph`` has into it, the real ones of what is rounded among them."""
    constants = {name for name, t in graph.tensors().items() if isinstance(t, gs.Constant)}
    held = {name: value for name, value in module.named_values().items() if name in constants}
    for name, value in held.items():
        if value.is_floating_point() and not np.isfinite(value.detach().cpu().numpy()).all():
            raise diverged(f"'{name}'")
    module.write_back(graph, held)
