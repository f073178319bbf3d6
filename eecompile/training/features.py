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
from passes.exits.chain import head_nodes
from passes.heads.layers import STORED_BEHIND
from passes.model.writing import to_model
from passes.state import Exit, copy_graph, state_of

Array = NDArray[Any]
Float32 = NDArray[np.float32]

# Copies of the training set the backbone may be run on: bounded by work, not by time, so that the same
# request gives the same heads on every machine.
WORK_MACS = 1.0e12
MAX_COPIES = 9
_MAX_BYTES = 900 * 2**20
_PROBE = 256
_MIRRORED = 1024
_PIECE = 2048
_FLIP_TOLERANCE = 0.05


@dataclass(frozen=True)
class Features:
    """Features of one mount over augmented copies of the training set, stored in 8 bits.

    Attributes:
        copies: One uint8 array [N, …] per copy; real value = stored * scale + offset.
        scale: TorchStep of the storage.
        offset: Value of 0.
    """

    copies: tuple[NDArray[np.uint8], ...]
    scale: float
    offset: float


@dataclass(frozen=True)
class TeacherData:
    """All that training needs.

    Attributes:
        features: By exit name.
        logits: One float32 array [N, classes] per copy: the final exit's answer to that copy.
        labels: [N].
        flips: Whether copies are mirrored (only where the network does not mind).
    """

    features: dict[str, Features]
    logits: tuple[Float32, ...]
    labels: NDArray[np.int64]
    flips: bool


def extract(
    graph: gs.Graph,
    split: Split,
    preprocess: Preprocess,
    macs: int,
    seed: int,
    progress: Callable[[str], None],
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
    """
    exits = state_of(graph).exits
    taps = {e.name: _tap(graph, e) for e in exits[:-1]}
    final = exits[-1].output
    tapped = copy_graph(graph)
    tensors = tapped.tensors()
    tapped.outputs = [tensors[t] for t in dict.fromkeys(taps.values())] + [tensors[final]]
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
    flips = spatial and _minds_no_mirror(evaluator, split, preprocess, final)
    bytes_per_copy = sum(len(images) * int(np.prod(v.shape[1:])) for v in first[:-1])
    copies = int(
        min(MAX_COPIES, max(1, WORK_MACS // (macs * len(images))), max(1, _MAX_BYTES // bytes_per_copy))
    )
    stored: dict[str, list[NDArray[np.uint8]]] = {n: [] for n in names[:-1]}
    logits: list[Float32] = []
    for number in range(copies if spatial else 1):
        progress(f"features of {len(images)} training images, copy {number + 1} of {copies}")
        plain = images if number == 0 else _augment(images, rng, flips, _image_axes(images))
        parts: dict[str, list[Array]] = {n: [] for n in names}
        for piece in batches(len(plain), _PIECE):  # float features never exist as a whole
            for name, value in zip(names, values_of(plain[piece]), strict=True):
                parts[name].append(_pack(value, ranges[name]) if name in ranges else value)
        for name in ranges:
            stored[name].append(np.concatenate(parts[name]))
        logits.append(np.concatenate(parts[final]))
    features = {}
    for exit_name, tap in taps.items():
        low, high = ranges[tap]
        features[exit_name] = Features(tuple(stored[tap]), (high - low) / 255 or 1.0, low)
    return TeacherData(features, tuple(logits), split.y, flips)


def _tap(graph: gs.Graph, item: Exit) -> str:
    """Where features are read: behind the first layer of a head if that has no weights, else at the mount."""
    first = head_nodes(graph, item)[0]
    return str(first.outputs[0].name) if first.op in STORED_BEHIND else item.mount


def _pack(values: Float32, limits: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = limits
    scale = 255 / (high - low) if high > low else 1.0
    packed: NDArray[np.uint8] = np.clip((values - low) * scale + 0.5, 0, 255).astype(np.uint8)
    return packed


def _image_axes(images: Array) -> tuple[int, int]:
    """Height and width of stored images [N, C, H, W] or [N, H, W, C]; channels are the small axis."""
    return (1, 2) if images.shape[3] < images.shape[1] else (2, 3)


def _augment(images: Array, rng: np.random.Generator, flips: bool, axes: tuple[int, int]) -> Array:
    """Return a copy with every image shifted by up to an eighth and perhaps mirrored."""
    rows, columns = axes
    reach = [max(1, images.shape[a] // 8) for a in axes]
    shifts = [rng.integers(-r, r + 1, len(images)) for r in reach]
    mirror = rng.random(len(images)) < 0.5 if flips else np.zeros(len(images), bool)
    out = np.empty_like(images)
    # Images with the same shift are moved together: indices beyond the edge repeat it.
    for dy in range(-reach[0], reach[0] + 1):
        for dx in range(-reach[1], reach[1] + 1):
            chosen = np.flatnonzero((shifts[0] == dy) & (shifts[1] == dx))
            if len(chosen) == 0:
                continue
            y = np.clip(np.arange(images.shape[rows]) + dy, 0, images.shape[rows] - 1)
            x = np.clip(np.arange(images.shape[columns]) + dx, 0, images.shape[columns] - 1)
            out[chosen] = images[chosen].take(y, axis=rows).take(x, axis=columns)
    out[mirror] = np.flip(out[mirror], axis=columns)
    return out


def _minds_no_mirror(evaluator: Evaluator, split: Split, preprocess: Preprocess, final: str) -> bool:
    """Mirroring is taken as an augmentation only if the network itself hardly notices it."""
    images, labels = evenly(split.x, _MIRRORED), evenly(split.y, _MIRRORED)
    mirrored = np.flip(images, axis=_image_axes(images)[1])

    def accuracy(x: Array) -> float:
        logits = evaluator.run(lambda s: preprocess.apply(x[s]), len(x), [final])[0]
        return float((logits.argmax(axis=1) == labels).mean())

    return accuracy(images) - accuracy(mirrored) <= _FLIP_TOLERANCE
