"""The early-exit network of arXiv 2512.04705 on its quad-core, honestly and as its authors count."""

from __future__ import annotations

from pathlib import Path

from passes.exits.chain import keep_exits
from passes.exits.recognise import recognise_exits
from passes.model.graph import load
from passes.registry import parse_pipeline
from targets.contract.target import Target
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.evaluation.scheduling import Wishes
from targets.network.workload import Workload, build_workload
from targets.objective import EDP, ENERGY, LATENCY
from targets.schedule.result import Schedule
from targets.schedule.search.speculation import path_energies
from tools.bench.scheduled import LAYERS, SPLIT, STAR, timed, workload_of

# Published exit ratios of this candidate, and its average cost.
RATIOS = (0.1064, 0.3263, 0.1167, 0.1911, 0.2595)
PAPER_CYCLES, PAPER_PJ, PAPER_EDP = 483_589, 0.540e9, 389.1e12
WAYS = {
    "layers (as the authors)": LAYERS,
    "split": SPLIT,
    "all, weights kept": Wishes(),
    "all, speculative": Wishes(speculate=True),
}


def static_workload(path: Path, target: Target) -> Workload:
    """Return the same backbone with its final head and no exits."""
    graph = load(path)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    recognise_exits(graph)
    plain = keep_exits(graph, [])
    parse_pipeline(target.pipeline(quantized=False))(plain)
    return build_workload(plain, target.precision)


def averages(schedule: Schedule) -> tuple[float, float, float]:
    """Return expected cycles, pJ and pJ cycles over the exits."""
    cycles, energies = schedule.stage_end_cycles, path_energies(schedule)
    shares = tuple(zip(RATIOS, cycles, energies, strict=True))
    return (
        sum(r * t for r, t, _ in shares),
        sum(r * e for r, _, e in shares),
        sum(r * t * e for r, t, e in shares),
    )


def show(shared: Path) -> None:
    """Print the table."""
    path = shared.joinpath(*STAR)
    print(
        "Early-exit MobileNetV2 (exits after blocks 0, 4, 5, 7 and final) on the paper's quad-core, one\n"
        f"allocation for the whole network, published ratios {', '.join(map(str, RATIOS))}"
    )
    print(
        f"{'':<26}{'objective':>10}{'avg cycles':>12}{'/ paper':>9}{'avg mJ':>9}{'/ paper':>9}"
        f"{'J cycles':>10}"
        f"{'/ paper':>9}{'static':>10}{'saving':>9}{'authors':>9}{'MACs':>8}{'CPU s':>8}"
    )
    for name, wishes in WAYS.items():
        for objective in (LATENCY, ENERGY, EDP):
            target = EdgeTpuQuadTarget()
            workload = workload_of(path, target)
            found = timed(workload, target, objective, wishes, RATIOS)
            schedule = found.planned.speculative or found.schedule
            cycles, energy, edp = averages(schedule)
            static = timed(static_workload(path, target), target, objective, wishes).schedule
            static_edp = static.latency_cycles * static.energy_pj
            macs = [exit_path.macs for exit_path in workload.exits]
            kept_macs = sum(r * m for r, m in zip(RATIOS, macs, strict=True)) / static_macs(path, target)
            print(
                f"{name:<26}{objective.name:>10}{cycles:>12,.0f}"
                f"{cycles / PAPER_CYCLES:>9.3f}{energy / 1e9:>9.4f}"
                f"{energy / PAPER_PJ:>9.3f}{edp / 1e12:>10.1f}{edp / PAPER_EDP:>9.3f}"
                f"{static_edp / 1e12:>10.1f}"
                f"{1 - edp / static_edp:>9.1%}{1 - edp / authors_static(found.schedule, workload):>9.1%}"
                f"{1 - kept_macs:>8.1%}{found.cpu_s:>8.2f}",
                flush=True,
            )
    print(
        "static: the same backbone with its final head and no exits, same scheduler; saving: of EDP\n"
        "against it; authors: against energy with all exit heads times latency without the final\n"
        "head; MACs: saving of plain MACs. Published: 483,589 cycles, .540 mJ, 389.1 J cycles on average.\n"
    )


def static_macs(path: Path, target: Target) -> int:
    """Return the MACs of the network without exits."""
    return static_workload(path, target).exits[-1].macs


def authors_static(schedule: Schedule, workload: Workload) -> float:
    """Return the authors' static EDP: energy with the exit heads, latency without the final head."""
    last = len(schedule.stage_end_cycles) - 1
    backbone = {index for path in workload.exits for index in path.layers}
    # The final head is what runs behind the last convolution.
    convs = [i for i in backbone if workload.layers[i].op_type == "Conv"]
    end = max(run.end for run in schedule.runs if run.stage == last and run.layer in convs)
    return schedule.energy_pj * end
