"""A small network with exits, and images that it can learn to tell apart, for the tests of trainers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import Split
from eecompile.exits.answers import answers
from eecompile.runtime.preprocess import Preprocess
from eecompile.training.checkpoint import Checkpoints
from eecompile.training.contract import Course, TrainingImages
from passes.exits.insert_exits import InsertExits, add_rival_heads
from passes.heads.designs import RIVALS
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes.small_nets import chain

Array = NDArray[Any]
CLASSES = 3
RAW = Preprocess("raw", (0.0,), (1.0,))


def network(head: str = "linear", rivals: bool = False) -> gs.Graph:
    """Return a chain of three convolutions with one head behind each of the first two, or two rivals."""
    graph = from_model(chain(3, CLASSES))
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    InsertExits(("2",), head)(graph)
    if rivals:
        add_rival_heads(graph, RIVALS)
    return graph


def split(count: int, seed: int) -> Split:
    """Return images [N, 2, 16, 16] of noise; by class a channel is brighter, or both darker."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % CLASSES
    x = rng.normal(0, 0.5, (count, 2, 16, 16)).astype(np.float32)
    x += np.array([[1, 0], [0, 1], [-1, -1]], np.float32)[y][:, :, None, None]
    return Split(x, y.astype(np.int64))


def images(train: int = 96) -> TrainingImages:
    """Return some of them to train on, and others to see how far it is."""
    return TrainingImages(split(train, 0), split(60, 1), RAW)


def course(
    folder: Path | None = None,
    *,
    resume: bool = False,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> Course:
    """Return how a training is run in a test."""
    return Course(seed, progress, Checkpoints(folder, {}, resume))


def early(graph: gs.Graph) -> list[str]:
    """Return the names of the early exits."""
    return [e.name for e in state_of(graph).exits[:-1]]


def constants(graph: gs.Graph) -> dict[str, Array]:
    """Return the values of all floating constants by name."""
    found = {name: t.values for name, t in graph.tensors().items() if isinstance(t, gs.Constant)}
    return {name: np.array(v) for name, v in found.items() if v.dtype.kind == "f"}


def same(one: gs.Graph, other: gs.Graph) -> bool:
    """Return whether two graphs have the same constants, bit for bit."""
    a, b = constants(one), constants(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def accuracy(graph: gs.Graph) -> Array:
    """Return the accuracy of each exit, in onnxruntime, on images that nothing was learnt from."""
    found: Array = answers(graph, split(120, 2), RAW).correct.mean(axis=1)
    return found
