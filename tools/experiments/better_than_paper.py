"""Early exits in a public ResNet20 against the early-exit MobileNetV2 of arXiv 2512.04705, by one cost model.

    python -m tools.experiments.better_than_paper --data D --checkpoint resnet20_cifar10.th
        --star mobilenetv2_exits_0_4_5_7.onnx --out OUT [--cache DIR] [--epochs 4] [--final-epochs 0]
        [--finalists 3] [--min-val 0.9] [--seed 0]

The star, at its published exit ratios, is scheduled on the quad-core that it was designed for: a quarter of
its expected EDP is the budget. Then `search` chooses exits, heads, rules and thresholds for ResNet20, whose
training starts from that checkpoint, under that budget and a least accuracy on val. Both sides have weights
and activations of 8 bits, the objective EDP, and the usual schedule of the target. The command that does the
same is printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import onnx
import onnx_graphsurgeon as gs

from eecompile.cache.store import MOST_BYTES, usual_folder
from eecompile.exits.answers import answers, right
from eecompile.exits.statistics import wilson_interval
from eecompile.run.prepare import cost_of
from eecompile.search.searching import SearchOptions, search
from eecompile.search.worth.evaluation import DesignEvaluation, Question
from passes.exits.recognise import recognise_exits
from passes.model.graph import load
from passes.registry import parse_pipeline
from targets.contract.registry import load_target
from targets.evaluation.paths import Cost
from targets.objective import EDP
from tools.experiments.resnet20 import read_checkpoint, resnet20

TARGET = "edge_tpu_quad"
RATIOS = (0.1064, 0.3263, 0.1167, 0.1911, 0.2595)
"""Published shares of the images that leave at each exit of the star."""
SHARE, ASKED = 0.25, 0.88
NETWORK, SPACE = "resnet20.onnx", "better_than_paper.toml"


def expected(graph: gs.Graph, ratios: tuple[float, ...]) -> Cost:
    """Return what a network costs on the target on average, at shares of its exits."""
    report = cost_of(graph, load_target(TARGET), EDP, ratios=ratios)
    return Cost.mean([path.cost for path in report.exits], ratios)


def star(path: Path) -> gs.Graph:
    """Return the network of the paper with its exits."""
    graph = load(path)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    recognise_exits(graph)
    return graph


def space_text(budget: float, given: argparse.Namespace) -> str:
    """Return the space: exits, heads, rules and thresholds of ResNet20 under a budget (J·cycles)."""
    return f"""\
[backbone]
file = "{NETWORK}"

[exits]
mounts = 6
heads = ["linear", "conv{{size=16}}", "conv{{size=32}}"]
at_most = 3
confidence = ["max_softmax", "margin"]

[objectives]
front = ["accuracy", "edp"]

[constraints]
min_accuracy = {given.min_val}
max_edp_j_cycles = {budget:.6f}

[training]
epochs = {given.epochs}
finalists = {given.finalists}
final_epochs = {given.final_epochs}
quantize = "ptq"
"""


def show_static(evaluation: DesignEvaluation, cost: Cost, per_star: float) -> None:
    """Print what ResNet20 is worth without exits and without any training here, in integers."""
    design = evaluation.space.design({})
    plain = evaluation.supernets.backbone(design)
    found = []
    lowered = evaluation.numbers.lowered(evaluation.calibrated(plain, design))
    dataset = evaluation.images.dataset
    for split in (dataset.val, dataset.test):
        correct = right(answers(lowered, split, evaluation.images.preprocess).logits[-1], split.y)
        found.append(_share(int(correct.sum()), len(correct)))
    print(
        f"| ResNet20 as it is, int8, no exits | {found[0]} | {found[1]} | {cost.edp_j_cycles:.3f} "
        f"| {100 * cost.edp_j_cycles / per_star:.1f} % |",
        flush=True,
    )


def _share(count: int, images: int) -> str:
    low, high = wilson_interval(count, images)
    return f"{100 * count / images:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    """Print both sides."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("data", "checkpoint", "star", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=usual_folder())
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--final-epochs", type=int, default=0)
    parser.add_argument("--finalists", type=int, default=3)
    parser.add_argument("--min-val", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.perf_counter()
    folder: Path = given.out
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(resnet20(read_checkpoint(given.checkpoint)), folder / NETWORK)
    plain = load(folder / NETWORK)
    recognise_exits(plain)
    of_star, of_plain = expected(star(given.star), RATIOS), expected(plain, (1.0,))
    budget = SHARE * of_star.edp_j_cycles
    print(
        f"star: {of_star.edp_j_cycles:.3f} J·cycles expected ({of_star.latency_cycles:,.0f} cycles, "
        f"{of_star.energy_pj / 1e9:.4f} mJ, {of_star.macs / 1e6:.1f} M MACs on average); "
        f"a quarter is {budget:.3f}\n"
        f"ResNet20 without exits: {of_plain.edp_j_cycles:.3f} J·cycles, {of_plain.macs / 1e6:.1f} M MACs",
        flush=True,
    )
    space, found = folder / SPACE, folder / "found"
    space.write_text(space_text(budget, given))
    print(
        f"eecompile search {SPACE} --target {TARGET} --data {given.data.name} --trials 1 --seed {given.seed} "
        f"--out found",
        flush=True,
    )
    question = Question(space, TARGET, str(given.data), "auto", given.seed, given.cache, MOST_BYTES)
    evaluation = DesignEvaluation(question)
    print(
        "\n| network | val [95 %] | test [95 %] | expected EDP, J·cycles | of the star's |\n"
        "|---|---|---|---|---|"
    )
    show_static(evaluation, of_plain, of_star.edp_j_cycles)
    options = SearchOptions(question, 1, found, resume=(found / "space.toml").exists())
    told = search(options, lambda text: print(text, file=sys.stderr, flush=True)).front
    dataset = evaluation.images.dataset
    for point in told["points"]:
        counts = [(point["accuracy_val"], len(dataset.val.y)), (point["accuracy"], len(dataset.test.y))]
        val, test = (_share(round(share * images), images) for share, images in counts)
        edp = point["edp_j_cycles"]
        kept = point["accuracy"] >= ASKED and edp <= budget
        print(
            f"| {len(point['exits'])} exits, {point['macs'] / 1e6:.1f} M MACs{'' if kept else ' (misses)'} "
            f"| {val} | {test} | {edp:.3f} (at the shares of test {point['on_test']['edp_j_cycles']:.3f}) "
            f"| {100 * edp / of_star.edp_j_cycles:.1f} % |"
        )
        for item in point["exits"]:
            print(
                f"    {item['mount']} {item['head']} {item['confidence']} >= {item['threshold']:.3f}: "
                f"{100 * item['ratio']:.1f} %"
            )
    print(f"\nseed {given.seed}, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
