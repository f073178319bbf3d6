"""The search itself: candidates are asked for in batches, worked on wherever, and told in order.

What a batch is does not depend on who works on it nor on who is faster. A search that was interrupted, or
whose workers died, therefore ends with what one that was not ends with: candidates of earlier batches are
told again as they were, those of the last one go on.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from eecompile.search.study.front import GrowingFront
from eecompile.search.study.proposals import Params, Proposals
from eecompile.search.study.record import ATTEMPT, RUNG, Record
from eecompile.search.study.worker import Evaluate, work, work_on

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from optuna.trial import FrozenTrial

_POLL_SECONDS = 0.2
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


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate.

    Attributes:
        candidate: Its index.
        params: Its genes.
        result: What its worker found out: ``points``, or ``error`` and ``hint``.
    """

    candidate: int
    params: Params
    result: Mapping[str, Any]

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
    ) -> None:
        self._record, self._proposals, self._front = record, proposals, front
        self._evaluate, self._course, self._watch, self._progress = evaluate, course, watch, progress
        self._start = start
        self._workers: list[SpawnProcess] = []
        self.outcomes: list[Outcome] = []

    def run(self) -> list[Outcome]:
        """Run until all trials are told, or the space holds no more; return what became of each."""
        self._record.end(over=False)
        for trial in self._record.trials():  # in the hands of a search that was killed as a whole
            if self._record.is_lost(trial):
                self._record.put_back(trial, counted=False)
        try:
            while len(self.outcomes) < self._course.trials:
                count = min(self._course.batch, self._course.trials - len(self.outcomes))
                if not self._batch(count):
                    break
        finally:
            self._record.end()
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
        known = len(self._record.trials())
        for number, params in enumerate(asked, first):
            if number >= known:
                start = "" if self._start is None else self._start(params, self.outcomes)
                self._record.add(number, params, self._proposals.genes, start)
        going = list(range(first, first + len(asked)))
        for rung in range(self._course.rungs):
            if rung:
                going = self._best(going, rung - 1)
                for trial in self._of(going):
                    if int(trial.user_attrs[RUNG]) < rung and not trial.state.is_finished():
                        self._record.put_back(trial, rung)
            self._wait_for(going, rung)
        for trial in self._of(range(first, first + len(asked))):
            self._tell(trial, asked[trial.number - first])
        return bool(asked)

    def _best(self, going: Sequence[int], rung: int) -> list[int]:
        """Return the candidates of a batch that go on: those that add most to the front, one by one."""
        count = max(1, round(len(going) * self._course.keep))
        results = {trial.number: self._record.result(trial, rung) or {} for trial in self._of(going)}
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
        while True:
            trials = self._of(going)
            missing = [trial for trial in trials if not self._is_done(trial, rung)]
            if not missing:
                return
            for trial in missing:
                if self._record.is_lost(trial):
                    self._retry(trial)
            if self._course.workers == 1:
                while (task := self._record.claim()) is not None:
                    work_on(self._record, task, self._evaluate)
            else:
                self._employ()
                time.sleep(_POLL_SECONDS)

    def _is_done(self, trial: FrozenTrial, rung: int) -> bool:
        return int(trial.user_attrs[RUNG]) >= rung and self._record.result(trial) is not None

    def _retry(self, trial: FrozenTrial) -> None:
        if int(trial.user_attrs[ATTEMPT]) >= MOST_ATTEMPTS:
            self._record.give_up(trial, f"its worker died {MOST_ATTEMPTS} times")
            return
        self._progress(f"the worker of trial {trial.number} is gone: it is tried again")
        self._record.put_back(trial)

    def _employ(self) -> None:
        """Let there be as many workers of this machine as were asked for."""
        self._workers = [worker for worker in self._workers if worker.is_alive()]
        spawn = multiprocessing.get_context("spawn")
        while len(self._workers) < self._course.workers:
            arguments = (self._record.url, self._record.name, self._evaluate)
            worker = spawn.Process(target=work, args=arguments, kwargs={"local": True}, daemon=True)
            worker.start()
            self._workers.append(worker)

    def _of(self, candidates: Sequence[int]) -> list[FrozenTrial]:
        trials = self._record.trials()
        return [trials[number] for number in candidates]

    def _tell(self, trial: FrozenTrial, params: Params) -> None:
        """Tell the sampler, the front and the record what became of a candidate."""
        result = {"rung": int(trial.user_attrs[RUNG]), **(self._record.result(trial) or {})}
        outcome = Outcome(trial.number, params, result)
        values = None
        if outcome.points:
            chosen = outcome.points[self._front.stands_for(outcome.points)]
            values = self._front.vectors([chosen])[0].tolist()
        self._proposals.tell(trial.number, values, float(result.get("violation", 0.0)))
        self._front.take(trial.number, outcome.points)
        self._record.complete(trial, values)
        self.outcomes.append(outcome)
        if self._watch is not None:
            self._watch(self.outcomes, self._front)
