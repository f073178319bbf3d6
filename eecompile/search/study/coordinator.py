"""The search itself: candidates are asked for in batches, worked on wherever, and told in order.

What a batch is does not depend on who works on it nor on who is faster. A search that was interrupted, or
whose workers died, therefore ends with what one that was not ends with: candidates of earlier batches are
told again as they were, those of the last one go on.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from eecompile.search.study.front import GrowingFront
from eecompile.search.study.predictor import WORTH, WorthPredictor
from eecompile.search.study.proposals import Params, Proposals
from eecompile.search.study.record import ATTEMPT, RUNG, Record
from eecompile.search.study.worker import Evaluate, work, work_on
from passes.progress import Count, counting

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from optuna.trial import FrozenTrial

_POLL_SECONDS = 0.2
OTHER, ACCURACY = "other", "accuracy_val"
MOST_ATTEMPTS = 3
"""So often a candidate is tried whose workers die."""


@dataclass(frozen=True)
class SearchCourse:
    """How a search is run.

    Attributes:
        trials: Candidates in all, with those of earlier runs.
        batch: Candidates that are asked for before any of them is told.
        workers: Processes of this machine; 1: this one.
        rungs: How often a candidate may be trained on.
        keep: Share of a batch that goes on at each rung.
    """

    trials: int
    batch: int
    workers: int = 1
    rungs: int = 1
    keep: float = 0.5

    def going_on(self, count: int) -> int:
        """Return how many of so many candidates go on to the next rung."""
        return max(1, round(count * self.keep))

    @property
    def evaluations(self) -> int:
        """How often a candidate is worked on in all, if all find something: once per rung it reaches."""
        found, left = 0, self.trials
        while left > 0:
            going = min(self.batch, left)
            left -= going
            for _ in range(self.rungs):
                found += going
                going = self.going_on(going)
        return found


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate.

    Attributes:
        candidate: Its index.
        params: Its genes.
        result: What its worker found out: ``points``, or ``error`` and ``hint``.
        predicted: What was predicted of it before it was worked on; empty: nothing.
    """

    candidate: int
    params: Params
    result: Mapping[str, Any]
    predicted: Mapping[str, float] = field(default_factory=dict)

    @property
    def points(self) -> Sequence[Mapping[str, Any]]:
        """Its points, that keep all constraints."""
        points: Sequence[Mapping[str, Any]] = self.result.get("points", ())
        return points


class Watch(Protocol):
    """Is told how far the search is."""

    def __call__(self, outcomes: Sequence[Outcome], front: GrowingFront) -> None:
        """Look at all that was told so far."""


