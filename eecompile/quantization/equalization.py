"""Cross-layer equalization: channels of one size, so that one step for all of them costs none its digits.

What a layer makes is divided by a scale per channel, and what reads it multiplied by the same: the float
network answers as before (Nagel et al. 2019, arXiv 1906.04721, section 4.1). Depthwise layers need it most:
each of their channels has a few weights of its own, of any size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.quantization.calibration import calibrate, tap
from eecompile.quantization.scalable import (
    ScalableChannels,
    column_sizes,
    row_sizes,
    scalable_channels,
    scale_channels,
)
from eecompile.quantization.sensitivity import Disturbance, disturbance
from eecompile.runtime.sessions import Evaluator
from passes.integers.quantize import Quantize, fused_away
from passes.macs import node_macs
from passes.model.writing import to_model
from passes.state import copy_graph

Array = NDArray[Any]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

IMAGES, _LEAST_IMAGES = 128, 32
# Multiply-accumulates that the float network may take on the images that calibrate it once for the decision.
_WORK = 1e10
_SWEEPS = 20
# Ranges differ by no more octaves than that: what is smaller still is as good as nothing.
_LEAST, _MOST = 1e-8, 2.0**12


@dataclass(frozen=True)
class Equalization:
    """What was tried, and whether it was taken.

    Attributes:
        taken: The network has these scales; else it is as it was.
        scaled: Makers of the channels that were scaled.
        unscaled: Maker -> why its channels were left as they are.
        at_bound: How many channels reached the bound of a Clip, and so kept their scale.
        images: How many were calibrated on, and how many others were looked at, for that decision.
        before: How far answers are from those in float without it, on those others.
        after: How far they are with it.
    """

    taken: bool
    scaled: tuple[str, ...]
    unscaled: Mapping[str, str]
    at_bound: int
    images: tuple[int, int]
    before: Disturbance
    after: Disturbance

    @property
    def note(self) -> str:
        """What the user is told."""
        done = "are equalized" if self.taken else "stay as they are: equalizing them does not help"
        after, before = self.after.sqnr_db, self.before.sqnr_db
        return (
            f"channels around depthwise layers {done}; signal over noise of the answers in integers on "
            f"{self.images[1]} training images: {before:.1f} dB without it, {after:.1f} dB with it"
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in files of results."""
        return {
            "taken": self.taken,
            "scaled": list(self.scaled),
            "unscaled": dict(self.unscaled),
            "channels_at_bound": self.at_bound,
            "images": {"calibrated": self.images[0], "compared": self.images[1]},
            "sqnr_db": {"before": self.before.sqnr_db, "after": self.after.sqnr_db},
            "divergence": {"before": self.before.divergence, "after": self.after.divergence},
        }


