"""Random plans for random networks."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from targets.schedule.machine import OUTER
from targets.schedule.network import ALL_HELD, Held, Network, has_weights, weights_name
from targets.schedule.plan import LayerChoice, Plan, Resident, Segment
from targets.schedule.regions import Region
from targets.schedule.tiles import WHOLE, Axis, Cut, cuttable
from tests.targets.schedule.random_networks import random_network

HELD: tuple[Held, ...] = (
    ALL_HELD,
    ALL_HELD,
    ALL_HELD,
    frozenset("IO"),
    frozenset("W"),
    frozenset(),
    frozenset("O"),
)


def random_plan(random: Random, network: Network) -> Plan:
    """Return random cuts, cores and ways to hold operands, with some layers of a stage fused."""
    plan = []
    for members in _groups(random, network):
        plan.append(Segment(members, tuple(_choice(random, network, index) for index in members)))
    return tuple(plan)


def _groups(random: Random, network: Network) -> Iterator[tuple[int, ...]]:
    group: list[int] = []
    most = random.choice([1, 1, 3, 6])
    for index in network.order:
        if group and (len(group) == most or network.stage_of[group[0]] != network.stage_of[index]):
            yield tuple(group)
            group = []
        group.append(index)
    yield tuple(group)


def _choice(random: Random, network: Network, index: int) -> LayerChoice:
    layer = network.layer(index)
    axis: Axis = random.choice(["", "", "OY", "OY", "K"])
    parts = random.randint(1, min(4, cuttable(layer, axis)))
    cores = network.costs.cores(layer)
    return LayerChoice(
        tuple(random.choice(cores) for _ in range(parts)),
        Cut(axis, parts) if parts > 1 else WHOLE,
        random.choice(HELD),
    )


def random_resident(random: Random, network: Network) -> dict[str, tuple[tuple[str, Region], ...]]:
    """Return weights that lie in a store of their core from the start, whole or in part, where they fit."""
    machine = network.machine
    free = {name: store.size_bits for name, store in machine.stores.items() if name != OUTER}
    found: dict[str, tuple[tuple[str, Region], ...]] = {}
    for index in network.order:
        layer = network.layer(index)
        store = machine.store_of(random.choice(network.costs.cores(layer)), "W")
        room = free.get(store)
        if not has_weights(layer) or room is None or random.random() < 0.7:
            continue
        extent = network.extents[weights_name(layer)]
        begin = random.choice([0, random.randrange(extent.channels)])
        region = Region(begin, extent.channels, 0, 1)
        if extent.bits_of(region) <= room // 2:
            free[store] = room - extent.bits_of(region)
            found[weights_name(layer)] = ((store, region),)
    return found


def random_problem(seed: int, most: int = 9) -> tuple[Network, Plan, Resident]:
    """Return a random network of up to ``most`` layers, a plan for it, and weights that stay."""
    random = Random(seed)
    network = random_network(random, most)
    return network, random_plan(random, network), random_resident(random, network)
