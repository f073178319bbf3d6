"""Which weights stay on chip between inferences."""

from __future__ import annotations

import math
from collections.abc import Mapping

from targets.schedule.machine import OUTER
from targets.schedule.network import Network, weights_name
from targets.schedule.plan import Places, Plan, Resident, cut_tiles, simulate
from targets.schedule.regions import Region
from targets.schedule.result import Schedule
from targets.schedule.state import State


def resident_weights(
    network: Network, plan: Plan, schedule: Schedule, ratios: Mapping[int, float]
) -> Resident:
    """Return the weights that fit beside the peak of all else.

    Those of the stages that are reached most often come first, of these the smallest.

    What lies in a store besides can never exceed its peak without weights, so that the plan stays valid
    whatever the new start times are, as long as activations are alive no longer than before; the scheduler
    simulates the plan again and gives up weights if they are.

    Args:
        network: What is scheduled.
        plan: The decisions.
        schedule: Their schedule with all weights fetched.
        ratios: Share of inputs that reach each stage.
    """
    room = _room(network, schedule)
    places = _places(network, plan)
    first = {weights_name(network.layer(i)): i for i in reversed(network.order)}  # of those that share them

    def turn(name: str) -> tuple[float, int, int]:
        index = first[name]
        return (
            -ratios[network.stage_of[index]],
            sum(_needs(network, name, places[name]).values()),
            network.position[index],
        )

    chosen: dict[str, tuple[tuple[str, Region], ...]] = {}
    for name in sorted(places, key=turn):
        need = _needs(network, name, places[name])
        if all(bits <= room[store] for store, bits in need.items()):
            for store, bits in need.items():
                room[store] -= bits
            chosen[name] = tuple(sorted(places[name]))
    return chosen


def settled(network: Network, plan: Plan, resident: Resident) -> tuple[Resident, State]:
    """Return which weights truly stay, and the schedule with these: none of them is fetched beside that.

    What a plan was made for may have been changed since: a layer may have moved away from its weights. What
    nobody reads goes, and so do weights of which a part is fetched all the same: they would be told to stay.

    Raises:
        NoRoomError: The plan does not fit the memories.
    """
    state = simulate(network, plan, resident)
    needed = weight_places(network, plan)
    while resident:
        fetched = {move.tensor for move in state.moves if move.purpose == "weights" and move.source == OUTER}
        read = {name: _within(places, needed.get(name, ())) for name, places in resident.items()}
        kept = {name: places for name, places in read.items() if places and name not in fetched}
        if kept == resident:
            break
        resident, state = kept, simulate(network, plan, kept)
    return resident, state


def _within(places: Places, needed: Places) -> Places:
    """Return the places of weights that hold something that is read there."""
    return tuple(
        (store, region)
        for store, region in places
        if any(other == store and part.meet(region) is not None for other, part in needed)
    )


def weight_places(network: Network, plan: Plan) -> dict[str, Places]:
    """Return where weights are read, by their names."""
    return {name: tuple(sorted(places)) for name, places in _places(network, plan).items()}


def _places(network: Network, plan: Plan) -> dict[str, set[tuple[str, Region]]]:
    """Return the stores in which weights are read, and which part of them, by their names."""
    found: dict[str, set[tuple[str, Region]]] = {}
    for segment in plan:
        for index, choice in zip(segment.layers, segment.choices, strict=True):
            if "W" not in choice.held:
                continue
            for tile, core in zip(cut_tiles(network.layer(index), choice.cut), choice.cores, strict=True):
                store = network.machine.store_of(core, "W")
                if tile.weights is not None and store != OUTER:
                    name = weights_name(network.layer(index))
                    found.setdefault(name, set()).add((store, tile.weights))
    return found


def _needs(network: Network, name: str, places: set[tuple[str, Region]]) -> dict[str, int]:
    extent = network.extents[name]
    need: dict[str, int] = {}
    for store, region in places:
        need[store] = need.get(store, 0) + extent.bits_of(region)
    return need


def _room(network: Network, schedule: Schedule) -> dict[str, float]:
    """Return what is left in each store at the peak of all but weights."""
    weights = {weights_name(network.layer(index)) for index in network.order}
    room: dict[str, float] = {}
    for name, store in network.machine.stores.items():
        if store.size_bits is None:
            room[name] = math.inf
            continue
        changes: dict[int, int] = {}
        for stay in schedule.stays:
            if stay.store == name and stay.tensor not in weights:
                changes[stay.start] = changes.get(stay.start, 0) + stay.bits
                if stay.end is not None:
                    changes[stay.end] = changes.get(stay.end, 0) - stay.bits
        level = peak = 0
        for cycle in sorted(changes):
            level += changes[cycle]
            peak = max(peak, level)
        room[name] = store.size_bits - peak
    return room