def equalize(
    graph: gs.Graph, images: Float32, calibration: str, kept: Collection[str] = ()
) -> Equalization | None:
    """Scale the channels around depthwise layers of ``graph`` if its answers in integers are better for it.

    Some of the images calibrate the network both ways, others say which way the probabilities of its exits
    are nearer to those in float (Kullback-Leibler). Large networks see fewer, by their work.

    Args:
        graph: Float graph with ``state.precisions``; its weights are changed in place, its answers are not.
        images: Preprocessed training images, as calibration has them.
        calibration: The calibrator that will be used.
        kept: Names of nodes that stay in float.

    Returns:
        What was done; ``None`` for a network without depthwise layers, or without channels to scale.

    Raises:
        InputError: As `calibrate` has it.
    """
    found, unscaled = scalable_channels(graph)
    deep = {node.name for node in graph.nodes if _depthwise(node)}
    groups = [group for group in found if not deep.isdisjoint((*group.makers, *group.readers))]
    if not groups:
        return None
    work = max(1, sum(node_macs(node) for node in graph.nodes))
    count = int(np.clip(_WORK // work, _LEAST_IMAGES, IMAGES))
    some = evenly(images, count)
    sizes = _sizes(graph, groups, some)
    scales = _scales(graph, groups, sizes)
    scaled = _scaled(graph, groups, scales)
    left = np.setdiff1d(np.arange(len(images)), evenly(np.arange(len(images)), count))
    others = images[evenly(left, count)] if len(left) else some
    names = [t.name for t in graph.outputs]
    real = _answers(graph, others, names)
    before, after = (
        disturbance(real, _answers(_integers(made, some, calibration, kept), others, names))
        for made in (graph, scaled)
    )
    better = after.divergence < before.divergence
    if better:
        for group, scale in zip(groups, scales, strict=True):
            scale_channels(graph, group, scale)
    at_bound = sum(int(_at_bound(g, size).sum()) for g, size in zip(groups, sizes, strict=True))
    makers = tuple(name for group in groups for name in group.makers)
    return Equalization(better, makers, unscaled, at_bound, (len(some), len(others)), before, after)


def _depthwise(node: gs.Node) -> bool:
    return node.op == "Conv" and 1 < int(node.attrs.get("group", 1)) == int(node.inputs[0].shape[1])


def _scaled(graph: gs.Graph, groups: Sequence[ScalableChannels], scales: Sequence[Float64]) -> gs.Graph:
    made = copy_graph(graph)
    for group, scale in zip(groups, scales, strict=True):
        scale_channels(made, group, scale)
    return made


def _integers(graph: gs.Graph, images: Float32, calibration: str, kept: Collection[str]) -> gs.Graph:
    made = copy_graph(graph)
    calibrate(made, images, calibration, kept)
    Quantize()(made)
    return made


def _answers(graph: gs.Graph, images: Float32, names: Sequence[str]) -> list[Float32]:
    return Evaluator.of(lambda batch: to_model(graph, batch)).run(images.__getitem__, len(images), names)


def _sizes(graph: gs.Graph, groups: Sequence[ScalableChannels], images: Float32) -> list[Float64]:
    """Return the largest size of the values of each channel that are held somewhere, [channels] per group."""
    tensors = graph.tensors()
    of = {name: k for k, g in enumerate(groups) for name in g.tensors if not fused_away(tensors[name])}
    found = [np.zeros(group.channels) for group in groups]
    for name, value in tap(graph, of, ()).values(images):
        if name in of:
            values = value.reshape(len(value), groups[of[name]].channels, -1)
            largest = np.maximum(values.max(axis=(0, 2)), -values.min(axis=(0, 2)))
            found[of[name]] = np.maximum(found[of[name]], largest)
    return found


def _at_bound(group: ScalableChannels, sizes: Float64) -> NDArray[np.bool_]:
    return np.asarray(sizes >= group.bound)


def _scales(graph: gs.Graph, groups: Sequence[ScalableChannels], sizes: Sequence[Float64]) -> list[Float64]:
    """Return the scales of the channels of each group, [channels].

    The weights that make a channel, its values, and the weights that read it each have a share of the range
    of their tensor. The geometric mean of the first two becomes the third (Nagel et al. have weights alone on
    both sides). Groups on both sides of a depthwise layer change each other's shares, so that all are gone
    over several times.

    A channel that reaches the bound of a Clip keeps its scale, and no other one is scaled beyond the bound:
    on these images the Clip cuts off what it did before.
    """
    made = copy_graph(graph)
    nodes = {node.name: node for node in made.nodes}
    total = [np.ones(group.channels) for group in groups]
    for _ in range(_SWEEPS):
        for k, group in enumerate(groups):
            step = _step(group, nodes, sizes[k] / total[k], _at_bound(group, sizes[k]))
            scale_channels(made, group, step)
            total[k] = total[k] * step
    return total


def _step(
    group: ScalableChannels, nodes: Mapping[str, gs.Node], sizes: Float64, fixed: NDArray[np.bool_]
) -> Float64:
    makers = _shares([row_sizes(nodes[name]) for name in group.makers])
    readers = _shares([column_sizes(nodes[name], group.channels) for name in group.readers])
    values = _shares([sizes])
    alive = np.min([makers, readers, values], axis=0) > _LEAST
    scales = np.sqrt(np.sqrt(makers * values) / readers)
    measure = alive & fixed if (alive & fixed).any() else alive  # those that stay say what is usual
    scales /= np.exp(np.log(scales[measure]).mean()) if measure.any() else 1.0
    scales = np.clip(scales, 1 / _MOST, _MOST)
    if np.isfinite(group.bound):
        scales = np.maximum(scales, sizes / group.bound)
    return np.where(alive & ~fixed, scales, 1.0)


def _shares(found: Sequence[Float64]) -> Float64:
    """Return the share of each channel in the range of its tensor, the geometric mean over tensors."""
    shares = [np.maximum(size / (size.max(initial=0.0) or 1.0), _LEAST) for size in found]
    return np.asarray(np.exp(np.mean(np.log(shares), axis=0)))
