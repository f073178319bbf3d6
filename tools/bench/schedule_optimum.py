"""The default scheduler beside CP-SAT: its proven optimum, or what it can prove, for the same tiles."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from targets.contract.target import Target
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.evaluation.scheduling import Planned, Wishes
from targets.network.workload import Workload
from targets.objective import EDP, ENERGY, LATENCY, Objective, uniform
from targets.schedule.exact.free_bound import free_bound
from targets.schedule.exact.solve import solve
from targets.schedule.freedom import Freedom
from targets.schedule.search.candidates import Candidates
from tools.bench.scheduled import (
    FUSED,
    LAYERS,
    MOBILENETV1,
    OTHER_EXITS,
    RESNET8,
    SPLIT,
    STAR,
    STREAM_QUAD,
    described,
    timed,
    workload_of,
)

GOAL = 0.03
MOST_LAYERS = 60
NETWORKS = {
    "ResNet8": RESNET8,
    "MobileNetV1": MOBILENETV1,
    "MobileNetV2 0457": STAR,
    "MobileNetV2 358": OTHER_EXITS,
}


def cases(shared: Path) -> Iterator[tuple[str, str, Workload, Target]]:
    """Yield the networks of up to ``MOST_LAYERS`` layers on both quad-cores."""
    targets: dict[str, Target] = {
        "Stream's quad-core": described(shared.joinpath(*STREAM_QUAD)),
        "edge_tpu_quad": EdgeTpuQuadTarget(),
    }
    for title, target in targets.items():
        for name, parts in NETWORKS.items():
            workload = workload_of(shared.joinpath(*parts), target)
            if len(workload.layers) <= MOST_LAYERS:
                yield name, title, workload, target


def anyhow(planned: Planned, objective: Objective, shares: Sequence[float]) -> str:
    """Return what no schedule undercuts whose layers are whole or cut in any of the ways that are tried."""
    candidates = Candidates(planned.network, Freedom(split=True, fuse=False))
    ways = {i: (*candidates.whole(i), *candidates.split(i)) for i in planned.network.order}
    return f"{free_bound(planned.network, ways, objective, shares):.4g}"


def show(shared: Path, seconds: float) -> None:
    """Print the table."""
    print(f"Default scheduler beside CP-SAT on the same tiles, {seconds:g} s each (goal: within {GOAL:.0%})")
    print(
        f"{'network':<18}{'accelerator':<20}{'cuts':<8}{'objective':>10}{'default':>12}{'CP-SAT':>12}"
        f"{'bound':>12}{'any cuts':>12}{'over CP-SAT':>13}{'over bound':>12}{'CPU s':>8}{'solver s':>10}"
    )
    for name, title, workload, target in cases(shared):
        ways: dict[str, Wishes] = {"layers": LAYERS, "split": SPLIT, "fused": FUSED}
        for way, wishes in ways.items():
            for objective in (LATENCY, ENERGY, EDP) if way == "layers" else (LATENCY,):
                fresh = replace(target)
                found = timed(workload, fresh, objective, wishes)
                shares = uniform(len(found.planned.network.stage_names))
                schedule = found.schedule
                value = objective.expected(
                    shares,
                    schedule.stage_end_cycles,
                    [schedule.energy_until(k) for k in range(len(shares))],
                )
                start = time.monotonic()
                exact = solve(
                    found.planned.network, found.planned.plan, objective, shares, time_limit_s=seconds
                )
                took = time.monotonic() - start
                free = anyhow(found.planned, objective, shares) if way != "fused" else "-"
                beyond = f"{value / exact.value - 1:>12.2%}{'' if exact.proven else '+'}"
                print(
                    f"{name:<18}{title:<20}{way:<8}{objective.name:>10}{value:>12.4g}{exact.value:>12.4g}"
                    f"{exact.bound:>12.4g}{free:>12}{beyond:>13}{value / exact.bound - 1:>12.2%}"
                    f"{found.cpu_s:>8.2f}{took:>10.1f}",
                    flush=True,
                )
    print(
        "+: what CP-SAT found is not proven to be the optimum, and 'over bound' says how far it may be.\n"
        "bound: for these tiles; any cuts: for whole layers and all splits tried. Weights are fetched.\n"
    )
