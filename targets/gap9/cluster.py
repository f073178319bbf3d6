"""MATCH's published latency model of convolutions and products on the eight cores of the cluster."""

from __future__ import annotations

from targets.cost.layer_cost import ceil_div
from targets.network.layer import LoopDims

CORES = 8
CHANNELS, COLUMNS, INPUTS = 4, 2, 4
"""Output channels and output columns a core computes at once, and inputs of a SIMD product."""
INNER_CYCLES = 14
"""Cycles per step of CHANNELS x COLUMNS SIMD products: six loads, eight products."""
START_CYCLES, END_CYCLES = 5, 10


def linear_cycles(dims: LoopDims) -> int:
    """Return compute cycles of a convolution or product.

    Rows go to the cores. A dense convolution gathers two columns of taps per step where its kernel has
    several, then multiplies; a depthwise one and a product with a vector do 8 multiply-accumulates a cycle.

    Source: MATCH (eml-eda/match, GAP9 cluster cost model), without its multiplication of output sizes by the
    strides.
    """
    if dims.depthwise:
        rows = dims.b * dims.oy * ceil_div(dims.ox, 4) * 4
        return ceil_div(dims.g, CORES) * rows * dims.fy * dims.fx
    if dims.oy * dims.ox == 1:
        return dims.b * dims.g * ceil_div(dims.c * dims.fy * dims.fx, 2) * ceil_div(dims.k, 4)
    taps = dims.fy * dims.fx * dims.c
    gather = ceil_div(COLUMNS * taps, INPUTS) if dims.fy * dims.fx > 1 else 0
    multiply = START_CYCLES + ceil_div(taps, INPUTS) * INNER_CYCLES + END_CYCLES
    steps = ceil_div(dims.k, CHANNELS) * ceil_div(dims.oy, CORES) * ceil_div(dims.ox, COLUMNS)
    return dims.b * dims.g * steps * (gather + multiply)
