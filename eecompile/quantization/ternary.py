"""Ternary weights for an analog array, the step of its converter, and the affine behind it.

Ternary weights lose far more of a layer than eight bits do, so that each layer is fitted to make up for what
the layers before it lost: its weights are first replaced by those that give the real outputs from the
quantized inputs it will see (least squares), then rounded by GPTQ at several steps per channel, of which the
one of least squared error over these inputs stays.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.quantization import gptq
from eecompile.quantization.least_squares import best_scale
from passes.integers import analog
from passes.integers.quantize import to_integers
from passes.integers.schemes import ZERO_POINT
from passes.number_formats import InMemoryArray
from passes.state import GraphState, QuantGrid

Array = NDArray[Any]
Float64 = NDArray[np.float64]
Execute = Callable[[gs.Node, Array], Array]
"""Runs a node that reads one tensor, of all images."""

# Steps that are tried, of the one of least squared error over the weights alone.
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3)
_BINS = 4096


def nearest_steps(weights: Float64) -> Float64:
    """Return the step of least squared error for weights in {-step, 0, step}, per row of [K, d].

    Of the n largest weights the best step is their mean size, and what is gained is n times its square.
    """
    sizes = -np.sort(-np.abs(weights), axis=1)
    sums = sizes.cumsum(axis=1)
    count = np.arange(1, weights.shape[1] + 1)
    best = np.argmax(sums**2 / count, axis=1)
    steps: Float64 = np.take_along_axis(sums, best[:, None], 1)[:, 0] / (best + 1)
    return np.where(steps > 0, steps, 1.0)


def nearest_ternary(weights: Float64) -> tuple[Float64, Float64]:
    """Return integers [K, d] and steps [K] of least squared error over the weights alone."""
    steps = nearest_steps(weights)
    return np.sign(weights) * (np.abs(weights) > steps[:, None] / 2), steps


def ternary_weights(weights: Float64, covariance: Float64) -> tuple[Float64, Float64]:
    """Return integers [K, d] and steps [K] that keep the outputs for inputs of this ``covariance`` [d, d]."""
    steps, kinds = nearest_steps(weights), len(SHARES)
    tried = (steps[None] * np.array(SHARES)[:, None]).reshape(1, -1)
    many = np.tile(weights, (kinds, 1))
    # all steps at once: they share the factor of the covariance
    rounded = gptq.round_weights(many[None], covariance[None], tried, -1, 1)[0]
    integers = np.rint(rounded / tried[0][:, None])
    spread = integers @ covariance
    size = np.einsum("kd,kd->k", spread, integers)
    fitted = np.einsum("kd,kd->k", spread, many) / np.where(size > 0, size, 1.0)
    left = many - fitted[:, None] * integers
    errors = np.einsum("kd,de,ke->k", left, covariance, left).reshape(kinds, -1)
    errors[fitted.reshape(kinds, -1) <= 0] = np.inf
    best = np.argmin(errors, axis=0) * len(weights) + np.arange(len(weights))
    found = np.where(fitted[best] > 0, fitted[best], steps)
    return np.where(fitted[best, None] > 0, integers[best], 0.0), found


def aimed_weights(weights: Float64, real: Array, quantized: Array) -> tuple[Float64, Float64]:
    """Return the weights that give, from quantized inputs, the outputs that ``weights`` have on real ones.

    Args:
        weights: [K, d].
        real: Input columns in float, [rows, d].
        quantized: The same columns as the layer will see them.

    Returns:
        Weights [K, d], and the covariance [d, d] of the quantized columns.
    """
    centred = [values - values.mean(axis=0, dtype=np.float64) for values in (real, quantized)]
    both = centred[0].T @ centred[1] / len(real)
    covariance: Float64 = centred[1].T @ centred[1] / len(real)
    depth = len(covariance)
    damping = np.eye(depth) * max(gptq.DAMPING * np.trace(covariance) / depth, 1e-12)
    aimed: Float64 = np.linalg.solve(covariance + damping, (weights @ (both + damping)).T).T
    return aimed, covariance


@dataclass(frozen=True)
class SeenByLayer:
    """What a layer reads and writes on calibration images.

    Attributes:
        inputs: Quantized inputs, [N, C, …].
        outputs: Real outputs, [N, K, …].
        columns: Real and quantized input columns, [rows, d] each; ``None`` where they are too many to fit on.
    """

    inputs: Array
    outputs: Array
    columns: tuple[Array, Array] | None


def fit(state: GraphState, node: gs.Node, seen: SeenByLayer, execute: Execute) -> Array:
    """Put a convolution into the array: weights, bias and the grids of its weights, converter and affine.

    Args:
        state: Of its graph; the grids are written into it.
        node: A convolution that runs in the array, with a bias; its constants are changed in place. Weights
            that have a grid are those of an earlier layer too, and stay.
        seen: What it sees.
        execute: Runs nodes.

    Returns:
        What it writes, quantized, [N, K, …]: what the array computes, not yet on the output grid.
    """
    weight, bias = node.inputs[1], node.inputs[2]
    array = state.precisions[node.name].array
    assert array is not None
    input_grid, shape = state.grids[node.inputs[0].name], weight.values.shape
    step = input_grid.scale[0]
    shared = weight.name in state.grids
    if shared:
        grid = state.grids[weight.name]
        integers = to_integers(weight.values, grid).astype(np.float64) - grid.zero_point
        steps = np.array(grid.scale, np.float64)
    else:
        flat = weight.values.astype(np.float64).reshape(len(weight.values), -1)
        if seen.columns is None:
            flat_integers, steps = nearest_ternary(flat)
        else:
            flat_integers, steps = ternary_weights(*aimed_weights(flat, *seen.columns))
        integers = flat_integers.reshape(shape)
    whole = np.rint(seen.inputs / np.float32(step))
    ends = analog.ends_of(node, array)
    sums = [
        execute(_chunk(node, integers[:, start:end]), whole[:, start:end])
        for start, end in itertools.pairwise(ends)
    ]
    converter = converter_grid(sums, array)
    total: Array = np.sum([conversions(part, converter) for part in sums], axis=0)
    found = steps * step * converter.scale[0]
    if not shared:
        slopes = _slopes(total, seen.outputs)
        found = np.where(slopes > 0, slopes, found)
    offsets = _means(seen.outputs) - found * _means(total)
    if not shared:
        steps = (found / (step * converter.scale[0])).astype(np.float32)
        levels = state.precisions[node.name].weights
        assert levels is not None
        weight.values = (integers * steps.reshape(-1, *[1] * (len(shape) - 1))).astype(np.float32)
        state.grids[weight.name] = QuantGrid(
            tuple(map(float, steps)),
            ZERO_POINT,
            ZERO_POINT + levels.low,
            ZERO_POINT + levels.high,
            "uint8",
            0,
        )
    bias.values = offsets.astype(np.float32)
    finest = analog.affine_step(float(found.max()), float(np.abs(offsets).max()), array, len(sums))
    top = 2 ** (array.affine_bits - 1)
    affine = QuantGrid((finest,), 0, -top, top - 1, f"int{array.affine_bits}")
    state.grids[analog.converter_key(node)] = converter
    state.grids[analog.affine_key(node)] = affine
    factor = analog.multiplier_factor(step, converter.scale[0], finest)
    scale = analog.multipliers(state.grids[weight.name].scale, factor, affine).astype(np.float32)
    shift = np.clip(np.rint(bias.values / np.float32(finest)), -top, top - 1)
    along = (-1, *[1] * (total.ndim - 2))
    found_values: Array = (total * scale.reshape(along) + shift.reshape(along)) * np.float32(finest)
    return found_values


def converter_grid(sums: list[Array], array: InMemoryArray) -> QuantGrid:
    """Return the grid of a converter: the step of least squared error over the sums of all chunks."""
    sizes = np.concatenate([np.abs(part).reshape(-1) for part in sums])
    counts, edges = np.histogram(sizes.astype(np.float64), _BINS, (0.0, float(sizes.max()) or 1.0))
    used = counts > 0
    levels = array.converter
    step = best_scale(((edges[:-1] + edges[1:]) / 2)[used], counts[used], levels)
    return QuantGrid((step,), ZERO_POINT, ZERO_POINT + levels.low, ZERO_POINT + levels.high, "uint8")


def conversions(sums: Array, converter: QuantGrid) -> Array:
    """Return what the converter makes of sums of products: whole numbers around 0."""
    middle = converter.zero_point
    found: Array = np.clip(
        np.rint(sums / np.float32(converter.scale[0])), converter.low - middle, converter.high - middle
    )
    return found


def _chunk(node: gs.Node, integers: Array) -> gs.Node:
    """Return the convolution that adds up the products of a chunk."""
    weights = gs.Constant("weights", np.ascontiguousarray(integers, np.float32))
    batch, _, *size = node.inputs[0].shape
    data = gs.Variable("channels", np.float32, [batch, integers.shape[1], *size])
    sums = gs.Variable(
        "sums", np.float32, list(node.outputs[0].shape)
    )  # not the tensor: it would know of this node
    return gs.Node("Conv", node.name, dict(node.attrs), [data, weights], [sums])


def _means(values: Array) -> Float64:
    """Return the mean of each channel."""
    found: Float64 = values.mean(axis=(0, *range(2, values.ndim)), dtype=np.float64)
    return found


def _slopes(x: Array, y: Array) -> Float64:
    """Return the slope of y over x by least squares, per channel; 0 where x does not vary."""
    along = (1, -1, *[1] * (x.ndim - 2))
    centred = x - _means(x).reshape(along)
    size = _means(centred**2)
    found: Float64 = _means(centred * (y - _means(y).reshape(along))) / np.where(size > 0, size, 1.0)
    return found
