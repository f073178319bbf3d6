"""Train backbone and exits together, all mounts and all rivals in one pass: fine-tuning, or from scratch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.training.augment import Augmentation, nearest_answers
from eecompile.training.contract import Course, TrainingImages, TrainingLog, watched
from eecompile.training.device import Device
from eecompile.training.fresh_weights import draw_heads, draw_network, first_layers, relative_rates
from eecompile.training.graph_training import GraphTraining, Start, answers_of, teacher_of
from eecompile.training.observed import IMAGES, fit_normalizations, moments
from eecompile.training.recipe import ALL, BACKBONE, JOINT, NOWHERE, SCRATCH, JointRecipe
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import give_back, normalized
from passes.exits.chain import ancestors, head_nodes, keep_exits
from passes.state import state_of

Array = NDArray[Any]


def train_jointly(
    graph: gs.Graph,
    images: TrainingImages,
    recipe: JointRecipe,
    course: Course,
    drawn: Collection[str],
    *,
    scratch: bool = False,
    teacher: gs.Graph | None = None,
) -> TrainingLog:
    """Train all of a network with exits, in place.

    Args:
        graph: The float network with all exits; its constants get the trained values.
        images: What it is trained on.
        recipe: How.
        course: Seed, checkpoints, progress.
        drawn: Names of the exits whose heads are drawn anew first: those that were just inserted.
        scratch: All weights are drawn anew first, so that nothing of the network as it was given is used.
        teacher: The network whose answers teach; ``None``: ``graph`` as it was given.

    Returns:
        What is told of it.

    Raises:
        InputError: A node without a torch function, before anything is trained; or training diverged.
    """
    log = TrainingLog(SCRATCH if scratch else JOINT, list(drawn), recipe, course.seed, watched(images.val))
    training = JointTraining(graph, images, recipe, course, drawn, scratch=scratch, teacher=teacher)
    log.epochs = training.run()
    give_back(training.form, graph)
    log.details = {"mirrored": training.augmentation.mirror, "device": training.device.name,
                   "bfloat16": training.device.bfloat16, "normalized": training.where}  # fmt: skip
    return log


class JointTraining(GraphTraining):
    """One training; see :func:`train_jointly`. Its form is a copy of the network in training form.

    Attributes:
        where: Which layers are normalized.
    """

    def __init__(
        self,
        graph: gs.Graph,
        images: TrainingImages,
        recipe: JointRecipe,
        course: Course,
        drawn: Collection[str],
        *,
        scratch: bool,
        teacher: gs.Graph | None = None,
    ) -> None:
        device = Device.choose(recipe.bfloat16)
        original = TorchGraph(graph)  # or the node is named that cannot be trained, before anything is
        self.where = NOWHERE if original.mapped else recipe.batch_norm
        checkpoints = course.checkpoints_of(graph, images, recipe, drawn, SCRATCH if scratch else JOINT)
        given = None if scratch else teacher_of(keep_exits(teacher or graph, []), device)
        teaches = recipe.teacher_share or recipe.final_teacher_share
        answers = nearest_answers(images.train) if given is None else answers_of(given, images, device)
        augmentation = Augmentation.of(recipe, images.train, answers)
        form, scales = _formed(graph, images, recipe, course, drawn, self.where, device, scratch=scratch)
        start = Start(form, augmentation, device, checkpoints, given if teaches else None, scales)
        super().__init__(start, images, recipe, course, "training")


def _formed(
    graph: gs.Graph,
    images: TrainingImages,
    recipe: JointRecipe,
    course: Course,
    drawn: Collection[str],
    where: str,
    device: Device,
    *,
    scratch: bool,
) -> tuple[gs.Graph, dict[str, float]]:
    """Return the training form with the weights to start from, and the scales of rates."""
    seed = course.seed
    form = normalized(graph, where, recipe.norm_momentum)
    if scratch:
        draw_network(form, seed)
    some = evenly(images.train.x, IMAGES)

    def shown(piece: slice) -> tuple[Array]:
        return (images.preprocess.apply(some[piece]),)

    heads = {n.name for e in state_of(form).exits[:-1] if e.name in drawn for n in head_nodes(form, e)}
    first = first_layers(form, heads)
    seen = moments(form, list(first.values()), shown, len(some), device)
    gains = {node: 1 / (seen[read].deviation or 1.0) for node, read in first.items()}
    scales = draw_heads(form, heads, gains, seed)
    others = {name for name in TorchGraph(form).learnt if name not in scales}
    others -= _constants_of(form, heads)
    own = relative_rates(form, others) if recipe.relative else {}
    scales |= {name: recipe.backbone_rate * own.get(name, 1.0) for name in others}
    if recipe.fitted and not scratch and where in (ALL, BACKBONE):
        backbone = ancestors([t for t in form.outputs if t.name == state_of(form).exits[-1].output])
        norms = [n for n in form.nodes if n.op == "BatchNormalization" and n.name in backbone]
        stats = moments(form, [n.inputs[0].name for n in norms], shown, len(some), device)
        fit_normalizations(norms, stats)
    return form, scales


def _constants_of(form: gs.Graph, nodes: Collection[str]) -> set[str]:
    read = (t for node in form.nodes if node.name in nodes for t in node.inputs)
    return {t.name for t in read if isinstance(t, gs.Constant)}
