"""How long each stage of a network takes on an accelerator: what a simulation serves with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eecompile.run_files.summary import Summary
from eecompile.serving.cores.use import CoreUse
from eecompile.serving.memory import MemoryNeeds, footprint
from passes.errors import InputError
from targets.residence import Residence

Seconds = NDArray[np.float64]
CLOCK_HINT = "give one: `clock`, in Python in hertz, on the command line as in 200MHz"


@dataclass(frozen=True)
class ServiceTime:
    """Stages of a network; stage s ends with exit s.

    Attributes:
        stage_s: Seconds of a stage for a batch of one, two, …: [stages, largest batch].
        stage_j: Joules, alike, of the whole batch.
        load_s: Seconds to bring the weights that it keeps on chip, where they are not there.
        load_j: Joules of that.
        footprint: What it needs of the memories; ``None`` where that is not known.
        uses: What each stage takes of cores and links, [stages][largest batch]; empty where that is not
            known: nothing runs beside it then.
    """

    stage_s: Seconds
    stage_j: Seconds
    load_s: float = 0.0
    load_j: float = 0.0
    footprint: MemoryNeeds | None = None
    uses: Sequence[Sequence[CoreUse]] = ()

    def __post_init__(self) -> None:
        """Refuse times that are none.

        Raises:
            ValueError: A time or an energy is negative or not finite, or their shapes differ.
        """
        if self.stage_s.ndim != 2 or self.stage_s.shape != self.stage_j.shape:
            raise ValueError("stage_s and stage_j are both [stages, largest batch]")
        for values in (self.stage_s, self.stage_j, np.array([self.load_s, self.load_j])):
            if not (np.isfinite(values).all() and (values >= 0).all()):
                raise ValueError("times and energies are finite and not negative")
        seconds = [[use.seconds for use in of] for of in self.uses]
        if self.uses and not np.allclose(seconds, self.stage_s, rtol=1e-6, atol=0.0):
            raise ValueError("uses are of the times of the stages")

    @property
    def stages(self) -> int:
        """How many stages there are."""
        return int(self.stage_s.shape[0])

    @property
    def largest_batch(self) -> int:
        """The largest batch whose cost is known."""
        return int(self.stage_s.shape[1])

    def in_batches(self, largest: int) -> ServiceTime:
        """Return it with the memories that it needs where batches of at most so many images may run."""
        needs = None if self.footprint is None else self.footprint.of_batches(largest)
        return replace(self, footprint=needs)

    @property
    def alone_s(self) -> Seconds:
        """Seconds to each exit for one image that nothing holds up, [stages]."""
        return np.cumsum(self.stage_s[:, 0])


def service_time(summary: Summary, clock_hz: float | None = None) -> ServiceTime:
    """Return the stages of a run, one image at a time, as its schedule has them.

    A stage takes what the path to its exit takes more than the path to the exit before.

    Args:
        summary: Of the run.
        clock_hz: Of a target without a clock of its own.

    Raises:
        InputError: The target has no clock, and none is given.
    """
    paths = summary.exits
    seconds = [_seconds(path.latency_s, path.latency_cycles, clock_hz, summary.target) for path in paths]
    joules = [path.energy_pj * 1e-12 for path in paths]
    cycle_s = seconds[-1] / paths[-1].latency_cycles
    return ServiceTime(_steps(seconds), _steps(joules), *_memories(summary.residence, cycle_s))


def static_service_time(summary: Summary, clock_hz: float | None = None) -> ServiceTime:
    """Return the network without exits as one stage; raises as `service_time` does."""
    static = summary.static
    seconds = _seconds(static.latency_s, static.latency_cycles, clock_hz, summary.target)
    cycle_s = seconds / static.latency_cycles
    return ServiceTime(
        np.array([[seconds]]), np.array([[static.energy_pj * 1e-12]]),
        *_memories(summary.static_residence, cycle_s),
    )  # fmt: skip


def _memories(found: Residence | None, cycle_s: float) -> tuple[float, float, MemoryNeeds | None]:
    """Return seconds and joules of bringing kept weights, and what is needed of the memories."""
    if found is None:
        return 0.0, 0.0, None
    return found.load_cycles * cycle_s, found.load_pj * 1e-12, footprint(found, cycle_s)


def _seconds(known: float | None, cycles: float, clock_hz: float | None, target: str) -> float:
    if clock_hz is not None:
        return cycles / clock_hz
    if known is None:
        raise InputError(f"target '{target}' has no clock, so its cycles are no time", CLOCK_HINT)
    return known


def _steps(totals: Sequence[float]) -> Seconds:
    return np.diff(np.array([0.0, *totals]))[:, None]
