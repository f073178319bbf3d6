"""How often each rule of choosing thresholds keeps its promise, and what it saves, over many splits.

    python -m tools.experiments.threshold_guarantee MODEL --data D [--mounts 3] [--keep exit_4]
        [--target diana] [--max-drop 2] [--level 0.1] [--splits 1000] [--sizes 300 600 1200] [--cache FILE]

Two heads at each of the best mounts are trained frozen and the network is quantized as `run` does; with the
exits of ``--keep`` it answers val and test images once (kept in ``--cache``). Then all these images are split
at random, again and again (seed 0): so many choose thresholds by each rule, the others show the realised
drop. The promise of a rule is broken where that is above the limit. The realised drop has noise of its own on
the images left over, so a rule that is exact still shows some. Savings are of expected EDP on the images left
over, against the network without exits. Prints a table as Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import halves
from eecompile.exits.answers import Answers
from eecompile.exits.guarantee import TESTS, differences, fixed_sequence, path_through
from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import Limit, Observed, choose, leaves_at
from eecompile.run import steps
from eecompile.run.clock import Clock
from eecompile.run.evidence import Evidence
from eecompile.run.integers import quantizing
from eecompile.run.options import RunOptions
from eecompile.run.prepare import cost_of, prepare
from passes.confidence import confidence_rule
from passes.exits.chain import keep_exits
from passes.state import state_of
from targets.contract.registry import load_target
from targets.objective import EDP

Thresholds = tuple[np.float32, ...]


def main() -> None:
    """Print a table per number of images that choose."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("--data", required=True, metavar="D")
    parser.add_argument("--mounts", type=int, default=3, metavar="N", help="how many get heads")
    parser.add_argument("--keep", nargs="+", default=["exit_4"], metavar="EXIT", help="of those tried")
    parser.add_argument("--target", default="diana", metavar="NAME")
    parser.add_argument("--max-drop", type=float, default=2.0, metavar="POINTS")
    parser.add_argument("--level", type=float, default=0.1, metavar="DELTA")
    parser.add_argument("--splits", type=int, default=1000, metavar="N")
    parser.add_argument("--sizes", type=int, nargs="+", default=[300, 600, 1200], metavar="N")
    parser.add_argument("--cache", type=Path, metavar="FILE")
    options = parser.parse_args()
    seen, values = answered(options)
    print(
        f"{options.model.name}, {' '.join(options.keep)}, {options.target}: {seen.correct.shape[1]} images, "
        f"{options.splits} splits, limit {options.max_drop:g} points, level {options.level:g}"
    )
    print("| images that choose | rule | drop above the limit | mean drop | EDP saved: mean | 10 % | 90 % |")
    print("|---|---|---|---|---|---|---|")
    for size in options.sizes:
        start = time.process_time()
        for name, rows in simulate(seen, values, size, options).items():
            drops, saved = np.array(rows).T
            low, high = np.quantile(100 * saved, [0.1, 0.9])
            print(
                f"| {size} | {name} | {100 * np.mean(drops > options.max_drop + 1e-9):.1f} % | "
                f"{drops.mean():.2f} | {100 * saved.mean():.1f} % | {low:.1f} % | {high:.1f} % |",
                flush=True,
            )
        print(f"<!-- {time.process_time() - start:.0f} s of CPU -->", flush=True)


def answered(options: argparse.Namespace) -> tuple[Observed, NDArray[np.float64]]:
    """Return the answers on val and test together, and the EDP of each path, then of static."""
    target = load_target(options.target)
    if options.cache is not None and options.cache.exists():
        found = np.load(options.cache)
        logits = tuple(found[f"logits_{k}"] for k in range(len(options.keep) + 1))
        rules = tuple(confidence_rule(str(name)) for name in found["rules"])
        return Answers(logits, found["labels"], rules).observed(), found["values"]
    made = RunOptions(options.model, options.target, options.data, exits=options.mounts)
    ready = prepare(made.model, target, EDP, made.exits, made.head, 1)
    with tempfile.TemporaryDirectory() as work:
        evidence = Evidence(made, ready, Clock(lambda text: print(f"# {text}", flush=True)), Path(work))
        for step in (steps.open_images, steps.train, quantizing.quantize, steps.answer):
            step(evidence)
    exits = state_of(evidence.lowered).exits
    kept = [number for number, e in enumerate(exits[:-1]) if e.name in options.keep]
    val, test = (seen.select(kept) for seen in (evidence.val, evidence.lowered_test))
    logits = tuple(np.concatenate(both) for both in zip(val.logits, test.logits, strict=True))
    labels = np.concatenate([val.labels, test.labels])
    paths = cost_of(keep_exits(evidence.lowered, options.keep), target, EDP).exits
    static = cost_of(keep_exits(evidence.lowered, []), target, EDP).total
    values = np.array([*(path.cost.value(EDP) for path in paths), static.value(EDP)])
    if options.cache is not None:
        found = {f"logits_{k}": z for k, z in enumerate(logits)}
        np.savez(options.cache, labels=labels, values=values, rules=[r.name for r in val.rules], **found)
    return Answers(logits, labels, val.rules).observed(), values


def simulate(
    seen: Observed, values: NDArray[np.float64], size: int, options: argparse.Namespace
) -> dict[str, list[tuple[float, float]]]:
    """Return for each rule the realised drop in points and the share of EDP saved, split by split."""
    rng, bound = np.random.default_rng(0), DropBound(size)
    half = DropBound((size + 1) // 2)
    rules = {"optimistic": None, "bootstrap (default)": None, **{f"guarantee, {t}": t for t in TESTS}}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in rules}
    costs, total = list(values[:-1]), seen.correct.shape[1]
    for _ in range(options.splits):
        order = rng.permutation(total)
        chooses, left = order[:size], order[size:]
        val, rest = of(seen, chooses), of(seen, left)
        first, second = (of(val, part) for part in halves(size, 0))
        path = path_through(first, choose(first, costs, Limit(options.max_drop, False), half).thresholds)
        for name, test in rules.items():
            if test is None:
                limit = Limit(options.max_drop, name == "optimistic")
                thresholds = choose(val, costs, limit, bound).thresholds
            else:
                thresholds = _accepted(path, first, second, costs, test, options)
            found[name].append(_realised(rest, thresholds, values))
    return found


def of(seen: Observed, images: NDArray[np.int64]) -> Observed:
    """Return what was answered for some of the images."""
    return Observed(seen.confidence[:, images], seen.correct[:, images], seen.rules)


def _accepted(
    path: tuple[Thresholds, ...],
    first: Observed,
    second: Observed,
    costs: list[float],
    test: str,
    options: argparse.Namespace,
) -> Thresholds:
    tested = fixed_sequence(path, second, options.max_drop, options.level, test)

    def value(thresholds: Thresholds) -> float:
        return float(np.array(costs)[leaves_at(first.confidence, thresholds)].mean())

    never = tuple(rule.never for rule in first.rules)
    return min(tested.path[: tested.accepted], key=value, default=never)


def _realised(rest: Observed, thresholds: Thresholds, values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the drop in points and what is saved; where nobody leaves early the files hold no exit."""
    drop = 100 * float(differences(rest, thresholds).mean())
    where = leaves_at(rest.confidence, thresholds)
    if (where == len(thresholds)).all():
        return 0.0, 0.0
    return drop, 1 - float(values[:-1][where].mean()) / float(values[-1])


if __name__ == "__main__":
    main()
