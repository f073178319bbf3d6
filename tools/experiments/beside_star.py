"""A front that is searched for beside an early-exit MobileNetV2 of the paper's shape, both trained alike.

    python -m tools.experiments.beside_star --data D --work DIR [--images 20000] [--epochs 10]
        [--final-epochs 2] [--qat-epochs 1] [--finalists 4] [--width 0.5] [--widths 16 24] [--blocks 1 2]
        [--target edge_tpu_quad] [--seed 0] [--cache DIR]

The star of arXiv 2512.04705: MobileNetV2 with linear heads behind blocks 0, 4, 5 and 7 and at the end,
threshold .90. It is trained from fresh weights, trained on, and trained for 8-bit integers, and told at that
threshold, and at the threshold for all exits that costs least at no loss on val. The front is that of
`eecompile search` over residual networks, their exits, heads, rules and thresholds, with the same images,
epochs and QAT. All is chosen on val; both are scheduled in full by the same rules for expected EDP.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.cache.store import MOST_BYTES, usual_folder
from eecompile.exits.answers import Answers, answers
from eecompile.exits.statistics import paired_drop, wilson_interval
from eecompile.run.prepare import cost_of
from eecompile.search.finalists import answering, finalist_networks
from eecompile.search.searching import SearchOptions, search
from eecompile.search.worth.evaluation import DesignEvaluation, Question
from eecompile.search.worth.supernet import Reach
from passes.confidence import confidence_rule
from passes.model.graph import load
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.evaluation.paths import Cost
from targets.evaluation.report import CostReport
from tools.experiments.against_resnet8 import fewer_images
from tools.experiments.paper_space import STAR_HEAD, STAR_MOUNTS, STAR_THRESHOLD

Bools = NDArray[np.bool_]


def training_text(given: argparse.Namespace) -> str:
    """Return how both sides are trained."""
    return f"""\
[training]
epochs = {given.epochs}
finalists = {given.finalists}
final_epochs = {given.final_epochs}
quantize = "qat"
qat_epochs = {given.qat_epochs}
"""


def star_text(given: argparse.Namespace) -> str:
    """Return the space of the star: one design, one head on each of its mounts."""
    return f"""\
[backbone]
family = "mobilenet_v2"
width = {given.width}
[exits]
mounts = {list(STAR_MOUNTS)}
heads = "{STAR_HEAD}"
thresholds = "global"
{training_text(given)}"""


def front_text(given: argparse.Namespace) -> str:
    """Return the space that is searched."""
    return f"""\
