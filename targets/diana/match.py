"""MATCH's published latency model of the DIANA digital core, and its DMA."""

from __future__ import annotations

import math

from targets.cost.layer_cost import ceil_div
from targets.network.layer import LoopDims

ARRAY_K = 16
ARRAY_OX = 16
TILE_OVERHEAD_CYCLES = 23


def digital_compute_cycles(dims: LoopDims) -> int:
    """Return compute cycles on the 16 (OX) x 16 (K) array.

    Per tile of 16 output columns and 16 output channels, ``C*FY*FX`` cycles of multiply-accumulate,
    ``2*C*FY`` of operand fetch and 23 to start and drain. A depthwise layer is one such job per
    channel, so it uses 1/16 of the array.

    Source: MATCH (eml-eda/match, DIANA digital cost model), without its discount of
    up to two rows at the zero-padded border.
    """
    per_tile = dims.c * dims.fy * dims.fx + 2 * dims.c * dims.fy + TILE_OVERHEAD_CYCLES
    tiles = dims.g * ceil_div(dims.k, ARRAY_K) * ceil_div(dims.ox, ARRAY_OX) * dims.oy
    return dims.b * tiles * per_tile


def transfer_cycles(
    size_bytes: int, calls: int, bandwidth_bytes_per_cycle: float, cycles_per_call: float
) -> int:
    """Return cycles to move ``size_bytes`` in ``calls`` DMA calls.

    Source: MATCH's DIANA target: 16 bytes per cycle between L2 and L1, 70 cycles per call.
    """
    return math.ceil(size_bytes / bandwidth_bytes_per_cycle) + math.ceil(calls * cycles_per_call)
