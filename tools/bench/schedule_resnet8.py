"""ResNet8 at 8 bits on Stream's quad-core, beside the figures of its last version with energy."""

from __future__ import annotations

import time
from pathlib import Path

from targets.evaluation.scheduling import Wishes
from targets.network.workload import Workload
from targets.objective import EDP, ENERGY, LATENCY
from targets.schedule.view.energy_split import energy_split
from tools.bench.scheduled import (
    FUSED,
    KEPT,
    LAYERS,
    RESNET8,
    SPLIT,
    STREAM_QUAD,
    described,
    digest,
    timed,
    workload_of,
)

# FACTS: layer by layer and layer-fused, with a genetic allocator of 4 generations x 4 individuals.
STREAM_CYCLES = {"layers": 75_355, "fused": 61_936}
STREAM_PJ = {"layers": 6.507e7, "fused": 1.747e7}
STREAM_SECONDS = {"layers": 55, "fused": 33}
WAYS = {"layers": LAYERS, "split": SPLIT, "fused": FUSED, "fused, weights kept": KEPT}


def show(shared: Path, seconds: float) -> None:
    """Print the table."""
    quad = shared.joinpath(*STREAM_QUAD)
    mapping = quad.parent.parent / "mapping" / "tpu_like_quad_core_ga.yaml"
    print(
        "ResNet8, 8 bits, batch 1, on stream_quad_tpu; input and weights start off chip, the output ends "
        "there\n(Conv and Gemm on four arrays, pooling and Add on their cores, ReLU in the layer before)"
    )
    print(
        f"{'':<22}{'objective':>10}{'cycles':>9}{'Stream':>8}{'energy pJ':>11}{'Stream':>11}"
        f"{'cores':>10}{'on chip':>10}{'off chip':>10}{'links':>6}{'CPU s':>7}{'Stream':>7}  same twice"
    )
    for name, wishes in WAYS.items():
        for objective in (LATENCY, ENERGY, EDP):
            target = described(quad, mapping)
            workload = workload_of(shared.joinpath(*RESNET8), target)
            runs = [timed(workload, described(quad, mapping), objective, wishes) for _ in range(3)]
            schedule = runs[0].schedule
            split = energy_split(schedule, target.offchip)[-1]
            peer = name.split(",")[0] if name in STREAM_CYCLES else ""
            same = len({digest(run.schedule) for run in runs}) == 1
            print(
                f"{name:<22}{objective.name:>10}{schedule.latency_cycles:>9,}"
                f"{STREAM_CYCLES.get(peer, '-'):>8}"
                f"{schedule.energy_pj:>11.3e}{STREAM_PJ.get(peer, float('nan')):>11.3e}"
                f"{split.cores_pj:>10.2e}"
                f"{split.onchip_pj:>10.2e}{split.offchip_pj:>10.2e}{split.links_pj:>6.0f}"
                f"{min(run.cpu_s for run in runs):>7.2f}{STREAM_SECONDS.get(peer, '-'):>7}  {same}",
                flush=True,
            )
    explain(workload_of(shared.joinpath(*RESNET8), described(quad, mapping)), quad)
    print("\nThe exact solver on the same cuts, objective latency:")
    for name in ("layers", "split", "fused"):
        wishes = Wishes(WAYS[name].schedule, False, exact_seconds=seconds)
        target = described(quad, mapping)
        workload = workload_of(shared.joinpath(*RESNET8), target)
        start = time.monotonic()
        found = timed(workload, target, LATENCY, wishes)
        exact = found.planned.exact
        if exact is not None:
            print(
                f"{name:<22}{exact.value:>10,.0f} cycles, bound {exact.bound:>10,.0f}, gap {exact.gap:.2%}, "
                f"{'proven' if exact.proven else 'not proven'}, {time.monotonic() - start:.1f} s",
                flush=True,
            )
    print()


def explain(workload: Workload, quad: Path) -> None:
    """Print what of the distance to Stream's energies can be told from sizes and word energies."""
    store = described(quad).machine().stores["offchip"]
    weights = sum(t.elements * t.bits for layer in workload.layers for t in (layer.weight,) if t is not None)
    produced = {t.name for layer in workload.layers[:-1] for t in layer.outputs}
    written = sum(t.elements * t.bits for layer in workload.layers[:-1] for t in layer.outputs)
    read = sum(t.elements * t.bits for layer in workload.layers for t in layer.inputs if t.name in produced)
    trips = store.write.energy_of(written) + store.read.energy_of(read)
    print(
        f"\nEnergy off chip: reading the weights once takes {store.read.energy_of(weights):.3g} pJ, which "
        f"all of these pay;\nwriting every activation off chip and reading it back for each layer that needs "
        f"it would take {trips:.3g} pJ\n(Stream's layer by layer less its fused: "
        f"{STREAM_PJ['layers'] - STREAM_PJ['fused']:.3g} pJ; here activations stay in the 2 MB of a core)."
    )
