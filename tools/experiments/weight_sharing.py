"""Tell how well accuracies with shared weights rank designs, and what time they save.

    python -m tools.experiments.weight_sharing SPACE.toml --data D [--images 2000] [--designs 8] [--seed 0]

The largest backbone of the space is trained once with all others as slices of it (``share = true``). So many
designs, spread over the space by their MACs, are then rated on val twice: as slices, and trained by
themselves from fresh weights. Epochs are those of the space on both sides. Accuracy is that of the final
exit, in float, in %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.cache.store import CacheStore
from eecompile.data.dataset import Split, evenly
from eecompile.exits.answers import answers
from eecompile.search.space.design import Design
from eecompile.search.space.reading import read_space
from eecompile.search.space.space import Space
from eecompile.search.worth.images import SearchImages, for_families
from eecompile.search.worth.supernet import Reach, Supernets
from passes.macs import node_macs
from targets.evaluation.report import CostReport


def designs_of(space: Space, count: int, images: SearchImages) -> list[Design]:
    """Return designs of the first family of a space, evenly along their MACs without exits."""
    (item, *_) = space.families
    found = [
        space.backbone_design(item, dict(zip(item.choices, values, strict=True)))
        for values in product(*item.choices.values())
    ]
    found.sort(key=lambda d: (_macs(space.graph(d, images.shape, images.classes)), d.text))
    chosen = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int))
    return [found[place] for place in chosen.tolist()]


def _macs(graph: gs.Graph) -> int:
    return sum(node_macs(node) for node in graph.nodes)


def kendall(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Kendall's tau-b of two lists of figures: of pairs in the same order, ties taken out."""
    signs = [np.sign(np.subtract.outer(values, values)) for values in (first, second)]
    return _cosine(signs[0], signs[1])


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's rho: the correlation of ranks, of ties their mean."""
    ranks = [np.sign(np.subtract.outer(values, values)).sum(axis=1) for values in (first, second)]
    return _cosine(ranks[0], ranks[1])  # the sum of these is 0


def _cosine(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    sizes = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / sizes if sizes else float("nan")


def chance(first: Sequence[float], second: Sequence[float], seed: int) -> float:
    """Return in which share of 10,000 orders drawn at random Kendall's tau is as large or larger."""
    rng, found = np.random.default_rng(seed), kendall(first, second)
    drawn = [kendall(first, rng.permutation(second).tolist()) for _ in range(10_000)]
    return float(np.mean([value >= found - 1e-12 for value in drawn]))


def _no_cost(_: gs.Graph) -> CostReport:
    raise AssertionError("costs are for pruning, which no design has")


def rated(
    space: Space, images: SearchImages, designs: Sequence[Design], seed: int
) -> tuple[list[float], float]:
    """Return the accuracies of designs on val in %, and the processor seconds until all were known."""
    began, found = time.process_time(), []
    with tempfile.TemporaryDirectory() as folder:
        supernets = Supernets(space, images, CacheStore(Path(folder)), seed, _no_cost, _no_cost, "")
        for design in designs:
            graph = supernets.trained(design, Reach(0))
            right = answers(graph, images.dataset.val, images.preprocess).correct[-1]
            found.append(100 * float(right.mean()))
            print(f"{design.backbone}: {found[-1]:.1f}", file=sys.stderr, flush=True)
    return found, time.process_time() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("space", type=Path)
    parser.add_argument("--data", required=True, help="as `eecompile run` takes it")
    parser.add_argument("--images", type=int, default=2000, help="of training, evenly of all")
    parser.add_argument("--designs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    images = for_families(given.data, "auto", given.seed)
    train = images.dataset.train
    few = Split(evenly(train.x, given.images), evenly(train.y, given.images))
    images = replace(images, dataset=replace(images.dataset, train=few))
    space = read_space(given.space)
    alone = replace(space, training=space.training.model_copy(update={"share": False}))
    shared = replace(space, training=space.training.model_copy(update={"share": True}))
    designs = designs_of(space, given.designs, images)
    val = images.dataset.val
    print(f"{images.dataset.name}: {len(few):,} train, {len(val):,} val; seed {given.seed}")
    slices, shared_s = rated(shared, images, designs, given.seed)
    single, alone_s = rated(alone, images, designs, given.seed)
    print("| backbone | slice | by itself |\n|---|---|---|")
    for design, first, second in zip(designs, slices, single, strict=True):
        print(f"| `{design.backbone}` | {first:.1f} | {second:.1f} |")
    tau, rho, luck = kendall(slices, single), spearman(slices, single), chance(slices, single, given.seed)
    print(f"Kendall's tau {tau:.2f}, Spearman's rho {rho:.2f}; as much by chance: {luck:.4f}")
    print(f"processor seconds: shared {shared_s:.0f} for all, by themselves {alone_s:.0f}")


if __name__ == "__main__":
    main()
