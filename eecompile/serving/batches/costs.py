"""What batches cost on the target of a run: its network unrolled, and scheduled anew for several images."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import or_
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx_graphsurgeon as gs
from pydantic import TypeAdapter

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
from eecompile.serving.cores.use import CoreUse
from eecompile.serving.memory import MemoryNeeds
from eecompile.serving.service import CLOCK_HINT, ServiceTime
from passes.errors import InputError, NoSolutionError
from passes.exits.chain import keep_exits
from passes.model.graph import load
from passes.progress import each
from targets.contract.target import Target
from targets.evaluation.points import at_point
from targets.evaluation.scheduling import Wishes
from targets.objective import Objective
from targets.stage_use import StageUse

AGAIN = "repeat the run"


@dataclass(frozen=True)
class ScheduledBatch:
    """What stages take for a batch whose images all go on.

    Attributes:
        size: Its images.
        joules: [stages] of all images.
        bits: The most that lies in each store by its name, beside weights that are kept.
        uses: [stages] how long they take, and what.
    """

    size: int
    joules: tuple[float, ...]
    bits: dict[str, int]
    uses: tuple[StageUse, ...]


@dataclass(frozen=True)
class ScheduledBatches:
    """Batches of some sizes.

    Attributes:
        largest: Images of a batch.
        batches: Those that were scheduled, by their size.
    """

    largest: int
    batches: tuple[ScheduledBatch, ...]

    def to_bytes(self) -> bytes:
        """Return what `of` reads."""
        return TypeAdapter(ScheduledBatches).dump_json(self)

    @staticmethod
    def of(data: bytes) -> ScheduledBatches:
        """Read them."""
        return TypeAdapter(ScheduledBatches).validate_json(data)


class _Choice(NamedTuple):
    """How a stage runs for some images: those of a size that was scheduled, or some behind others."""

    seconds: float
    joules: float
    sizes: tuple[int, ...]


def with_batches(service: ServiceTime, costs: ScheduledBatches, seconds_a_cycle: float) -> ServiceTime:
    """Return ``service`` with the costs of batches.

    A batch of another size runs as a larger one with places left empty, or as two smaller ones behind each
    other, whichever takes less time; so none takes longer than its images one by one. What stages take of
    cores and links is told where one image was scheduled, too.
    """
    stages = range(service.stages)
    choices = [_choices(service, costs, seconds_a_cycle, stage) for stage in stages]
    needs, known = service.footprint, {one.size: one for one in costs.batches}

    def use(stage: int, choice: _Choice) -> CoreUse:
        uses = [known[size].uses[stage] for size in choice.sizes]
        found = reduce(CoreUse.then, (CoreUse.of(one, seconds_a_cycle) for one in uses))
        if needs is None:
            return found
        return replace(found, bits=_turns_bits(needs, stage, choice.sizes, [one.bits for one in uses]))

    if needs is not None:
        alone = {store.name: store.peak_bits - store.kept_bits for store in needs.stores}
        whole = {1: alone} | {size: one.bits for size, one in known.items()}
        batches = []
        for size in range(2, costs.largest + 1):
            parts = [of[size - 1].sizes for of in choices]
            bits = [_turns_bits(needs, n, of, [whole[part] for part in of]) for n, of in enumerate(parts)]
            batches.append((size, _most(bits)))
        service = replace(service, footprint=replace(needs, batches=tuple(batches)))
    return replace(
        service,
        stage_s=np.array([[one.seconds for one in of] for of in choices]),
        stage_j=np.array([[one.joules for one in of] for of in choices]),
        uses=[[use(stage, one) for one in choices[stage]] for stage in stages] if 1 in known else (),
    )


def _turns_bits(
    needs: MemoryNeeds, stage: int, sizes: Sequence[int], parts: Sequence[Mapping[str, int]]
) -> dict[str, int]:
    """Return the most that batches which run a stage one behind another have in each store.

    Args:
        needs: Of the network: what an image leaves behind a stage.
        stage: Its number.
        sizes: Of the batches.
        parts: What each has there while it runs, by store.
    """
    around = [needs.boundaries[at] for at in (stage - 1, stage) if 0 <= at < len(needs.boundaries)]
    outer = next((store.name for store in needs.stores if store.outer), "")
    left = _most([*(one.inside for one in around), *({outer: one.outside} for one in around)])
    found, waits = _most(parts), sum(sizes) - min(sizes)
    return {name: found.get(name, 0) + waits * left.get(name, 0) for name in {*found, *left}}


def _most(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the most of several in each store."""
    return dict(reduce(or_, map(Counter, several), Counter[str]()))


