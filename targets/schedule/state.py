"""A schedule in the making: tiles are placed one by one, as early as data, cores and memory allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from targets.network.layer import Layer
from targets.schedule.copies import Copy
from targets.schedule.log import Log
from targets.schedule.machine import OUTER
from targets.schedule.network import Held, Network, Option, Read, has_weights, weights_name
from targets.schedule.occupancy import Occupancy
from targets.schedule.regions import Region
from targets.schedule.result import Purpose, Run, Stay
from targets.schedule.tiles import Tile

# Of a buffer, which is a part of no tensor.
WHOLE_REGION = Region(0, 1, 0, 1)
# How many segments back a gap is still filled.
_WINDOW = 12


class State(Occupancy):
    """All that has been placed so far.

    Attributes:
        speculative: Exits behind which the next stage starts while the head decides.
        readers_left: Tiles that have yet to read a piece, where all of them are known.
        runs: The tiles.
    """

    def __init__(
        self,
        network: Network,
        resident: Mapping[str, tuple[tuple[str, Region], ...]] | None = None,
        speculative: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__(network)
        self.speculative = speculative
        self.readers_left: dict[tuple[str, Region], int] = {}
        self.runs: Log[Run] = Log()
        self._kept_bits: dict[str, int] = {}
        self._recent: tuple[int, ...] = ()
        size_bits = network.machine.stores[OUTER].size_bits
        if size_bits is not None:
            self._fill_outer(size_bits)
        for name, places in sorted((resident or {}).items()):
            for store, region in places:
                self.copies.settle(name, self._settled(name, store, region))

    def copy(self) -> State:
        """Return a copy that can grow on its own."""
        twin = State.__new__(State)
        self._copy_to(twin)
        twin.speculative, twin._recent = self.speculative, self._recent
        twin._kept_bits = dict(self._kept_bits)
        twin.readers_left, twin.runs = dict(self.readers_left), self.runs.copy()
        return twin

    def _fill_outer(self, size_bits: int) -> None:
        """Let what is there at the start take room: inputs until their last use, weights for good.

        Raises:
            NoRoomError: They do not fit.
        """
        network = self.network
        layers = (network.layer(index) for index in network.order)
        filled: set[str] = set()
        for layer in layers:
            name = weights_name(layer)
            if not has_weights(layer) or name in network.beyond or name in filled:
                continue
            filled.add(name)
            extent = network.extents[name]
            bits = extent.bits_of(extent.whole)
            if self.memories[OUTER].top + bits > size_bits:
                raise self._no_room(OUTER, bits, layer.name, weights=True)
            self.copies.settle(name, self._settled(name, OUTER, extent.whole))
        for name in network.given:
            extent = network.extents[name]
            bits = extent.bits_of(extent.whole)
            if self.memories[OUTER].earliest_for_good(0, bits) is None:
                raise self._no_room(OUTER, bits, network.layer(network.consumers[name][0]).name)
            self._taken(self.memories, OUTER).add(0, None, bits)
            self.copies.add(name, Copy(OUTER, extent.whole, 0, 0, extent.whole))

    def place(self, index: int, tile: Tile, core: str, option: Option, held: Held) -> None:
        """Put a tile on a core as early as its data, the core and the memory allow.

        Raises:
            NoRoomError: A store cannot hold what the tile needs at once.
        """
        network, machine = self.network, self.network.machine
        layer = network.layer(index)
        ready = self.floor
        used: list[tuple[str, Copy]] = []
        # Weights can come before the inputs are there, and should not wait for a link these take.
        if tile.weights is not None:
            store = machine.store_of(core, "W") if "W" in held else OUTER
            ready = max(ready, self._bring(index, weights_name(layer), tile.weights, store, used))
        reads = network.reads(index, tile)
        for read in reads:
            store = machine.store_of(core, read.operand) if read.operand in held else OUTER
            ready = max(ready, self._bring(index, read.tensor, read.region, store, used))
        uses = (*network.costs.resources(core, option.cost), *machine.runs_take)
        if self._streams(tile, core, held):
            uses += machine.streaming.get(core, ())
        target = machine.store_of(core, "O") if "O" in held else OUTER
        wanted = self._outputs(layer, tile)
        room = dict(option.buffers)
        room[target] = room.get(target, 0) + sum(network.extents[name].bits_of(part) for name, part in wanted)
        cycles = option.cost.latency_cycles
        start = self._earliest(ready, cycles, uses, tuple(room.items()), layer.name, used)
        end = start + cycles
        for resource, amount in uses:
            self._taken(self.resources, resource).add(start, end, amount)
        for store, bits in option.buffers:
            self._taken(self.memories, store).add(start, end, bits)
            self.stays.append(Stay(store, f"{tile.name}.buffers", WHOLE_REGION, bits, start, end))
        for name, part in wanted:
            self._taken(self.memories, target).add(start, None, network.extents[name].bits_of(part))
            self.copies.add(name, Copy(target, part, end, start, part))
        for _, copy in used:
            self.copies.touch(copy, end)
        self.energy_pj += option.cost.energy_pj
        self.end = max(self.end, end)
        stage = network.stage_of[index]
        self.runs.append(
            Run(tile.name, index, core, start, end, stage, uses, option.cost, held, reads, tile.weights,
                tile.output, (tile.number, tile.count))
        )  # fmt: skip
        self._read_once(reads)
        for name, part in wanted:
            if name in network.outputs:
                self._deliver(index, name, part)

    def complete(self, index: int) -> None:
        """Give back what is of no more use once all tiles of a layer have been placed."""
        layer = self.network.layer(index)
        self.completed |= 1 << index
        for name in dict.fromkeys(t.name for t in layer.inputs):
            if not self.is_wanted(name):
                self._close(name)
        if has_weights(layer):
            name = weights_name(layer)
            if not self.network.share_weights.get(name, 0) & ~self.completed:
                self._close(name)
        for operand in layer.outputs:
            if not self.is_wanted(operand.name):
                self._close(operand.name)

    def end_stage(self) -> None:
        """Let what comes wait for all that was placed; behind a speculative exit, for its backbone only."""
        stage = len(self.stage_ends)
        decided = self.stage_ends[-1] if self.stage_ends else 0
        self.stage_ends = (*self.stage_ends, self.end)
        self.stage_energies = (*self.stage_energies, self.energy_pj)
        self.floor = self.end
        if stage in self.speculative:
            handed_on = self.network.handed_on
            ends = (run.end for run in self.runs if run.stage == stage and run.layer in handed_on)
            # What goes on before the head has decided must not go on before the head before it has.
            self.floor = max(decided, max(ends, default=self.end))

    def advance(self, position: int) -> None:
        """Let nothing be placed any more where that could not help: what lies there is forgotten.

        That is before the first part of an input of any layer that could be next is there, and before
        what was placed ``_WINDOW`` segments ago was over: weights are fetched no further ahead of time.

        Args:
            position: How many layers of the order have been placed.
        """
        self._recent = (*self._recent[-_WINDOW:], self.end)
        network = self.network
        if len(self._recent) <= _WINDOW or any(map(self.is_wanted, network.given)):
            return
        ready = {name: first for name, first, _ in self.copies.ready()}
        starts = []
        for name in ready:
            for reader in network.consumers.get(name, ()):
                inputs = [t.name for t in network.layer(reader).inputs if t.name in network.producer]
                if network.position[reader] >= position and all(t in ready for t in inputs):
                    starts.append(max(ready[t] for t in inputs))
        horizon = min([self._recent[0], *starts])
        self.floor = max(self.floor, horizon)

    def expect(self, tensor: str, tiles: Sequence[Region], reads: Sequence[Region]) -> None:
        """Tell that exactly ``reads`` of ``tensor``, made in pieces ``tiles``, are to come."""
        for piece in tiles:
            count = sum(1 for read in reads if read.meet(piece) is not None)
            self.readers_left[tensor, piece] = count

    def _streams(self, tile: Tile, core: str, held: Held) -> bool:
        """Whether a tile reads or writes an operand in the outer store."""
        operands = {"O", "I"} | ({"W"} if tile.weights is not None or len(tile.inputs) > 1 else set())
        return any(op not in held or self.network.machine.store_of(core, op) == OUTER for op in operands)

    def _outputs(self, layer: Layer, tile: Tile) -> list[tuple[str, Region]]:
        first, *others = layer.outputs
        return [(first.name, tile.output), *((t.name, self.network.extents[t.name].whole) for t in others)]

    def _bring(
        self, index: int, tensor: str, region: Region, store: str, used: list[tuple[str, Copy]]
    ) -> int:
        """Return when ``region`` of ``tensor`` is in ``store``, moved there where it is not."""
        ready = self.floor
        c0, c1, y0, y1 = region
        if self.network.keep_share and store != OUTER and tensor not in self.network.consumers:
            if math.isinf(self.network.keep_share):
                return ready
            self._keep(tensor, region, store)
        for piece in self._pieces(tensor):
            # Most pieces are elsewhere: this is asked more often than anything else.
            if piece.y0 >= y1 or piece.y1 <= y0 or piece.c0 >= c1 or piece.c1 <= c0:
                continue
            part = piece.meet(region)
            while part is not None:
                local, part = self._local(tensor, part, piece, store)
                if local is None and part is not None:
                    if store == OUTER and tensor not in self.network.producer:
                        break
                    local = self._fetch(index, tensor, part, piece, store, used)
                    part = None
                if local is not None:
                    used.append((tensor, local))
                    ready = max(ready, local.ready)
        return ready

    def _keep(self, name: str, region: Region, store: str) -> None:
        """Let weights lie in ``store`` for good if there is room at all times."""
        size_bits = self.network.machine.stores[store].size_bits
        there = self.copies.of_piece(name, self.network.extents[name].whole)
        if size_bits is None or any(c.store == store and region.within(c.region) for c in there):
            return
        bits = self.network.extents[name].bits_of(region)
        kept = self._kept_bits.get(store, 0) + bits
        if kept <= self.network.keep_share * size_bits and self.memories[store].top + bits <= size_bits:
            self._kept_bits[store] = kept
            self.copies.add(name, self._settled(name, store, region))

    @property
    def kept(self) -> dict[str, tuple[tuple[str, Region], ...]]:
        """Where weights lie for good, by their names."""
        found: dict[str, tuple[tuple[str, Region], ...]] = {}
        for stay in self.stays:
            if stay.end is None and stay.store != OUTER and stay.tensor not in self.network.consumers:
                found[stay.tensor] = (*found.get(stay.tensor, ()), (stay.store, stay.region))
        return found

    def _pieces(self, tensor: str) -> tuple[Region, ...]:
        """Return the parts ``tensor`` was written in; what lies in the outer store at the start is one."""
        if tensor not in self.network.producer:
            return (self.network.extents[tensor].whole,)
        return self.copies.pieces(tensor)

    def _local(
        self, tensor: str, part: Region, piece: Region, store: str
    ) -> tuple[Copy | None, Region | None]:
        """Return a copy in ``store`` of (the first rows of) ``part`` of ``piece``, and the rows it lacks."""
        first: Copy | None = None
        found: Copy | None = None
        for copy in self.copies.of_piece(tensor, piece):
            have = copy.region
            if copy.store != store:
                continue
            if part.within(have):
                if found is None or copy.ready < found.ready:
                    found = copy
            elif have.c0 <= part.c0 and part.c1 <= have.c1 and have.y0 <= part.y0 < have.y1:
                first = first or copy
        if found is not None:
            return found, None
        return first, part if first is None else part._replace(y0=first.region.y1)

    def _fetch(
        self, index: int, tensor: str, part: Region, piece: Region, store: str, used: list[tuple[str, Copy]]
    ) -> Copy:
        """Move ``part`` to ``store`` from where it arrives first."""
        sources = [c for c in self.copies.of_piece(tensor, piece) if part.within(c.region)]
        if tensor not in self.network.producer:
            sources.append(Copy(OUTER, piece, 0, 0, piece, fixed=True))
        routes = self.network.machine.routes
        reachable = [c for c in sources if (c.store, store) in routes]
        if not reachable:
            outer = self._move(index, tensor, part, sources, OUTER, "spill", used)
            reachable = [outer]
        purpose: Purpose = "weights"
        if tensor in self.network.consumers:
            purpose = "activations" if tensor in self.network.producer else "input"
        return self._move(index, tensor, part, reachable, store, purpose, used)

    def _deliver(self, index: int, name: str, piece: Region) -> None:
        """Move a part of a result to the outer store, where it stays, unless it was written there."""
        copies = [c for c in self.copies.of_piece(name, piece) if c.region == piece]
        outer = next((c for c in copies if c.store == OUTER), None)
        if outer is None:
            outer = self._move(index, name, piece, copies, OUTER, "output")
        self.copies.remove(name, outer)
        self.copies.add(name, outer._replace(fixed=True))
        bits = self.network.extents[name].bits_of(piece)
        self.stays.append(Stay(OUTER, name, piece, bits, outer.since, None))
        if not self.network.consumers.get(name):
            for copy in copies:
                if copy.store != OUTER:
                    self._drop(name, copy)

    def _read_once(self, reads: Sequence[Read]) -> None:
        """Give back the pieces that nothing reads any more."""
        for read in reads:
            c0, c1, y0, y1 = read.region
            for piece in self._pieces(read.tensor):
                if piece.y0 >= y1 or piece.y1 <= y0 or piece.c0 >= c1 or piece.c1 <= c0:
                    continue
                left = self.readers_left.get((read.tensor, piece))
                if left is None:
                    continue
                if left > 1:
                    self.readers_left[read.tensor, piece] = left - 1
                else:
                    del self.readers_left[read.tensor, piece]
                    self._close(read.tensor, piece)
