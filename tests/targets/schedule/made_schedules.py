"""Schedules made by hand or at random, without a scheduler: what the drawing side must cope with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from hypothesis import strategies as st

from targets.cost.layer_cost import LayerCost
from targets.description.architecture import Architecture, parse_architecture
from targets.network.layer import Layer, Operand
from targets.network.workload import ExitPath, Workload
from targets.schedule.machine import OUTER, Machine, Store, Word
from targets.schedule.network import ALL_HELD, CoreCosts, Network, network_of
from targets.schedule.regions import Region
from targets.schedule.result import Move, Run, Schedule, Stay, Uses

PART = Region(0, 1, 0, 1)
ARCH = """
name: drawn
host_waits: {waits}
dma:
  bandwidth_bytes_per_cycle: {{value: 8, known: placeholder, source: test}}
  cycles_per_call: {{value: 1, known: placeholder, source: test}}
cores:
  - {{name: a, kind: simd}}
  - {{name: b, kind: pooling}}
  - {{name: host, kind: host}}
"""


def arch(waits: bool = False) -> Architecture:
    """Return cores ``a`` and ``b``, a DMA and a host, which waits for the others or not."""
    return parse_architecture(ARCH.format(waits=str(waits).lower()), "drawn.yaml")


def network() -> Network:
    """Return two layers in a row, an exit behind each."""
    image, middle, last = (Operand(name, (1, 4), 8) for name in ("image", "middle", "last"))
    first = Layer("first", "Relu", (), 0, None, (image,), (middle,))
    second = Layer("second", "Relu", (), 0, None, (middle,), (last,), producers=(0,))
    exits = (ExitPath("early", "", (0,), 0, True), ExitPath("late", "", (0, 1), 0, False))
    word = Word(8, 1.0)
    machine = Machine(
        {"a": 1, "b": 1, "host": 1, "dma": 1, "link_0.a-b>b": 8, "bus": 32, "offchip.port": 16},
        {OUTER: Store(OUTER, None, word, word), "a.sram": Store("a.sram", 64, word, word)},
        {("a", "I"): "a.sram", ("a", "O"): "a.sram"},
        {},
    )
    workload = Workload((first, second), exits, (), frozenset({"last"}))
    return network_of(workload, machine, cast(CoreCosts, None), {})


def cost(parts: Sequence[int], energy_pj: float = 0.0) -> LayerCost:
    """Return cycles of host jobs, DMA, load, compute, stall, store and host work."""
    job, dma, load, compute, stall, store, host = parts
    return LayerCost(compute, dma, host, job, energy_pj, 1.0, 0, "placeholder", stall, load, store)


def run(
    core: str,
    start: int,
    parts: Sequence[int],
    layer: int = 0,
    uses: Uses = (),
    cut: tuple[int, int] = (0, 1),
    energy_pj: float = 0.0,
) -> Run:
    """Return a run; see :func:`cost` for its parts."""
    uses = ((core, 1.0), *uses)
    return Run(
        "",
        layer,
        core,
        start,
        start + sum(parts),
        layer,
        uses,
        cost(parts, energy_pj),
        ALL_HELD,
        (),
        None,
        PART,
        cut,
    )


def move(
    tensor: str,
    start: int,
    cycles: int,
    uses: Uses,
    layer: int = 0,
    bits: int = 0,
    way: Sequence[str] = (OUTER, "a.sram"),
    energies_pj: Sequence[float] = (0.0, 0.0, 0.0),
) -> Move:
    """Return a move; the energies are those of reading, of wires and of writing."""
    source, destination = way
    return Move(
        tensor,
        PART,
        source,
        destination,
        start,
        start + cycles,
        layer,
        uses,
        bits,
        layer,
        "activations",
        *energies_pj,
    )


def schedule(runs: Sequence[Run] = (), moves: Sequence[Move] = (), stays: Sequence[Stay] = ()) -> Schedule:
    """Return a schedule whose stages end with the last of their runs and moves."""
    ends = [0]
    for stage in (0, 1):
        ends.append(
            max(
                [
                    ends[-1],
                    *(x.end for x in runs if x.stage == stage),
                    *(x.end for x in moves if x.stage == stage),
                ]
            )
        )
    return Schedule(tuple(runs), tuple(moves), tuple(stays), ("early", "late"), tuple(ends[1:]))


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Return runs one after another on each core, and moves that share the bus or overlap at will."""
    parts, stages = st.lists(st.integers(0, 9), min_size=7, max_size=7), st.sampled_from([0, 1])
    runs = []
    for core in ("a", "b"):
        cycle = 0
        for _ in range(draw(st.integers(0, 4))):
            cycle += draw(st.integers(0, 5))
            streams = draw(st.sampled_from([(), (("bus", 16.0),)]))
            runs.append(run(core, cycle, draw(parts), draw(stages), streams, energy_pj=draw(st.floats(0, 9))))
            cycle = runs[-1].end
    ways = st.sampled_from([(("bus", 8.0),), (("bus", 32.0),), (("bus", 16.0), ("offchip.port", 16.0))])
    moves = [
        move(
            draw(st.sampled_from(["image", "middle"])),
            draw(st.integers(0, 40)),
            draw(st.integers(0, 9)),
            draw(ways),
            draw(stages),
        )
        for _ in range(draw(st.integers(0, 12)))
    ]
    stays = [
        Stay(
            "a.sram", "middle", PART, draw(st.integers(0, 9)), start, draw(st.none() | st.integers(start, 60))
        )
        for start in draw(st.lists(st.integers(0, 50), max_size=9))
    ]
    return schedule(runs, moves, stays)
