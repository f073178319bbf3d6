"""What the solvers of thresholds take, beside what they are compared with: seconds, gap, cost.

    python -m tools.bench.bench_thresholds [--only global individual] [--images N] [--mounts N] [--exits N]

Answers are drawn (seed 0): an image that is hard for one exit is hard for all, deeper ones are right more
often, and confidences follow both. The limit is a drop of one point, as the plain estimate and as the upper
90 % bound. Seconds are of the processor, in this process.

* global: networks with none or one of two heads at each mount and one of two final heads, and every distinct
  threshold. Peer: one network and one threshold after the other (brute force), timed on some.
* individual: a threshold per exit by branch and bound. Peer: pair after pair, the others held, as before
  (`pairwise_thresholds.py`), one round of all pairs where there are more than four exits.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from eecompile.data.dataset import evenly
from eecompile.exits.additive_costs import AdditiveCosts
from eecompile.exits.global_threshold import GlobalProblem, solve_global
from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import Limit, Observed, choose, leaves_at, reach_of
from passes.confidence import MAX_SOFTMAX
from tools.bench.pairwise_thresholds import choose_in_pairs

# Brute force is timed on so many networks, at so many of the thresholds of each.
NETWORKS, THRESHOLDS = 5, 20


def drawn(exits: int, images: int, per_mount: int = 1, finals: int = 1) -> tuple[Observed, np.ndarray]:
    """Return answers of early exits (several per mount) and the last final head, and of all final heads."""
    rng = np.random.default_rng(0)
    hard = rng.random(images)
    accuracies = (
        np.repeat(np.linspace(0.55, 0.85, exits), per_mount) + np.tile([0, 0.02], exits)[: exits * per_mount]
    )
    correct = hard + 0.15 * rng.standard_normal((exits * per_mount, images)) < accuracies[:, None]
    sure = 0.5 + 0.5 * (accuracies[:, None] - hard) + 0.1 * correct
    confidence = np.clip(sure + 0.15 * rng.standard_normal(correct.shape), 0, 1).astype(np.float32)
    last = hard + 0.15 * rng.standard_normal((finals, images)) < 0.88 + 0.01 * np.arange(finals)[:, None]
    seen = Observed(confidence, np.concatenate([correct, last[-1:]]), (MAX_SOFTMAX,) * len(correct))
    return seen, last


def one_threshold(mounts: int, images: int, limit: Limit) -> None:
    """Print what one threshold over all subsets takes."""
    seen, finals = drawn(mounts, images, 2, 2)
    bound = DropBound(images)
    stage = np.full((mounts + 1, 2), 1.0)
    heads = np.tile([[0.05, 0.05], [0.12, 0.12]], (mounts, 1))
    problem = GlobalProblem(
        confidence=seen.confidence,
        correct=seen.correct[:-1],
        mounts=tuple(np.repeat(np.arange(mounts), 2).tolist()),
        finals=finals,
        static=finals[-1],
        costs=AdditiveCosts(stage, heads, np.array([[0.1, 0.1], [0.2, 0.2]])),
        allows=lambda lost, gained: limit.allows(bound, lost, gained),
        most_drop=limit.max_drop / 100 * images,
        reach=reach_of(images),
    )
    start = time.process_time()
    found = solve_global(problem)
    seconds = time.process_time() - start
    distinct = len(np.unique(seen.confidence))
    per_subset = _brute_force(problem)
    print(
        f"global, {_kind(limit)}: {problem.subsets:,} subsets x {distinct:,} thresholds, {images:,} images: "
        f"{seconds:.1f} s, exact; {len(found.kept)} exits at {found.threshold}, cost {found.cost:.4f}; "
        f"{found.swept:,} swept; per subset {1e3 * seconds / problem.subsets:.3f} ms, brute force "
        f"{1e3 * per_subset:.2f} ms: {per_subset * problem.subsets / seconds:.0f} x",
        flush=True,
    )


def _brute_force(problem: GlobalProblem) -> float:
    """Return the seconds per network when images are counted at one threshold after the other."""
    rng, seconds = np.random.default_rng(0), 0.0
    for _ in range(NETWORKS):
        kept = tuple(int(k) for o in problem.options if (k := o[rng.integers(len(o))]) is not None)
        confidence = problem.confidence[list(kept)]
        correct = np.concatenate([problem.correct[list(kept)], problem.finals[:1]])
        paths = problem.costs.paths(kept, problem.mounts, 0)
        thresholds = np.unique(confidence)
        some = evenly(thresholds, THRESHOLDS)
        start = time.process_time()
        for threshold in some:
            where = leaves_at(confidence, [threshold] * len(kept))
            right = correct[where, np.arange(len(where))]
            paths[where].mean()
            np.count_nonzero(problem.static & ~right), np.count_nonzero(right & ~problem.static)
        seconds += (time.process_time() - start) * len(thresholds) / len(some)
    return seconds / NETWORKS


def individual(exits: int, images: int, limit: Limit) -> None:
    """Print what a threshold per exit takes, and what the search in pairs does."""
    seen, _ = drawn(exits, images)
    costs = [1.0 + number for number in range(exits + 1)]
    start = time.process_time()
    found = choose(seen, costs, limit)
    seconds = time.process_time() - start
    start = time.process_time()
    peer = choose_in_pairs(seen, costs, limit, rounds=1000 if exits <= 4 else 1)
    paired = time.process_time() - start
    print(
        f"individual, {_kind(limit)}: {exits} exits, {images:,} images: {seconds:.1f} s, "
        f"cost {found.cost:.4f}, "
        f"gap {100 * found.gap:.2f} %; in pairs {paired:.1f} s, cost {peer.cost:.4f}: "
        f"{paired / seconds:.1f} x the time, {100 * (peer.cost / found.cost - 1):+.2f} % cost",
        flush=True,
    )


def _kind(limit: Limit) -> str:
    return "plain limit" if limit.optimistic else "90 % bound"


def main() -> None:
    """Print one line per solver and limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=("global", "individual"))
    parser.add_argument("--images", type=int, default=5000, metavar="N")
    parser.add_argument("--mounts", type=int, default=10, metavar="N")
    parser.add_argument("--exits", type=int, default=10, metavar="N")
    parser.add_argument("--limits", nargs="+", choices=("plain", "bound"), default=("plain", "bound"))
    options = parser.parse_args()
    for name in options.limits:
        limit = Limit(1.0, name == "plain")
        if not options.only or "global" in options.only:
            one_threshold(options.mounts, options.images, limit)
        if not options.only or "individual" in options.only:
            individual(options.exits, options.images, limit)


if __name__ == "__main__":
    main()
