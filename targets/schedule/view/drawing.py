"""From a schedule to the slots it is drawn with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from targets.description.architecture import OFFCHIP, Architecture
from targets.schedule.machine import TURNS
from targets.schedule.network import Network
from targets.schedule.result import Move, Run, Schedule
from targets.schedule.view.lanes import take_lane
from targets.schedule.view.timeline import Group, Kind, Resource, Slot, Timeline

_GROUPS: tuple[Group, ...] = ("core", "host", "dma", "port", "link")


def timeline_of(schedule: Schedule, network: Network, arch: Architecture) -> Timeline:
    """Return ``schedule`` as slots that do not overlap within a lane of a resource.

    * The parts of a run follow one another as in :class:`targets.cost.layer_cost.LayerCost`: starting the job
      and host work on the host, transfers on the DMA, the rest on the core. Where there is no host or no DMA,
      they are on the core.
    * A host that waits is held for as long as the run or the move takes.
    * What a run takes of links and ports is a stream, as long as the run.
    * A move is on every resource it takes.

    Args:
        schedule: The schedule.
        network: What it is a schedule of.
        arch: The accelerator, for what its cores, its host and its DMA are called.
    """
    capacities = network.machine.capacities
    slots = [slot for run in schedule.runs for slot in _run_slots(run, network, arch)]
    slots += [slot for move in schedule.moves for slot in _move_slots(move, network, arch)]
    slots = [slot for slot in slots if slot.end_cycle > slot.start_cycle and slot.resource != TURNS]
    drawn = {name: amount for name, amount in capacities.items() if name != TURNS}
    resources = [Resource(name, _group(name, arch), amount) for name, amount in drawn.items()]
    resources.sort(key=lambda resource: _GROUPS.index(resource.group))
    return Timeline(laned(slots), schedule.stage_end_cycles, schedule.stage_names, tuple(resources))


def laned(slots: Iterable[Slot]) -> tuple[Slot, ...]:
    """Return ``slots`` by start, each in the first lane of its resource that is free."""
    ordered = sorted(
        slots, key=lambda s: (s.start_cycle, s.end_cycle, s.resource, s.layer, s.tile, s.data, s.way or ())
    )
    free: dict[str, list[float]] = {}
    placed = []
    for slot in ordered:
        lane = take_lane(free.setdefault(slot.resource, []), slot.start_cycle, slot.end_cycle)
        placed.append(replace(slot, lane=lane))
    return tuple(placed)


def _group(name: str, arch: Architecture) -> Group:
    if name == arch.host:
        return "host"
    if any(name == core.name for core in arch.cores):
        return "core"
    if arch.dma is not None and name == arch.dma.name:
        return "dma"
    return "port" if name.startswith(f"{OFFCHIP}.") else "link"


def _run_slots(run: Run, network: Network, arch: Architecture) -> Iterator[Slot]:
    cost, capacities = run.cost, network.machine.capacities
    dma = arch.dma.name if arch.dma is not None else run.core
    host = arch.host or run.core
    # What shares the turns with others the host only starts; for what has them alone it waits.
    shares = dict(run.uses).get(TURNS, 1.0) < 1.0
    waits = arch.host if arch.host_waits and not shares else None
    phases: tuple[tuple[str, int, Kind], ...] = (
        (host, cost.job_cycles, "host"),
        (dma, cost.dma_cycles, "dma"),
        (run.core, cost.load_cycles, "load"),
        (run.core, cost.compute_cycles, "compute"),
        (run.core, cost.stall_cycles, "stall"),
        (run.core, cost.store_cycles, "store"),
        (host, cost.host_cycles, "host"),
    )
    whole = Slot(
        run.core, network.layer(run.layer).name, run.start, run.end, "compute", run.stage, run.cut,
        energy_pj=cost.energy_pj,
    )  # fmt: skip
    cycle = idle_from = run.start
    for resource, cycles, kind in phases:
        if not cycles:
            continue
        if resource == waits:
            yield replace(whole, resource=waits, start_cycle=idle_from, end_cycle=cycle, kind="wait")
            idle_from = cycle + cycles
        yield replace(whole, resource=resource, start_cycle=cycle, end_cycle=cycle + cycles, kind=kind)
        cycle += cycles
    if waits is not None:
        yield replace(whole, resource=waits, start_cycle=idle_from, kind="wait")
    for resource, amount in run.uses:
        if _group(resource, arch) in {"port", "link"}:
            yield replace(whole, resource=resource, kind="stream", share=amount / capacities[resource])


def _move_slots(move: Move, network: Network, arch: Architecture) -> Iterator[Slot]:
    maker = network.producer.get(move.tensor)
    data = move.tensor if maker is None else network.layer(maker).name
    capacities, layer = network.machine.capacities, network.layer(move.layer).name
    for resource, amount in move.uses:
        yield Slot(
            resource,
            layer,
            move.start,
            move.end,
            "wait" if resource == arch.host else "transfer",
            move.stage,
            data=data,
            tensor=move.tensor,
            purpose=move.purpose,
            way=(move.source, move.destination),
            bits=move.bits,
            energy_pj=move.energy_pj,
            share=amount / capacities[resource],
        )
