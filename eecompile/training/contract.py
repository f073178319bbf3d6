"""What all trainers are given and give back: graphs are trained in place, and this is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.cache.content import hash_of, network_hash
from eecompile.data.dataset import Split
from eecompile.runtime.preprocess import Preprocess
from eecompile.training.checkpoint import Checkpoints
from eecompile.training.recipe import JointRecipe, Recipe

WATCHED = 2000
"""So many validation images at most are looked at after each epoch."""


@dataclass(frozen=True)
class TrainingImages:
    """Images to train on, and others to see how far it is.

    Attributes:
        train: What is learnt from.
        val: What accuracies are told on; nothing is learnt or chosen there.
        preprocess: From stored images to the model's input.
    """

    train: Split
    val: Split
    preprocess: Preprocess


@dataclass(frozen=True)
class Course:
    """How a training is run.

    Attributes:
        seed: Of all that is random.
        progress: Told a line now and then.
        checkpoints: Where its state is written after each epoch.
        called: Exit -> what people call it, where they call it otherwise.
    """

    seed: int
    progress: Callable[[str], None]
    checkpoints: Checkpoints
    called: Mapping[str, str] = field(default_factory=dict)

    def checkpoints_of(
        self,
        graph: gs.Graph,
        images: TrainingImages,
        recipe: Recipe | JointRecipe,
        trained: Collection[str],
        trainer: str,
    ) -> Checkpoints:
        """Return the checkpoints of this training, which another one has not.

        Args:
            graph: What is trained, as it is before.
            images: What it is trained on.
            recipe: How.
            trained: Names of the exits whose heads are drawn anew.
            trainer: ``frozen``, ``joint``, ``scratch`` or ``qat``.
        """
        seen = [*vars(images.train).values(), images.preprocess, *vars(images.val).values()]
        how = {item.name: repr(getattr(recipe, item.name)) for item in fields(recipe)}
        identity: dict[str, str | Mapping[str, str]] = {
            "trainer": trainer,
            "network": network_hash(graph),
            "recipe": how | {"trained exits": ", ".join(sorted(trained))},
            "seed": str(self.seed),
            "data": hash_of(seen),
        }
        return replace(self.checkpoints, identity=identity)


@dataclass
class TrainingLog:
    """What is told of a training, in ``run.json``.

    Attributes:
        trainer: ``frozen``, ``joint``, ``scratch`` or ``qat``.
        trained: Names of the exits whose heads were trained.
        recipe: What was decided before.
        seed: Of all that was random.
        accuracy_on: Which images the accuracies of epochs are on.
        epochs: Loss, rate and accuracy by exit, after each epoch.
        details: What else the trainer found out.
    """

    trainer: str
    trained: Sequence[str]
    recipe: Recipe | JointRecipe
    seed: int
    accuracy_on: str
    epochs: list[dict[str, Any]] = field(default_factory=list)
    details: Mapping[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in files."""
        return {
            "trainer": self.trainer,
            "trained": list(self.trained),
            **self.details,
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "accuracy_on": self.accuracy_on,
            "epochs": self.epochs,
            "seconds": round(time.perf_counter() - self.started, 1),
        }


def watched(val: Split) -> str:
    """Return the name of the images that accuracies of epochs are told on."""
    count = min(len(val), WATCHED)
    return f"val ({count:,} images)" if count == len(val) else f"val ({count:,} of {len(val):,} images)"
