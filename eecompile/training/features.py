"""What heads are trained on: features at the mounts and the network's own answers, computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import Split, evenly
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import Evaluator, batches
from eecompile.training.augment import Augmentation, minds_no_mirror
from passes.exits.chain import ancestors
from passes.model.writing import to_model
from passes.operator_sets import GLOBAL_POOLS
from passes.progress import Count, DetailLine, counting
from passes.state import copy_graph, state_of

Array = NDArray[Any]
Float32 = NDArray[np.float32]

# Copies of the training set the backbone may be run on: bounded by work, not by time, so that the same
# request gives the same heads on every machine.
WORK_MACS = 1.0e12
MAX_COPIES = 9
_MAX_BYTES = 900 * 2**20
_PROBE = 256
_PIECE = 2048
_SHIFT = 0.125
# What makes less of a mount without anything to learn: features are stored behind it.
_STORED_BEHIND = GLOBAL_POOLS | {"MaxPool", "AveragePool", "ReduceMean", "Gather"}


@dataclass(frozen=True)
class Features:
    """Features of one mount over augmented copies of the training set, stored in 8 bits.

    Attributes:
        copies: One uint8 array [N, …] per copy; real value = stored * scale + offset.
        scale: Step of the storage.
        offset: Value of 0.
        watched: Features of the images that accuracies of epochs are on, stored alike.
    """

    copies: tuple[NDArray[np.uint8], ...]
    scale: float
    offset: float
    watched: NDArray[np.uint8] | None = None

    def real(self, stored: NDArray[np.uint8]) -> Float32:
        """Return the features that are stored."""
        found: Float32 = stored * np.float32(self.scale) + np.float32(self.offset)
        return found


@dataclass(frozen=True)
class TeacherData:
    """All that training needs.

    Attributes:
        features: By the tensor that is stored.
        logits: One float32 array [N, classes] per copy: the final exit's answer to that copy.
        labels: [N].
        flips: Whether copies are mirrored (only where the network does not mind).
        watched: Logits of the final exit for the images that accuracies of epochs are on.
    """

    features: dict[str, Features]
    logits: tuple[Float32, ...]
    labels: NDArray[np.int64]
    flips: bool
    watched: Float32 | None = None


def extract(
    graph: gs.Graph,
    split: Split,
    preprocess: Preprocess,
    macs: int,
    seed: int,
    progress: Callable[[str], None],
    watch: Array | None = None,
) -> TeacherData:
    """Run the float network over augmented copies of the training images.

    The first copy is plain; the others are shifted by up to an eighth of the image (edges repeated) and,
    where the network is nearly as accurate on mirrored images, mirrored at random.

    Args:
        graph: Float graph with exits.
        split: Training images.
        preprocess: From stored images to the model's input.
        macs: Multiply-accumulates of the network per image, bounds the number of copies.
        seed: Of the augmentation.
        progress: Told what is done.
        watch: Images whose features are found out as well, as they are.
    """
    exits = state_of(graph).exits
    taps = taps_of(graph)
    final = exits[-1].output
    tapped = copy_graph(graph)
    tensors = tapped.tensors()
    tapped.outputs = [tensors[t] for t in taps] + [tensors[final]]
    state_of(tapped).exits = []
    tapped.cleanup(remove_unused_graph_inputs=False)
    evaluator = Evaluator.of(lambda batch: to_model(tapped, batch))
    names = [t.name for t in tapped.outputs]
    images = split.x
    spatial = images.ndim == 4
    rng = np.random.default_rng(seed)

    def values_of(piece: Array) -> list[Array]:
        return evaluator.run(lambda s: preprocess.apply(piece[s]), len(piece), names)

    first = values_of(evenly(images, _PROBE))
    ranges = {n: (float(v.min()), float(v.max())) for n, v in zip(names[:-1], first[:-1], strict=True)}

    def answers(x: Array) -> Array:
        found: Array = evaluator.run(lambda s: preprocess.apply(x[s]), len(x), [final])[0].argmax(axis=1)
        return found

    flips = spatial and minds_no_mirror(images, split.y, answers)
    augmentation = Augmentation(_SHIFT, flips, 0.0)
    bytes_per_copy = sum(len(images) * int(np.prod(v.shape[1:])) for v in first[:-1])
    copies = int(
        min(MAX_COPIES, max(1, WORK_MACS // (macs * len(images))), max(1, _MAX_BYTES // bytes_per_copy))
    )
    stored: dict[str, list[NDArray[np.uint8]]] = {n: [] for n in names[:-1]}
    logits: list[Float32] = []

    def run_over(images: Array, change: Callable[[Array], Array], count: Count) -> dict[str, Array]:
        parts: dict[str, list[Array]] = {n: [] for n in names}
        for piece in batches(len(images), _PIECE):  # float features never exist as a whole
            taken = change(images[piece])
            for name, value in zip(names, values_of(taken), strict=True):
                parts[name].append(_pack(value, ranges[name]) if name in ranges else value)
            count.add(len(taken))
        return {name: np.concatenate(found) for name, found in parts.items()}

    copies = copies if spatial else 1
    with counting("features", copies * len(images) + (0 if watch is None else len(watch))) as count:
        for number in range(copies):
            progress(DetailLine(f"features of {len(images)} training images, copy {number + 1} of {copies}"))
            change = (lambda x: augmentation.apply(x, rng)) if number else (lambda x: x)
            found = run_over(images, change, count)
            for name in ranges:
                stored[name].append(found[name])
            logits.append(found[final])
        seen = {} if watch is None else run_over(watch, lambda x: x, count)
    features = {
        tap: Features(tuple(stored[tap]), (high - low) / 255 or 1.0, low, seen.get(tap))
        for tap, (low, high) in ranges.items()
    }
    return TeacherData(features, tuple(logits), split.y, flips, seen.get(final))


def taps_of(graph: gs.Graph) -> list[str]:
    """Return the tensors that heads are trained on: mounts, or what a layer without weights makes of one."""
    exits = state_of(graph).exits
    outputs = {t.name: t for t in graph.outputs}
    backbone = ancestors([outputs[exits[-1].output]])
    heads = ancestors([outputs[e.output] for e in exits[:-1]]) - backbone
    found: dict[str, None] = {}
    for node in (node for node in graph.nodes if node.name in heads):
        for tensor in node.inputs:
            if isinstance(tensor, gs.Constant) or tensor.is_empty():
                continue
            if all(writer.name not in heads for writer in tensor.inputs):
                found[str((node.outputs[0] if node.op in _STORED_BEHIND else tensor).name)] = None
    return list(found)


def _pack(values: Float32, limits: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = limits
    scale = 255 / (high - low) if high > low else 1.0
    packed: NDArray[np.uint8] = np.clip((values - low) * scale + 0.5, 0, 255).astype(np.uint8)
    return packed
