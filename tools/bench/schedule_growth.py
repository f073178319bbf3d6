"""How the scheduler's time grows with layers and cores: networks of 3x3 convolutions with residual adds."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

from targets.arch import Architecture, Link
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.engine_target import EngineTarget
from targets.layer import Layer, LoopDims, Operand
from targets.schedule.checker import problems
from targets.scheduling import schedule_workload
from targets.workload import ExitPath, Workload

LAYERS = (25, 50, 100, 200, 400)
CORES = (1, 2, 4, 8, 16)
MANY_LAYERS, MANY_CORES = 200, 16
CHANNELS, SIZE = 32, 16
BLOCK = 5


def accelerator(cores: int) -> EngineTarget:
    """Return equal cores of the paper's accelerator and its SIMD core on one bus of 256 bits per cycle."""
    base = EdgeTpuQuadTarget().arch
    unrolled = {"D1": {"K": 8}, "D2": {"C": 8}, "D3": {"OX": 4}, "D4": {"OY": 4}}
    arrays = [
        base.cores[0].model_copy(update={"name": f"core_{i:02d}", "dataflow": unrolled}) for i in range(cores)
    ]
    members = (*arrays, base.core("simd"))
    bus = Link(kind="bus", cores=(*(c.name for c in members), "offchip"), bandwidth_bits_per_cycle=256)
    arch = Architecture(
        name=f"{cores} cores", cores=members, offchip=base.offchip, links=(bus,), overlap=True
    )
    return EngineTarget(architecture=arch, objective="latency")


def network(count: int) -> Workload:
    """Return ``count`` layers: convolutions, every fifth an add with what went into the block."""
    shape = (1, CHANNELS, SIZE, SIZE)
    dims = LoopDims(
        1,
        1,
        CHANNELS,
        CHANNELS,
        SIZE,
        SIZE,
        3,
        3,
        SIZE,
        SIZE,
        pad_top=1,
        pad_left=1,
        pad_bottom=1,
        pad_right=1,
    )
    layers: list[Layer] = []
    for index in range(count):
        before = Operand(f"t{index - 1}", shape, 8)
        output = (Operand(f"t{index}", shape, 8),)
        if index % BLOCK == BLOCK - 1 and index > BLOCK:
            skip = index - BLOCK + 1
            inputs = (before, Operand(f"t{skip - 1}", shape, 8))
            layers.append(
                Layer(f"add_{index}", "Add", (), 0, None, inputs, output, producers=(skip - 1, index - 1))
            )
            continue
        weight = Operand(f"w{index}", (CHANNELS, CHANNELS, 3, 3), 8)
        made = (index - 1,) if index else ()
        layers.append(
            Layer(
                f"conv_{index}", "Conv", (), dims.iterations, dims, (before,), output, weight, producers=made
            )
        )
    path = ExitPath("final", "", tuple(range(count)), sum(layer.macs for layer in layers), decides=False)
    return Workload(tuple(layers), (path,), (), frozenset({f"t{count - 1}"}))


def seconds(layers: int, cores: int) -> tuple[float, int]:
    """Return CPU seconds of scheduling, layers costed and all, and the cycles reached."""
    workload, target = network(layers), accelerator(cores)
    start = time.process_time()
    planned = schedule_workload(workload, target, "latency")
    took = time.process_time() - start
    wrong = problems(planned.network, planned.schedule)
    if wrong:
        raise ValueError(f"the schedule is wrong: {'; '.join(wrong[:3])}")
    return took, planned.schedule.latency_cycles


def show(plots: Path | None) -> None:
    """Print the table, and plot it if a folder is given."""
    print(f"Growth: {CHANNELS} channels, {SIZE} x {SIZE}, 3x3 convolutions, every {BLOCK}th layer an add")
    print(f"{'layers':>7}{'cores':>7}{'CPU s':>8}{'ms per layer':>14}{'cycles':>12}")
    by_layers = [(count, 4) for count in LAYERS]
    by_cores = [(MANY_LAYERS, count) for count in CORES]
    measured: dict[tuple[int, int], float] = {}
    for layers, cores in dict.fromkeys((*by_layers, *by_cores)):
        took, cycles = seconds(layers, cores)
        measured[layers, cores] = took
        print(f"{layers:>7}{cores:>7}{took:>8.2f}{1e3 * took / layers:>14.1f}{cycles:>12,}", flush=True)
    print(
        f"goal: {MANY_LAYERS} layers on {MANY_CORES} cores in under 2 s: "
        f"{measured[MANY_LAYERS, MANY_CORES]:.2f} s\n"
    )
    if plots is not None:
        _plot(
            [(layers, measured[layers, cores]) for layers, cores in by_layers],
            [(cores, measured[layers, cores]) for layers, cores in by_cores],
            plots / "schedule_growth.png",
        )


def _plot(by_layers: list[tuple[int, float]], by_cores: list[tuple[int, float]], path: Path) -> None:
    pyplot = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axis, points, label in (
        (axes[0], by_layers, "layers (4 cores)"),
        (axes[1], by_cores, "cores (200 layers)"),
    ):
        axis.plot(*zip(*points, strict=True), marker="o")
        axis.set_xlabel(label)
        axis.set_ylabel("CPU seconds")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f"plotted to {path}")
