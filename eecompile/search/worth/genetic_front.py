"""The front of one supernet as a genetic algorithm finds it: a yardstick for the one that is solved.

NSGA-II of Optuna chooses what is kept at each mount, the final head, and thresholds among edges of blocks
with about as many answers each (those of ``packed_answers.py``). Networks that break a limit come behind all
others, those that break it least first. What counts is all that was looked at, not the last generation alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.front_archive import FrontSpot
from eecompile.exits.fronts.front_measures import EPSILON, FrontMeasures
from eecompile.exits.fronts.front_points import SubsetFront, point_at, undominated
from eecompile.exits.fronts.front_problem import (
    ACCURACY,
    FINAL_RATIO,
    LATENCY,
    MEMORY,
    WORST_LATENCY,
    FrontProblem,
    Kept,
)
from eecompile.exits.fronts.packed_answers import CandidateFigures, PackedAnswers, SubsetCandidates
from eecompile.exits.fronts.pareto import nondominated
from eecompile.search.study.optuna_needed import import_optuna

if TYPE_CHECKING:
    import optuna

Float64 = NDArray[np.float64]

POPULATION = 50
_BROKEN = 1e-3  # by so much at least a limit is broken


@dataclass(frozen=True)
class GeneticSearch:
    """How far a genetic algorithm goes.

    Attributes:
        evaluations: Networks at thresholds that it looks at, repeated ones counted again.
        population: Of a generation.
        seed: Of all that is drawn.
    """

    evaluations: int
    population: int = POPULATION
    seed: int = 0


def genetic_front(problem: FrontProblem, search: GeneticSearch, *, joint: bool) -> SubsetFront:
    """Return the front of all that a genetic algorithm looked at.

    Args:
        problem: What is searched.
        search: How far.
        joint: One threshold for all exits of a network; else one for each.

    Raises:
        InputError: Optuna is not installed.
    """
    return _Genetic(problem, search, joint=joint).run()


class _Genetic:
    def __init__(self, problem: FrontProblem, search: GeneticSearch, *, joint: bool) -> None:
        self._problem, self._search, self._joint = problem, search, joint
        self._measures = FrontMeasures(problem)
        self._answers = PackedAnswers(problem, self._measures.figures)
        kinds = problem.kinds or tuple(range(len(problem.mounts)))
        self._kinds = [
            [
                [k for k in some if k is not None and kinds[k] == kind]
                for kind in dict.fromkeys(kinds[k] for k in some if k is not None)
            ]
            for some in problem.options
        ]
        self._least: dict[str, float] = {}
        self._seen: set[tuple[Kept, int]] = set()

    def run(self) -> SubsetFront:
        optuna = import_optuna()
        population = min(self._search.population, self._search.evaluations)
        sampler = optuna.samplers.NSGAIISampler(population_size=max(2, population), seed=self._search.seed)
        study = optuna.create_study(directions=["minimize"] * len(self._measures.names), sampler=sampler)
        values, spots = [], list[FrontSpot]()
        left = self._search.evaluations
        while left > 0:
            trials = [study.ask() for _ in range(min(population, left))]
            left -= len(trials)
            some = self._candidates([self._chosen(trial) for trial in trials])
            rows, violation = self._measured(some)
            for trial, row, broken in zip(trials, rows.tolist(), violation.tolist(), strict=True):
                trial.set_constraint("violation", broken)
                study.tell(trial, row)
            kept = np.flatnonzero(violation <= 0)
            values.append(rows[kept])
            spots += [self._spot(some, number) for number in kept.tolist()]
        return self._front(np.concatenate(values), spots)

    def _chosen(self, trial: optuna.Trial) -> list[int]:
        """Return what the algorithm chooses: kinds of exits, levels of the thresholds, the final head."""
        options, last = self._kinds, self._answers.levels - 1
        found: list[int] = [
            trial.suggest_categorical(f"exit {m}", range(len(some) + 1)) for m, some in enumerate(options)
        ]
        if self._joint:
            found += [trial.suggest_int("threshold", 0, last)] * len(options)
        else:
            found += [trial.suggest_int(f"threshold {m}", 0, last) for m in range(len(options))]
        return [*found, trial.suggest_categorical("final", range(len(self._problem.finals)))]

    def _candidates(self, chosen: Sequence[Sequence[int]]) -> SubsetCandidates:
        table, mounts = np.array(chosen, np.int64), len(self._kinds)
        kept = np.array([self._exits(row[:mounts]) for row in chosen], np.int64).reshape(len(table), mounts)
        return SubsetCandidates(kept, table[:, mounts : 2 * mounts], table[:, -1])

    def _exits(self, chosen: Sequence[int]) -> list[int]:
        """Return the exit at each mount, -1 for none, of the kinds that are chosen: 0 is none.

        Of a kind the exit is taken that goes behind the one before; there is none where no such is.
        """
        found, before = [], None
        for kinds, choice in zip(self._kinds, chosen, strict=True):
            some = kinds[choice - 1] if choice else ()
            k = next((k for k in some if self._problem.goes_behind(before, k)), None)
            found.append(-1 if k is None else k)
            before = before if k is None else k
        return found

    def _measured(self, some: SubsetCandidates) -> tuple[Float64, Float64]:
        """Return objectives [candidates, objectives], and by how much limits are broken [candidates]."""
        problem, measures = self._problem, self._measures
        found = self._answers.figures(some)
        costs = found.costs
        fixed: dict[str, Float64] = {}
        if LATENCY in measures.figures:
            fixed[WORST_LATENCY] = found.paths[measures.figures.index(LATENCY), :, -1]
        kept = [tuple(k for k in row if k >= 0) for row in some.exits.tolist()]
        self._seen.update(zip(kept, some.finals.tolist(), strict=True))
        if measures.needs_memory:
            assert problem.memory is not None
            memory = [problem.memory(*network) for network in zip(kept, some.finals.tolist(), strict=True)]
            fixed[MEMORY] = np.array(memory, np.float64)
        rows = measures.vectors(found.right, costs, fixed)
        return rows, self._violation(found, costs, fixed, kept)

    def _violation(
        self, found: CandidateFigures, costs: Float64, fixed: Mapping[str, Float64], kept: Sequence[Kept]
    ) -> Float64:
        """Return by how much limits are broken, as shares of what is asked, added up; note what is least."""
        problem, limits, figures = self._problem, self._problem.limits, self._measures.figures
        means = {name: costs[number] / problem.images for number, name in enumerate(figures)}
        left, right = found.leaving[:, -1] / problem.images, found.right / problem.images
        static = problem.static_costs[limits.figure]
        asked = [
            (FINAL_RATIO, left, limits.final_ratio),
            ("cost_ratio", means.get(limits.figure, np.zeros(0)) / static, limits.cost_ratio),
            (WORST_LATENCY, fixed.get(WORST_LATENCY, np.zeros(0)), limits.worst_latency),
            (MEMORY, fixed.get(MEMORY, np.zeros(0)), limits.memory),
            *((name, means[name], most) for name, most in limits.means.items()),
        ]
        broken = np.array([0.0 if problem.is_network(some) else 1.0 + len(some) for some in kept])
        for name, values, most in asked:
            if most is None:
                continue
            broken += np.where(values > most * (1 + EPSILON), values / max(most, EPSILON) - 1, 0.0)
            self._least[name] = min(self._least.get(name, np.inf), float(values.min()))
        self._least[ACCURACY] = max(self._least.get(ACCURACY, 0.0), float(right.max()))
        refused = ~self._measures.allowed(found.right, found.lost)
        return broken + np.where(refused, _BROKEN + 1 - right, 0.0)

    def _spot(self, some: SubsetCandidates, number: int) -> FrontSpot:
        here = np.flatnonzero(some.exits[number] >= 0)
        ranks = self._answers.ranked.edges[some.levels[number, here]] - 1
        kept = some.exits[number, here]
        return FrontSpot(tuple(kept.tolist()), int(some.finals[number]), tuple(ranks.tolist()))

    def _front(self, values: Float64, spots: Sequence[FrontSpot]) -> SubsetFront:
        """Return the points that no other dominates, with all their figures."""
        problem, best = self._problem, nondominated(values).tolist()
        points = [point_at(problem, self._answers.ranked, spots[n], joint=self._joint, gap=1.0) for n in best]
        looked = self._search.evaluations
        front = undominated(points, problem.objectives)
        return SubsetFront(problem.objectives, front, len(self._seen), looked, 0, self._least, exact=False)
