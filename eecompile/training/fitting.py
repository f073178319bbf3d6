"""The loop all trainers share: steps, rates, the average that is kept, and one checkpoint per epoch.

All that is random is drawn from (seed, epoch), so that a training that was interrupted and goes on from a
checkpoint ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from eecompile.training.checkpoint import Checkpoints
from eecompile.training.recipe import ADAMW
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import diverged
from passes.progress import Count, DetailLine, counting

Tensor = torch.Tensor
_RAMP = 10  # the average of few steps is that of all of them
_FIRST = 1 / 25  # a rising rate starts from this share of its peak


@dataclass(frozen=True)
class Optimisation:
    """How steps are made.

    Attributes:
        optimizer: ``adamw``, or ``sgd`` with Nesterov's momentum.
        rate: Peak learning rate.
        decay: Weight decay of constants with more than one axis.
        momentum: Of SGD.
        warm_up: Share of the steps in which the rate rises.
        average: Decay per step of the average of all values; 0: there is none.
        scales: By what the rate of a constant is multiplied, by its name.
    """

    optimizer: str = ADAMW
    rate: float = 1e-3
    decay: float = 0.0
    momentum: float = 0.9
    warm_up: float = 0.1
    average: float = 0.0
    scales: Mapping[str, float] = field(default_factory=dict)


class Batches(Protocol):
    """What a trainer gives: the losses of the steps of an epoch."""

    def __call__(self, epoch: int) -> Iterator[Tensor]:
        """Yield the loss of each step of ``epoch``, a tensor of one number with a gradient."""


def rate_at(step: int, steps: int, warm_up: float) -> float:
    """Return the share of the peak rate at a step: a cosine up over ``warm_up`` of all, then one down to 0.

    The one-cycle schedule of Smith and Topin (2018) with the ends of torch's.
    """
    peak = warm_up * steps - 1
    if step < peak:
        return _cosine(_FIRST, 1.0, step / peak)
    return _cosine(1.0, _FIRST * 1e-4, min(1.0, (step - max(peak, 0)) / max(steps - 1 - max(peak, 0), 1)))


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) / 2 * (1 + math.cos(math.pi * share))


class Fitting:
    """Values of a module in training, and their average.

    Args:
        module: What is trained.
        learn: Names of the constants that are learnt; others stay.
        how: How steps are made.
    """

    def __init__(self, module: TorchGraph, learn: Sequence[str], how: Optimisation) -> None:
        self.module, self.how = module, how
        values = module.named_values()
        for name, value in values.items():
            if value.is_floating_point():
                value.requires_grad_(name in learn)
        power = 1 if how.optimizer == ADAMW else 2
        groups: dict[tuple[float, bool], list[Tensor]] = {}
        for name in learn:
            value = values[name]
            groups.setdefault((how.scales.get(name, 1.0) ** power, value.ndim > 1), []).append(value)
        # The rate times the decay is what weights lose per step: it shall not depend on their scale.
        given: list[dict[str, Any]] = [
            {"params": found, "scale": scale, "weight_decay": how.decay / scale if decays else 0.0}
            for (scale, decays), found in groups.items()
        ]
        if how.optimizer == ADAMW:
            self._optimizer: torch.optim.Optimizer = torch.optim.AdamW(given, lr=how.rate)
        else:
            self._optimizer = torch.optim.SGD(
                given, lr=how.rate, momentum=how.momentum, nesterov=how.momentum > 0
            )
        self._values = [v for v in values.values() if v.is_floating_point()]
        self._names = [name for name, v in values.items() if v.is_floating_point()]
        self._average = [v.detach().clone() for v in self._values] if how.average else []
        self._steps = 0

    def step(self, loss: Tensor, share: float) -> None:
        """Make one step down the gradient of ``loss``, at ``share`` of the peak rate."""
        loss.backward()  # type: ignore[no-untyped-call]
        for group in self._optimizer.param_groups:
            group["lr"] = self.how.rate * group["scale"] * share
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._steps += 1
        if self._average:
            kept = min(self.how.average, self._steps / (self._steps + _RAMP))
            with torch.no_grad():
                torch._foreach_lerp_(self._average, [v.detach() for v in self._values], 1 - kept)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the module hold the average inside, in evaluation mode."""
        self._swap()
        self.module.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.module.train()
            self._swap()

    def _swap(self) -> None:
        for value, average in zip(self._values, self._average, strict=bool(self._average)):
            value.data, average.data = average.data, value.data

    def keep_average(self) -> None:
        """Let the module hold the average for good."""
        with torch.no_grad():
            for value, average in zip(self._values, self._average, strict=bool(self._average)):
                value.copy_(average)

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "values": dict(zip(self._names, (v.detach().clone() for v in self._values), strict=True)),
            "average": [v.clone() for v in self._average],
            "optimizer": self._optimizer.state_dict(),
            "steps": self._steps,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what :meth:`state` returned."""
        with torch.no_grad():
            for name, value in zip(self._names, self._values, strict=True):
                value.copy_(state["values"][name])
            for average, kept in zip(self._average, state["average"], strict=True):
                average.copy_(kept)
        self._optimizer.load_state_dict(state["optimizer"])
        self._steps = int(state["steps"])


@dataclass
class Told:
    """Who is told how far a training is.

    Attributes:
        progress: Called with a line per epoch.
        what: What is trained, in front of the line.
        called: Exit -> what people call it; those that are not there by their own name.
        count: What steps are added to; a count of its own if absent.
    """

    progress: Callable[[str], None]
    what: str
    called: Mapping[str, str] = field(default_factory=dict)
    count: Count | None = None

    def counted(self, steps: int, done: int) -> AbstractContextManager[Count]:
        """Return what steps are added to, while it is entered; ``done`` of them are behind it."""
        if self.count is None:
            return counting(self.what, steps, done)
        self.count.add(done)
        return nullcontext(self.count)

    def accuracies(self, accuracy: Mapping[str, float]) -> str:
        """Return accuracies by exit as a line tells them."""
        return ", ".join(
            f"{self.called.get(key, key)} {100 * value:.1f} %" for key, value in accuracy.items()
        )


def fit(
    fitting: Fitting,
    batches: Batches,
    steps: int,
    phases: Sequence[int],
    measure: Callable[[], dict[str, float]],
    checkpoints: Checkpoints,
    told: Told,
    name: str = "epoch",
    stopped: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:
    """Train, or go on from the checkpoint that is there.

    Args:
        fitting: What is trained.
        batches: The losses of an epoch.
        steps: Steps of an epoch.
        phases: Epochs of each phase; in each the rate rises and falls once.
        measure: Accuracy by name, asked after each epoch with the average in place.
        checkpoints: Where the state is written after each epoch.
        told: Who is told.
        name: Of the checkpoint.
        stopped: Asked before each step; nothing goes on once it says so.

    Returns:
        Loss, rate and accuracies of each epoch.

    Raises:
        InputError: The loss is no number any more; the last checkpoint is of the epoch before. Or the
            checkpoint is of another training.
    """
    total = sum(phases)
    log: list[dict[str, Any]] = []
    if (found := checkpoints.load(name)) is not None:
        fitting.restore(found["fitting"])
        log = found["log"]
        told.progress(f"{told.what}: goes on after epoch {len(log)} of {total}")
    fitting.module.train()
    first, start = len(log), time.perf_counter()
    with told.counted(total * steps, first * steps) as count:
        for epoch in range(first, total):
            before = [sum(phases[:k]) for k in range(len(phases))]
            phase = max(k for k, begin in enumerate(before) if begin <= epoch)
            offset, length = (epoch - before[phase]) * steps, phases[phase] * steps
            losses, rate = [], 0.0
            for step, loss in enumerate(batches(epoch)):
                if stopped():
                    return log
                rate = rate_at(offset + step, length, fitting.how.warm_up)
                losses.append(loss.detach())
                fitting.step(loss, rate)
                count.add()
            mean = float(torch.stack(losses).mean())
            if not math.isfinite(mean):
                raise diverged(f"the loss of epoch {epoch + 1} of {told.what}")
            with fitting.averaged():
                accuracy = measure()
            log.append(
                {"epoch": epoch + 1, "loss": mean, "rate": rate * fitting.how.rate, "accuracy": accuracy}
            )
            checkpoints.save(name, {"fitting": fitting.state(), "log": log})
            left = (time.perf_counter() - start) / (epoch + 1 - first) * (total - epoch - 1)
            told.progress(
                DetailLine(
                    f"{told.what}: epoch {epoch + 1} of {total}, loss {mean:.3f}"
                    f"{', ' * bool(accuracy)}{told.accuracies(accuracy)}, {left:.0f} s left"
                )
            )
    return log


def dropout_masks(
    shapes: Sequence[tuple[int, ...]], count: int, share: float, generator: torch.Generator, device: str
) -> list[Tensor]:
    """Return what inputs of classifiers are multiplied by: 0 for a share of them, else 1 / (1 - share)."""
    kept = (torch.empty((count, *shape)).bernoulli_(1 - share, generator=generator) for shape in shapes)
    return [(mask / (1 - share)).to(device) for mask in kept]


def no_dropout(shapes: Sequence[tuple[int, ...]], count: int, device: str) -> list[Tensor]:
    """Return the masks that leave everything as it is."""
    return [torch.ones(1, device=device).expand(count, *shape) for shape in shapes]
