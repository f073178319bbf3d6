"""Tell what the weights of a trained sibling are worth, with and without training after them.

    python -m tools.experiments.inheritance --data D [--family resnet] [--parent width=12,blocks=1]
        [--children width=8 width=16 blocks=2 kernel=5] [--parent-epochs 6] [--epochs 1 3] [--seed 0]

The parent is trained from fresh weights. Each child differs from it in the genes that are named. Accuracy on
val in %: with the parent's weights and no training, and after so many epochs from these or from fresh
weights, the same recipe and seed for both.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace

import onnx_graphsurgeon as gs

from eecompile.data.dataset import Dataset
from eecompile.data.for_network import open_data
from eecompile.data.sources import load_data
from eecompile.exits.answers import answers
from eecompile.runtime.preprocess import Preprocess
from eecompile.search.backbones.inherit import inherit
from eecompile.search.backbones.registry import backbone_family
from eecompile.training.checkpoint import NOWHERE
from eecompile.training.contract import Course, TrainingImages
from eecompile.training.fresh_weights import draw_network
from eecompile.training.joint import train_jointly
from eecompile.training.recipe import FRESH
from passes.exits.recognise import classifier_exits
from passes.state import copy_graph

Genes = Mapping[str, int | float]


def genes_of(text: str) -> dict[str, int | float]:
    """Return the genes of ``width=8,blocks=1``."""
    pairs = (item.split("=") for item in text.split(","))
    return {name: float(value) if "." in value else int(value) for name, value in pairs}


class Nursery:
    """Makes, trains and rates backbones of one family on one data set."""

    def __init__(self, family: str, spec: str, seed: int) -> None:
        self._family, self._seed = backbone_family(family), seed
        raw = load_data(spec, seed)
        images = raw.train.x
        self._shape = (
            (1, *images.shape[1:]) if images.shape[1] <= 4 else (1, images.shape[3], *images.shape[1:3])
        )
        self._classes = raw.classes
        data, choice = open_data(self.fresh({}), spec, "auto", seed, family, fresh=True)
        self.data: Dataset = data
        self._preprocess: Preprocess = choice.preprocess

    def fresh(self, genes: Genes) -> gs.Graph:
        """Return a backbone with drawn weights."""
        graph = self._family.graph(self._shape, self._classes, genes)
        draw_network(graph, self._seed)
        classifier_exits(graph)
        return graph

    def trained(self, graph: gs.Graph, epochs: int, *, scratch: bool) -> gs.Graph:
        """Return a trained copy."""
        made = copy_graph(graph)
        images = TrainingImages(self.data.train, self.data.val, self._preprocess)
        course = Course(self._seed, lambda _: None, NOWHERE)
        train_jointly(made, images, replace(FRESH, epochs=epochs), course, [], scratch=scratch)
        return made

    def accuracy(self, graph: gs.Graph) -> float:
        """Return the accuracy on val in %."""
        return 100 * float(answers(graph, self.data.val, self._preprocess).correct[-1].mean())


def rows(nursery: Nursery, parent: Genes, children: Sequence[Genes], given: argparse.Namespace) -> None:
    """Print a row of the table for the parent and each child."""
    source = nursery.trained(nursery.fresh(parent), given.parent_epochs, scratch=True)
    print(f"| parent {dict(parent)} | {nursery.accuracy(source):.1f} |" + " |" * 2 * len(given.epochs))
    for change in children:
        start = nursery.fresh({**parent, **change})
        fresh = copy_graph(start)
        inherit(start, source)
        cells = [f"{nursery.accuracy(start):.1f}"]
        for epochs in given.epochs:
            both = [
                nursery.trained(start, epochs, scratch=False),
                nursery.trained(fresh, epochs, scratch=True),
            ]
            cells += [f"{nursery.accuracy(graph):.1f}" for graph in both]
        print(f"| {dict(change)} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", required=True, help="as `eecompile run` takes it")
    parser.add_argument("--family", default="resnet")
    parser.add_argument("--parent", type=genes_of, default="width=12,blocks=1")
    children = [genes_of(text) for text in ("width=8", "width=16", "blocks=2", "kernel=5")]
    parser.add_argument("--children", type=genes_of, nargs="+", default=children)
    parser.add_argument("--parent-epochs", type=int, default=6)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    nursery = Nursery(given.family, given.data, given.seed)
    counts = f"{len(nursery.data.train):,} train, {len(nursery.data.val):,} val"
    print(f"{nursery.data.name}: {counts}; seed {given.seed}")
    told = " | ".join(f"{n} epochs inherited | {n} fresh" for n in given.epochs)
    print(f"| | no training | {told} |")
    rows(nursery, given.parent, given.children, given)


if __name__ == "__main__":
    main()
