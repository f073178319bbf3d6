"""What a network leaves in the memories between two inferences, and between two stages of one."""

from __future__ import annotations

from collections.abc import Iterable

from targets.evaluation.scheduling import Planned
from targets.residence import Residence, StageBoundary, StoreUse
from targets.schedule.machine import OUTER, Machine
from targets.schedule.network import weights_name
from targets.schedule.view.memory_profile import memory_profiles


def residence(planned: Planned) -> Residence:
    """Return what a scheduled network leaves in the memories."""
    network, machine = planned.network, planned.network.machine
    kept = [
        (store, network.extents[name].bits_of(part))
        for name, places in planned.resident.items()
        for store, part in places
    ]
    load_cycles, load_pj = _moved(machine, ((OUTER, store, bits) for store, bits in kept))
    boundaries = tuple(_boundary(planned, stage) for stage in range(len(network.stage_names) - 1))
    return Residence(sum(bits for _, bits in kept), load_cycles, load_pj, _uses(planned), boundaries)


def _moved(machine: Machine, moves: Iterable[tuple[str, str, int]]) -> tuple[int, float]:
    """Return cycles and pJ of moves between two stores, one after another, each by its fastest way."""
    cycles, energy_pj = 0, 0.0
    for source, destination, bits in moves:
        route = min(machine.routes[source, destination], key=lambda way: way.cycles(bits))
        cycles += route.cycles(bits)
        energy_pj += machine.stores[source].read.energy_of(bits) + bits * route.energy_pj_per_bit
        energy_pj += machine.stores[destination].write.energy_of(bits)
    return cycles, energy_pj


def kept_bits(planned: Planned) -> dict[str, int]:
    """Return the bits of weights that lie in each store for good."""
    network = planned.network
    weights = {weights_name(network.layer(index)) for index in network.order}
    kept = dict.fromkeys(network.machine.stores, 0)
    for stay in planned.schedule.stays:
        if stay.end is None and stay.tensor in weights:
            kept[stay.store] += stay.bits
    return kept


def _uses(planned: Planned) -> tuple[StoreUse, ...]:
    machine, kept = planned.network.machine, kept_bits(planned)
    profiles = [memory_profiles(way, machine) for way in planned.ways or (planned.schedule,)]
    return tuple(
        StoreUse(
            name, name == OUTER, store.size_bits, kept[name], max(found[name].peak_bits for found in profiles)
        )
        for name, store in machine.stores.items()
    )


def _boundary(planned: Planned, stage: int) -> StageBoundary:
    """Return what an inference that goes on behind ``stage`` has in the memories there."""
    network, machine = planned.network, planned.network.machine
    schedule = planned.way(len(network.stage_names) - 1)
    end = schedule.stage_end_cycles[stage]
    needed = {
        name
        for name, readers in network.consumers.items()
        if any(network.stage_of[reader] > stage for reader in readers)
    }
    stays = [
        stay
        for stay in schedule.stays
        if stay.tensor in needed and stay.start < end and (stay.end is None or stay.end > end)
    ]
    bits: dict[str, int] = {}
    for stay in stays:
        bits[stay.store] = bits.get(stay.store, 0) + stay.bits
    inside = [stay for stay in stays if stay.store != OUTER]
    out = _moved(machine, ((stay.store, OUTER, stay.bits) for stay in inside))
    back = _moved(machine, ((OUTER, stay.store, stay.bits) for stay in inside))
    return StageBoundary(network.stage_names[stage], bits, *out, *back)
