"""What batches cost on the target of a run: its network unrolled, and scheduled anew for several images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.cache.content import network_hash
from eecompile.cache.key import Key
from eecompile.cache.source_hash import source_hash
from eecompile.cache.store import CacheStore, usual_folder
from eecompile.run.accelerator import description_hash, kept_target, open_target
from eecompile.run.prepare import cost_of
from eecompile.run.schedule_options import ScheduleOptions, wishes_of
from eecompile.run_files.summary import Summary, load_summary
from eecompile.run_files.versions import check_version
from eecompile.serving.batches.batching import known_sizes
from eecompile.serving.service import Seconds, ServiceTime
from passes.errors import InputError, NoSolutionError
from passes.exits.chain import keep_exits
from passes.model.graph import load
from passes.progress import each
from targets.contract.target import Target
from targets.evaluation.points import at_point
from targets.evaluation.scheduling import Wishes
from targets.objective import Objective


@dataclass(frozen=True)
class ScheduledBatches:
    """What stages take for batches of images that all go on.

    Attributes:
        largest: Images of a batch.
        sizes: Those that were scheduled.
        cycles: [sizes, stages].
        joules: [sizes, stages].
        work_bits: [sizes] the most that lies in each store by its name, beside weights that are kept.
    """

    largest: int
    sizes: tuple[int, ...]
    cycles: Seconds
    joules: Seconds
    work_bits: tuple[Mapping[str, int], ...]

    def to_bytes(self) -> bytes:
        """Return what `of` reads."""
        costs = self.cycles.tolist(), self.joules.tolist()
        return json.dumps([self.largest, self.sizes, *costs, self.work_bits]).encode()

    @staticmethod
    def of(data: bytes) -> ScheduledBatches:
        """Read them."""
        largest, sizes, cycles, joules, work_bits = json.loads(data)
        return ScheduledBatches(largest, tuple(sizes), np.array(cycles), np.array(joules), tuple(work_bits))


def with_batches(service: ServiceTime, costs: ScheduledBatches, seconds_a_cycle: float) -> ServiceTime:
    """Return ``service`` with the costs of batches.

    A batch of another size runs as a larger one with places left empty, or as two smaller ones behind each
    other, whichever takes less time; so none takes longer than its images one by one.
    """
    scheduled = list(zip(costs.sizes, costs.cycles * seconds_a_cycle, costs.joules, strict=True))
    shape = (service.stages, costs.largest)
    time, energy = np.empty(shape), np.empty(shape)
    for stage in range(service.stages):
        seconds, joules = [0.0, float(service.stage_s[stage, 0])], [0.0, float(service.stage_j[stage, 0])]
        for size in range(2, costs.largest + 1):
            whole = [(float(s[stage]), float(j[stage])) for other, s, j in scheduled if other >= size]
            parts = [(seconds[a] + seconds[size - a], joules[a] + joules[size - a]) for a in range(1, size)]
            best = min([*whole, *parts])
            seconds.append(best[0])
            joules.append(best[1])
        time[stage], energy[stage] = seconds[1:], joules[1:]
    needs = service.footprint
    if needs is not None:
        needs = replace(needs, batches=tuple(zip(costs.sizes, costs.work_bits, strict=True)))
    return replace(service, stage_s=time, stage_j=energy, footprint=needs)


@dataclass(frozen=True)
class RunHardware:
    """What the schedule of a run was made with.

    Attributes:
        target: At its point, with the options of the run.
        wishes: What was asked of the schedule.
        objective: What it minimized.
        text: All of these, for keys.
    """

    target: Target
    wishes: Wishes
    objective: Objective
    text: str

    @staticmethod
    def of(folder: Path, summary: Summary) -> RunHardware:
        """Read a run directory; raises InputError for one of another version, or whose target is gone."""
        told = json.loads((folder / "run.json").read_text())
        check_version(told, folder / "run.json")
        options, name = told["options"], kept_target(folder, told["options"]["target"])
        target, _ = open_target(name, options["cost_model"] or "", None)
        described = description_hash(name, target)
        target = at_point(target, summary.point, None)
        if options["rules"] is not None:
            target = target.counted_by(options["rules"])
        asked = [options[key] for key in ("target", "cost_model", "rules", "schedule")]
        text = json.dumps([*asked, described, summary.point, summary.objective.name])
        return RunHardware(
            target, wishes_of(ScheduleOptions(options["schedule"]), target), summary.objective, text
        )


def run_batches(
    folder: Path,
    ratios: Sequence[float],
    alone: tuple[ServiceTime, ServiceTime],
    largest: int,
    clock_hz: float | None,
    progress: Callable[[str], None],
) -> tuple[ServiceTime, ServiceTime]:
    """Return the stages of a run, and the network without exits, with the costs of batches.

    Each size is scheduled for the objective of the run, with the freedom that it had.

    Args:
        folder: The run directory.
        ratios: Share of images that leave at each exit, on val.
        alone: Both for one image.
        largest: Images of a batch, at least 2.
        clock_hz: Of a target without a clock.
        progress: Called with a line per network.

    Raises:
        InputError: No run that a schedule can be made for again.
    """
    hardware = RunHardware.of(folder, load_summary(folder))
    point = hardware.target.operating_point
    hertz = clock_hz if clock_hz is not None or point is None else point.clock_hz.value
    if hertz is None:
        raise InputError(f"{folder}: its target has no clock", "give one in hertz: `clock`")
    graph = load(folder / "model.lowered.onnx")
    store = CacheStore(usual_folder())
    found = []
    networks = (("exits", graph, tuple(ratios)), ("no exits", keep_exits(graph, []), None))
    for service, (words, network, shares) in zip(alone, networks, strict=True):
        progress(f"scheduling batches of {folder.name} with {words}")
        parts = {
            "source": source_hash(), "network": network_hash(network), "hardware": hardware.text,
            "ratios": shares, "largest": largest,
        }  # fmt: skip

        def make(network: gs.Graph = network, shares: tuple[float, ...] | None = shares) -> bytes:
            return batch_costs(network, hardware, shares, largest).to_bytes()

        costs = ScheduledBatches.of(store.get(Key.of("batches", parts, f"{folder.name}, {words}"), make))
        found.append(with_batches(service, costs, 1 / hertz))
    return found[0], found[1]


def batch_costs(
    network: gs.Graph, hardware: RunHardware, ratios: tuple[float, ...] | None, largest: int
) -> ScheduledBatches:
    """Schedule batches of `known_sizes`; those that the target has no room for are left out."""
    sizes, cycles, joules, work_bits = [], [], [], []
    for size in each(known_sizes(largest)[1:], "batches"):
        try:
            report = cost_of(
                network,
                hardware.target,
                hardware.objective,
                ratios=ratios,
                wishes=hardware.wishes,
                images=size,
            )
        except NoSolutionError:
            continue
        sizes.append(size)
        cycles.append(np.diff([0.0, *(path.cost.latency_cycles for path in report.exits)]))
        joules.append(np.diff([0.0, *(1e-12 * path.cost.energy_pj for path in report.exits)]))
        work_bits.append({use.name: use.peak_bits - use.kept_bits for use in report.residence.stores})
    return ScheduledBatches(largest, tuple(sizes), np.array(cycles), np.array(joules), tuple(work_bits))
