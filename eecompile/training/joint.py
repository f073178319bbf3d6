"""Train backbone and exits together, all mounts and all rivals in one pass: fine-tuning, or from scratch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch
from numpy.typing import NDArray

from eecompile.data.dataset import Split, evenly
from eecompile.runtime.sessions import batches
from eecompile.training.augment import Augmentation, nearest_answers
from eecompile.training.contract import (
    WATCHED,
    Course,
    TrainingImages,
    TrainingLog,
    watched,
)
from eecompile.training.device import Device
from eecompile.training.fitting import Fitting, Optimisation, Told, dropout_masks, fit, no_dropout
from eecompile.training.fresh_weights import draw_heads, draw_network, first_layers, relative_rates
from eecompile.training.losses import ExitLosses, weights_of
from eecompile.training.observed import IMAGES, moments
from eecompile.training.recipe import (
    ALL,
    BACKBONE,
    EQUILIBRIUM,
    ESTIMATED,
    JOINT,
    NOWHERE,
    SCRATCH,
    JointRecipe,
)
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import (
    balance,
    give_back,
    mask_classifiers,
    normalized,
    stop_into_logits,
)
from passes.exits.chain import ancestors, head_nodes, keep_exits
from passes.state import copy_graph, state_of

Tensor = torch.Tensor
Array = NDArray[Any]
_EVALUATED = 256  # images per step without gradients
_ESTIMATED = 50  # steps by which statistics are estimated anew


def train_jointly(
    graph: gs.Graph,
    images: TrainingImages,
    recipe: JointRecipe,
    course: Course,
    drawn: Collection[str],
    *,
    scratch: bool = False,
) -> TrainingLog:
    """Train all of a network with exits, in place.

    Args:
        graph: The float network with all exits; its constants get the trained values.
        images: What it is trained on.
        recipe: How.
        course: Seed, checkpoints, progress.
        drawn: Names of the exits whose heads are drawn anew first: those that were just inserted.
        scratch: All weights are drawn anew first, so that nothing of the network as it was given is used.

    Returns:
        What is told of it.

    Raises:
        InputError: A node without a torch function, before anything is trained; or training diverged.
    """
    log = TrainingLog(SCRATCH if scratch else JOINT, list(drawn), recipe, course.seed, watched(images.val))
    training = JointTraining(graph, images, recipe, course, drawn, scratch=scratch)
    log.epochs = training.run()
    give_back(training.form, graph)
    log.details = {"mirrored": training.augmentation.mirror, "device": training.device.name,
                   "bfloat16": training.device.bfloat16, "normalized": training.where}  # fmt: skip
    return log


class JointTraining:
    """One training; see :func:`train_jointly`.

    Attributes:
        form: The network as it is trained: a copy in training form.
        module: What is trained.
        augmentation: What is done to images.
        device: Where it runs.
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
    ) -> None:
        self._images, self._recipe, self._course = images, recipe, course
        self._epochs = recipe.epochs_on(len(images.train))
        self.device = Device.choose(recipe.bfloat16)
        original = TorchGraph(graph)  # or the node is named that cannot be trained, before anything is
        self.where = NOWHERE if original.mapped else recipe.batch_norm
        self._checkpoints = course.checkpoints_of(graph, images, recipe, drawn, SCRATCH if scratch else JOINT)
        self.teacher: TorchGraph | None = None
        if (recipe.teacher_share or recipe.final_teacher_share) and not scratch:
            self.teacher = TorchGraph(keep_exits(graph, [])).to(self.device.name).eval()
            self.teacher.requires_grad_(False)
        self.augmentation = Augmentation.of(recipe, images.train, self._answers(graph, scratch))
        self.form, scales = self._formed(graph, drawn, scratch)
        flow = copy_graph(self.form)
        stop_into_logits(flow)
        if recipe.balance == EQUILIBRIUM:
            balance(flow)
        self._masks = mask_classifiers(flow) if recipe.dropout else ()
        self.module = self.device.ready(TorchGraph(flow))
        self.exits = state_of(self.form).exits
        self._alone: TorchGraph | None = None
        self._alone_masks: tuple[tuple[int, ...], ...] = ()
        if self._first:
            alone = keep_exits(self.form, [])
            self._alone_masks = mask_classifiers(alone) if recipe.dropout else ()
            self._alone = self.device.ready(TorchGraph(alone))
            self._alone.share(self.module)
        how = Optimisation(
            recipe.optimizer,
            recipe.rate,
            recipe.decay,
            recipe.momentum,
            recipe.warm_up,
            recipe.average,
            scales,
        )
        self._fitting = Fitting(self.module, self.module.learnt, how)

    @property
    def _first(self) -> int:
        """Epochs in which the backbone is trained alone."""
        early = len(state_of(self.form).exits) > 1
        return int(self._recipe.backbone_first * self._epochs) if early else 0

    def _input(self, x: Array) -> Array:
        return self._images.preprocess.apply(x)

    def _answers(self, graph: gs.Graph, scratch: bool) -> Any:
        """Return what tells whether mirroring is noticed: the network as it was given, or nearest images."""
        if scratch:
            return nearest_answers(self._images.train)
        module = TorchGraph(keep_exits(graph, [])).to(self.device.name).eval()

        def answers(x: Array) -> Array:
            with torch.no_grad():
                pieces = [
                    module(self.device.held(self._input(x[s])))[-1] for s in batches(len(x), _EVALUATED)
                ]
            return torch.cat(pieces).argmax(1).cpu().numpy()

        return answers

    def _formed(
        self, graph: gs.Graph, drawn: Collection[str], scratch: bool
    ) -> tuple[gs.Graph, dict[str, float]]:
        """Return the training form with the weights to start from, and the scales of rates."""
        recipe, seed = self._recipe, self._course.seed
        form = normalized(graph, self.where, recipe.norm_momentum)
        if scratch:
            draw_network(form, seed)
        some = evenly(self._images.train.x, IMAGES)

        def images(piece: slice) -> tuple[Array]:
            return (self._input(some[piece]),)

        heads = {n.name for e in state_of(form).exits[:-1] if e.name in drawn for n in head_nodes(form, e)}
        first = first_layers(form, heads)
        seen = moments(form, list(first.values()), images, len(some), self.device)
        gains = {node: 1 / (seen[read].deviation or 1.0) for node, read in first.items()}
        scales = draw_heads(form, heads, gains, seed)
        others = {name for name in TorchGraph(form).learnt if name not in scales}
        others -= _constants_of(form, heads)
        own = relative_rates(form, others) if recipe.relative else {}
        scales |= {name: recipe.backbone_rate * own.get(name, 1.0) for name in others}
        if recipe.fitted and not scratch and self.where in (ALL, BACKBONE):
            backbone = ancestors([t for t in form.outputs if t.name == state_of(form).exits[-1].output])
            norms = [n for n in form.nodes if n.op == "BatchNormalization" and n.name in backbone]
            stats = moments(form, [n.inputs[0].name for n in norms], images, len(some), self.device)
            for node in norms:
                found, epsilon = stats[node.inputs[0].name], float(node.attrs["epsilon"])
                gamma, beta, mean, variance = node.inputs[1:5]
                beta.values = (beta.values + gamma.values * found.mean).astype(np.float32)
                gamma.values = (gamma.values * np.sqrt(found.variance + epsilon)).astype(np.float32)
                mean.values, variance.values = (
                    found.mean.astype(np.float32),
                    found.variance.astype(np.float32),
                )
        return form, scales

    def run(self) -> list[dict[str, Any]]:
        """Train, and write the values into the form; return the log of the epochs."""
        recipe, count = self._recipe, len(self._images.train)
        phases = [part for part in (self._first, self._epochs - self._first) if part]
        if not self._course.checkpoints.resume:
            self._checkpoints.clear()
        log = fit(
            self._fitting,
            self._losses,
            self._steps(count)[1],
            phases,
            self.accuracies,
            self._checkpoints,
            Told(self._course.progress, "training"),
        )
        self._fitting.keep_average()
        if recipe.statistics == ESTIMATED and recipe.average:
            self._estimate_statistics()
        self.module.write_back(self.form)
        return log

    def _steps(self, count: int) -> tuple[int, int]:
        """Return images per step, and steps per epoch; what is left over is seen in another epoch."""
        batch = min(self._recipe.batch, count)
        return batch, count // batch

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield input and labels of each step of an epoch, as (seed, epoch) has them."""
        train, device = self._images.train, self.device
        rng = np.random.default_rng([self._course.seed, epoch])
        order = rng.permutation(len(train))
        batch, steps = self._steps(len(train))
        for step in range(steps):
            picked = order[step * batch : (step + 1) * batch]
            x = self.augmentation.apply(train.x[picked], rng)
            yield device.held(self._input(x)), device.held(train.y[picked])

    def _losses(self, epoch: int) -> Iterator[Tensor]:
        recipe, alone = self._recipe, self._alone if epoch < self._first else None
        mounts = [item.mount for item in self.exits]
        module, shapes = self.module, self._masks
        weights: Sequence[float] = weights_of(mounts, recipe)
        if alone is not None:
            module, shapes, weights = alone, self._alone_masks, [1.0]
        losses = ExitLosses(recipe, weights)
        module.train()
        masks = torch.Generator().manual_seed(
            int(np.random.default_rng([self._course.seed, epoch, 1]).integers(2**63))
        )
        for x, labels in self._batches(epoch):
            given = dropout_masks(shapes, len(x), recipe.dropout, masks, self.device.name)
            with self.device.numbers():
                teacher = None
                if self.teacher is not None:
                    with torch.no_grad():
                        teacher = self.teacher(x)[-1]
                answers = module(x, *given)
            yield losses(answers, labels, teacher)

    def accuracies(self) -> dict[str, float]:
        """Return the accuracy of each exit on validation images, the module as it is."""
        val = self._images.val
        some = Split(evenly(val.x, WATCHED), evenly(val.y, WATCHED))
        right = np.zeros(len(self.exits))
        with torch.no_grad(), self.device.numbers():
            for piece in batches(len(some), _EVALUATED):
                x, labels = self.device.held(self._input(some.x[piece])), self.device.held(some.y[piece])
                answers = self.module(x, *no_dropout(self._masks, len(x), self.device.name))
                right += [float((answer.argmax(1) == labels).sum()) for answer in answers]
        return {e.name: float(r) / len(some) for e, r in zip(self.exits, right, strict=True)}

    def _estimate_statistics(self) -> None:
        """Let running statistics be means over steps with the weights kept (Izmailov et al. 2018)."""
        norms = [node for node in self.form.nodes if node.op == "BatchNormalization"]
        held = {
            tensor.name: 1 - float(node.attrs.get("momentum", 0.9))
            for node in norms
            for tensor in node.inputs[3:5]
        }
        sums = {name: torch.zeros_like(self.module.value(name)) for name in held}
        self.module.train()
        steps = 0
        with torch.no_grad(), self.device.numbers():
            for x, _ in self._batches(self._epochs):
                for name in held:
                    self.module.value(name).zero_()
                self.module(x, *no_dropout(self._masks, len(x), self.device.name))
                for name, share in held.items():
                    sums[name] += self.module.value(name) / share
                steps += 1
                if steps == _ESTIMATED:
                    break
            for name, total in sums.items():
                self.module.value(name).copy_(total / steps)


def _constants_of(form: gs.Graph, nodes: Collection[str]) -> set[str]:
    read = (t for node in form.nodes if node.name in nodes for t in node.inputs)
    return {t.name for t in read if isinstance(t, gs.Constant)}
