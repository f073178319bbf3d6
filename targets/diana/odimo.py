"""ODiMO's published latency models of DIANA's digital and analog core."""

from __future__ import annotations

from targets.cost.layer_cost import ceil_div
from targets.network.layer import LoopDims

ANALOG_ROWS = 1152
ANALOG_COLUMNS = 512
ANALOG_MIN_CHANNELS = 64
ANALOG_CYCLES_PER_PASS = 18.2
ANALOG_WRITE_CYCLES_PER_ROW = 8
UNROLLS = (1, 2, 4, 8)


def digital_compute_cycles(dims: LoopDims) -> int:
    """Return ``ceil(Cout/g / 16) * Cin * ceil(OX/16) * OY * kx * ky``, Cin and Cout of all groups.

    Source: ODiMO as implemented in PLiNIO (eml-eda/plinio, ``diana_latency``), first term.
    """
    channels_in = dims.g * dims.c
    return dims.b * ceil_div(dims.k, 16) * channels_in * ceil_div(dims.ox, 16) * dims.oy * dims.fx * dims.fy


def digital_transfer_cycles(dims: LoopDims) -> int:
    """Return ``OX * OY * (Cout + Cin) / 8``, rounded up: activations in and out.

    Source: ODiMO as implemented in PLiNIO (eml-eda/plinio, ``diana_latency``), second term.
    """
    return ceil_div(dims.b * dims.ox * dims.oy * dims.g * (dims.k + dims.c), 8)


def analog_unroll(dims: LoopDims) -> int:
    """Return how many output columns the analog array computes at once: 1, 2, 4 or 8.

    The largest u with ``max(C, 64) * ky * (kx + u - 1) <= 1152`` rows and ``K * u <= 512`` columns;
    1 if none fits (the layer is then split).

    Source: PLiNIO (eml-eda/plinio, ``diana_latency``), where channels are padded to 64.
    """
    channels = max(dims.c, ANALOG_MIN_CHANNELS)
    fitting = [
        u
        for u in UNROLLS
        if channels * dims.fy * (dims.fx + u - 1) <= ANALOG_ROWS and dims.k * u <= ANALOG_COLUMNS
    ]
    return max(fitting, default=1)


def analog_compute_cycles(dims: LoopDims) -> float:
    """Return ``ceil(Cout/512) * ceil(Cin/128) * OX * OY / u * 18.2``: 70 ns per pass at 260 MHz.

    Source: ODiMO as implemented in PLiNIO (eml-eda/plinio, ``diana_latency``).
    """
    passes = ceil_div(dims.k, ANALOG_COLUMNS) * ceil_div(dims.c, 128) * dims.ox * dims.oy
    return dims.b * passes / analog_unroll(dims) * ANALOG_CYCLES_PER_PASS


def analog_weight_cycles(dims: LoopDims) -> int:
    """Return ``8 * Cin * kx * ky``: writing the logical rows of the array.

    Source: ODiMO as implemented in PLiNIO (eml-eda/plinio, ``diana_latency``).
    """
    return ANALOG_WRITE_CYCLES_PER_ROW * dims.c * dims.fx * dims.fy
