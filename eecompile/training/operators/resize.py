"""Resize: every mode is a choice of places or a small matrix along each axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch
from numpy.typing import NDArray

from eecompile.training.operators.step import Builder, Step, constant, shape_of, text, untrainable

Tensor = torch.Tensor
Float64 = NDArray[np.float64]


def resize(node: gs.Node) -> Step:
    """Nearest or linear, by any of the ways to find coordinates but cropping."""
    mode = text(node.attrs.get("mode", "nearest"))
    where = text(node.attrs.get("coordinate_transformation_mode", "half_pixel"))
    if mode not in ("nearest", "linear"):
        raise untrainable(node, f"its mode is {mode}")
    if where == "tf_crop_and_resize" or int(node.attrs.get("antialias", 0)):
        raise untrainable(node, "it crops or blurs while it resizes")
    size, out = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    axes = [axis for axis in range(len(size)) if size[axis] != out[axis]]
    scales = _scales(node, size, out)
    rounding = text(node.attrs.get("nearest_mode", "round_prefer_floor"))
    matrices = {}
    for axis in axes:
        places = _coordinates(where, size[axis], out[axis], scales[axis])
        chosen = _nearest(places, rounding, size[axis]) if mode == "nearest" else _linear(places, size[axis])
        matrices[axis] = torch.from_numpy(chosen)

    def run(x: Tensor) -> Tensor:
        for axis, chosen in matrices.items():
            if mode == "nearest":
                x = x.index_select(axis, chosen.to(x.device))
            else:
                x = (x.transpose(axis, -1) @ chosen.to(x)).transpose(axis, -1)
        return x

    return Step(run, mixes=0 in axes)


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


def _coordinates(where: str, size: int, out: int, scale: float) -> Float64:
    """Return for each place of the output the place of the input it is at."""
    places = np.arange(out, dtype=np.float64)
    if where == "align_corners":
        return places * (size - 1) / (out - 1) if out > 1 else np.zeros(out)
    if where == "asymmetric":
        return places / scale
    if where == "pytorch_half_pixel" and out == 1:
        return np.zeros(out)
    found: Float64 = (places + 0.5) / scale - 0.5
    if where == "half_pixel_symmetric":
        found += size / 2 * (1 - out / (scale * size))
    return found


def _nearest(places: Float64, rounding: str, size: int) -> NDArray[Any]:
    found = {
        "floor": np.floor,
        "ceil": np.ceil,
        "round_prefer_floor": lambda p: np.ceil(p - 0.5),
        "round_prefer_ceil": lambda p: np.floor(p + 0.5),
    }[rounding](places)
    return np.clip(found, 0, size - 1).astype(np.int64)


def _linear(places: Float64, size: int) -> Float64:
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
