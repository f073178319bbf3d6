"""Solve the space of arXiv 2512.04705 from one trained supernet, and tell where a genetic algorithm ends.

    python -m tools.experiments.paper_space --data D [--width 0.5] [--epochs 10] [--images 50000]
        [--evaluations 100 1000 5000] [--seeds 5] [--told 8] [--cache DIR]

The space is that of `examples/search_paper.toml`: a MobileNetV2 with mounts behind its blocks 0 to 9, heads
`linear` and `mlp` on each and as final head, one threshold for all exits. Its supernet is trained, quantized
and asked for its answers on val, all kept in the cache. From these, and from costs that are sums under one
placement per layer, the front of accuracy and expected EDP is solved over all exits, heads, final heads and
thresholds, without limits and with the two ratios of the paper. Told are what that took; points of the front
scheduled again, by layers and by the whole search, and their accuracy on test; the hypervolume that NSGA-II
reaches from the same answers; and the network of the paper (linear heads behind blocks 0, 4, 5 and 7 and at
the end, threshold .90) beside the front. All is chosen on val.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.cache.store import MOST_BYTES, usual_folder
from eecompile.data.dataset import Split, evenly
from eecompile.exits.answers import Answers, answers
from eecompile.exits.fronts.front_points import SubsetFront
from eecompile.exits.fronts.front_problem import FrontLimits, FrontProblem
from eecompile.exits.fronts.pareto import hypervolume
from eecompile.exits.fronts.subset_front import global_front
from eecompile.exits.statistics import paired_drop, wilson_interval
from eecompile.run.prepare import cost_of
from eecompile.search.backbones.final_head import final_name, split_finals
from eecompile.search.space.tables import ConstraintsTable
from eecompile.search.worth.evaluation import LAYERS, DesignEvaluation, Question
from eecompile.search.worth.genetic_front import GeneticSearch, genetic_front
from eecompile.search.worth.inner_front import (
    AnsweredSupernet,
    FrontQuestion,
    TriedExit,
    front_problem,
)
from eecompile.search.worth.supernet import Reach
from passes.exits.chain import keep_exits
from passes.state import state_of
from targets.evaluation.paths import Cost
from targets.evaluation.scheduling import Wishes

EXAMPLE = Path(__file__).parents[2] / "examples" / "search_paper.toml"
TARGET = "edge_tpu_quad"
STAR_MOUNTS, STAR_HEAD, STAR_THRESHOLD = (0, 4, 5, 7), "linear", 0.90
PAPER = FrontLimits(final_ratio=0.5, cost_ratio=0.5)
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Chosen:
    """A network of the supernet and one threshold for each of its early exits."""

    kept: tuple[int, ...]
    final: int
    thresholds: tuple[np.float32, ...]


@dataclass(frozen=True)
class PaperSpace:
    """A trained supernet, quantized, and what is sought in it.

    Attributes:
        evaluation: Of its space.
        network: With the numbers it computes with, for costs.
        exits: Its early exits, as the problem numbers them.
        closing: Names of its final heads among its exits.
        problem: Over its answers on val, without limits.
        val: What it answers: exits, then final heads as the problem numbers them.
        test: The same on test.
    """

    evaluation: DesignEvaluation
    network: gs.Graph
    exits: Sequence[TriedExit]
    closing: Sequence[str]
    problem: FrontProblem
    val: Answers
    test: Answers

    def leaving(self, split: Answers, some: Chosen) -> tuple[Ints, Bools]:
        """Return where images leave a network, and whether they are answered right."""
        ends = [*some.kept, len(self.exits) + some.final]
        rules = tuple(self.exits[k].rule for k in some.kept)
        return Answers(tuple(split.logits[k] for k in ends), split.labels, rules).leaving(some.thresholds)

    def planned(self, some: Chosen) -> float:
        """Return the expected EDP on val (J·cycles), as a sum of parts."""
        where, _ = self.leaving(self.val, some)
        costs, problem = self.problem.costs["edp"], self.problem
        return float(costs.paths(some.kept, problem.mounts, some.final)[where].mean())

    def scheduled(self, some: Chosen, mode: str) -> float:
        """Return the expected EDP on val of the network scheduled by itself."""
        where, _ = self.leaving(self.val, some)
        ratios = (np.bincount(where, minlength=len(some.kept) + 1) / len(where)).tolist()
        names = [self.exits[k].exit.name for k in some.kept]
        network = keep_exits(self.network, names, self.closing[some.final])
        asked = self.evaluation
        report = cost_of(network, asked.target, asked.objective, ratios=ratios, wishes=Wishes(mode))
        return Cost.mean([path.cost for path in report.exits], ratios).edp_j_cycles

    def text(self, some: Chosen) -> str:
        """Return its exits by block, ``m`` for `mlp`, its final head and its threshold."""
        early = [f"{self.problem.mounts[k]}{_letter(self.exits[k].exit.head_name)}" for k in some.kept]
        final = f"final {_letter(final_name(self.evaluation.finals[some.final]))}"
        return ", ".join([*early, final, *(f"at {value:.3f}" for value in some.thresholds[:1])])


def _letter(head: str) -> str:
    return "m" if head.startswith("mlp") else "l"


def space_text(width: float, epochs: int) -> str:
    """Return the file of the space."""
    text = EXAMPLE.read_text(encoding="utf-8").replace("\n[exits]", f"width = {width}\n\n[exits]", 1)
    return f"{text}\n[training]\nepochs = {epochs}\n"


def prepared(evaluation: DesignEvaluation) -> PaperSpace:
    """Train, quantize and ask the supernet, or take all that from the cache."""
    space, images = evaluation.space, evaluation.images
    design = space.design({gene.name: gene.choices[0] for gene in space.genes})
    print(f"{design.text}\n{images.dataset.name}: {space.training.epochs} epochs of "
          f"{len(images.dataset.train):,} images, val {len(images.dataset.val):,}, "
          f"test {len(images.dataset.test):,}, seed {evaluation.question.seed}")  # fmt: skip
    graph, logits = evaluation.answers(design, Reach(0))
    val, finals = images.dataset.val, evaluation.finals
    exits, problem = front_problem(
        AnsweredSupernet(graph, logits, val.y, evaluation.costs(design), finals),
        FrontQuestion(space.exits.confidence[:1], evaluation.objectives, ConstraintsTable()),
    )
    closing = [item.name for item in split_finals(state_of(graph).exits, finals)[1]]
    lowered = evaluation.numbers.lowered(evaluation.calibrated(graph, design, finals))
    on_test = answers(lowered, images.dataset.test, images.preprocess)
    found = PaperSpace(
        evaluation, evaluation.assigned(graph, design, finals), exits, closing, problem,
        Answers(_in_order(logits, evaluation), val.y, ()),
        Answers(_in_order(on_test.logits, evaluation), images.dataset.test.y, ()),
    )  # fmt: skip
    names = [f"{problem.mounts[k]}{_letter(told.exit.head_name)}" for k, told in enumerate(exits)]
    names += [f"final {_letter(final_name(head))}" for head in finals]
    right = 100 * found.val.correct.mean(axis=1)
    print(
        f"right on val at 8 bits, %: {', '.join(f'{n} {r:.1f}' for n, r in zip(names, right, strict=True))}"
    )
    return found


def _in_order(
    logits: Sequence[NDArray[np.float32]], evaluation: DesignEvaluation
) -> tuple[NDArray[np.float32], ...]:
    early, closing = split_finals(logits, evaluation.finals)
    return (*early, *closing)


def solve(problem: FrontProblem, title: str) -> SubsetFront:
    """Return the front, and tell what it took."""
    wall, processor = time.perf_counter(), time.process_time()
    front = global_front(problem)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"\n{title}: {front.subsets:,} networks, {len(np.unique(problem.confidence)):,} thresholds, "
          f"{len(front.points)} points, {'exact' if front.exact else 'not exact'}, "
          f"{processor:.0f} s of one core ({wall:.0f} s of wall time)", flush=True)  # fmt: skip
    return front


def chosen_of(space: PaperSpace, front: SubsetFront) -> list[Chosen]:
    """Return the points of a front."""
    return [
        Chosen(
            point.kept,
            point.final,
            tuple(
                np.float32(space.exits[k].rule.never if value is None else value)
                for k, value in zip(point.kept, point.thresholds, strict=True)
            ),
        )
        for point in front.points
    ]


def on_test(space: PaperSpace, some: Chosen) -> str:
    """Return the accuracy on test in %, with a 95 % interval."""
    _, right = space.leaving(space.test, some)
    low, high = wilson_interval(int(right.sum()), len(right))
    return f"{100 * right.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def reschedule(space: PaperSpace, points: Sequence[Chosen], told: int, title: str) -> None:
    """Print points, evenly over all: as planned, scheduled again, and on test."""
    print(f"\n{title}, scheduled again")
    print("| val, % | planned EDP | by layers | whole search | test, % [95 %] | network |")
    print("|---|---|---|---|---|---|")
    places = np.unique(np.linspace(0, len(points) - 1, told).round().astype(int))
    changes = []
    for some in (points[k] for k in places):
        planned, (_, right) = space.planned(some), space.leaving(space.val, some)
        changes.append([space.scheduled(some, mode) / planned - 1 for mode in (LAYERS, "")])
        layers, whole = (f"{100 * change:+.2f} %" for change in changes[-1])
        print(f"| {100 * right.mean():.1f} | {planned:.4g} | {layers} | {whole} "
              f"| {on_test(space, some)} | {space.text(some)} |", flush=True)  # fmt: skip
    low, high = np.min(changes, axis=0), np.max(changes, axis=0)
    print(f"changes by layers {100 * low[0]:+.2f} to {100 * high[0]:+.2f} %, "
          f"by the whole search {100 * low[1]:+.2f} to {100 * high[1]:+.2f} %")  # fmt: skip


def genetic(problem: FrontProblem, front: SubsetFront, evaluations: int, seeds: int) -> None:
    """Print where NSGA-II ends, as shares of the hypervolume of the front."""
    corner = np.array([0.0, max(problem.static_costs["edp"], float(front.values[:, 1].max()))])
    most, shares, began = hypervolume(front.values, corner), [], time.process_time()
    for seed in range(seeds):
        found = genetic_front(problem, GeneticSearch(evaluations, seed=seed), joint=True)
        shares.append(hypervolume(found.values, corner) / most if found.points else 0.0)
    seconds = (time.process_time() - began) / seeds
    print(f"NSGA-II, {evaluations:,} evaluations: {100 * np.mean(shares):.1f} % of the hypervolume, "
          f"{100 * min(shares):.1f} to {100 * max(shares):.1f} over {seeds} seeds, "
          f"{seconds:.0f} s of one core each", flush=True)  # fmt: skip


def star(space: PaperSpace, points: Sequence[Chosen]) -> list[Chosen]:
    """Print the network of the paper and what is as accurate on val and costs least; return these."""
    kept = tuple(
        k
        for k, told in enumerate(space.exits)
        if space.problem.mounts[k] in STAR_MOUNTS and told.exit.head_name == STAR_HEAD
    )
    final = [final_name(head) for head in space.evaluation.finals].index(STAR_HEAD)
    paper = Chosen(kept, final, (np.float32(STAR_THRESHOLD),) * len(kept))
    where, right = space.leaving(space.val, paper)
    shares = np.bincount(where, minlength=len(kept) + 1) / len(where)
    print(f"\nshares of the network of the paper: {', '.join(f'{share:.3f}' for share in shares)}")
    seen = np.unique(space.problem.confidence[list(kept)])
    same = [Chosen(kept, final, (value,) * len(kept)) for value in seen]
    rows = [("of the paper, at .90", [paper]), ("its exits, at the best threshold", [paper, *same])]
    rows.append(("of the whole space", list(points)))
    edp = space.planned(paper)
    print("| at least as accurate on val | val, % | EDP | of the first | test, % [95 %] "
          "| drop on test | network |\n|---|---|---|---|---|---|---|")  # fmt: skip
    bests = list[Chosen]()
    for title, some in rows:
        enough = [one for one in some if space.leaving(space.val, one)[1].sum() >= right.sum()]
        best = min(enough, key=space.planned)
        drop = paired_drop(space.leaving(space.test, paper)[1], space.leaving(space.test, best)[1])
        print(f"| {title} | {100 * space.leaving(space.val, best)[1].mean():.1f} "
              f"| {space.planned(best):.4g} | {space.planned(best) / edp:.3f} "
              f"| {on_test(space, best)} | {drop.points:+.1f} "
              f"[{drop.lo95:+.1f}, {drop.hi95:+.1f}] | {space.text(best)} |", flush=True)  # fmt: skip
        bests.append(best)
    as_cheap = [one for one in points if space.planned(one) <= edp * (1 + 1e-12)]
    best = max(as_cheap, key=lambda one: int(space.leaving(space.val, one)[1].sum()))
    print(f"as cheap as that of the paper: {100 * space.leaving(space.val, best)[1].mean():.1f} % on val, "
          f"{on_test(space, best)} on test, {space.text(best)}")  # fmt: skip
    return bests


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, help="of training, evenly of all")
    parser.add_argument("--cache", type=Path, default=usual_folder())
    parser.add_argument("--evaluations", nargs="+", type=int, default=[100, 1000, 5000])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--told", type=int, default=8, help="points that are scheduled again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.toml"
        path.write_text(space_text(given.width, given.epochs), encoding="utf-8")
        question = Question(path, TARGET, given.data, "auto", 0, given.cache, MOST_BYTES)
        evaluation = DesignEvaluation(question, lambda line: print(line, flush=True))
        images, train = evaluation.images, evaluation.images.dataset.train
        if given.images is not None:
            few = Split(evenly(train.x, given.images), evenly(train.y, given.images))
            evaluation.images = replace(images, dataset=replace(images.dataset, train=few))
        space = prepared(evaluation)
    fronts = []
    for limits, title in (FrontLimits(), "without limits"), (PAPER, "final ratio and cost ratio at most .5"):
        problem = replace(space.problem, limits=limits)
        front = solve(problem, title)
        if not front.points:
            print(f"no network keeps both; at least {dict(front.least)}")
            continue
        for evaluations in given.evaluations:
            genetic(problem, front, evaluations, given.seeds)
        fronts.append((title, chosen_of(space, front)))
    beside = star(space, fronts[0][1])
    for title, points in (("the rows above", beside), *fronts):
        reschedule(space, points, given.told, title)


if __name__ == "__main__":
    main()
