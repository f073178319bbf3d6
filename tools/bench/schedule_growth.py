"""How the time of the scheduler grows with layers and cores."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

from targets.described.target import EngineTarget
from targets.description.architecture import Architecture, Link
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.evaluation.scheduling import schedule_workload
from targets.network.layer import Layer, LoopDims, Operand
from targets.network.workload import ExitPath, Workload
from targets.objective import LATENCY
from targets.schedule.check.checker import problems

LAYERS = (25, 50, 100, 200, 400)
CORES = (1, 2, 4, 8, 16)
MANY_LAYERS, MANY_CORES = 200, 16
CHANNELS, SIZE = (32, 48, 64, 96, 24, 16), 16
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
    return EngineTarget(architecture=arch, objective=LATENCY)


def network(count: int) -> Workload:
    """Return ``count`` layers in blocks of four convolutions, the first to other channels, and an add."""
    layers: list[Layer] = []
    width = CHANNELS[0]
    for index in range(count):
        block, place = divmod(index, BLOCK)
        before = Operand(f"t{index - 1}", (1, width, SIZE, SIZE), 8)
        made = (index - 1,) if index else ()
        if place == BLOCK - 1:
            inputs = (before, Operand(f"t{index - BLOCK + 1}", before.shape, 8))
            output = Operand(f"t{index}", before.shape, 8)
            producers = (index - BLOCK + 1, index - 1)
            layers.append(Layer(f"add_{index}", "Add", (), 0, None, inputs, (output,), producers=producers))
            continue
        out = CHANNELS[block % len(CHANNELS)] if place == 0 else width
        dims = LoopDims(1, 1, out, width, SIZE, SIZE, 3, 3, SIZE, SIZE, 1, 1, 1, 1, 1, 1, 1, 1)
        weight = Operand(f"w{index}", (out, width, 3, 3), 8)
        output = Operand(f"t{index}", (1, out, SIZE, SIZE), 8)
        layers.append(
            Layer(
                f"conv_{index}", "Conv", (), dims.iterations, dims, (before,), (output,), weight,
                producers=made,
            )
        )  # fmt: skip
        width = out
    path = ExitPath("final", "", tuple(range(count)), sum(layer.macs for layer in layers), decides=False)
    return Workload(tuple(layers), (path,), (), frozenset({f"t{count - 1}"}))


def seconds(layers: int, cores: int) -> tuple[float, float, int]:
    """Return CPU seconds with costing the layers, without it, and the cycles reached."""
    workload, target = network(layers), accelerator(cores)
    took = []
    for _ in range(2):
        start = time.process_time()
        planned = schedule_workload(workload, target, LATENCY)
        took.append(time.process_time() - start)
    wrong = problems(planned.network, planned.schedule)
    if wrong:
        raise ValueError(f"the schedule is wrong: {'; '.join(wrong[:3])}")
    return took[0], took[1], planned.schedule.latency_cycles


def show(plots: Path | None) -> None:
    """Print the table, and plot it if a folder is given."""
    print(
        f"Growth: 3x3 convolutions of {min(CHANNELS)} to {max(CHANNELS)} channels, {SIZE} x {SIZE}, "
        f"every {BLOCK}th layer an add;\nCPU seconds of a first run, and of a second one that knows the tiles"
    )
    print(f"{'layers':>7}{'cores':>7}{'first s':>9}{'second s':>10}{'ms per layer':>14}{'cycles':>12}")
    by_layers = [(count, 4) for count in LAYERS]
    by_cores = [(MANY_LAYERS, count) for count in CORES]
    measured: dict[tuple[int, int], float] = {}
    for layers, cores in dict.fromkeys((*by_layers, *by_cores)):
        first, second, cycles = seconds(layers, cores)
        measured[layers, cores] = first
        print(
            f"{layers:>7}{cores:>7}{first:>9.2f}{second:>10.2f}{1e3 * first / layers:>14.1f}{cycles:>12,}",
            flush=True,
        )
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
