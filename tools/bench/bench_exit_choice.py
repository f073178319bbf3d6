"""What choosing exits takes: schedules and seconds, against scheduling every subset of the exits.

    python -m tools.bench.bench_exit_choice [MODEL] [--target edge_tpu_quad] [--mounts 4] [--all]

MODEL is a file, DS-CNN (of MLPerf Tiny, shapes only) if it is left away. Each of its best mounts gets a
linear and a conv head. Answers of 600 validation images are drawn (seed 0): exits are right more often the
deeper they are, and surer where they are right. Seconds are of the processor, in this process. `--all` also
evaluates every subset, as was done before, in the same process: the peer. It then prints by how much the
least value is below its bound without the margin that is taken off bounds, and whether the choice is the
same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.exits.answers import Answers
from eecompile.exits.candidates import MARGIN, Candidate, CandidateExit, Evaluation
from eecompile.exits.choice import choose_exits
from eecompile.exits.thresholds import Limit
from eecompile.run.prepare import cost_of
from passes.exits.insert_exits import InsertExits, add_rival_heads
from passes.heads.designs import CONV, LINEAR
from passes.model.graph import load
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.contract.registry import load_target
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes
from targets.objective import EDP
from tools.make_tiny_networks import write

CLASSES = 10


def drawn_answers(exits: Sequence[CandidateExit], accuracies: Sequence[float], images: int = 600) -> Answers:
    """Return answers of all exits and the final one: right by chance, and surer where they are."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, images)
    hard = rng.random(images)  # an image that is hard for one exit is hard for all
    logits = []
    for accuracy in accuracies:
        right = hard + 0.1 * rng.standard_normal(images) < accuracy
        z = rng.standard_normal((images, CLASSES)).astype(np.float32)
        shown = np.where(right, labels, (labels + 1) % CLASSES)
        z[np.arange(images), shown] += 3 + 4 * np.maximum(0, accuracy - hard)
        logits.append(z)
    return Answers(tuple(logits), labels, tuple(item.rule for item in exits))


class Timed:
    """Costs networks on a target, and counts what that takes."""

    def __init__(self, target: str) -> None:
        self._target = load_target(target)
        self.seconds, self.schedules = 0.0, 0

    def __call__(self, graph: gs.Graph, ratios: Sequence[float] | None, speculate: bool) -> CostReport:
        """Return the costs of a network."""
        start = time.process_time()
        costs = cost_of(graph, self._target, EDP, ratios=ratios, wishes=Wishes(speculate=speculate))
        self.seconds += time.process_time() - start
        self.schedules += 1
        return costs


def main() -> None:
    """Choose exits, print what that took, and with `--all` what all subsets take."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL")
    parser.add_argument("--target", default="edge_tpu_quad", metavar="NAME")
    parser.add_argument("--mounts", type=int, default=4, metavar="N")
    parser.add_argument("--all", action="store_true", help="evaluate every subset too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.model
        if path is None:
            path = write("ds_cnn", Path(folder))
        graph = load(path)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    InsertExits((str(options.mounts),), LINEAR.name)(graph)
    add_rival_heads(graph, (LINEAR, CONV))
    early = state_of(graph).exits[:-1]
    tried = [CandidateExit(e.name, e.mount, e.head_name, e.confidence) for e in early]
    depth = {mount: number for number, mount in enumerate(dict.fromkeys(e.mount for e in early))}
    accuracies = [0.8 + 0.1 * (depth[e.mount] + (e.head_name == CONV.name)) / (len(depth) + 1) for e in early]
    val = drawn_answers(tried, [*accuracies, 0.9])

    def evaluation(cost: Timed) -> Evaluation:
        return Evaluation(graph, tried, val, Limit(1.0, True), EDP, cost)

    cost, start = Timed(options.target), time.process_time()
    asked = evaluation(cost)
    chosen = choose_exits(asked)
    total = time.process_time() - start
    value = chosen.figures.value / asked.evaluate(Candidate()).value
    print(f"{path.name}, {options.target}: {len(depth)} mounts x 2 families, {len(asked.seen)} subsets")
    print(f"kept: {chosen.kept.text or 'nothing'}; {100 * value:.1f} % of static")
    print(f"{cost.schedules} schedules, {cost.seconds:.1f} s of scheduling, {total:.1f} s in all", flush=True)
    if options.all:
        _compare(evaluation(every := Timed(options.target)), asked, chosen.kept, every, cost)


def _compare(full: Evaluation, asked: Evaluation, kept: Candidate, every: Timed, cost: Timed) -> None:
    least, found = np.inf, {}
    for candidate in sorted(asked.seen, key=lambda c: len(c.exits)):
        # Its bound before it was scheduled at all, then after; the margin is taken off both.
        bounds = [full.at_least(candidate)]
        full.schedule(candidate)
        bounds.append(full.at_least(candidate))
        actual = full.evaluate(candidate).value
        least = min(least, *((1 - MARGIN) * actual / bound for bound in bounds))
        if not full.never_taken(candidate):
            found[candidate] = actual + 0.02 * len(candidate.exits) * full.evaluate(Candidate()).value
    best = min(found, key=lambda c: found[c])
    print(f"all: {every.schedules} schedules, {every.seconds:.1f} s: {every.seconds / cost.seconds:.1f} x")
    print(f"least value over its bound without the margin: {least:.3f} (margin {MARGIN:g})")
    print("the same choice" if best == kept else f"another choice: {best.text}")


if __name__ == "__main__":
    main()
