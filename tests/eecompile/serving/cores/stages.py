"""Small stages on a few cores."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import strategies as st

from eecompile.serving.cores.use import CoreUse, Spans
from eecompile.serving.memory import LeftBehind, MemoryNeeds
from eecompile.serving.service import ServiceTime
from targets.residence import StoreUse

CORES = ("npu", "dsp", "bus")
ROOM = 100


def use(seconds: float, bits: int = 0, **busy: Spans) -> CoreUse:
    """Return what a stage takes."""
    return CoreUse(seconds, busy, {"sram": bits})


def served(*stages: CoreUse, left: int = 0, kept: int = 0, load: float = 0.0, batch: int = 1) -> ServiceTime:
    """Return stages as a network; images of a batch run one behind another.

    Of the 100 bits of `sram` it keeps ``kept``; between two stages lie ``left``.
    """
    uses = []
    for one in stages:
        uses.append([one])
        for _ in range(batch - 1):
            uses[-1].append(uses[-1][-1].then(one))
    seconds = np.array([[one.seconds for one in of] for of in uses])
    most = kept + max(one.bits.get("sram", 0) for one in stages)
    stores = (StoreUse("dram", True, None, 0, 0), StoreUse("sram", False, ROOM, kept, most))
    behind = (LeftBehind({"sram": left}, 0, 0.5, 0.1, 0.5, 0.1),) * (len(stages) - 1)
    return ServiceTime(seconds, 2 * seconds, load, load, MemoryNeeds(stores, behind), uses)


def alone(service: ServiceTime) -> ServiceTime:
    """Return a network of which each stage takes all cores all the time."""
    uses = [
        [dataclasses.replace(one, busy=dict.fromkeys(CORES, ((0.0, one.seconds),))) for one in of]
        for of in service.uses
    ]
    return dataclasses.replace(service, uses=uses)


@st.composite
def a_use(draw: st.DrawFn, most_bits: int = 0) -> CoreUse:
    """Draw a stage."""
    whole = draw(st.integers(1, 12))
    busy = {}
    for core in CORES:
        edges = draw(st.lists(st.integers(0, whole), unique=True, max_size=6).map(sorted))
        pairs = tuple((a / 8, b / 8) for a, b in zip(edges[::2], edges[1::2], strict=False))
        if pairs:
            busy[core] = pairs
    return CoreUse(whole / 8, busy, {"sram": draw(st.integers(0, most_bits))})


def meet(one: CoreUse, other: CoreUse, offset: float, slack: float = 1e-6) -> bool:
    """Return whether two stages use a core at once if the other begins ``offset`` seconds later."""
    return any(
        min(last, end + offset) - max(first, begin + offset) > slack
        for name in one.busy.keys() & other.busy.keys()
        for first, last in one.busy[name]
        for begin, end in other.busy[name]
    )
