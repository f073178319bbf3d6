"""A schedule in the making: tiles are placed one after another, each as early as data, cores and memory allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from targets.layer import Layer
from targets.schedule.jobs import ALL_HELD, Held, Network, Option, Read, weights_name
from targets.schedule.machine import OUTER, Route
from targets.schedule.profile import Profile
from targets.schedule.regions import Region
from targets.schedule.result import Move, Purpose, Run, Stay
from targets.schedule.tiles import Tile


# Of a buffer, which is a part of no tensor.
WHOLE_REGION = Region(0, 1, 0, 1)


class Copy(NamedTuple):
    """A part of a tensor in a store.

    Attributes:
        ready: When it is there whole.
        since: When its room was taken.
        last_use: When the last that reads it has ended, so far.
        piece: The part its producer wrote at once, of which it is (a part of) a copy.
        fixed: It stays for good.
    """

    store: str
    region: Region
    ready: int
    since: int
    last_use: int
    piece: Region
    fixed: bool


class NoRoomError(Exception):
    """A store cannot hold what it must."""

    def __init__(self, store: str, bits: int, layer: str) -> None:
        super().__init__(store, bits, layer)
        self.store, self.bits, self.layer = store, bits, layer


class State:
    """All that has been placed so far.

    Attributes:
        resources: What is taken of each resource over time.
        memories: What is taken of each store over time.
        copies: Where the parts of each tensor lie.
        pending: Layers that have yet to read each tensor.
        readers_left: Tiles that have yet to read a piece, where all of them are known.
        floor: Nothing starts before it: the end of the stage before.
        end: When all that was placed is over.
        energy_pj: Of all that was placed.
    """

    def __init__(self, network: Network, resident: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self.network = network
        machine = network.machine
        self.resources = {name: Profile(capacity) for name, capacity in machine.capacities.items()}
        self.memories = {name: Profile(store.size_bits) for name, store in machine.stores.items()}
        self.copies: dict[str, tuple[Copy, ...]] = {}
        self.pending = {name: len(readers) for name, readers in network.consumers.items()}
        self.readers_left: dict[tuple[str, Region], int] = {}
        self.floor = self.end = 0
        self.energy_pj = 0.0
        self.stage_ends: tuple[int, ...] = ()
        self.runs: list[Run] = []
        self.moves: list[Move] = []
        self.stays: list[Stay] = []
        for name, stores in sorted((resident or {}).items()):
            self._settle(name, stores)

    def copy(self) -> State:
        """Return a copy that can grow on its own."""
        twin = State.__new__(State)
        twin.network = self.network
        twin.resources = {name: profile.copy() for name, profile in self.resources.items()}
        twin.memories = {name: profile.copy() for name, profile in self.memories.items()}
        twin.copies = dict(self.copies)
        twin.pending = dict(self.pending)
        twin.readers_left = dict(self.readers_left)
        twin.floor, twin.end, twin.energy_pj = self.floor, self.end, self.energy_pj
        twin.stage_ends = self.stage_ends
        twin.runs, twin.moves, twin.stays = self.runs[:], self.moves[:], self.stays[:]
        return twin

    def _settle(self, name: str, stores: tuple[str, ...]) -> None:
        """Let weights lie in ``stores`` from before the first cycle, for good."""
        extent = self.network.extents[name]
        for store in stores:
            bits = extent.bits_of(extent.whole)
            self.memories[store].add(0, None, bits)
            self.stays.append(Stay(store, name, extent.whole, bits, 0, None))
            copy = Copy(store, extent.whole, 0, 0, 0, extent.whole, True)
            self.copies[name] = (*self.copies.get(name, ()), copy)

    def place(self, index: int, tile: Tile, core: str, option: Option, held: Held) -> None:
        """Put a tile on a core as early as its data, the core and the memory allow.

        Raises:
            NoRoomError: A store cannot hold what the tile needs at once.
        """
        network, machine = self.network, self.network.machine
        layer = network.layer(index)
        ready = self.floor
        used: list[tuple[str, Copy]] = []
        reads = network.reads(index, tile)
        for read in reads:
            store = machine.store_of(core, read.operand) if read.operand in held else OUTER
            ready = max(ready, self._bring(index, read.tensor, read.region, store, used))
        if tile.weights is not None:
            store = machine.store_of(core, "W") if "W" in held else OUTER
            ready = max(ready, self._bring(index, weights_name(layer), tile.weights, store, used))
        uses = network.costs.resources(core, option.cost)
        if held != ALL_HELD and self._streams(tile, held):
            uses += machine.streaming.get(core, ())
        target = machine.store_of(core, "O") if "O" in held else OUTER
        wanted = self._outputs(layer, tile)
        room = [(target, sum(network.extents[name].bits_of(part) for name, part in wanted))]
        cycles = option.cost.latency_cycles
        start = self._earliest(ready, cycles, uses, room, option.buffers, layer.name, used)
        end = start + cycles
        for resource, amount in uses:
            self.resources[resource].add(start, end, amount)
        for store, bits in option.buffers:
            self.memories[store].add(start, end, bits)
            self.stays.append(Stay(store, f"{tile.name}.buffers", WHOLE_REGION, bits, start, end))
        for name, part in wanted:
            self.memories[target].add(start, None, network.extents[name].bits_of(part))
            made = Copy(target, part, end, start, end, part, False)
            self.copies[name] = (*self.copies.get(name, ()), made)
        self._touch(used, end)
        self.energy_pj += option.cost.energy_pj
        self.end = max(self.end, end)
        stage = network.stage_of[index]
        self.runs.append(
            Run(tile.name, index, core, start, end, stage, uses, option.cost, held, reads, tile.weights,
                tile.output, (tile.number, tile.count))
        )  # fmt: skip
        self._read_once(reads)

    def complete(self, index: int) -> None:
        """Give back what is of no more use once all tiles of a layer have been placed."""
        layer = self.network.layer(index)
        for name in dict.fromkeys(t.name for t in layer.inputs):
            self.pending[name] -= 1
            if not self.pending[name]:
                self._close(name)
        if layer.weight is not None:
            self._close(weights_name(layer))
        for operand in layer.outputs:
            if operand.name in self.network.outputs:
                self._deliver(index, operand.name)
            if not self.pending.get(operand.name):
                self._close(operand.name)

    def end_stage(self) -> None:
        """Let everything that comes wait for all that was placed."""
        self.stage_ends = (*self.stage_ends, self.end)
        self.floor = self.end
        for profile in (*self.resources.values(), *self.memories.values()):
            profile.forget(self.end)

    def expect(self, tensor: str, tiles: Sequence[Region], reads: Sequence[Region]) -> None:
        """Tell that exactly ``reads`` of ``tensor``, made in pieces ``tiles``, are to come."""
        for piece in tiles:
            count = sum(1 for read in reads if read.meet(piece) is not None)
            self.readers_left[tensor, piece] = count

    def _streams(self, tile: Tile, held: Held) -> bool:
        """Whether a tile has an operand that is not held."""
        operands = {"O", "I"} | ({"W"} if tile.weights is not None or len(tile.inputs) > 1 else set())
        return bool(operands - held)

    def _outputs(self, layer: Layer, tile: Tile) -> list[tuple[str, Region]]:
        first, *others = layer.outputs
        return [(first.name, tile.output), *((t.name, self.network.extents[t.name].whole) for t in others)]

    def _bring(
        self, index: int, tensor: str, region: Region, store: str, used: list[tuple[str, Copy]]
    ) -> int:
        """Return when ``region`` of ``tensor`` is in ``store``, moved there where it is not."""
        ready = self.floor
        for piece in self._pieces(tensor):
            part = piece.meet(region)
            while part is not None:
                local, part = self._local(tensor, part, store)
                if local is None and part is not None:
                    if store == OUTER and tensor not in self.network.producer:
                        break
                    local = self._fetch(index, tensor, part, piece, store, used)
                    part = None
                if local is not None:
                    used.append((tensor, local))
                    ready = max(ready, local.ready)
        return ready

    def _pieces(self, tensor: str) -> list[Region]:
        """Return the parts ``tensor`` was written in; what lies in the outer store at the start is one."""
        if tensor not in self.network.producer:
            return [self.network.extents[tensor].whole]
        return list(dict.fromkeys(copy.piece for copy in self.copies.get(tensor, ())))

    def _local(self, tensor: str, part: Region, store: str) -> tuple[Copy | None, Region | None]:
        """Return a copy in ``store`` of (the first rows of) ``part``, and the rows it lacks."""
        best: Copy | None = None
        for copy in self.copies.get(tensor, ()):
            if copy.store != store:
                continue
            if part.within(copy.region):
                if best is None or copy.ready < best.ready:
                    best = copy
        if best is not None:
            return best, None
        for copy in self.copies.get(tensor, ()):
            have = copy.region
            if copy.store == store and have.c0 <= part.c0 and part.c1 <= have.c1:
                if have.y0 <= part.y0 < have.y1:
                    return copy, part._replace(y0=have.y1)
        return None, part

    def _fetch(
        self, index: int, tensor: str, part: Region, piece: Region, store: str, used: list[tuple[str, Copy]]
    ) -> Copy:
        """Move ``part`` to ``store`` from where it arrives first."""
        sources = [c for c in self.copies.get(tensor, ()) if c.piece == piece and part.within(c.region)]
        if tensor not in self.network.producer:
            sources.append(Copy(OUTER, piece, 0, 0, 0, piece, True))
        routes = self.network.machine.routes
        reachable = [c for c in sources if (c.store, store) in routes]
        if not reachable:
            outer = self._move(index, tensor, part, sources, OUTER, "spill", used)
            reachable = [outer]
        known = tensor in self.network.producer
        purpose: Purpose = "activations" if known else "weights" if tensor.endswith(".weights") else "input"
        return self._move(index, tensor, part, reachable, store, purpose, used)

    def _move(
        self,
        index: int,
        tensor: str,
        part: Region,
        sources: Sequence[Copy],
        store: str,
        purpose: Purpose,
        used: Sequence[tuple[str, Copy]] = (),
    ) -> Copy:
        """Place the move of ``part`` from the source from which it arrives first."""
        machine = self.network.machine
        bits = self.network.extents[tensor].bits_of(part)
        name = self.network.layer(index).name
        best: tuple[tuple[int, float, int], int, Copy, Route] | None = None
        for source in sources:
            for route in machine.routes.get((source.store, store), ()):
                cycles = route.cycles(bits)
                uses = (*route.uses, *machine.shared)
                start = self._earliest(
                    max(self.floor, source.ready), cycles, uses, [(store, bits)], (), name, used
                )
                pj = machine.stores[source.store].read.energy_of(bits) + bits * route.energy_pj_per_bit
                key = (start + cycles, pj, start)
                if best is None or key < best[0]:
                    best = (key, start, source, route)
        if best is None:
            raise ValueError(f"nothing leads '{tensor}' to {store}")
        _, start, source, route = best
        end = start + route.cycles(bits)
        uses = (*route.uses, *machine.shared)
        for resource, amount in uses:
            self.resources[resource].add(start, end, amount)
        self.memories[store].add(start, None, bits)
        copy = Copy(store, part, end, start, end, source.piece, False)
        self.copies[tensor] = (*self.copies.get(tensor, ()), copy)
        self._touch([(tensor, source)], end)
        move = Move(
            tensor, part, source.store, store, start, end, self.network.stage_of[index], uses, bits, index,
            purpose, machine.stores[source.store].read.energy_of(bits), bits * route.energy_pj_per_bit,
            machine.stores[store].write.energy_of(bits),
        )  # fmt: skip
        self.moves.append(move)
        self.energy_pj += move.energy_pj
        self.end = max(self.end, end)
        return copy

    def _earliest(
        self,
        start: int,
        cycles: int,
        uses: Sequence[tuple[str, float]],
        room: Sequence[tuple[str, int]],
        buffers: Sequence[tuple[str, int]],
        layer: str,
        used: Sequence[tuple[str, Copy]],
    ) -> int:
        """Return when ``uses`` are free for ``cycles`` and the room is there: ``room`` for good."""
        begin = -1
        while begin != start:
            begin = start
            for resource, amount in uses:
                start = self.resources[resource].earliest(start, cycles, amount)
            for store, bits in buffers:
                start = self.memories[store].earliest(start, cycles, bits)
            for store, bits in room:
                found = self.memories[store].earliest_for_good(start, bits)
                while found is None:
                    self._make_room(store, bits, layer, used)
                    found = self.memories[store].earliest_for_good(start, bits)
                start = found
        return start

    def _make_room(self, store: str, bits: int, layer: str, used: Sequence[tuple[str, Copy]]) -> None:
        """Drop a copy of what lies elsewhere too, else move out what is read last of all.

        Raises:
            NoRoomError: Nothing can go.
        """
        needed = {(name, copy.store, copy.region) for name, copy in used}
        victims = [
            (name, copy)
            for name, copies in self.copies.items()
            for copy in copies
            if copy.store == store and not copy.fixed and (name, store, copy.region) not in needed
        ]
        if not victims:
            raise NoRoomError(store, bits, layer)
        position = {index: i for i, index in enumerate(self.network.order)}

        def next_use(name: str) -> int:
            done = {run.layer for run in self.runs}
            return min((position[i] for i in self.network.consumers.get(name, ()) if i not in done), default=-1)

        def elsewhere(name: str, copy: Copy) -> bool:
            if name not in self.network.producer:
                return True
            return any(c != copy and copy.region.within(c.region) for c in self.copies[name])

        victims.sort(key=lambda v: (not elsewhere(*v), -next_use(v[0]), v[0], v[1].region))
        name, copy = victims[0]
        if not elsewhere(name, copy):
            index = self.network.producer[name]
            self._move(index, name, copy.region, [copy], OUTER, "spill")
            copy = next(c for c in self.copies[name] if c.store == store and c.region == copy.region)
        self._drop(name, copy)

    def _drop(self, name: str, copy: Copy) -> None:
        """Give back the room of a copy after its last use."""
        end = max(copy.last_use, copy.ready)
        bits = self.network.extents[name].bits_of(copy.region)
        self.memories[copy.store].add(end, None, -bits)
        self.stays.append(Stay(copy.store, name, copy.region, bits, copy.since, end))
        self.copies[name] = tuple(c for c in self.copies[name] if c is not copy)

    def _close(self, name: str, piece: Region | None = None) -> None:
        """Drop all copies of a tensor, or of one piece of it."""
        for copy in self.copies.get(name, ()):
            if not copy.fixed and (piece is None or copy.piece == piece):
                self._drop(name, copy)

    def _deliver(self, index: int, name: str) -> None:
        """Move a result to the outer store."""
        for piece in self._pieces(name):
            copies = [c for c in self.copies[name] if c.piece == piece and c.region == piece]
            if all(c.store != OUTER for c in copies):
                self._move(index, name, piece, copies, OUTER, "output")

    def _touch(self, used: Sequence[tuple[str, Copy]], end: int) -> None:
        """Note that copies are read until ``end``."""
        for name, copy in used:
            self.copies[name] = tuple(
                c._replace(last_use=max(c.last_use, end))
                if c.store == copy.store and c.region == copy.region and c.piece == copy.piece
                else c
                for c in self.copies.get(name, ())
            )

    def _read_once(self, reads: Sequence[Read]) -> None:
        """Give back the pieces that nothing reads any more."""
        for read in reads:
            for piece in self._pieces(read.tensor):
                left = self.readers_left.get((read.tensor, piece))
                if left is None or piece.meet(read.region) is None:
                    continue
                self.readers_left[read.tensor, piece] = left - 1
                if left == 1:
                    self._close(read.tensor, piece)
