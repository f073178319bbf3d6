"""What a schedule did with cores, links and memories, as figures per exit path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from targets.contract.target import Target
from targets.evaluation.scheduling import Planned, Wishes
from targets.schedule.network import has_weights, weights_name
from targets.schedule.view.drawing import timeline_of
from targets.schedule.view.energy_split import EnergySplit, energy_split
from targets.schedule.view.memory_profile import MemoryProfile, memory_profiles
from targets.schedule.view.timeline import Timeline
from targets.schedule.view.utilisation import Utilisation, utilisation

Weights = Literal["keep", "fetch"]


class ResidentWeights(NamedTuple):
    """Weights that stay on chip between inferences; parts that lie in several stores count in each."""

    layer: str
    bits: int
    stores: tuple[str, ...]


@dataclass(frozen=True)
class ScheduleReport:
    """A schedule in figures.

    Attributes:
        mode: What could be done with layers; one of :data:`targets.schedule.freedom.MODES`.
        weights: Whether weights could stay on chip between inferences.
        resident: Those that do, in the order the layers run.
        weighted: How many layers have weights or constants.
        runs: Tiles that run.
        moves: Parts of tensors that are moved between stores.
        groups: How many groups of layers are fused.
        fused: How many layers are in these groups.
        memories: What lies in each store over time, by its name in the machine.
        utilisation: How busy each core, link and port is.
        energy: Where the energy of each exit path goes.
    """

    mode: str
    weights: Weights
    resident: tuple[ResidentWeights, ...]
    weighted: int
    latency_cycles: int
    runs: int
    moves: int
    groups: int
    fused: int
    memories: Mapping[str, MemoryProfile]
    utilisation: tuple[Utilisation, ...]
    energy: tuple[EnergySplit, ...]


def schedule_report(planned: Planned, target: Target, wishes: Wishes, timeline: Timeline) -> ScheduleReport:
    """Return the figures of a schedule; those of an exit path are of the schedule of that path.

    Args:
        planned: The schedule.
        target: What it is for.
        wishes: What the user asked of it.
        timeline: The same schedule as it is drawn.
    """
    schedule, network, free = planned.schedule, planned.network, target.freedom(wishes.schedule)
    groups = [segment.layers for segment in planned.plan if len(segment.layers) > 1]
    return ScheduleReport(
        mode=wishes.schedule or next(iter(target.schedules)),
        weights="keep" if free.hold and wishes.keep_weights else "fetch",
        resident=_resident(planned),
        weighted=sum(has_weights(network.layer(index)) for index in network.order),
        latency_cycles=schedule.latency_cycles,
        runs=len(schedule.runs),
        moves=len(schedule.moves),
        groups=len(groups),
        fused=sum(len(layers) for layers in groups),
        memories=_memories(planned),
        utilisation=_utilisation(planned, target, timeline),
        energy=_energy(planned, target),
    )


def _memories(planned: Planned) -> dict[str, MemoryProfile]:
    machine = planned.network.machine
    found = memory_profiles(planned.schedule, machine)
    ways = [memory_profiles(way, machine) for way in planned.ways]
    if not ways:
        return found
    return {
        name: replace(profile, peaks_bits=tuple(way[name].peaks_bits[n] for n, way in enumerate(ways)))
        for name, profile in found.items()
    }


def _utilisation(planned: Planned, target: Target, timeline: Timeline) -> tuple[Utilisation, ...]:
    found = utilisation(timeline)
    lines = [timeline_of(way, planned.network, target.arch) for way in planned.ways]
    ways = [{item.resource: item for item in utilisation(line)} for line in lines]
    if not ways:
        return found
    rows = []
    for item in found:
        own = [way.get(item.resource) for way in ways]
        rows.append(
            item._replace(
                working=tuple(of_way.working[n] if of_way else 0.0 for n, of_way in enumerate(own)),
                taken=tuple(of_way.taken[n] if of_way else 0.0 for n, of_way in enumerate(own)),
                bits=tuple(of_way.bits[n] if of_way else 0 for n, of_way in enumerate(own)),
            )
        )
    return tuple(rows)


def _energy(planned: Planned, target: Target) -> tuple[EnergySplit, ...]:
    found = energy_split(planned.schedule, target.offchip)
    return tuple(energy_split(way, target.offchip)[n] for n, way in enumerate(planned.ways)) or found


def _resident(planned: Planned) -> tuple[ResidentWeights, ...]:
    network = planned.network
    found = []
    for index in network.order:
        name = weights_name(network.layer(index))
        if places := planned.resident.get(name):
            bits = sum(network.extents[name].bits_of(region) for _, region in places)
            stores = tuple(sorted({store for store, _ in places}))
            found.append(ResidentWeights(network.layer(index).name, bits, stores))
    return tuple(found)
