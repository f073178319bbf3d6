"""Ways to run a layer, or to fuse several, that are worth trying."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from targets.cost.layer_cost import LayerCost
from targets.schedule.freedom import Freedom
from targets.schedule.machine import OUTER
from targets.schedule.network import ALL_HELD, Held, Network, Option, weights_name
from targets.schedule.plan import LayerChoice, Segment, cut_tiles
from targets.schedule.tiles import WHOLE, Axis, Cut, Tile, cuttable

# Operands in the order in which they are left off chip where not all fit.
_STREAMED: tuple[Held, ...] = tuple(
    frozenset(drop) for count in range(4) for drop in combinations("WOI", count)
)

# Part counts tried per axis from the number of cores on: finer parts only add moves.
_ENOUGH = 2
# Into how many parts all layers of a network together may be cut: large networks are cut less finely.
SPLIT_TILES = 1600


@dataclass
class Candidates:
    """Ways to run layers, found once per layer."""

    network: Network
    freedom: Freedom
    _whole: dict[int, tuple[LayerChoice, ...]] = field(default_factory=dict)
    _split: dict[int, tuple[LayerChoice, ...]] = field(default_factory=dict)

    def on(self, network: Network) -> Candidates:
        """Return the same ways for ``network``, which differs in nothing that they depend on."""
        return replace(self, network=network)

    def allowed(self, freedom: Freedom) -> Candidates:
        """Return those that ``freedom`` allows; it holds what is held now."""
        same = freedom.split == self.freedom.split
        return replace(self, freedom=freedom, _split=self._split if same else {})

    @property
    def complete(self) -> bool:
        """Whether there is a way to run each layer."""
        return all(self.whole(index) or self.split(index) for index in self.network.order)

    def groups(self, index: int) -> list[tuple[str, ...]]:
        """Return the cores that may run a layer, alike cores together."""
        costs = self.network.costs
        found: dict[str, list[str]] = {}
        for core in costs.cores(self.network.layer(index)):
            found.setdefault(costs.alike(core), []).append(core)
        return [tuple(cores) for cores in found.values()]

    def option(self, tile: Tile, core: str, held: Held) -> Option | None:
        """Return what a tile costs."""
        return self.network.costs.option(tile.layer, core, held)

    def held_for(self, index: int, tile: Tile, core: str) -> Iterator[Held]:
        """Yield what may be held around a tile, most first, where it fits the stores of the core."""
        if not self.freedom.hold:
            yield frozenset()
            return
        needs = self._needs(index, tile)
        used = {operand for operand, _ in needs}
        seen: set[Held] = set()
        for drop in _STREAMED:
            held = ALL_HELD - (drop & used)
            if held not in seen and self._fit(needs, core, held):
                seen.add(held)
                yield held

    def fits(self, index: int, tile: Tile, core: str, held: Held) -> bool:
        """Whether what is ``held`` around a tile fits the stores of the core at once."""
        return self._fit(self._needs(index, tile), core, held)

    def _fit(self, needs: Sequence[tuple[str, int]], core: str, held: Held) -> bool:
        machine = self.network.machine
        totals: dict[str, int] = {}
        for operand, bits in needs:
            store = machine.store_of(core, operand)
            if operand in held and store != OUTER:
                totals[store] = totals.get(store, 0) + bits
        sizes = {store: machine.stores[store].size_bits for store in totals}
        return all(size is None or totals[s] <= size for s, size in sizes.items())

    def _needs(self, index: int, tile: Tile) -> list[tuple[str, int]]:
        """Return the operands of a tile, each as often as it reads or writes one, with their bits."""
        network = self.network
        needs = [
            (read.operand, network.extents[read.tensor].bits_of(read.region))
            for read in network.reads(index, tile)
        ]
        if tile.weights is not None:
            needs.append(("W", network.extents[weights_name(network.layer(index))].bits_of(tile.weights)))
        for output in network.layer(index).outputs:
            extent = network.extents[output.name]
            first = output is network.layer(index).outputs[0]
            needs.append(("O", extent.bits_of(tile.output if first else extent.whole)))
        return needs

    def whole(self, index: int) -> tuple[LayerChoice, ...]:
        """Return the layer uncut on the first core of each group, with the most that can be held."""
        if index not in self._whole:
            found = []
            for cores in self.groups(index):
                found += self._held_choices(index, cores, WHOLE)
            self._whole[index] = tuple(found)
        return self._whole[index]

    def _held_choices(self, index: int, cores: Sequence[str], cut: Cut) -> list[LayerChoice]:
        """Return a cut layer on ``cores`` with what can be held; none if nothing fits."""
        tiles = cut_tiles(self.network.layer(index), cut)
        spread = tuple(cores[number % len(cores)] for number in range(cut.parts))
        for held in self.held_for(index, tiles[0], cores[0]):
            if all(self.option(tile, cores[0], held) is not None for tile in tiles):
                return [LayerChoice(spread, cut, held)]
        return []

    def split(self, index: int) -> tuple[LayerChoice, ...]:
        """Return the layer cut over several alike cores, and over one where its weights do not fit."""
        if index not in self._split:
            self._split[index] = (
                tuple(self._splits(index)) if self.freedom.split and self.freedom.hold else ()
            )
        return self._split[index]

    def _splits(self, index: int) -> Iterator[LayerChoice]:
        layer = self.network.layer(index)
        axes: tuple[Axis, ...] = ("OY", "K")
        whole = {self.network.costs.alike(c.cores[0]): c for c in self.whole(index)}
        for cores in self.groups(index):
            base = whole.get(self.network.costs.alike(cores[0]))
            for axis in axes:
                found = 0
                for parts in self._part_counts(index, cores, base, axis):
                    if parts <= cuttable(layer, axis) and found < _ENOUGH:
                        for choice in self._gaining(index, cores, Cut(axis, parts), base):
                            found += len(cores) <= parts
                            yield choice

    def _part_counts(
        self, index: int, cores: Sequence[str], base: LayerChoice | None, axis: Axis
    ) -> list[int]:
        most = min(len(cores), max(2, SPLIT_TILES // len(self.network.order)))
        counts = [n for n in (2, 4, 8, 16, 32) if n < most] + ([most] if most > 1 else [])
        if base is None or base.held != ALL_HELD:
            # Smaller parts may fit where the whole does not.
            limit = cuttable(self.network.layer(index), axis)
            counts += [n for n in (2, 4, 8, 16, 32, 64, 128) if n not in counts and n <= limit]
        return sorted(set(counts))

    def _gaining(
        self, index: int, cores: Sequence[str], cut: Cut, base: LayerChoice | None
    ) -> Iterator[LayerChoice]:
        """Yield a cut if its longest tile is shorter than the layer, or it holds more."""
        for choice in self._held_choices(index, cores, cut):
            if base is None or len(choice.held) > len(base.held):
                yield choice
                continue
            longest = max(self.cost(index, choice, n).latency_cycles for n in range(cut.parts))
            turns = -(-cut.parts // len(cores))
            if longest * turns < 0.9 * self.cost(index, base, 0).latency_cycles:
                yield choice

    def cost(self, index: int, choice: LayerChoice, number: int) -> LayerCost:
        """Return the cost of one tile of a choice that is known to have one."""
        tile = cut_tiles(self.network.layer(index), choice.cut)[number]
        option = self.option(tile, choice.cores[number], choice.held)
        if option is None:
            raise ValueError(f"'{tile.name}' does not run on {choice.cores[number]}")
        return option.cost


def single(index: int, choice: LayerChoice) -> Segment:
    """Return a layer on its own."""
    return Segment((index,), (choice,))
