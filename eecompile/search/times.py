"""What the time of a search was spent on, and how much of it was not training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eecompile.search.worth.stopwatch import STUDY, TRAINING


@dataclass(frozen=True)
class SearchTimes:
    """Time of the processes of this machine in one run of a search.

    Attributes:
        seconds: By what they were spent on: ``training``; ``start`` (data, the corners of the space),
            ``networks`` (built, read, written), ``costs``, ``answers``, ``fronts``, ``finalists`` but for
            their training and costs, ``study`` (proposals, storage, waiting), ``other`` (what failed).
        workers: Processes that worked on designs; seconds are those of all of them.
        designs: How many designs were worked on in this run.
    """

    seconds: Mapping[str, float]
    workers: int
    designs: int

    @staticmethod
    def of(
        start: Mapping[str, float],
        worked: Mapping[str, float],
        finalists: Mapping[str, float],
        searched_s: float,
        workers: int,
        designs: int,
    ) -> SearchTimes:
        """Return the times of a run.

        Args:
            start: Seconds before designs were proposed, by part.
            worked: Seconds of all workers, by part.
            finalists: Seconds behind that, by part.
            searched_s: Wall time in which the workers were there.
            workers: How many.
            designs: Worked on.
        """
        idle = max(0.0, workers * searched_s - sum(worked.values()))
        total: dict[str, float] = {}
        for some in (start, worked, finalists, {STUDY: idle}):
            for part, took in some.items():
                total[part] = total.get(part, 0.0) + took
        return SearchTimes(total, workers, designs)

    @property
    def total(self) -> float:
        """Seconds of all processes."""
        return sum(self.seconds.values())

    @property
    def overhead(self) -> float:
        """Share of the time that is not training."""
        return 1 - self.seconds.get(TRAINING, 0.0) / self.total if self.total else 0.0

    @property
    def line(self) -> str:
        """All of it on one line, the largest parts first."""
        parts = sorted((took, part) for part, took in self.seconds.items() if part != TRAINING)[::-1]
        told = ", ".join(f"{part} {100 * took / self.total:.1f} %" for took, part in parts if took > 0)
        return f"Training took {100 * (1 - self.overhead):.1f} % of the time; {told}."

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in ``times.json``."""
        return {
            "schema_version": 1,
            "workers": self.workers,
            "designs": self.designs,
            "seconds": {part: round(took, 2) for part, took in self.seconds.items()},
            "overhead": round(self.overhead, 4),
        }
