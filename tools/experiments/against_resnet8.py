"""Networks that are found against the static ResNet8 of MLPerf Tiny, at no loss of accuracy on val.

    python -m tools.experiments.against_resnet8 --data D --work DIR [--targets diana gap9] [--images 6000]
        [--epochs 4] [--widths 12] [--seed 0] [--cache DIR] [--margin 0]

Side by side: the bits and places of the layers of ResNet8 alone, its exits alone, another backbone alone, and
all of these together. All networks are trained from fresh weights on the same images for the same epochs
(ResNet8 without exits too), quantized after training and scheduled in full. Of each space all designs are
tried, so no luck of a sampler is in it. Of what is at least as accurate on val as ResNet8 with 8 bits in
digital cores, the network with the least expected EDP is taken; on test both are compared image by image.
`--margin` asks for so many points more on val: what is the best of very many networks there has been lucky.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eecompile.cache.store import MOST_BYTES, usual_folder
from eecompile.data.dataset import evenly
from eecompile.data.sources import load_data
from eecompile.exits.statistics import paired_drop, wilson_interval
from eecompile.quantization.layer_schemes import has_array
from eecompile.search.worth.evaluation import DesignEvaluation, Question
from targets.contract.registry import load_target
from tools.experiments.all_designs import PlannedNetwork, designs, front, right_on_test, scheduled_edp

STATIC, BITS, EXITS, BACKBONE, ALL = (
    "ResNet8, 8 bit", "quantization alone", "exits alone", "backbone alone", "all together"
)  # fmt: skip
HEADS = ("linear", "conv{size=16}")


@dataclass(frozen=True)
class SearchedPart:
    """What is searched.

    Attributes:
        name: Of its row.
        bits: Widths of weights and places of layers.
        exits: Early exits.
        backbone: Small residual networks beside ResNet8.
    """

    name: str
    bits: bool = False
    exits: bool = False
    backbone: bool = False


PARTS = (
    SearchedPart(STATIC),
    SearchedPart(BITS, bits=True),
    SearchedPart(EXITS, exits=True),
    SearchedPart(BACKBONE, backbone=True),
    SearchedPart(ALL, bits=True, exits=True, backbone=True),
)


def space_text(part: SearchedPart, widths: Sequence[int], epochs: int, array: bool) -> str:
    """Return the file of a space; ``array``: the target has an analog array."""
    families = ["resnet8", "resnet"] if part.backbone else ["resnet8"]
    lines = ["[backbone]", f"family = {families}"]
    if part.backbone:
        lines += ["[backbone.resnet]", f"width = {list(widths)}", "blocks = 1"]
    lines += ["[exits]", *([f"heads = {list(HEADS)}"] if part.exits else ["at_most = 0"])]
    lines += ["[precision]", f"backbone = {['usual', 4] if part.bits else ['usual']}"]
    if array:
        lines += [f"placement = {['digital', 'auto'] if part.bits else ['digital']}"]
    return "\n".join([*lines, "[training]", f"epochs = {epochs}"])


def fewer_images(data: str, images: int, path: Path) -> Path:
    """Write a file with fewer training images, and all of val and test."""
    whole = load_data(data)
    kept = evenly(np.argsort(whole.train.y, kind="stable"), images)
    kept = np.random.default_rng(0).permutation(kept)
    np.savez(
        path,
        train_x=whole.train.x[kept],
        train_y=whole.train.y[kept],
        val_x=whole.val.x,
        val_y=whole.val.y,
        test_x=whole.test.x,
        test_y=whole.test.y,
    )
    return path


@dataclass(frozen=True)
class Taken:
    """The network that a part comes to.

    Attributes:
        planned: What it is.
        edp: Expected, J·cycles, scheduled in full.
        correct: Which test images it answers right.
    """

    planned: PlannedNetwork
    edp: float
    correct: NDArray[np.bool_]


def taken(evaluation: DesignEvaluation, least: float) -> Taken | None:
    """Return the cheapest network that is right on a share of val at least; ``None``: there is none."""
    enough = [one for one in front(evaluation, "edp_j_cycles") if one.point["accuracy_val"] >= least - 1e-12]
    if not enough:
        return None
    planned = min(enough, key=lambda one: float(one.point["edp_j_cycles"]))
    return Taken(planned, scheduled_edp(evaluation, planned), right_on_test(evaluation, planned))


def compare(target: str, data: Path, given: argparse.Namespace) -> None:
    """Print the table of a target."""
    began = time.perf_counter()
    array = has_array(load_target(target))
    static: Taken | None = None
    print(
        f"\n{target}, seed {given.seed}\n"
        "| searched | designs | val | test [95 %] | drop on test [95 %] | expected EDP, J·cycles | saved |\n"
        "|---|---|---|---|---|---|---|",
        flush=True,
    )
    for part in PARTS:
        path = given.work / f"{part.name.replace(' ', '_').replace(',', '')}-{target}.toml"
        path.write_text(space_text(part, given.widths, given.epochs, array))
        question = Question(path, target, str(data), "auto", given.seed, given.cache, MOST_BYTES)
        evaluation = DesignEvaluation(question, lambda text: print(text, file=sys.stderr, flush=True))
        least = 0.0 if static is None else float(static.planned.point["accuracy_val"]) + given.margin / 100
        found = taken(evaluation, least)
        count = len(designs(evaluation))
        if found is None:
            print(f"| {part.name} | {count} | none is as accurate on val | | | | |", flush=True)
            continue
        static = static or found
        print(row(part, count, found, static, evaluation), flush=True)
    print(f"{time.perf_counter() - began:.0f} s")


def row(part: SearchedPart, count: int, found: Taken, static: Taken, evaluation: DesignEvaluation) -> str:
    """Return the row of a part, and what its network is."""
    right, images = int(found.correct.sum()), len(found.correct)
    low, high = wilson_interval(right, images)
    drop = paired_drop(static.correct, found.correct)
    point = found.planned.point
    exits = ", ".join(f"{item['name']} {100 * item['ratio']:.0f} %" for item in point["exits"])
    what = evaluation.space.design(found.planned.params).text + (f"; leave at {exits}" if exits else "")
    return (
        f"| {part.name}: {what} | {count} | {100 * point['accuracy_val']:.1f} "
        f"| {100 * right / images:.1f} [{100 * low:.1f}, {100 * high:.1f}] "
        f"| {drop.points:+.1f} [{drop.lo95:+.1f}, {drop.hi95:+.1f}] "
        f"| {found.edp:.5g} | {100 * (1 - found.edp / static.edp):.1f} % |"
    )


def main() -> None:
    """Print a table for each target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--targets", nargs="+", default=["diana", "gap9"])
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--widths", nargs="+", type=int, default=[12])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--margin", type=float, default=0.0, help="points on val, asked for beside no loss")
    parser.add_argument("--cache", type=Path, default=usual_folder())
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    data = fewer_images(given.data, given.images, given.work / "images.npz")
    for target in given.targets:
        compare(target, data, given)


if __name__ == "__main__":
    main()
