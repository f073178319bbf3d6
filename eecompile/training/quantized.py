"""Train a quantized network: what the integers of its file compute is what is trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.training.augment import Augmentation
from eecompile.training.checkpoint import hash_of
from eecompile.training.contract import Course, TrainingImages, TrainingLog, watched
from eecompile.training.device import Device
from eecompile.training.fresh_weights import relative_rates
from eecompile.training.graph_training import GraphTraining, Start, answers_of, teacher_of
from eecompile.training.quantized_form import quantized_form
from eecompile.training.recipe import NO, NONE, NOWHERE, QAT, JointRecipe
from eecompile.training.torch_graph import TorchGraph, learnt_constants
from eecompile.training.training_form import diverged
from passes.errors import InputError
from passes.exits.chain import ancestors
from passes.state import state_of

# What a recipe cannot ask for where every number is on a grid that was chosen before.
_ALLOWED = {"batch_norm": NOWHERE, "bfloat16": NO, "balance": NONE}


def train_quantized(
    graph: gs.Graph,
    given: gs.Graph,
    images: TrainingImages,
    recipe: JointRecipe,
    course: Course,
    *,
    heads_only: bool = False,
) -> TrainingLog:
    """Train weights and biases of a calibrated network, in place, for the integers they will be rounded to.

    The grids stay. Each exit learns from its own answers in float, and from labels.

    Args:
        graph: A calibrated float network: with ``state.grids``. Its constants get the trained values, which
            ``quantize`` then rounds to what was trained.
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
    device = Device.choose(recipe.bfloat16)
    form = quantized_form(graph)
    teacher = teacher_of(given, device)
    learnt = learnt_constants(form)
    if heads_only:
        backbone = _of_backbone(graph)
        learnt = tuple(name for name in learnt if name not in backbone)
    own = relative_rates(graph, learnt) if recipe.relative else {}
    exits = [e.name for e in state_of(graph).exits]
    trained = exits[:-1] if heads_only else exits
    checkpoints = course.checkpoints_of(graph, images, recipe, trained, QAT)
    grids = sorted(state_of(graph).grids.items())
    start = Start(
        form,
        Augmentation.of(recipe, images.train, answers_of(teacher, images, device)),
        device,
        replace(checkpoints, identity={**checkpoints.identity, "calibration": hash_of(grids)}),
        teacher if recipe.teacher_share or recipe.final_teacher_share else None,
        {name: recipe.backbone_rate * own.get(name, 1.0) for name in learnt},
        learnt,
    )
    log = TrainingLog(QAT, trained, recipe, course.seed, watched(images.val))
    training = GraphTraining(start, images, recipe, course, "training for integers")
    log.epochs = training.run()
    _give_back(training.module, graph)
    log.details = {"mirrored": training.augmentation.mirror, "device": device.name}
    return log


def _of_backbone(graph: gs.Graph) -> set[str]:
    """Return the names of the constants of all nodes that the final exit needs."""
    final = state_of(graph).exits[-1].output
    names = ancestors([t for t in graph.outputs if t.name == final])
    return {t.name for n in graph.nodes if n.name in names for t in n.inputs if isinstance(t, gs.Constant)}


def _give_back(module: TorchGraph, graph: gs.Graph) -> None:
    """Write all values that ``graph`` has into it, the real ones of what is rounded among them."""
    constants = {name for name, t in graph.tensors().items() if isinstance(t, gs.Constant)}
    held = {name: value for name, value in module.named_values().items() if name in constants}
    for name, value in held.items():
        if value.is_floating_point() and not np.isfinite(value.detach().cpu().numpy()).all():
            raise diverged(f"'{name}'")
    module.write_back(graph, held)
