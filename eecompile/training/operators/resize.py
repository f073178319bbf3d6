"""Resize: every mode is a choice of places or a small matrix along each axis."""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs
import torch
from numpy.typing import NDArray

from eecompile.training.operators.step import Builder, TorchStep, constant, shape_of, text, untrainable

Tensor = torch.Tensor
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def resize(node: gs.Node) -> TorchStep:
    """Nearest or linear, by any of the ways to find coordinates but cropping."""
    mode = text(node.attrs.get("mode", "nearest"))
    where = text(node.attrs.get("coordinate_transformation_mode", "half_pixel"))
    if mode not in ("nearest", "linear"):
        raise untrainable(node, f"its mode is {mode}")
    if where == "tf_crop_and_resize" or int(node.attrs.get("antialias", 0)):
        raise untrainable(node, "it crops or blurs while it resizes")
    if text(node.attrs.get("keep_aspect_ratio_policy", "stretch")) != "stretch":
        raise untrainable(node, "it keeps the aspect ratio")
    size, out = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    axes = [axis for axis in range(len(size)) if size[axis] != out[axis]]
    scales = _scales(node, size, out)
    rounding = text(node.attrs.get("nearest_mode", "round_prefer_floor"))
    holds = []
    for axis in axes:
        places = _coordinates(where, size[axis], out[axis], scales[axis])
        chosen = _nearest(places, rounding, size[axis]) if mode == "nearest" else _linear(places, size[axis])
        holds.append(torch.from_numpy(chosen))

    def run(x: Tensor, *holds: Tensor) -> Tensor:
        for axis, chosen in zip(axes, holds, strict=True):
            if mode == "nearest":
                x = x.index_select(axis, chosen)
            else:
                x = (x.transpose(axis, -1) @ chosen.to(x.dtype)).transpose(axis, -1)
        return x

    return TorchStep(run, holds=tuple(holds), mixes=0 in axes)


def _scales(node: gs.Node, size: tuple[int, ...], out: tuple[int, ...]) -> list[float]:
    """Return the factor of each axis: as given, for they need not be the ratio of the rounded sizes."""
    given = constant(node, 2) if len(node.inputs) > 2 else None
    if given is None or not given.size:
        return [o / n for o, n in zip(out, size, strict=True)]
    factors = [float(value) for value in given.reshape(-1)]
    if "axes" not in node.attrs:
        return factors
    found = [1.0] * len(size)
    for axis, factor in zip(node.attrs["axes"], factors, strict=True):
        found[axis % len(size)] = factor
    return found


def _coordinates(where: str, size: int, out: int, scale: float) -> Float32:
    """Return for each place of the output the place of the input it is at.

    In single precision, for rounding decides which of two pixels is the nearest.
    """
    places, factor = np.arange(out, dtype=np.float32), np.float32(scale)
    half, one = np.float32(0.5), np.float32(1)
    if where == "align_corners":
        return places * np.float32(size - 1) / np.float32(max(out - 1, 1))
    if where == "asymmetric":
        return places / factor
    if where == "pytorch_half_pixel" and out == 1:
        return np.zeros(out, np.float32)
    found: Float32 = (places + half) / factor
    if where == "half_pixel_symmetric":
        found = np.float32(size) / 2 * (one - np.float32(out) / (factor * np.float32(size))) + found
    return found - half


def _nearest(places: Float32, rounding: str, size: int) -> NDArray[np.int64]:
    half = 0.5 if "prefer" in rounding else 0.0
    down = rounding in ("floor", "round_prefer_ceil")
    found = np.floor(places + half) if down else np.ceil(places - half)
    chosen: NDArray[np.int64] = np.clip(found, 0, size - 1).astype(np.int64)
    return chosen


def _linear(places: Float32, size: int) -> Float64:
    """Return the matrix [size, out] that interpolates between neighbours."""
    matrix = np.zeros((size, len(places)))
    for number, place in enumerate(np.clip(places, 0, size - 1)):
        low = min(math.floor(place), size - 1)
        share = place - low
        matrix[low, number] += 1 - share
        if share:
            matrix[low + 1, number] += share
    return matrix


BUILDERS: dict[str, Builder] = {"Resize": resize}
