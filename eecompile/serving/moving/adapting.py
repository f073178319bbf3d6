"""Thresholds that follow what images have become, by labels that the rest of the network gives."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.statistics import wilson_interval
from eecompile.exits.thresholds import Limit, Observed, choose_within
from eecompile.run_files.samples import SplitSamples
from eecompile.serving.cores.use import used_s
from eecompile.serving.crowd import Crowd
from eecompile.serving.outcome import ServingOutcome
from passes.confidence import ConfidenceRule

Bools = NDArray[np.bool_]
# Labels after which thresholds are looked at; they are moved where the 95 % interval of these says so.
WINDOW = 500
# One in so many of those that left early may run on: what that takes is added to the energy of all.
EVERY = 10
# Of these wait for the accelerator to have nothing else to do, at most.
MOST_WAIT = 4 * WINDOW


@dataclass(frozen=True)
class FreeLabels:
    """What running on behind an exit would tell of a network.

    Attributes:
        thresholds: Of the run.
        agrees: [exits, images] whether an exit answers as the final one does.
        allowed: Share of val that leaves with another answer than the final exit's, at these thresholds.
        rules: Of the early exits.
    """

    thresholds: tuple[float, ...]
    agrees: Bools
    allowed: float
    rules: tuple[ConfidenceRule, ...]

    @staticmethod
    def of(
        thresholds: Sequence[float], rules: tuple[ConfidenceRule, ...], val: SplitSamples, test: SplitSamples
    ) -> FreeLabels:
        """Return those of a run; requests replay the images of test."""
        where = val.leaves_at(thresholds)
        others = val.prediction[where, np.arange(len(where))] != val.prediction[-1]
        agrees: Bools = test.prediction == test.prediction[-1]
        return FreeLabels(tuple(thresholds), agrees, float(others.mean()), rules)


class Adapting:
    """One simulation: thresholds that hold, and requests that left early and may run on.

    An exit releases the answer only. When nothing waits, the accelerator runs the rest of the network for one
    in `EVERY` of those that left early (the latest first, of the network whose weights are there), until
    something comes; the stage that runs then ends first. Whether the final exit agrees is a label without
    anybody's help (Apparate, Dai et al. 2024). Behind `WINDOW` of them, in the shares in which requests left,
    thresholds are solved anew on their images, as `run` solves them on val, where the share that leaves with
    another answer than the final one's is surely not what it was on val.
    """

    rung = 0

    def __init__(self, crowd: Crowd, networks: Sequence[FreeLabels]) -> None:
        """Begin with the thresholds of the runs.

        Args:
            crowd: All requests.
            networks: Of each network.
        """
        requests = crowd.requests
        self._crowd, self._networks = crowd, networks
        self._model, self._image = requests.model.tolist(), requests.image.tolist()
        self._seconds = [one.stage_s[:, 0].tolist() for one in crowd.services]
        self._joules = [one.stage_j[:, 0].tolist() for one in crowd.services]
        self.thresholds = [_single(one.thresholds) for one in networks]
        self._confidence = [one.astype(np.float32).tolist() for one in crowd.confidences]
        self._waits: list[deque[tuple[int, int]]] = [deque(maxlen=MOST_WAIT) for _ in networks]
        self._begin_windows()
        self.stages = [0] * len(requests)
        self.spent = 0.0, 0.0
        self._ran_on = Counter[tuple[int, int]]()
        self.labels = self.moves = 0

    def _begin_windows(self) -> None:
        self._left = [[0] * len(seconds) for seconds in self._seconds]
        self._labelled: list[list[list[int]]] = [[[] for _ in seconds] for seconds in self._seconds]

    def ends(self, one: int, stage: int, now: float) -> int:
        """Return ``stage`` if a request leaves behind so many stages, else one more; see `GivingWay.ends`."""
        del now
        model, image = self._model[one], self._image[one]
        last = stage == len(self._seconds[model])
        if not last and self._confidence[model][stage - 1][image] < self.thresholds[model][stage - 1]:
            return stage + 1
        self.stages[one] = stage
        self._left[model][stage - 1] += 1
        if last:
            self._label(model, stage - 1, image)
        elif self._left[model][stage - 1] % EVERY == 0:
            self._waits[model].append((image, stage))
        return stage

    def idle(self, now: float, until: float, loaded: int) -> float:
        """Run on until something comes.

        Args:
            now: Seconds.
            until: When the next request comes.
            loaded: Number of the network whose weights are there; -1: of none.

        Returns:
            Seconds at which the accelerator is free.
        """
        waits = self._waits[loaded] if loaded >= 0 else ()
        begin, more_j = now, 0.0
        while waits and now < until:
            image, stage = waits.pop()
            seconds, joules = self._seconds[loaded], self._joules[loaded]
            at = stage
            while at < len(seconds) and now < until:
                self._ran_on[loaded, at] += 1
                now, more_j, at = now + seconds[at], more_j + joules[at], at + 1
            if at == len(seconds):
                self._label(loaded, stage - 1, image)
        busy_s, energy_j = self.spent
        self.spent = busy_s + now - begin, energy_j + more_j
        return now

    def beside(self, found: ServingOutcome) -> ServingOutcome:
        """Return what happened, with what ran on."""
        busy_s, energy_j = self.spent
        used, services = dict(found.used_s), self._crowd.services
        if used:
            ran = ((services[model].uses[at][0], count) for (model, at), count in self._ran_on.items())
            for name, seconds in used_s(ran).items():
                used[name] = used.get(name, 0.0) + seconds
        return replace(found, busy_s=found.busy_s + busy_s, energy_j=found.energy_j + energy_j, used_s=used)

    def _label(self, model: int, exit_: int, image: int) -> None:
        self._labelled[model][exit_].append(image)
        self.labels += exit_ < len(self._seconds[model]) - 1
        counts, labelled = self._left[model], self._labelled[model]
        # As many of each exit as left there: those that run on are few where there is little time.
        share = min(len(some) / count for some, count in zip(labelled, counts, strict=True) if count)
        if share * sum(counts) >= WINDOW:
            self._look(model, [some[: round(share * n)] for some, n in zip(labelled, counts, strict=True)])
            self._waits[model].clear()  # they left by other thresholds, maybe
            self._left[model] = [0] * len(counts)
            self._labelled[model] = [[] for _ in counts]

    def _look(self, model: int, images: Sequence[Sequence[int]]) -> None:
        """Move the thresholds of a network where its labels, by exit, say that images have changed."""
        own, total = self._networks[model], sum(map(len, images))
        differ = sum(int((~own.agrees[k, some]).sum()) for k, some in enumerate(images) if some)
        low, high = wilson_interval(differ, total)
        if low <= own.allowed <= high:
            return
        seen = np.concatenate([np.array(some, np.int64) for some in images])
        confidence = self._crowd.confidences[model][:, seen].astype(np.float32)
        observed = Observed(confidence, own.agrees[:, seen], own.rules, np.ones(len(seen), np.bool_))
        costs = self._crowd.services[model].alone_s.tolist()
        found = choose_within(observed, costs, Limit(100 * own.allowed, True), ())
        if found is not None:
            self.thresholds[model] = _single(found.thresholds)
            self.moves += 1

    def known_at(self, rung: int, crowd: Crowd) -> Crowd:
        """Return the crowd as policies know it: by the thresholds of the runs."""
        del rung
        return crowd

    def served(self, crowd: Crowd) -> Crowd:
        """Return the crowd with the stages that each request took."""
        return replace(crowd, requests=replace(crowd.requests, stages=np.array(self.stages, np.int64)))


def _single(thresholds: Sequence[float | np.float32]) -> list[float]:
    """Return thresholds as confidences are compared with them: of single precision."""
    return [float(np.float32(one)) for one in thresholds]
