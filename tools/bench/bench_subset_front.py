"""What the fronts over subsets of exits take, and where a genetic algorithm ends in the same space.

    python -m tools.bench.bench_subset_front [--only global genetic individual] [--mounts N] [--images N]
        [--objectives NAME ...] [--population N] [--generations N] [--seeds N]

Answers are drawn as in `bench_thresholds.py` (seed 0), with two heads at each mount and two final heads: the
space of arXiv 2512.04705 has ten mounts. Costs are of stages of equal size and heads of a 20th and an eighth
of one; EDP is the square of that. Volumes count up to the EDP of static, and 10 points below its accuracy.
Seconds are of the processor, in this process.

* global: the whole front, every distinct threshold. An evaluation is a network at a threshold whose accuracy
  and cost were counted over all images.
* genetic: a genetic algorithm over a gene per mount, the final head and the six thresholds .70 to .95 of the
  paper, which sorts by dominance and crowding (Deb et al. 2002): its hypervolume as a share of that of the
  whole front, and of the front over the same six thresholds.
* individual: a threshold for each exit, begun at the whole front.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.additive_costs import AdditiveCosts
from eecompile.exits.fronts.front_points import SubsetFront
from eecompile.exits.fronts.front_problem import ACCURACY, FrontProblem
from eecompile.exits.fronts.individual_front import individual_front
from eecompile.exits.fronts.pareto import hypervolume, nondominated
from eecompile.exits.fronts.subset_front import global_front
from eecompile.exits.thresholds import leaves_at
from targets.objective import EDP
from tools.bench.bench_thresholds import drawn

Genes = tuple[int, ...]
THRESHOLDS = tuple(np.float32(value) for value in (0.70, 0.75, 0.80, 0.85, 0.90, 0.95))
MUTATION = 0.1


def space(mounts: int, images: int, objectives: tuple[str, ...]) -> FrontProblem:
    """Return a space of the paper's shape with drawn answers."""
    seen, finals = drawn(mounts, images, 2, 2)

    def of_parts(parts: int) -> AdditiveCosts:
        heads = np.tile([[0.05] * parts, [0.12] * parts], (mounts, 1))
        return AdditiveCosts(np.ones((mounts + 1, parts)), heads, np.array([[0.1] * parts, [0.2] * parts]))

    return FrontProblem(
        seen.confidence, seen.correct[:-1], tuple(np.repeat(np.arange(mounts), 2).tolist()), finals,
        finals[-1], {"edp": of_parts(2), "latency": of_parts(1)}, objectives, static_final=1,
    )  # fmt: skip


def reference(problem: FrontProblem) -> NDArray[np.float64]:
    """Return the corner up to which volumes count."""
    return np.array([0.1 - problem.static.mean(), problem.static_costs["edp"]])


class Genetic:
    """A genetic algorithm that looks at accuracy and mean EDP of networks and thresholds."""

    def __init__(self, problem: FrontProblem, seed: int) -> None:
        self._problem = problem
        self._rng = np.random.default_rng(seed)
        self._sizes = [len(o) for o in problem.options] + [len(problem.finals), len(THRESHOLDS)]
        self.known: dict[Genes, tuple[float, float]] = {}

    def run(self, population: int, generations: int) -> None:
        """Fill `known` with all that was looked at."""
        alive = [self._drawn() for _ in range(population)]
        for _ in range(generations):
            young = [self._child(alive) for _ in range(population)]
            alive = self._best(list(dict.fromkeys([*alive, *young])), population)

    def value(self, genes: Genes) -> tuple[float, float]:
        """Return minus the accuracy, and mean EDP."""
        if genes not in self.known:
            problem, final = self._problem, genes[-2]
            chosen = [o[g] for o, g in zip(problem.options, genes, strict=False)]
            kept = tuple(k for k in chosen if k is not None)
            where = leaves_at(problem.confidence[list(kept)], [THRESHOLDS[genes[-1]]] * len(kept))
            right = np.concatenate([problem.correct[list(kept)], problem.finals[[final]]])
            paths = problem.costs["edp"].paths(kept, problem.mounts, final)
            accuracy = right[where, np.arange(problem.images)].mean()
            self.known[genes] = -float(accuracy), float(paths[where].mean())
        return self.known[genes]

    def _drawn(self) -> Genes:
        return tuple(int(self._rng.integers(size)) for size in self._sizes)

    def _child(self, alive: Sequence[Genes]) -> Genes:
        first, second = (alive[int(self._rng.integers(len(alive)))] for _ in range(2))
        crossed = [pair[int(self._rng.integers(2))] for pair in zip(first, second, strict=True)]
        other = self._drawn()
        mutated = self._rng.random(len(crossed)) < MUTATION
        return tuple(o if m else c for c, o, m in zip(crossed, other, mutated.tolist(), strict=True))

    def _best(self, genes: Sequence[Genes], count: int) -> list[Genes]:
        """Return the first fronts, of the last one that fits in part those with most room around them."""
        left, kept = list(genes), list[Genes]()
        while left and len(kept) < count:
            values = np.array([self.value(one) for one in left])
            front = nondominated(values)
            room = np.full(len(front), np.inf)
            if len(front) > 2:
                spread = np.maximum(np.ptp(values[front], axis=0), 1e-12)
                room[1:-1] = (np.abs(values[front[2:]] - values[front[:-2]]) / spread).sum(axis=1)
            order = front[np.argsort(-room, kind="stable")].tolist()
            kept += [left[n] for n in order[: count - len(kept)]]
            gone = set(front.tolist())
            left = [one for n, one in enumerate(left) if n not in gone]
        return kept


