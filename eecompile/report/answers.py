"""Exit by exit, how sure it is and what it takes images for."""

from __future__ import annotations

from dataclasses import dataclass

from eecompile.report.confusion import Confusion, confusion
from eecompile.report.reliability import ReliabilityChart, reliability_chart
from eecompile.run_files.samples import Samples
from eecompile.run_files.summary import Summary


@dataclass(frozen=True)
class ExitAnswers:
    """What test images say of an exit: all of them of its reliability, those that leave of its confusion."""

    name: str
    reliability: ReliabilityChart | None
    confusion: Confusion


def exit_answers(summary: Summary, samples: Samples) -> tuple[ExitAnswers, ...]:
    """Return what is said of each exit of the files, at their thresholds."""
    test, thresholds = samples.test, [item.threshold for item in summary.exits]
    where = test.leaves_at(thresholds)
    return tuple(
        ExitAnswers(
            item.name,
            reliability_chart(test, number, item.threshold),
            confusion(test, number, where == number, samples.class_names),
        )
        for number, item in enumerate(summary.exits)
    )
