"""How long stages take here: measured before a network serves, so that policies can tell long from short."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from eecompile.server.contract import History, ServedModel
from eecompile.serving.batches.batching import known_sizes
from eecompile.serving.outlook import Outlook, outlook
from eecompile.serving.service import ServiceTime

RUNS = 7
# A stage that takes longer is run fewer times: a start should not take minutes.
ENOUGH_S = 0.2
Clock = Callable[[], float]


def measured(model: ServedModel, largest: int, clock: Clock = time.perf_counter) -> ServiceTime:
    """Return seconds of each stage for batches of 1 to ``largest``: medians of a few runs.

    Batches of 1, 2, 4, … and of the largest are run, what lies between is on a line; a larger batch is
    taken to need no less than a smaller one. Energy is not measured, it is 0.
    """
    sizes = known_sizes(largest)
    stages = len(model.exits)
    found = np.array([[_median(model, stage, size, clock) for size in sizes] for stage in range(stages)])
    every = np.arange(1, largest + 1)
    lines = np.array([np.interp(every, sizes, np.maximum.accumulate(row)) for row in found])
    return ServiceTime(lines, np.zeros_like(lines))


def _median(model: ServedModel, stage: int, size: int, clock: Clock) -> float:
    images = [model.probe(stage)] * size
    model.run_stage(stage, images)  # the first one of a shape allocates
    taken: list[float] = []
    while len(taken) < RUNS and (not taken or sum(taken) < ENOUGH_S):
        begin = clock()
        model.run_stage(stage, images)
        taken.append(clock() - begin)
    return statistics.median(taken)


def outlook_of(history: History, service: ServiceTime) -> Outlook:
    """Return what the past of a network tells of its images; nothing known: all leave at the last exit."""
    confidence, leaves = history.confidence, history.leaves
    if confidence is None:
        leaves = np.repeat(np.arange(service.stages), history.seen)
        confidence = np.zeros((service.stages - 1, len(leaves)))
    return outlook(service, confidence, np.asarray(leaves, np.int64))
