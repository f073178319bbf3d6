"""Thresholds that give way: from those of a run down to a floor of accuracy, each rung less work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import Limit, Observed, choose_within, leaves_at
from eecompile.run_files.samples import SplitSamples
from eecompile.run_files.summary import Summary
from eecompile.serving.outlook import Outlook, outlook
from eecompile.serving.service import ServiceTime
from passes.confidence import MAX_SOFTMAX, RULES
from passes.errors import InputError

# Rungs below that of the run, equal parts of the accuracy that is given away.
RUNGS = 4


@dataclass(frozen=True)
class Rung:
    """Thresholds that a network may have.

    Attributes:
        thresholds: One per early exit.
        accuracy_val: Share of right answers on val.
        bounded_val: What of it is promised: accuracy without exits, less the drop as `run` bounds it.
        expected_s: Seconds of an image alone, the mean of val.
        outlook: What val tells of it.
    """

    thresholds: tuple[float, ...]
    accuracy_val: float
    bounded_val: float
    expected_s: float
    outlook: Outlook

    def leaves_at(self, confidence: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return where images leave, [images], by their confidences, [early exits, images]."""
        return leaves_at(confidence.astype(np.float32), [np.float32(one) for one in self.thresholds])


def observed_val(summary: Summary, val: SplitSamples) -> Observed:
    """Return what thresholds of a run are chosen by."""
    texts = [found.confidence.partition("{")[0] for found in summary.exits[:-1]]
    rules = tuple(RULES[text] if text else MAX_SOFTMAX for text in texts)
    return Observed(val.confidence, val.correct, rules, val.static == val.label)


def ladder_of(
    seen: Observed, service: ServiceTime, own: Sequence[float], floor: float, optimistic: bool, name: str
) -> list[Rung]:
    """Return the thresholds of a run, then cheaper ones: on each rung the cheapest that keep its accuracy.

    The last rung has the thresholds of least mean time that keep the floor; between it and the run, the
    accuracy that is promised falls in `RUNGS` equal steps, each with the thresholds of least mean time that
    keep it, exactly for one exit and for two (`eecompile.exits.thresholds`). All networks have as many rungs,
    so that one number stands for one degree of giving way; where nothing cheaper keeps the accuracy, a rung
    is that above it.

    Args:
        seen: Answers on val.
        service: Stage times.
        own: Thresholds of the run.
        floor: Accuracy on val that each rung keeps, 0 to 1.
        optimistic: The drop itself is bounded, not the upper end of its 90 % interval: as in the run.
        name: Of the run, for messages.

    Raises:
        InputError: The run itself is below the floor.
    """
    bound = DropBound(seen.confidence.shape[1])
    first = rung_at(seen, service, own, optimistic, bound)
    if first.accuracy_val < floor:
        raise InputError(
            f"{name} has {100 * first.accuracy_val:.2f} % on val, which is below the floor of "
            f"{100 * floor:g} %",
            "ask for a lower `accuracy_floor`",
        )
    whole, costs = float(seen.static_correct.mean()), service.alone_s.tolist()

    def cheapest(promised: float, above: Rung) -> Rung:
        limit = Limit(100 * (whole - promised), optimistic)
        found = choose_within(seen, costs, limit, (), bound) if promised < above.bounded_val else None
        if found is None or found.cost >= above.expected_s:
            return above
        return rung_at(seen, service, [float(one) for one in found.thresholds], optimistic, bound)

    last = cheapest(floor, first)
    rungs = [first]
    for step in range(1, RUNGS):
        share = step / RUNGS
        rungs.append(cheapest(first.bounded_val + share * (last.bounded_val - first.bounded_val), rungs[-1]))
    return [*rungs, last]


def rung_at(
    seen: Observed, service: ServiceTime, thresholds: Sequence[float], optimistic: bool, bound: DropBound
) -> Rung:
    """Return what val says of thresholds."""
    where = leaves_at(seen.confidence, [np.float32(one) for one in thresholds])
    right: NDArray[np.bool_] = seen.correct[where, np.arange(len(where))]
    static = seen.static_correct
    lost, gained = np.array([(static & ~right).sum()]), np.array([(right & ~static).sum()])
    drop = (lost - gained) / len(right) if optimistic else bound.points_of(lost, gained) / 100
    return Rung(
        tuple(float(one) for one in thresholds),
        float(right.mean()),
        float(static.mean() - drop[0]),
        float(service.alone_s[where].mean()),
        outlook(service, seen.confidence.astype(np.float64), where),
    )