def _choices(
    service: ServiceTime, costs: ScheduledBatches, seconds_a_cycle: float, stage: int
) -> list[_Choice]:
    """Return how a stage runs for one image, two, and so on."""
    scheduled = [
        _Choice(one.uses[stage].cycles * seconds_a_cycle, one.joules[stage], (one.size,))
        for one in costs.batches
    ]
    found = [_Choice(float(service.stage_s[stage, 0]), float(service.stage_j[stage, 0]), (1,))]
    for size in range(2, costs.largest + 1):
        whole = [one for one in scheduled if one.sizes[0] >= size]
        parts = [(found[first - 1], found[size - first - 1]) for first in range(1, size)]
        turns = [_Choice(a.seconds + b.seconds, a.joules + b.joules, (*a.sizes, *b.sizes)) for a, b in parts]
        found.append(min([*whole, *turns]))
    return found


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
        """Read a run directory; raises InputError where files or its target are gone."""
        if not (folder / "run.json").is_file():
            raise InputError(f"{folder} has no run.json, so its schedule cannot be made again", AGAIN)
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
    overlap: bool = False,
) -> tuple[ServiceTime, ServiceTime]:
    """Return the stages of a run, and the network without exits, with the costs of batches.

    Each size is scheduled for the objective of the run, with the freedom that it had.

    Args:
        folder: The run directory.
        ratios: Share of images that leave at each exit, on val.
        alone: Both for one image.
        largest: Images of a batch.
        clock_hz: Of a target without a clock.
        progress: Called with a line per network.
        overlap: Tell what stages take of cores and links, too.

    Raises:
        InputError: No run that a schedule can be made for again; with ``overlap``, one whose schedule comes
            out otherwise now, or of which it was not counted what it leaves in the memories.
    """
    hardware = RunHardware.of(folder, load_summary(folder))
    point = hardware.target.operating_point
    hertz = clock_hz if clock_hz is not None or point is None else point.clock_hz.value
    if hertz is None:
        raise InputError(f"{folder}: its target has no clock", CLOCK_HINT)
    sizes = known_sizes(largest)[0 if overlap else 1 :]
    try:
        graph = load(folder / "model.lowered.onnx")
    except InputError as error:
        raise InputError(f"{folder}: its schedule cannot be made again, as {error}", AGAIN) from error
    store = CacheStore(usual_folder())
    found = []
    networks = (("exits", graph, tuple(ratios)), ("no exits", keep_exits(graph, []), None))
    for service, (words, network, shares) in zip(alone, networks, strict=True):
        progress(f"scheduling {'batches' if largest > 1 else 'stages'} of {folder.name} with {words}")
        parts = {
            "source": source_hash(), "network": network_hash(network), "hardware": hardware.text,
            "ratios": shares, "sizes": sizes,
        }  # fmt: skip

        def make(network: gs.Graph = network, shares: tuple[float, ...] | None = shares) -> bytes:
            return batch_costs(network, hardware, shares, sizes).to_bytes()

        costs = ScheduledBatches.of(store.get(Key.of("batches", parts, f"{folder.name}, {words}"), make))
        if overlap:
            _check_alone(folder, service, costs, 1 / hertz)
        found.append(with_batches(service, costs, 1 / hertz))
    return found[0], found[1]


def _check_alone(folder: Path, service: ServiceTime, costs: ScheduledBatches, seconds_a_cycle: float) -> None:
    """Check that what one image takes of cores is of the schedule of the run."""
    if service.footprint is None:
        raise InputError(
            f"{folder}: what it leaves in the memories was not counted when it was made", "retune it"
        )
    again = [use.cycles * seconds_a_cycle for one in costs.batches if one.size == 1 for use in one.uses]
    told = service.stage_s[:, 0]
    if len(again) != len(told) or not np.allclose(again, told, rtol=1e-6, atol=0.0):
        raise InputError(
            f"{folder}: its schedule comes out otherwise now than when it was made, so what stages take of "
            "cores is not known",
            "retune it",
        )


def batch_costs(
    network: gs.Graph, hardware: RunHardware, ratios: tuple[float, ...] | None, sizes: Sequence[int]
) -> ScheduledBatches:
    """Schedule batches of ``sizes``; those that the target has no room for are left out."""
    found = []
    for size in each(sizes, "batches"):
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
        joules = [0.0, *(1e-12 * path.cost.energy_pj for path in report.exits)]
        bits = {use.name: use.peak_bits - use.kept_bits for use in report.residence.stores}
        steps = tuple(after - before for before, after in pairwise(joules))
        found.append(ScheduledBatch(size, steps, bits, report.stage_uses))
    return ScheduledBatches(sizes[-1], tuple(found))
