"""What a search would do: its space, what the corners of that cost, and how long it would take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eecompile.search.space.design import Design
from eecompile.search.space.size import size_of
from eecompile.search.space.space import Space
from eecompile.search.worth.at_points import figures_at
from eecompile.search.worth.evaluation import DesignEvaluation, Question
from eecompile.search.worth.part_costs import cost_figures
from passes.errors import EecompileError
from passes.shown_result import Row, ShownResult

# A few steps are trained of each corner to see how long an epoch takes.
_STEPS = 6


@dataclass(frozen=True)
class Corner:
    """A design at an end of the space.

    Attributes:
        name: Which one.
        design: What it is.
        figures: Costs of its backbone without exits; empty if the target cannot run it.
        exits: How many exits its supernet has.
        refusal: Why the target cannot run it; empty if it can.
        epoch_s: Seconds an epoch of its supernet takes on this machine.
    """

    name: str
    design: str
    figures: dict[str, float]
    exits: int
    refusal: str
    epoch_s: float | None


@dataclass(frozen=True, repr=False)
class DryRun(ShownResult):
    """What is known of a search before it runs.

    Attributes:
        size: How large the space is, in words.
        designs: How many designs there are.
        objectives: Of the front.
        corners: The ends of the space.
        trials: Designs that would be tried.
        seconds: How long their training would take, between the smallest and the largest; ``None`` if none
            can run. With shared weights, of the one network of each family, with the networks inside it as
            small or as large as any.
        shared: Designs share the weights of one network, which alone is trained.
    """

    size: str
    designs: int
    objectives: tuple[str, ...]
    corners: tuple[Corner, ...]
    trials: int
    seconds: tuple[float, float] | None
    shared: bool = False

    @property
    def found(self) -> bool:
        """Whether there is any corner that the target can run."""
        return any(not corner.refusal for corner in self.corners)

    def _words(self) -> str:
        return f"{self.designs} designs, {self.trials} of them tried; front of {', '.join(self.objectives)}"

    def _rows(self) -> list[Row]:
        return [
            {
                "corner": corner.name,
                "design": corner.design,
                "exits": corner.exits,
                "epoch_s": corner.epoch_s,
                "refusal": corner.refusal,
            }
            for corner in self.corners
        ]

    def _axes(self) -> tuple[str, str]:
        return "corner", "epoch_s"

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        return {"schema_version": 1, **vars(self), "corners": [vars(corner) for corner in self.corners]}


def tell_space(question: Question, trials: int, progress: Callable[[str], None]) -> DryRun:
    """Return what a search would do; nothing is kept of the few steps that are trained.

    Raises:
        InputError: A space or data that is wrong.
    """
    evaluation = DesignEvaluation(question, progress)
    space, images = evaluation.space, evaluation.images
    space.check_on(evaluation.target)
    size = size_of(space, images.shape, images.classes)
    corners = tuple(_corner(evaluation, name, design) for name, design in space.corners().items())
    epochs = sum(epochs or 1 for epochs in evaluation.supernets.epochs)
    known = [corner.epoch_s for corner in corners if corner.epoch_s is not None]
    count = min(trials, space.designs)
    least, most = (epochs * count * end(known) for end in (min, max)) if known else (0.0, 0.0)
    if space.training.share:
        least, most = (epochs * total for total in _shared(space, corners))
    span = (least, most) if known else None
    shared = space.training.share
    return DryRun(size.words, space.designs, space.objectives.front, corners, trials, span, shared)


def _shared(space: Space, corners: Sequence[Corner]) -> tuple[float, float]:
    """Return the least and most seconds that an epoch of the shared networks of all families takes."""
    from eecompile.training.shared.shared_training import DRAWN

    least = most = 0.0
    for item in space.families:
        times = [c.epoch_s for c in corners if c.epoch_s is not None and c.name.split()[-1] == item.name]
        if times:
            ends = min(times) + max(times)
            least, most = least + ends + DRAWN * min(times), most + ends + DRAWN * max(times)
    return least, most


def _corner(evaluation: DesignEvaluation, name: str, design: Design) -> Corner:
    try:
        costs = evaluation.costs(design)
    except EecompileError as error:
        return Corner(name, design.text, {}, 0, str(error), None)
    figures = figures_at(cost_figures(costs.static), evaluation.points[0])
    return Corner(name, design.text, figures, len(costs.mounts), "", _epoch_seconds(evaluation, design))


def _epoch_seconds(evaluation: DesignEvaluation, design: Design) -> float:
    """Return how long an epoch takes, from a few steps."""
    from eecompile.data.dataset import Split
    from eecompile.training.checkpoint import NOWHERE
    from eecompile.training.contract import Course, TrainingImages
    from eecompile.training.fresh_weights import draw_network
    from eecompile.training.joint import train_jointly
    from eecompile.training.recipe import FRESH

    images = evaluation.images
    graph = evaluation.supernets.untrained(design)
    draw_network(graph, evaluation.question.seed)
    train = images.dataset.train
    few = Split(train.x[: _STEPS * FRESH.batch], train.y[: _STEPS * FRESH.batch])
    given = TrainingImages(
        few, Split(images.dataset.val.x[:64], images.dataset.val.y[:64]), images.preprocess
    )
    course = Course(evaluation.question.seed, lambda _: None, NOWHERE)
    took = []
    for _ in range(2):  # the first warms up
        began = time.perf_counter()
        train_jointly(graph, given, replace(FRESH, epochs=1), course, [], scratch=True)
        took.append(time.perf_counter() - began)
    return took[-1] * len(train) / len(few)
