"""One training for all networks of a family: each is a slice of the largest, and all are trained together.

Each step is one of the largest network, of the smallest, and of some that are drawn between (the sandwich
rule of Yu and Huang 2019); all but the largest learn its answers (BigNAS, Yu et al. 2020). A network of the
family then answers without a training of its own, once the statistics of its normalizations are estimated.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_graphsurgeon as gs
import torch

from eecompile.training.contract import Course, TrainingImages
from eecompile.training.fitting import dropout_masks
from eecompile.training.graph_training import trainable
from eecompile.training.joint import JointTraining
from eecompile.training.losses import ExitLosses, weights_of
from eecompile.training.recipe import JointRecipe
from eecompile.training.shared.slices import WeightSlice, slices_of
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import normalized
from passes.state import state_of

Tensor = torch.Tensor
Genes = tuple[int | float, ...]
DRAWN = 2
"""Networks of each step between the smallest and the largest."""
TAUGHT = 1.0
"""Share of the answers of the largest network in what the others learn, beside the labels."""
_KEPT = 64  # networks that are built once for many steps


@dataclass(frozen=True)
class Siblings:
    """The networks that share the weights of the largest.

    Attributes:
        smallest: Genes of the one that is trained each step.
        draw: Genes of one of all, by a generator.
        build: The network of some genes with all its exits; its weights are of no meaning.
    """

    smallest: Genes
    draw: Callable[[np.random.Generator], Genes]
    build: Callable[[Genes], gs.Graph]


@dataclass(frozen=True)
class _Part:
    """One of the networks, as a module that is given its weights each time it runs."""

    module: TorchGraph
    masks: tuple[tuple[int, ...], ...]
    slices: dict[str, WeightSlice]
    losses: ExitLosses

    def __call__(self, values: dict[str, Tensor], *given: Tensor) -> Sequence[Tensor]:
        found = {self.module.key(name): place.of(values) for name, place in self.slices.items()}
        answers: Sequence[Tensor] = torch.func.functional_call(self.module, found, given)
        return answers


class SharedTraining(JointTraining):
    """The training of the largest network, from fresh weights, and within it of all others.

    Args:
        graph: The largest network with all exits; it is not changed. The trained values are in the form.
        images: What it is trained on.
        recipe: How.
        course: Seed, checkpoints, progress.
        siblings: The others.
    """

    def __init__(
        self,
        graph: gs.Graph,
        images: TrainingImages,
        recipe: JointRecipe,
        course: Course,
        siblings: Siblings,
    ) -> None:
        early = [item.name for item in state_of(graph).exits[:-1]]
        super().__init__(graph, images, recipe, course, early, scratch=True)
        self._what, self._siblings = "shared network", siblings
        self._parts: OrderedDict[Genes, _Part] = OrderedDict()

    def _part(self, genes: Genes) -> _Part:
        """Return one of the networks; those that ran last are kept."""
        if genes in self._parts:
            self._parts.move_to_end(genes)
            return self._parts[genes]
        form = normalized(self._siblings.build(genes), self.where, self._recipe.norm_momentum)
        module, masks = trainable(form, self._recipe, self.device)
        taught = replace(
            self._recipe, teacher_share=TAUGHT, final_teacher_share=TAUGHT, teacher_temperature=1.0
        )
        losses = ExitLosses(taught, weights_of([item.mount for item in state_of(form).exits], taught))
        part = self._parts[genes] = _Part(module.train(), masks, slices_of(form, self.form), losses)
        if len(self._parts) > _KEPT:
            self._parts.popitem(last=False)
        return part

    def _losses(self, epoch: int) -> Iterator[Tensor]:
        recipe, siblings, module = self._recipe, self._siblings, self.module
        losses = ExitLosses(recipe, weights_of([item.mount for item in self.exits], recipe))
        rng = np.random.default_rng([self._course.seed, epoch, 3])
        dropped = torch.Generator().manual_seed(int(rng.integers(2**63)))
        values = module.named_values()
        module.train()
        with self._noise(epoch):
            for x, labels in self._batches(epoch):

                def masks(shapes: tuple[tuple[int, ...], ...], count: int = len(x)) -> list[Tensor]:
                    return dropout_masks(shapes, count, recipe.dropout, dropped, self.device.name)

                with self.device.numbers():
                    answers = module(x, *masks(self._masks))
                total, taught = losses(answers, labels, ()), [answers[-1].detach()]
                for genes in (siblings.smallest, *(siblings.draw(rng) for _ in range(DRAWN))):
                    part = self._part(genes)
                    with self.device.numbers():
                        found = part(values, x, *masks(part.masks))
                    total = total + part.losses(found, labels, taught)
                yield total