[backbone]
family = "resnet"
width = {given.widths}
blocks = {given.blocks}
[exits]
mounts = "all"
heads = ["linear", "conv{{size=16}}", "conv{{size=32}}"]
at_most = 3
confidence = ["max_softmax", "margin"]
{training_text(given)}"""


@dataclass(frozen=True)
class Measured:
    """A network as it came out.

    Attributes:
        name: What it is.
        val: Accuracy there.
        edp: Expected on val, J·cycles, scheduled in full.
        shares: Of val, by exit.
        right: Which test images it answers right.
    """

    name: str
    val: float
    edp: float
    shares: Sequence[float]
    right: Bools

    def row(self, star: Measured) -> str:
        """Return it as a row of the table, beside the star."""
        low, high = wilson_interval(int(self.right.sum()), len(self.right))
        drop = paired_drop(star.right, self.right)
        leave = " ".join(f"{100 * share:.0f}" for share in self.shares)
        more = f"{-drop.points:+.1f} [{-drop.hi95:+.1f}, {-drop.lo95:+.1f}]"
        return (
            f"| {self.name} | {100 * self.val:.1f} | {100 * self.right.mean():.1f} "
            f"[{100 * low:.1f}, {100 * high:.1f}] | {more} "
            f"| {self.edp:.4g} | {self.edp / star.edp:.3f} | {leave} |"
        )


@dataclass(frozen=True)
class TrainedStar:
    """The star, trained, and what it answers at 8 bits.

    Attributes:
        cost: Its schedule in full, for the shares of its exits at the published threshold.
        val: Its answers.
        test: The same on test.
    """

    cost: CostReport
    val: Answers
    test: Answers

    def at(self, threshold: np.float32, name: str) -> Measured:
        """Return what it is worth at one threshold for all exits."""
        thresholds = [threshold] * (len(self.val.logits) - 1)
        where, right = self.val.leaving(thresholds)
        shares = (np.bincount(where, minlength=len(self.val.logits)) / len(where)).tolist()
        edp = Cost.mean([path.cost for path in self.cost.exits], shares).edp_j_cycles
        found = self.test.leaving(thresholds)[1]
        return Measured(name, float(right.mean()), edp, shares, np.asarray(found, np.bool_))


def trained_star(evaluation: DesignEvaluation, at: float) -> TrainedStar:
    """Train the star as finalists are trained; it is scheduled for its shares at a threshold."""
    design = evaluation.space.design({gene.name: gene.choices[0] for gene in evaluation.space.genes})
    names = [item.name for item in state_of(evaluation.supernets.untrained(design)).exits[:-1]]
    network, quantized = finalist_networks(evaluation, design, Reach(0), names, 0, evaluation.progress)
    images, runs = evaluation.images, answering(network, quantized)
    rules = tuple(confidence_rule("max_softmax") for _ in names)
    val, test = (
        replace(answers(runs, split, images.preprocess), rules=rules)
        for split in (images.dataset.val, images.dataset.test)
    )
    where, _ = val.leaving([np.float32(at)] * len(names))
    ratios = (np.bincount(where, minlength=len(names) + 1) / len(where)).tolist()
    costed = evaluation.assigned(network, design)
    report = cost_of(costed, evaluation.target, evaluation.objective, ratios=ratios)
    return TrainedStar(report, val, test)


def best_threshold(star: TrainedStar, least: float) -> float:
    """Return the threshold that costs least on val at no less accuracy there."""
    tried = [(star.at(value, ""), float(value)) for value in np.unique(star.val.confidence)]
    return min((one.edp, value) for one, value in tried if one.val >= least)[1]


def of_front(folder: Path, evaluation: DesignEvaluation, points: Sequence[dict[str, Any]]) -> list[Measured]:
    """Return what came out of a search, each network run once more on test from its file."""
    found = []
    for point in points:
        name = f"trial_{point['trial']}_{point['point']}.quant.onnx"
        graph = load(folder / "networks" / name)
        parse_pipeline("fold-qdq")(graph)
        exits = state_of(graph).exits
        seen = answers(graph, evaluation.images.dataset.test, evaluation.images.preprocess)
        rules = tuple(item.confidence for item in exits[:-1])
        thresholds = [np.float32(item.threshold) for item in exits[:-1] if item.threshold is not None]
        right = np.asarray(replace(seen, rules=rules).leaving(thresholds)[1], np.bool_)
        shares = [*(item["ratio"] for item in point["exits"]), point["final_ratio"]]
        told = f"{point['design']}: {len(exits) - 1} exits"
        found.append(Measured(told, point["accuracy_val"], point["edp_j_cycles"], shares, right))
    return found


def main() -> None:
    """Print both sides."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--final-epochs", type=int, default=2)
    parser.add_argument("--qat-epochs", type=int, default=1)
    parser.add_argument("--finalists", type=int, default=4)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--widths", nargs="+", type=int, default=[16, 24])
    parser.add_argument("--blocks", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--target", default="edge_tpu_quad")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=usual_folder())
    given = parser.parse_args()
    began, folder = time.perf_counter(), given.work
    folder.mkdir(parents=True, exist_ok=True)
    data = str(fewer_images(given.data, given.images, folder / "images.npz"))

    def question(name: str, text: str) -> Question:
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return Question(path, given.target, data, "auto", given.seed, given.cache, MOST_BYTES)

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    own = trained_star(DesignEvaluation(question("star.toml", star_text(given)), progress), STAR_THRESHOLD)
    star = own.at(np.float32(STAR_THRESHOLD), f"the star, {STAR_THRESHOLD:.2f}")
    best = best_threshold(own, star.val)
    rows = [star, own.at(np.float32(best), f"the star, {best:.3f}")]
    asked = question("front.toml", front_text(given))
    evaluation, out = DesignEvaluation(asked), folder / "found"
    trials = len(given.widths) * len(given.blocks)
    told = search(SearchOptions(asked, trials, out, resume=(out / "space.toml").exists()), progress).front
    rows += of_front(out, evaluation, told["points"])
    print(
        f"{evaluation.images.dataset.name}: {given.images:,} training images, {given.epochs} + "
        f"{given.final_epochs} epochs, {given.qat_epochs} of QAT; "
        f"{told['trials_done']} of {trials} designs tried; seed {given.seed}, "
        f"{time.perf_counter() - began:.0f} s\n\n"
        "| network | val | test [95 %] | more than the star on test [95 %] | expected EDP, J·cycles "
        "| of the star's | shares of exits, % |\n|---|---|---|---|---|---|---|"
    )
    print("\n".join(one.row(star) for one in rows))


if __name__ == "__main__":
    main()
