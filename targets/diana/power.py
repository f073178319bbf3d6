"""What DIANA takes while several of its cores are at work at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from targets.cost.layer_cost import energy_pj
from targets.description.architecture import Architecture
from targets.diana.fused import RowCost
from targets.schedule.result import Move, Run, Schedule
from targets.schedule.view.moments import moments

# Whose power is taken while data move and no core works.
MOVING = "digital"


def power_mw(arch: Architecture, cores: Sequence[str]) -> float:
    """Return the power in mW while ``cores`` are at work, the host among them while it starts a job.

    The published powers are of the chip with a core at work, its memories and host included, and of both its
    arrays at work (42.39, less than the sum of 24.96 and 28.74). Beside an array, pooling, sums, transfers
    and host add nothing that is known; without one, they take what their placeholders say. Source of the
    powers: ODiMO; of adding nothing: this project.
    """
    working = set(cores)
    together = [p for p in arch.powers_together if working.issuperset(p.cores)]
    if together:
        return max(power.active_power_mw.value for power in together)
    return max(_alone_mw(arch, core) for core in working)


def _alone_mw(arch: Architecture, core: str) -> float:
    power = arch.core(core).active_power_mw
    if power is None:
        raise ValueError(f"energy is power times time: {core} needs a power")
    return power.value


def shared_energies(arch: Architecture, runs: Sequence[Run], moves: Sequence[Move]) -> list[float]:
    """Return the energy of each of ``runs``, in pJ; that of rows is what the chip takes from first to last.

    What is at work at once shares the power in proportion to what each takes alone. Time in which only data
    move is of the next run of the layer they are for, or of its last. Layers that run whole have their own.
    """
    if arch.clock_hz is None:
        raise ValueError("energy is power times time: the chip needs a clock")
    begin = min((*(run.start for run in runs), *(move.start for move in moves)), default=0)
    spans: list[tuple[int, int]] = []
    # Per span the number of the run, and the core at work, none for moves.
    owners: list[tuple[int, str]] = []
    for number, run in enumerate(runs):
        started = run.start + run.cost.job_cycles
        spans += [(run.start - begin, started - begin), (started - begin, run.end - begin)]
        owners += [(number, arch.host or run.core), (number, run.core)]
    for move in moves:
        spans.append((move.start - begin, move.end - begin))
        owners.append((_run_for(move, runs), ""))
    energies = [0.0 if isinstance(run.cost, RowCost) else run.cost.energy_pj for run in runs]
    for start, end, working in moments(spans):
        at_work = [(number, core) for number, core in (owners[i] for i in working) if core]
        if any(not isinstance(runs[number].cost, RowCost) for number, _ in at_work):
            continue
        cores = [core for _, core in at_work] or [MOVING]
        paying = [number for number, _ in at_work] or [owners[i][0] for i in working[:1]] or [0]
        total_pj = energy_pj(power_mw(arch, cores), end - start, arch.clock_hz)
        alone = [_alone_mw(arch, core) for core in cores]
        for number, share in zip(paying, alone, strict=True):
            energies[number] += total_pj * share / sum(alone)
    return energies


def _run_for(move: Move, runs: Sequence[Run]) -> int:
    """Return the number of the run that a move is for: the next of its layer, its last, or the first."""
    own = [number for number, run in enumerate(runs) if run.layer == move.layer]
    behind = [number for number in own if runs[number].start >= move.end]
    return min(behind, key=lambda n: runs[n].start) if behind else own[-1] if own else 0


def settled(arch: Architecture, schedule: Schedule) -> Schedule:
    """Return ``schedule`` with the energy of the chip shared among its runs, stage by stage."""
    energies: dict[str, float] = {}
    for stage in range(len(schedule.stage_names)):
        runs = [run for run in schedule.runs if run.stage == stage]
        moves = [move for move in schedule.moves if move.stage == stage]
        found = shared_energies(arch, runs, moves)
        energies |= {run.name: energy for run, energy in zip(runs, found, strict=True)}
    return replace(
        schedule,
        runs=tuple(r._replace(cost=replace(r.cost, energy_pj=energies[r.name])) for r in schedule.runs),
    )