class Coordinator:
    """Runs a study to its end.

    Args:
        record: Where it is kept.
        proposals: What is tried.
        front: Of the points; grows.
        evaluate: Finds out what a candidate is worth; goes to other processes if there are ``workers``.
        course: How.
        watch: Told after each candidate that is told.
        progress: Told a line now and then.
        start: From a candidate and what was told before its batch to what it starts from; ``None``: nothing.
        predictor: Is told of candidates what it predicts; ``None``: nothing is predicted.

    Attributes:
        outcomes: What became of each candidate so far.
        worked: Seconds that workers of this machine spent in this run, by what they say of their ``times``;
            ``other`` where they do not say it.
        designs: How often they worked on a candidate.
    """

    def __init__(
        self,
        record: Record,
        proposals: Proposals,
        front: GrowingFront,
        evaluate: Evaluate,
        course: SearchCourse,
        watch: Watch | None = None,
        progress: Callable[[str], None] = lambda _: None,
        start: Callable[[Params, Sequence[Outcome]], str] | None = None,
        predictor: WorthPredictor | None = None,
    ) -> None:
        self.record, self._proposals, self._front = record, proposals, front
        self._evaluate, self._course, self._watch, self._progress = evaluate, course, watch, progress
        self._start, self.predictor = start, predictor
        self._workers: list[SpawnProcess] = []
        self.outcomes: list[Outcome] = []
        self.worked: dict[str, float] = {}
        self._count = Count("designs", None)
        self.designs = 0

    def run(self) -> list[Outcome]:
        """Run until all trials are told, or the space holds no more; return what became of each."""
        self.record.end(over=False)
        for trial in self.record.trials():  # in the hands of a search that was killed as a whole
            if self.record.is_lost(trial):
                self.record.put_back(trial, counted=False)
        try:
            with counting("designs", self._course.evaluations) as self._count:
                while len(self.outcomes) < self._course.trials:
                    count = min(self._course.batch, self._course.trials - len(self.outcomes))
                    if not self._batch(count):
                        break
        finally:
            self.record.end()
            for worker in self._workers:
                worker.join(timeout=2)
                worker.kill()
        return self.outcomes

    def _batch(self, count: int) -> bool:
        """Ask for candidates, wait for them, and tell them; return whether there were any."""
        first = len(self.outcomes)
        asked = []
        for _ in range(count):
            params = self._proposals.propose()
            if params is None:
                break
            asked.append(params)
        known = len(self.record.trials())
        for number, params in enumerate(asked, first):
            if number >= known:
                start = "" if self._start is None else self._start(params, self.outcomes)
                self.record.add(number, params, self._proposals.genes, start)
        predicted: list[dict[str, float]] = [{} for _ in asked]
        if self.predictor is not None:
            predicted = self.predictor.predict(asked)
        going = list(range(first, first + len(asked)))
        for rung in range(self._course.rungs):
            if rung:
                going = self._best(going, rung - 1)
                for trial in self._of(going):
                    if int(trial.user_attrs[RUNG]) < rung and not trial.state.is_finished():
                        self.record.put_back(trial, rung)
            self._wait_for(going, rung)
        for trial in self._of(range(first, first + len(asked))):
            self._tell(trial, asked[trial.number - first], predicted[trial.number - first])
        return bool(asked)

    def _best(self, going: Sequence[int], rung: int) -> list[int]:
        """Return the candidates of a batch that go on: those that add most to the front, one by one."""
        count = self._course.going_on(len(going))
        results = {trial.number: self.record.result(trial, rung) or {} for trial in self._of(going)}
        left = {number: result["points"] for number, result in results.items() if result.get("points")}
        front = GrowingFront(
            self._front.objectives, self._front.maximised, self._front.reference, list(self._front.points)
        )
        chosen: list[int] = []
        while left and len(chosen) < count:
            best = max(left, key=lambda number: (front.added(left[number]), -number))
            front.take(best, left.pop(best))
            chosen.append(best)
        return sorted(chosen)

    def _wait_for(self, going: Sequence[int], rung: int) -> None:
        """Work, or let work, until all candidates have a result on this rung."""
        known = {trial.number for trial in self._of(going) if self._is_done(trial, rung)}
        counted = 0
        while True:
            trials = self._of(going)
            missing = [trial for trial in trials if not self._is_done(trial, rung)]
            self._count.add(len(trials) - len(missing) - counted)
            counted = len(trials) - len(missing)
            if not missing:
                self._note_times([trial for trial in trials if trial.number not in known], rung)
                return
            for trial in missing:
                if self.record.is_lost(trial):
                    self._retry(trial)
            if self._course.workers == 1:
                while (task := self.record.claim()) is not None:
                    work_on(self.record, task, self._evaluate)
                    self._count.add()
                    counted += 1
            else:
                self._employ()
                time.sleep(_POLL_SECONDS)

    def _measured(self, outcome: Outcome) -> dict[str, float]:
        """Return the figures of a candidate that are predicted."""
        static = outcome.result.get("static", {})
        accuracy = {ACCURACY: float(static[ACCURACY])} if ACCURACY in static else {}
        return {WORTH: self._front.own(outcome.points), **accuracy}

    def _note_times(self, trials: Sequence[FrozenTrial], rung: int) -> None:
        for trial in trials:
            result = self.record.result(trial, rung) or {}
            if "seconds" not in result or not self.record.is_of_this_machine(trial):
                continue
            self.designs += 1
            times = dict(result.get("times", {}))
            times[OTHER] = max(0.0, float(result["seconds"]) - sum(times.values()))
            for part, took in times.items():
                self.worked[part] = self.worked.get(part, 0.0) + took

    def _is_done(self, trial: FrozenTrial, rung: int) -> bool:
        return int(trial.user_attrs[RUNG]) >= rung and self.record.result(trial) is not None

    def _retry(self, trial: FrozenTrial) -> None:
        if int(trial.user_attrs[ATTEMPT]) >= MOST_ATTEMPTS:
            self.record.give_up(trial, f"its worker died {MOST_ATTEMPTS} times")
            return
        self._progress(f"the worker of trial {trial.number} is gone: it is tried again")
        self.record.put_back(trial)

    def _employ(self) -> None:
        """Let there be as many workers of this machine as were asked for."""
        self._workers = [worker for worker in self._workers if worker.is_alive()]
        spawn = multiprocessing.get_context("spawn")
        while len(self._workers) < self._course.workers:
            arguments = (self.record.url, self.record.name, self._evaluate)
            worker = spawn.Process(target=work, args=arguments, kwargs={"local": True}, daemon=True)
            worker.start()
            self._workers.append(worker)

    def _of(self, candidates: Sequence[int]) -> list[FrozenTrial]:
        trials = self.record.trials()
        return [trials[number] for number in candidates]

    def _tell(self, trial: FrozenTrial, params: Params, predicted: Mapping[str, float]) -> None:
        """Tell the sampler, the predictor, the front and the record what became of a candidate."""
        result = {"rung": int(trial.user_attrs[RUNG]), **(self.record.result(trial) or {})}
        outcome = Outcome(trial.number, params, result, predicted)
        values = None
        if outcome.points:
            chosen = outcome.points[self._front.stands_for(outcome.points)]
            values = self._front.vectors([chosen])[0].tolist()
        self._proposals.tell(trial.number, values, float(result.get("violation", 0.0)))
        self._front.take(trial.number, outcome.points)
        if self.predictor is not None and "error" not in result:
            trained = (int(result["rung"]) + 1) / self._course.rungs
            self.predictor.tell(params, self._measured(outcome), predicted, trained)
        self.record.complete(trial, values)
        self.outcomes.append(outcome)
        if self._watch is not None:
            self._watch(self.outcomes, self._front)
