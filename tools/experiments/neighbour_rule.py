"""Does the neighbour rule of the threshold choice help? Repeated split halves of val alone; test is not used.

    python -m tools.experiments.neighbour_rule RUN --data D [--splits 400]

RUN is a run directory. Thresholds are chosen on one half of val and measured on the other, with the rule
and without it, by the plain estimate. Prints the mean drop on the half that chose nothing, the share of
splits on which it exceeds the limit, and the mean expected cost.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from unittest import mock

import numpy as np

from eecompile.data.sources import load_data
from eecompile.exits.answers import answers
from eecompile.exits.thresholds import Limit, Observed, choose, leaves_at
from eecompile.runtime.preprocess import Preprocess
from passes.model.graph import load
from passes.registry import parse_pipeline
from targets.contract.registry import load_target
from targets.evaluation.report import evaluate
from targets.objective import EDP


def main() -> None:
    """Run the experiment and print one line per variant."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--splits", type=int, default=400)
    parser.add_argument("--max-drop", type=float, default=1.0)
    options = parser.parse_args()
    record = json.loads((options.run / "run.json").read_text())["preprocess"]
    graph = load(options.run / "model.lowered.onnx")
    parse_pipeline("fuse-layers")(graph)
    costs = [path.cost.value(EDP) for path in evaluate(graph, load_target("diana")).exits]
    seen = answers(graph, load_data(options.data).val, Preprocess.from_json(record)).observed()
    count = seen.correct.shape[1]
    rng = np.random.default_rng(0)
    orders = [rng.permutation(count) for _ in range(options.splits)]
    for name, share in (("without the rule", 0.0), ("with the rule", 0.05)):
        drops, spent = [], []
        with mock.patch("eecompile.exits.thresholds.NEIGHBOUR_SHARE", share):
            for order in orders:
                half, other = order[: count // 2], order[count // 2 :]
                chosen = choose(
                    Observed(seen.confidence[:, half], seen.correct[:, half], seen.rules),
                    costs,
                    Limit(options.max_drop, optimistic=True),
                )
                where = leaves_at(seen.confidence[:, other], chosen.thresholds)
                dynamic = seen.correct[:, other][where, np.arange(len(other))]
                drops.append(100 * float(seen.correct[-1, other].mean() - dynamic.mean()))
                spent.append(float(np.array(costs)[where].mean()) / costs[-1])
        over = float(np.mean(np.array(drops) > options.max_drop))
        print(
            f"{name:<18} held-out drop {np.mean(drops):.2f} points (limit {options.max_drop:g}), above it on "
            f"{100 * over:.0f} % of {options.splits} splits, cost {100 * np.mean(spent):.1f} % of final"
        )


if __name__ == "__main__":
    main()
