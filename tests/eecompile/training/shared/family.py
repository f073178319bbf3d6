"""A small family of networks with exits, and images that they can learn to tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.data.dataset import Split
from eecompile.runtime.preprocess import Preprocess
from eecompile.search.backbones.family import mounts_of_blocks
from eecompile.search.backbones.registry import backbone_family
from eecompile.training.contract import TrainingImages
from eecompile.training.fresh_weights import draw_network
from passes.exits.insert_exits import InsertExits
from passes.exits.recognise import classifier_exits
from tests.eecompile.search.small import write_images

Genes = tuple[int | float, ...]
SMALLEST, LARGEST = (2, 1, 3), (4, 2, 5)


def network(genes: Genes, family: str = "resnet", **others: int) -> gs.Graph:
    """Return a network of width, blocks and kernel with exits behind all blocks but the last."""
    named = {**dict(zip(("width", "blocks", "kernel"), genes, strict=False)), **others}
    if family == "resnet":
        named["stages"] = 2
    graph = backbone_family(family).graph((1, 1, 8, 8), 3, named)
    classifier_exits(graph)
    InsertExits(mounts_of_blocks(graph), "conv", 0)(graph)
    draw_network(graph, 0)
    return graph


def draw(rng: np.random.Generator) -> Genes:
    """Return genes of any of twelve networks."""
    return int(rng.integers(2, 5)), int(rng.integers(1, 3)), int(rng.choice((3, 5)))


def images(folder: Path) -> TrainingImages:
    """Return 256 images to train on, and 96 others."""
    found = np.load(write_images(folder))
    train, val = (
        Split(found[f"{name}_x"][:, None].astype(np.float32), found[f"{name}_y"]) for name in ("train", "val")
    )
    return TrainingImages(train, val, Preprocess("raw", (80.0,), (60.0,)))
