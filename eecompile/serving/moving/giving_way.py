"""Thresholds that give way while a queue is too long: which rung holds, and who leaves where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from operator import mul

import numpy as np
from numpy.typing import NDArray

from eecompile.serving.batches.gain import core_stage_s, least_stage_s
from eecompile.serving.crowd import Crowd
from eecompile.serving.moving.ladder import Rung
from eecompile.serving.outcome import ServingOutcome
from eecompile.serving.outlook import Outlook

# Of the slack: thresholds give way where the work that waits takes more of it, and come back where, at the
# rung they would come back to, it takes less than the second.
DOWN, UP = 0.5, 0.25


class GivingWay:
    """One simulation: the requests that wait, the rung that holds, and where each request leaves.

    The work that waits is what val expects of all requests that are there, at the rung that holds, over the
    slack that they came with; of streams with several it is the most of, for each, the work of those that
    have no more. It is looked at at each exit that is reached, and one rung holds for all networks.
    """

    def __init__(
        self,
        crowd: Crowd,
        ladders: Sequence[Sequence[Rung]],
        slo_s: Sequence[float],
        size: int = 1,
        core: str | None = None,
    ) -> None:
        """Begin at the thresholds of the runs, with nobody there.

        Args:
            crowd: All requests.
            ladders: Rungs of each network, as many of all.
            slo_s: From arrival to deadline, of each stream.
            size: Images of a batch at most: work that waits is counted in those that cost least.
            core: Count as work only what this core does: that which is busiest where stages run beside each
                other.
        """
        requests = crowd.requests
        self._ladders, self.rung, self._come = ladders, 0, 0
        self._stages = [service.stages for service in crowd.services]
        self._places = np.concatenate([[0], np.cumsum(self._stages)]).astype(int).tolist()
        slacks = sorted({slo for slo in slo_s if math.isfinite(slo)})
        self._slacks = slacks
        self._class = [slacks.index(slo) if slo in slacks else len(slacks) for slo in slo_s]
        self._counts = [[0] * self._places[-1] for _ in range(len(slacks) + 1)]
        self._arrival = [*requests.arrival_s.tolist(), math.inf]
        self._model, self._source = requests.model.tolist(), requests.source.tolist()
        self._image = requests.image.tolist()
        # Of each rung: seconds expected of a request at each stage of each network.
        rungs = range(len(ladders[0]))
        least = [
            (least_stage_s(one, size) if core is None else core_stage_s(one, size, core)).tolist()
            for one in crowd.services
        ]
        self._means = [
            [s for n, own in enumerate(ladders) for s in _means(least[n], own[rung].outlook)]
            for rung in rungs
        ]
        # Of each rung and network: [exits, images], whether an image that is there leaves.
        self._leaves = [
            [_leaves(crowd.confidences[n], own[rung].thresholds) for n, own in enumerate(ladders)]
            for rung in rungs
        ]
        self.stages = [0] * len(requests)
        self._since, self.seconds = 0.0, [0.0] * len(rungs)

    @property
    def rungs(self) -> int:
        """How many rungs there are."""
        return len(self._means)

    def ends(self, one: int, stage: int, now: float) -> int:
        """Return ``stage`` if a request leaves behind so many stages, else one more.

        Args:
            one: Number of the request.
            stage: How many stages it has run.
            now: Seconds; nobody asks again for an earlier time.
        """
        model = self._model[one]
        place = self._places[model] + stage - 1
        counts = self._counts[self._class[self._source[one]]]
        self._note_arrivals(now)
        self._look(now)
        counts[place] -= 1
        if stage == self._stages[model] or self._leaves[self.rung][model][stage - 1][self._image[one]]:
            self.stages[one] = stage
            return stage
        counts[place + 1] += 1
        return stage + 1

    def idle(self, now: float, until: float, loaded: int) -> float:
        """Return ``now``: where nobody waits there is nothing to do."""
        del until, loaded
        return now

    def beside(self, found: ServingOutcome) -> ServingOutcome:
        """Return what happened: nothing ran but the requests."""
        return found

    def _note_arrivals(self, now: float) -> None:
        while self._arrival[self._come] <= now:
            one = self._come
            self._counts[self._class[self._source[one]]][self._places[self._model[one]]] += 1
            self._come += 1

    def _look(self, now: float) -> None:
        """Choose the rung by the work that waits."""
        rung, last = self.rung, self.rungs - 1
        if self._load(rung) > DOWN:
            while rung < last and self._load(rung) > DOWN:
                rung += 1
        else:
            while rung and self._load(rung - 1) <= UP:
                rung -= 1
        if rung != self.rung:
            self.seconds[self.rung] += now - self._since
            self.rung, self._since = rung, now

    def _load(self, rung: int) -> float:
        means, work, most = self._means[rung], 0.0, 0.0
        for counts, slack in zip(self._counts, self._slacks, strict=False):
            work += sum(map(mul, counts, means))
            most = max(most, work / slack)
        return most

    def shares(self, begin: float, end: float) -> list[float]:
        """Return the share of the time from ``begin`` to ``end`` in which each rung held."""
        seconds = list(self.seconds)
        seconds[self.rung] += end - self._since
        seconds[0] -= begin
        return [one / (end - begin) for one in seconds]

    def known_at(self, rung: int, crowd: Crowd) -> Crowd:
        """Return the crowd as policies know it while a rung holds."""
        requests = crowd.requests
        stages = np.empty(len(requests), np.int64)
        for n, own in enumerate(self._ladders):
            of = requests.model == n
            stages[of] = own[rung].leaves_at(crowd.confidences[n])[requests.image[of]] + 1
        outlooks = [own[rung].outlook for own in self._ladders]
        return replace(crowd, requests=replace(requests, stages=stages), outlooks=outlooks)

    def served(self, crowd: Crowd) -> Crowd:
        """Return the crowd with the stages that each request took."""
        return replace(crowd, requests=replace(crowd.requests, stages=np.array(self.stages, np.int64)))


def _means(stage_s: Sequence[float], seen: Outlook) -> list[float]:
    """Return seconds expected from the start of each stage, [stages], of stages that take ``stage_s``."""
    reach = seen.reach.copy()
    there = np.cumprod([1.0, *reach[:-1]])
    reach[:-1][there[:-1] == 0] = 1.0  # of a stage that no image of val gets to nothing is known but its end
    found, left = [], 0.0
    for seconds, goes_on in zip(reversed(stage_s), reversed(reach.tolist()), strict=True):
        left = seconds + goes_on * left
        found.append(left)
    return found[::-1]


def _leaves(confidence: NDArray[np.float64], thresholds: Sequence[float]) -> list[list[bool]]:
    limits = np.array(thresholds, np.float32)[:, None]
    found: list[list[bool]] = (confidence.astype(np.float32) >= limits).tolist()
    return found
