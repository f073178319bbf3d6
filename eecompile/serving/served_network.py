"""Networks that are served, as their run directories have them: with their exits, and without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eecompile.run_files.samples import read_samples
from eecompile.run_files.summary import load_summary
from eecompile.serving.arrivals import Times
from eecompile.serving.batches.costs import run_batches
from eecompile.serving.batches.gain import least_core_s, least_s
from eecompile.serving.crowd import Crowd
from eecompile.serving.moving.adapting import FreeLabels
from eecompile.serving.moving.ladder import Rung, ladder_of, observed_val
from eecompile.serving.outlook import Outlook, outlook
from eecompile.serving.requests import hard_half
from eecompile.serving.service import ServiceTime, service_time, static_service_time
from eecompile.serving.streams import ServingLoad
from passes.errors import InputError


@dataclass(frozen=True)
class ServedNetwork:
    """A network that is served, with the answers of its images: with its exits, or without.

    Attributes:
        name: Of its run directory.
        service: Stage times.
        outlook: What its confidences tell.
        confidence: [early exits, images].
        leaves: [images] exit at which each leaves.
        right: [exits, images], whether the answer there is right.
        target: The accelerator it was made for.
        ladder: Thresholds that it may have under overload, those of the run first, then less and less work;
            ``None``: those of the run hold.
        hard: [images] which half of them is hard; ``None`` where nobody asked.
        labels: What running on behind exits would tell; ``None`` where nobody asked.
    """

    name: str
    service: ServiceTime
    outlook: Outlook
    confidence: NDArray[np.float64]
    leaves: NDArray[np.int64]
    right: NDArray[np.bool_]
    target: str = ""
    ladder: Sequence[Rung] | None = None
    hard: NDArray[np.bool_] | None = None
    labels: FreeLabels | None = None

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the answer where it leaves is right, [images]."""
        found: NDArray[np.bool_] = self.right[self.leaves, np.arange(len(self.leaves))]
        return found

    def least_s(self, largest: int, gives_way: bool = False) -> float:
        """Return seconds per image in the batches, of at most ``largest``, that cost least.

        Args:
            largest: Images of a batch.
            gives_way: With the thresholds of the ladder that take least.
        """
        return least_s(self.service, self._leaves(gives_way), largest)

    def least_core_s(self, largest: int, gives_way: bool = False) -> dict[str, float]:
        """Return seconds per image in which each core, link and port works at least; as `least_s`."""
        return least_core_s(self.service, self._leaves(gives_way), largest)

    def _leaves(self, gives_way: bool) -> NDArray[np.int64]:
        rung = self.ladder[-1] if gives_way and self.ladder else None
        return self.leaves if rung is None else rung.leaves_at(self.confidence)


def check_targets(made_for: Sequence[tuple[str, str]]) -> None:
    """Check that runs, by their names, were made for one target; raises InputError where they were not."""
    if len({target for _, target in made_for}) > 1:
        told = ", ".join(f"{name} for {target}" for name, target in made_for)
        raise InputError(
            f"one accelerator serves all runs, and these were made for several: {told}",
            "name runs for one target",
        )


def networks_of(
    run: Path,
    clock_hz: float | None,
    floor: float | None = None,
    largest: int = 1,
    progress: Callable[[str], None] = lambda _: None,
    watched: bool = False,
    overlap: bool = False,
) -> tuple[ServedNetwork, ServedNetwork]:
    """Return a run with its exits, and without.

    Args:
        run: Its directory.
        clock_hz: Of a target without a clock of its own.
        floor: Accuracy on val down to which thresholds give way under overload, 0 to 1.
        largest: Images of the largest batch; of more than one, what batches cost is scheduled.
        progress: Called with a line for each schedule.
        watched: Keep which images are hard, and what running on behind exits would tell.
        overlap: Find out what stages take of cores and links, so that they can run beside each other.

    Raises:
        InputError: No run with exits and answers, a target without a clock and none given, a run that is
            below the floor, or one that cannot be scheduled again.
    """
    summary = load_summary(run)
    samples = read_samples(run, len(summary.exits))
    thresholds = [found.threshold for found in summary.exits[:-1]]
    if samples is None or any(threshold is None for threshold in thresholds):
        raise InputError(
            f"{run} has no answers of images to replay", "run it with data, and keep its samples.npz"
        )
    service, static = service_time(summary, clock_hz), static_service_time(summary, clock_hz)
    val, test = samples.val.leaves_at(thresholds), samples.test.leaves_at(thresholds)
    confidences = [split.confidence.astype(np.float64) for split in (samples.val, samples.test)]
    seen = outlook(service, confidences[0], val)
    gives_way, labels, hard = None, None, None
    own = [float(one) for one in thresholds if one is not None]
    if watched or floor is not None:
        observed = observed_val(summary, samples.val)
        if watched:
            hard = hard_half(samples.test.probability[-1])
            labels = FreeLabels.of(own, observed.rules, samples.val, samples.test)
        if floor is not None:
            gives_way = ladder_of(observed, service, own, floor, summary.optimistic, run.name)
    if largest > 1 or overlap:  # last, as it takes long
        ratios = (np.bincount(val, minlength=service.stages) / len(val)).tolist()
        service, static = run_batches(run, ratios, (service, static), largest, clock_hz, progress, overlap)
    with_exits = ServedNetwork(
        run.name,
        service,
        seen,
        confidences[1],
        test,
        samples.test.correct,
        summary.target,
        gives_way,
        hard,
        labels,
    )
    nothing = np.zeros(len(test), np.int64)
    whole = Outlook(static.stage_s[:, 0], np.zeros(1), [None])
    right = (samples.test.static == samples.test.label)[None]
    return with_exits, ServedNetwork(
        run.name, static, whole, confidences[1][:0], nothing, right, summary.target, hard=hard
    )


def crowd_of(
    networks: Sequence[ServedNetwork], load: ServingLoad, times: Sequence[Times], seed: int
) -> Crowd:
    """Return the requests of a seed to ``networks``."""
    hard = [one.hard for one in networks if one.hard is not None]
    return Crowd(
        load.requests_at(times, [one.leaves for one in networks], seed, hard),
        [one.service for one in networks], [one.outlook for one in networks],
        [one.confidence for one in networks],
    )  # fmt: skip
