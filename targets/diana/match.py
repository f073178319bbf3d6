"""MATCH's published latency model of the DIANA digital core, and its DMA."""

from __future__ import annotations

import math

from targets.cost.layer_cost import ceil_div
from targets.network.layer import LoopDims

ARRAY_K = 16
ARRAY_OX = 16
TILE_OVERHEAD_CYCLES = 23
# Cycles in which a row of the windows of one tile and channel is fetched.
ROW_FETCHES = 2


def row_fetches(dims: LoopDims) -> int:
    """Return cycles to fetch a row of the windows of 16 output columns, in words of 16 bytes; at least 2.

    The windows span ``15 * stride + FX`` columns: 22 for 7 x 7 at stride 1, which the two words hold that
    MATCH counts whatever the stride, and 37 at stride 2, which take three. Source: this project.
    """
    return max(ROW_FETCHES, ceil_div((ARRAY_OX - 1) * dims.stride_x + dims.fx, ARRAY_OX))


def digital_compute_cycles(dims: LoopDims, fetches: int = ROW_FETCHES) -> int:
    """Return compute cycles on the 16 (OX) x 16 (K) array.

    Per tile of 16 output columns and 16 output channels, ``C*FY*FX`` cycles of multiply-accumulate,
    ``2*C*FY`` of operand fetch and 23 to start and drain. A depthwise layer is one such job per
    channel, so it uses 1/16 of the array. With other ``fetches`` than 2 these take the place of the 2.

    Source: MATCH (eml-eda/match, DIANA digital cost model), without its discount of
    up to two rows at the zero-padded border.
    """
    per_tile = dims.c * dims.fy * dims.fx + fetches * dims.c * dims.fy + TILE_OVERHEAD_CYCLES
    tiles = dims.g * ceil_div(dims.k, ARRAY_K) * ceil_div(dims.ox, ARRAY_OX) * dims.oy
    return dims.b * tiles * per_tile


def transfer_cycles(
    size_bytes: int, calls: int, bandwidth_bytes_per_cycle: float, cycles_per_call: float
) -> int:
    """Return cycles to move ``size_bytes`` in ``calls`` DMA calls.

    Source: MATCH's DIANA target: 16 bytes per cycle between L2 and L1, 70 cycles per call.
    """
    return math.ceil(size_bytes / bandwidth_bytes_per_cycle) + math.ceil(calls * cycles_per_call)