def at_thresholds(problem: FrontProblem) -> FrontProblem:
    """Return the problem in which only the thresholds of the genetic algorithm make a difference."""
    grid = np.array([-1.0, *THRESHOLDS], np.float32)
    seen = np.nan_to_num(problem.confidence, nan=-1.0)
    lower = grid[np.searchsorted(grid, seen, side="right") - 1]
    never = np.where(lower < THRESHOLDS[0], np.nan, lower).astype(np.float32)
    return FrontProblem(**{**vars(problem), "confidence": never})


def whole(problem: FrontProblem) -> SubsetFront:
    """Print what the whole front takes, and return it."""
    start = time.process_time()
    front = global_front(problem)
    seconds = time.process_time() - start
    distinct = len(np.unique(problem.confidence))
    print(
        f"global, {' '.join(problem.objectives)}: {front.subsets:,} subsets x {distinct:,} thresholds, "
        f"{problem.images:,} images: {seconds:.1f} s, {'exact' if front.exact else 'not exact'}; "
        f"{len(front.points):,} points; {front.evaluations:,} evaluations, "
        f"{front.evaluations / seconds:,.0f} per s: a million in {1e6 * seconds / front.evaluations:.1f} s; "
        f"all thresholds of {front.swept:,} blocks",
        flush=True,
    )
    return front


def genetic(problem: FrontProblem, front: SubsetFront, population: int, generations: int, seeds: int) -> None:
    """Print where a genetic algorithm ends, beside the whole front and that over its thresholds."""
    corner, most = reference(problem), hypervolume(front.values, reference(problem))
    coarse = hypervolume(global_front(at_thresholds(problem)).values, corner)
    shares, seconds, looked = [], 0.0, 0
    for seed in range(seeds):
        start = time.process_time()
        algorithm = Genetic(problem, seed)
        algorithm.run(population, generations)
        seconds += (time.process_time() - start) / seeds
        looked += len(algorithm.known)
        shares.append(hypervolume(np.array(list(algorithm.known.values())), corner))
    own, of_its = np.array(shares) / most, np.array(shares) / coarse
    print(
        f"genetic: population {population}, {generations} generations, {seeds} seeds: {seconds:.1f} s and "
        f"{looked / seeds:,.0f} networks and thresholds each; hypervolume {_shares(own)} of the whole front, "
        f"{_shares(of_its)} of that over its {len(THRESHOLDS)} thresholds, which is "
        f"{100 * coarse / most:.2f} % of the whole",
        flush=True,
    )


def _shares(values: NDArray[np.float64]) -> str:
    return f"{100 * values.mean():.2f} % ({100 * values.min():.2f} to {100 * values.max():.2f})"


def individual(problem: FrontProblem, front: SubsetFront) -> None:
    """Print what a threshold for each exit takes and gains."""
    start = time.process_time()
    own = individual_front(problem, start=front)
    seconds = time.process_time() - start
    corner = reference(problem)
    share = hypervolume(own.values, corner) / hypervolume(front.values, corner)
    gaps = [point.gap for point in own.points]
    print(
        f"individual: {own.subsets:,} networks, {seconds:.1f} s, {len(own.points):,} points, "
        f"{own.evaluations - front.evaluations:,} evaluations; hypervolume {100 * share:.2f} % of that of "
        f"one threshold; gap {100 * np.median(gaps):.0f} % (median), {100 * max(gaps):.0f} % (largest)",
        flush=True,
    )


def main() -> None:
    """Print one line for each search."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=("global", "genetic", "individual"))
    parser.add_argument("--mounts", type=int, default=10, metavar="N")
    parser.add_argument("--images", type=int, default=5000, metavar="N")
    parser.add_argument("--objectives", nargs="+", default=[ACCURACY, EDP.name], metavar="NAME")
    parser.add_argument("--population", type=int, default=100, metavar="N")
    parser.add_argument("--generations", type=int, default=50, metavar="N")
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    options = parser.parse_args()
    asked = options.only or ("global", "genetic", "individual")
    if "global" in asked and options.objectives != [ACCURACY, EDP.name]:
        whole(space(options.mounts, options.images, tuple(options.objectives)))
        return
    problem = space(options.mounts, options.images, (ACCURACY, EDP.name))
    front = whole(problem)
    if "genetic" in asked:
        genetic(problem, front, options.population, options.generations, options.seeds)
    if "individual" in asked:
        individual(problem, front)


if __name__ == "__main__":
    main()
