"""Which form of p-values saves more, by how many images test: drawn from those of a run, with replacement.

    python -m tools.experiments.guarantee_forms RUN [--sizes 150 300 600 …]

RUN is a run directory with early exits. Its val and test images together stand for all there are: of so many
drawn from them half as in `run --guarantee` choose a path, and as many others test it. EDP of paths as in the
summary; what is saved is that over all images, with the boldest thresholds that were accepted.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.guarantee import fixed_sequence, path_through
from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import Limit, Observed, choose, leaves_at
from eecompile.run_files.samples import SplitSamples, read_samples
from eecompile.run_files.summary import load_summary
from passes.confidence import confidence_rule
from tools.experiments.threshold_guarantee import of

FORMS = ("binomial", "wsr")
CHOOSE = 600
"""So many images choose at most: what is compared is how many test."""


def main() -> None:
    """Print a row per limit and number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--limits", type=float, nargs="+", default=[1.0, 2.0], help="of the drop, in points")
    parser.add_argument("--sizes", type=int, nargs="+", default=[150, 300, 600, 1200, 2400, 4800])
    parser.add_argument("--level", type=float, default=0.1)
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    seen, values = answered(options.run)
    print("| limit | images that test | the limit in images | form | EDP saved: mean | 10 % | 90 % |")
    print("|---|---|---|---|---|---|---|")
    start = time.process_time()
    for limit in options.limits:
        for size in options.sizes:
            found = saved(seen, values, size, limit, options.level, options.draws)
            for form, rows in found.items():
                low, high = np.quantile(rows, [0.1, 0.9])
                shown = " | ".join(f"{100 * value:.1f} %" for value in (np.mean(rows), low, high))
                print(f"| {limit:g} | {size:,} | {size * limit / 100:g} | {form} | {shown} |", flush=True)
    print(f"<!-- {time.process_time() - start:.0f} s of CPU -->")


def answered(run: Path) -> tuple[Observed, NDArray[np.float64]]:
    """Return the answers of a run on val and test together, and the EDP of each path over that of static."""
    summary = load_summary(run)
    samples = read_samples(run, len(summary.exits))
    if samples is None:
        raise SystemExit(f"{run} has no answers per image")
    splits: list[SplitSamples] = [samples.val, samples.test]
    rules = tuple(confidence_rule(item.confidence) for item in summary.exits[:-1])
    confidence = np.concatenate([split.confidence for split in splits], axis=1)
    correct = np.concatenate([split.correct for split in splits], axis=1)
    static = summary.static.latency_cycles * summary.static.energy_pj
    values = np.array([item.latency_cycles * item.energy_pj / static for item in summary.exits])
    return Observed(confidence, correct, rules), values


def saved(
    seen: Observed, values: NDArray[np.float64], size: int, limit: float, level: float, draws: int
) -> dict[str, list[float]]:
    """Return form -> share of EDP saved, draw by draw."""
    rng, total = np.random.default_rng(0), seen.correct.shape[1]
    bound = DropBound(min(size, CHOOSE))
    found: dict[str, list[float]] = {form: [] for form in FORMS}
    for _ in range(draws):
        first = of(seen, rng.integers(0, total, min(size, CHOOSE)))
        second = of(seen, rng.integers(0, total, size))
        path = path_through(first, choose(first, list(values), Limit(limit, False), bound).thresholds)
        for form in FORMS:
            tested = fixed_sequence(path, second, limit, level, form)
            if not tested.accepted:
                found[form].append(0.0)
                continue
            where = leaves_at(seen.confidence, tested.path[tested.accepted - 1])
            found[form].append(max(0.0, 1 - float(values[where].mean())))
    return found


if __name__ == "__main__":
    main()
