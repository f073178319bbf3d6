"""Train the constants of a whole graph, all of its exits in one pass, in whatever form it is given."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch
from numpy.typing import NDArray

from eecompile.data.dataset import Split, evenly
from eecompile.runtime.sessions import batches
from eecompile.training.augment import Augmentation
from eecompile.training.checkpoint import Checkpoints
from eecompile.training.contract import WATCHED, Course, TrainingImages
from eecompile.training.device import Device
from eecompile.training.fitting import Fitting, Optimisation, Told, dropout_masks, fit, no_dropout
from eecompile.training.losses import ExitLosses, weights_of
from eecompile.training.observed import estimate_statistics
from eecompile.training.recipe import EQUILIBRIUM, ESTIMATED, JointRecipe
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import balance, mask_classifiers, stop_into_logits
from passes.exits.chain import keep_exits
from passes.state import copy_graph, state_of

Tensor = torch.Tensor
Array = NDArray[Any]
EVALUATED = 256
"""Images per step without gradients."""
_ESTIMATED = 50  # steps by which statistics are estimated anew


def answers_of(module: TorchGraph, images: TrainingImages, device: Device) -> Callable[[Array], Array]:
    """Return what answers stored images by class numbers: the final exit of ``module``, on ``device``."""

    def answers(x: Array) -> Array:
        with torch.no_grad():
            pieces = [
                module(device.held(images.preprocess.apply(x[s])))[-1] for s in batches(len(x), EVALUATED)
            ]
        found: Array = torch.cat(pieces).argmax(1).cpu().numpy()
        return found

    return answers


def teacher_of(graph: gs.Graph, device: Device) -> TorchGraph:
    """Return a network as what teaches: in evaluation mode on ``device``, nothing of it learnt."""
    teacher = TorchGraph(graph).to(device.name).eval()
    teacher.requires_grad_(False)
    return teacher


def trainable(
    form: gs.Graph, recipe: JointRecipe, device: Device
) -> tuple[TorchGraph, tuple[tuple[int, ...], ...]]:
    """Return a form as a module whose gradients flow as a recipe says, and the shapes of dropout masks."""
    flow = copy_graph(form)
    stop_into_logits(flow)
    if recipe.balance == EQUILIBRIUM:
        balance(flow)
    masks = mask_classifiers(flow) if recipe.dropout else ()
    return device.ready(TorchGraph(flow)), masks


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    Attributes:
        form: The network as it is trained; it gets the trained values.
        augmentation: What is done to images.
        device: Where it runs.
        checkpoints: Of this training alone.
        teacher: What tells exits what to answer, beside the labels: it has one output, which all are told, or
            one per exit.
        scales: By what the rate of a constant is multiplied, by its name.
        learnt: Names of the constants that are learnt; ``None``: all that are by default.
        before: Epochs of trainings that this one goes on from: what is drawn goes on too.
    """

    form: gs.Graph
    augmentation: Augmentation
    device: Device
    checkpoints: Checkpoints
    teacher: TorchGraph | None = None
    scales: Mapping[str, float] = field(default_factory=dict)
    learnt: Sequence[str] | None = None
    before: int = 0


class GraphTraining:
    """One training of a form.

    Attributes:
        form: The network as it is trained.
        module: What is trained.
        exits: Its exits, the final one last.
        augmentation: What is done to images.
        device: Where it runs.
        teacher: What teaches, if something does.
    """

    def __init__(
        self, start: Start, images: TrainingImages, recipe: JointRecipe, course: Course, what: str
    ) -> None:
        self._images, self._recipe, self._course, self._what = images, recipe, course, what
        self._epochs = recipe.epochs_on(len(images.train))
        self.form, self.device, self.augmentation = start.form, start.device, start.augmentation
        self.teacher, self._checkpoints, self._before = start.teacher, start.checkpoints, start.before
        self.module, self._masks = trainable(self.form, recipe, self.device)
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
            start.scales,
        )
        learnt = self.module.learnt if start.learnt is None else start.learnt
        self._fitting = Fitting(self.module, learnt, how)

    @property
    def _first(self) -> int:
        """Epochs in which the backbone is trained alone."""
        early = len(state_of(self.form).exits) > 1
        return int(self._recipe.backbone_first * self._epochs) if early else 0

    def _input(self, x: Array) -> Array:
        return self._images.preprocess.apply(x)

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
            Told(self._course.progress, self._what, self._course.called),
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
        rng = np.random.default_rng([self._course.seed, self._before + epoch])
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
        with self._noise(epoch):
            for x, labels in self._batches(epoch):
                given = dropout_masks(shapes, len(x), recipe.dropout, masks, self.device.name)
                with self.device.numbers():
                    answers = module(x, *given)
                    taught: tuple[Tensor, ...] = ()
                    if self.teacher is not None:
                        with torch.no_grad():
                            taught = self.teacher(x)[-len(answers) :]
                yield losses(answers, labels, taught)

    @contextmanager
    def _noise(self, epoch: int) -> Iterator[None]:
        """Let operators draw the noise of an epoch; leave the generator of torch as it was."""
        drawn = np.random.default_rng([self._course.seed, self._before + epoch, 2]).integers(2**63)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(drawn))
            yield

    def accuracies(self) -> dict[str, float]:
        """Return the accuracy of each exit on validation images, the module as it is."""
        right, seen = np.zeros(len(self.exits)), 0
        for _, labels, answers in self._watched():
            right += [float((answer.argmax(1) == labels).sum()) for answer in answers]
            seen += len(labels)
        return {e.name: float(r) / seen for e, r in zip(self.exits, right, strict=True)}

    def loss(self) -> float:
        """Return the loss on validation images, the module as it is."""
        losses = ExitLosses(self._recipe, weights_of([item.mount for item in self.exits], self._recipe))
        total, seen = 0.0, 0
        self.module.eval()
        for x, labels, answers in self._watched():
            with torch.no_grad(), self.device.numbers():
                taught = () if self.teacher is None else self.teacher(x)
                total += len(labels) * float(losses(answers, labels, taught))
            seen += len(labels)
        return total / seen

    def _watched(self) -> Iterator[tuple[Tensor, Tensor, tuple[Tensor, ...]]]:
        """Yield input, labels and answers of validation images."""
        val = self._images.val
        some = Split(evenly(val.x, WATCHED), evenly(val.y, WATCHED))
        for piece in batches(len(some), EVALUATED):
            x, labels = self.device.held(self._input(some.x[piece])), self.device.held(some.y[piece])
            with torch.no_grad(), self.device.numbers():
                answers = self.module(x, *no_dropout(self._masks, len(x), self.device.name))
            yield x, labels, answers

    def _estimate_statistics(self) -> None:
        """Let running statistics be means over steps with the weights kept (Izmailov et al. 2018)."""
        steps = itertools.islice(self._batches(self._epochs), _ESTIMATED)
        with self._noise(self._epochs):
            estimate_statistics(
                self.form,
                self.module,
                ((x, *no_dropout(self._masks, len(x), self.device.name)) for x, _ in steps),
                self.device,
            )
