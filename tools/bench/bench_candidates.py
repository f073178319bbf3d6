"""What looking at networks from cached answers takes, and where a genetic algorithm spends its time.

    python -m tools.bench.bench_candidates [--candidates N] [--images N] [--mounts N] [--evaluations N]
        [--solve]

Answers are those of `bench_subset_front.py`: the space of arXiv 2512.04705 with ten mounts, two heads each
and two final heads. A candidate is a subset of exits and heads with a threshold for each exit, all drawn at
random (seed 0); of each its accuracy, the images that leave at each exit, and its mean cost are counted over
all images. Seconds are of the processor, in this process.

* packed: many at once, 64 images to a word (`packed_answers.py`), what a search uses.
* one by one: the same with arrays of images for each candidate; both must count the same.
* genetic: `--ga-only` of a search, of which all but looking at candidates is Optuna. With `--solve` its
  hypervolume as a share of that of the front with one threshold, which is exact (a minute for ten mounts).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.front_problem import ACCURACY, FrontProblem
from eecompile.exits.fronts.packed_answers import CandidateFigures, PackedAnswers, SubsetCandidates
from eecompile.exits.fronts.pareto import hypervolume
from eecompile.exits.fronts.subset_front import global_front
from eecompile.search.worth.genetic_front import GeneticSearch, genetic_front
from targets.objective import EDP
from tools.bench.bench_subset_front import reference, space

_BATCH = 50_000
_ONE_BY_ONE = 2000


def drawn(problem: FrontProblem, levels: int, count: int, rng: np.random.Generator) -> SubsetCandidates:
    """Return candidates that are drawn evenly."""
    options = [np.array([-1, *some[1:]], np.int64) for some in problem.options]
    exits = np.stack([some[rng.integers(len(some), size=count)] for some in options], axis=1)
    return SubsetCandidates(
        exits, rng.integers(0, levels, exits.shape), rng.integers(0, len(problem.finals), count)
    )


def one_by_one(problem: FrontProblem, answers: PackedAnswers, some: SubsetCandidates) -> NDArray[np.float64]:
    """Return right answers and the cost of all images of each candidate, [candidates, 2]."""
    ranks = [answers.ranked.exit((), k).rank for k in range(len(problem.mounts))]
    found = np.zeros((len(some), 2))
    for n in range(len(some)):
        here = np.flatnonzero(some.exits[n] >= 0)
        kept, final = tuple(some.exits[n, here].tolist()), int(some.finals[n])
        where = np.full(problem.images, len(kept))
        last = answers.ranked.edges[some.levels[n, here]]
        for number in reversed(range(len(kept))):
            where[ranks[kept[number]] < last[number]] = number
        right = np.concatenate([problem.correct[list(kept)], problem.finals[[final]]])
        paths = problem.costs[EDP.name].paths(kept, problem.mounts, final)
        counts = np.bincount(where, minlength=len(kept) + 1)
        found[n] = right[where, np.arange(problem.images)].sum(), counts @ paths
    return found


def candidates(problem: FrontProblem, count: int) -> None:
    """Print what a number of candidates takes."""
    rng = np.random.default_rng(0)
    start = time.process_time()
    answers = PackedAnswers(problem, (EDP.name,))
    built = time.process_time() - start
    some = drawn(problem, answers.levels, min(count, _ONE_BY_ONE), rng)
    start = time.process_time()
    expected = one_by_one(problem, answers, some)
    alone = (time.process_time() - start) / len(some)
    _check(answers.figures(some), expected)
    looked, seconds = 0, 0.0
    while looked < count:
        some = drawn(problem, answers.levels, min(_BATCH, count - looked), rng)
        start = time.process_time()
        found = answers.figures(some)
        assert found.costs.shape == (1, len(some))
        seconds += time.process_time() - start
        looked += len(some)
    print(
        f"packed: {count:,} candidates, {problem.images:,} images, {len(problem.options)} mounts: "
        f"{seconds:.1f} s and {built:.2f} s before, {count / seconds:,.0f} per s: a million in "
        f"{1e6 * seconds / count:.1f} s; one by one {1 / alone:,.0f} per s, {alone * count / seconds:.1f} "
        "times as long",
        flush=True,
    )


def genetic(problem: FrontProblem, evaluations: int, *, solve: bool) -> None:
    """Print what a genetic algorithm takes, and where it ends."""
    corner = reference(problem)
    most = hypervolume(global_front(problem).values, corner) if solve else 0.0
    for joint in (True, False):
        start = time.process_time()
        front = genetic_front(problem, GeneticSearch(evaluations), joint=joint)
        seconds = time.process_time() - start
        share = (
            f"; {100 * hypervolume(front.values, corner) / most:.1f} % of the exact front" if solve else ""
        )
        how = "one threshold" if joint else "a threshold for each exit"
        print(
            f"genetic, {how}: {evaluations:,} evaluations in {seconds:.1f} s, "
            f"{evaluations / seconds:,.0f} per s; {len(front.points)} points{share}",
            flush=True,
        )


def _check(found: CandidateFigures, expected: NDArray[np.float64]) -> None:
    ours = np.stack([found.right, found.costs[0]], axis=1)
    if not np.allclose(ours, expected):
        raise SystemExit("both ways count otherwise")


def main() -> None:
    """Print one line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--candidates", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--images", type=int, default=5000, metavar="N")
    parser.add_argument("--mounts", type=int, default=10, metavar="N")
    parser.add_argument("--evaluations", type=int, default=1000, metavar="N")
    parser.add_argument("--solve", action="store_true")
    options = parser.parse_args()
    problem = space(options.mounts, options.images, (ACCURACY, EDP.name))
    candidates(problem, options.candidates)
    genetic(problem, options.evaluations, solve=options.solve)


if __name__ == "__main__":
    main()
