"""Random small machines, and made-up costs of their cores."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from random import Random

from targets.cost.layer_cost import LayerCost
from targets.network.layer import Layer
from targets.schedule.machine import OUTER, TURNS, Machine, Route, Store, Word
from targets.schedule.network import Held, Option

HOST = "host"


class FakeCosts:
    """Cycles by the size of a tile and a number made from its name: quick, and the same every time."""

    def __init__(self, machine: Machine, seed: int, refusals: bool = True) -> None:
        self._machine = machine
        self._seed = seed
        self._refusals = refusals
        self._cores = tuple(sorted(machine.streaming))

    def _draw(self, *what: object) -> int:
        return zlib.crc32(repr((self._seed, what)).encode())

    def cores(self, layer: Layer) -> tuple[str, ...]:
        """Return most of the cores, at least one."""
        some = tuple(core for core in self._cores if not self._refusals or self._draw(layer.name, core) % 4)
        return some or self._cores[:1]

    def alike(self, core: str) -> str:
        """Return the first core with stores of the same sizes for the same operands."""
        return next(other for other in self._cores if self._sizes(other) == self._sizes(core))

    def _sizes(self, core: str) -> list[int | None]:
        return [self._machine.stores[self._machine.store_of(core, operand)].size_bits for operand in "WIO"]

    def option(self, tile: Layer, core: str, held: Held) -> Option | None:
        """Return made-up cycles; some tiles do not fit in some ways."""
        kind = self.alike(core)
        if self._refusals and self._draw(tile.name, kind, sorted(held)) % 16 == 0:
            return None
        streamed = [op for op in "WIO" if op not in held or self._machine.store_of(core, op) == OUTER]
        bits = {
            "W": 8 * tile.weight_bytes,
            "I": sum(t.elements * t.bits for t in tile.inputs),
            "O": sum(t.elements * t.bits for t in tile.outputs),
        }
        outside = sum(bits[operand] for operand in streamed)
        work = tile.output_elements + tile.input_elements // 2 + tile.weight_bytes // 4
        cycles = 1 + work * (2 + self._draw(kind) % 3) // 4 + int(outside / self._machine.capacities["port"])
        energy_pj = work * 0.5 + self._machine.stores[OUTER].read.energy_of(outside)
        cost = LayerCost(cycles, 0, 0, 0, energy_pj, 1.0, 1, "placeholder")
        buffers: dict[str, int] = {}
        for operand in streamed:
            store = self._machine.store_of(core, operand)
            if store != OUTER:
                buffers[store] = buffers.get(store, 0) + 8 * (1 + self._draw(tile.name, operand) % 8)
        return Option(cost, tuple(sorted(buffers.items())))

    def resources(self, core: str, cost: LayerCost) -> tuple[tuple[str, float], ...]:  # noqa: ARG002
        """Return the core."""
        return ((core, 1.0),)


def random_machine(random: Random) -> Machine:
    """Return up to five cores with stores of their own or shared, some of them small, and ways between."""
    cores = [f"core{i}" for i in range(random.randint(1, 5))]
    outside = random.choice([None, None, None, 4000, 20000])
    stores: dict[str, Store] = {OUTER: Store(OUTER, outside, _word(random), _word(random))}
    operand_stores: dict[tuple[str, str], str] = {}
    homogeneous = random.random() < 0.4
    kind, sizes = _kind(random)
    for core in cores:
        if not homogeneous:
            kind, sizes = _kind(random)
        for (suffix, operands), size_bits in zip(kind, sizes, strict=True):
            known = [store for store in stores if store != OUTER]
            shares = bool(known) and not homogeneous and random.random() < 0.3
            store = random.choice(known) if shares else f"{core}{suffix}"
            if store not in stores:
                stores[store] = Store(store, size_bits, _word(random), _word(random))
            operand_stores |= {(core, operand): store for operand in operands}
    capacities: dict[str, float] = dict.fromkeys(cores, 1.0)
    capacities |= {HOST: 1.0, "bus": random.choice([8.0, 12.5, 64.0]), "port": random.choice([8.0, 16.0])}
    routes = _routes(random, stores, capacities)
    rate = min(capacities["bus"], capacities["port"])
    streaming = dict.fromkeys(cores, (("port", capacities["port"]), ("bus", rate)))
    draw = random.random()
    if draw < 0.25:
        return Machine(capacities, stores, operand_stores, routes, streaming, ((HOST, 1.0),), ((HOST, 1.0),))
    if draw < 0.4:
        # Transfers do not overlap compute, but cores may work side by side.
        capacities[TURNS] = 4.0
        return Machine(
            capacities, stores, operand_stores, routes, streaming, ((TURNS, 1.0),), ((TURNS, 4.0),)
        )
    return Machine(capacities, stores, operand_stores, routes, streaming)


def _kind(random: Random) -> tuple[Sequence[tuple[str, str]], list[int]]:
    """Return stores by the end of their name, with the operands in each, and their sizes."""
    one, two, no_weights = ((".sram", "WIO"),), ((".sram", "IO"), (".weights", "W")), ((".sram", "IO"),)
    kind: Sequence[tuple[str, str]] = random.choice([one, two, no_weights])
    return kind, [random.choice([600, 2000, 6000, 40000]) for _ in kind]


def _word(random: Random) -> Word:
    width = random.choice([8, 32, 64])
    return Word(width, random.choice([0.0, 1.0, 2.5]), random.choice([None, 8]))


def _routes(
    random: Random, stores: Mapping[str, Store], capacities: dict[str, float]
) -> dict[tuple[str, str], tuple[Route, ...]]:
    """Return a bus to the outer store, and links, the bus or nothing between the others."""
    found: dict[tuple[str, str], tuple[Route, ...]] = {}
    outside = min(capacities["bus"], capacities["port"]) / random.choice([1, 2, 3])
    for source, target in itertools.permutations(stores, 2):
        if OUTER in (source, target):
            uses = (("bus", outside), ("port", outside))
            found[source, target] = (Route(uses, outside, 0.2, random.choice([0, 3])),)
            continue
        ways = []
        if random.random() < 0.4:
            link = f"{source}>{target}"
            capacities[link] = random.choice([4.0, 16.0])
            ways.append(Route(((link, capacities[link]),), capacities[link], 0.01))
        if random.random() < 0.4:
            ways.append(Route((("bus", capacities["bus"]),), capacities["bus"], 0.1))
        if ways:
            found[source, target] = tuple(ways)
    return found
