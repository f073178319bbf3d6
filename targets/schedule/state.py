"""A schedule in the making: tiles are placed one by one, as early as data, cores and memory allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from targets.layer import Layer
from targets.schedule.copies import Copies, Copy
from targets.schedule.jobs import Held, Network, Option, Read, has_weights, weights_name
from targets.schedule.machine import OUTER, Route
from targets.schedule.profile import Profile
from targets.schedule.regions import Region
from targets.schedule.result import Move, Purpose, Run, Stay
from targets.schedule.tiles import Tile

# Of a buffer, which is a part of no tensor.
WHOLE_REGION = Region(0, 1, 0, 1)
# How many segments back a gap is still filled.
_WINDOW = 12


class NoRoomError(Exception):
    """A store cannot hold what it must.

    Attributes:
        bits: What ``layer`` needs beside what is there.
        held_bits: What is there and cannot go.
    """

    def __init__(self, store: str, bits: int, layer: str, held_bits: int) -> None:
        super().__init__(store, bits, layer, held_bits)
        self.store, self.bits, self.layer, self.held_bits = store, bits, layer, held_bits


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
        stage_ends: When each stage was over.
        stage_energies: What was spent by then.
    """

    def __init__(
        self,
        network: Network,
        resident: Mapping[str, tuple[tuple[str, Region], ...]] | None = None,
        speculative: frozenset[int] = frozenset(),
    ) -> None:
        self.network = network
        self.speculative = speculative
        machine = network.machine
        self.resources = {name: Profile(capacity) for name, capacity in machine.capacities.items()}
        self.memories = {name: Profile(store.size_bits) for name, store in machine.stores.items()}
        self._own: set[tuple[bool, str]] = set()
        self._kept_bits: dict[str, int] = {}
        self.copies = Copies()
        self.pending = {name: len(readers) for name, readers in network.consumers.items()}
        self.readers_left: dict[tuple[str, Region], int] = {}
        self.floor = self.end = 0
        self.energy_pj = 0.0
        self.stage_ends: tuple[int, ...] = ()
        self.stage_energies: tuple[float, ...] = ()
        self._recent: tuple[int, ...] = ()
        self.runs: list[Run] = []
        self.moves: list[Move] = []
        self.stays: list[Stay] = []
        size_bits = machine.stores[OUTER].size_bits
        if size_bits is not None:
            self._fill_outer(size_bits)
        for name, places in sorted((resident or {}).items()):
            for store, region in places:
                self._settle(name, store, region)

    def copy(self) -> State:
        """Return a copy that can grow on its own."""
        twin = State.__new__(State)
        twin.network, twin.speculative = self.network, self.speculative
        twin.resources, twin.memories = dict(self.resources), dict(self.memories)
        # From now on both share the profiles; whoever changes one takes a copy first.
        self._own, twin._own = set(), set()
        twin.copies = self.copies.copy()
        twin.pending, twin._kept_bits = dict(self.pending), dict(self._kept_bits)
        twin.readers_left = dict(self.readers_left)
        twin.floor, twin.end, twin.energy_pj = self.floor, self.end, self.energy_pj
        twin.stage_ends, twin.stage_energies = self.stage_ends, self.stage_energies
        twin._recent = self._recent
        twin.runs, twin.moves, twin.stays = self.runs[:], self.moves[:], self.stays[:]
        return twin

    def _taken(self, profiles: dict[str, Profile], name: str) -> Profile:
        """Return the profile of a resource or store, to be changed."""
        key = (profiles is self.memories, name)
        if key not in self._own:
            self._own.add(key)
            profiles[name] = profiles[name].copy(self.floor)
        return profiles[name]

    def _fill_outer(self, size_bits: int) -> None:
        """Let what is there at the start take room: inputs until their last use, weights for good.

        Weights that do not all fit have to come from beyond the outer store, and take no room in it.

        Raises:
            NoRoomError: The inputs do not fit.
        """
        network = self.network
        given = [name for name in network.consumers if name not in network.producer]
        layers = (network.layer(index) for index in network.order)
        weights = [weights_name(layer) for layer in layers if has_weights(layer)]
        if sum(network.extents[name].bits_of(network.extents[name].whole) for name in weights) <= size_bits:
            for name in weights:
                self._settle(name, OUTER, network.extents[name].whole)
        for name in given:
            extent = network.extents[name]
            bits = extent.bits_of(extent.whole)
            if self.memories[OUTER].earliest_for_good(0, bits) is None:
                raise self._no_room(OUTER, bits, network.layer(network.consumers[name][0]).name)
            self._taken(self.memories, OUTER).add(0, None, bits)
            self.copies.add(name, Copy(OUTER, extent.whole, 0, 0, extent.whole))

    def _no_room(self, store: str, bits: int, layer: str) -> NoRoomError:
        return NoRoomError(store, bits, layer, int(self.memories[store].steps()[-1][1]))

    def _settle(self, name: str, store: str, region: Region) -> None:
        """Let weights lie in ``store`` from before the first cycle, for good."""
        bits = self.network.extents[name].bits_of(region)
        self._taken(self.memories, store).add(0, None, bits)
        self.stays.append(Stay(store, name, region, bits, 0, None))
        self.copies.add(name, Copy(store, region, 0, 0, self.network.extents[name].whole, fixed=True))

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
        uses = (*network.costs.resources(core, option.cost), *machine.shared)
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
        for name in dict.fromkeys(t.name for t in layer.inputs):
            self.pending[name] -= 1
            if not self.pending[name]:
                self._close(name)
        if has_weights(layer):
            self._close(weights_name(layer))
        for operand in layer.outputs:
            if not self.pending.get(operand.name):
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
        if len(self._recent) <= _WINDOW or any(
            left and name not in network.producer for name, left in self.pending.items()
        ):
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
        if size_bits is None or any(
            c.store == store for c in self.copies.of(name) if region.within(c.region)
        ):
            return
        bits = self.network.extents[name].bits_of(region)
        kept = self._kept_bits.get(store, 0) + bits
        if kept <= self.network.keep_share * size_bits and self.memories[store].top + bits <= size_bits:
            self._kept_bits[store] = kept
            self._settle(name, store, region)

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
        room = [(store, bits)]
        best: tuple[tuple[float, float, int], int, Copy, Route] | None = None
        for source in sources:
            ready = max(self.floor, source.ready)
            pj = machine.stores[source.store].read.energy_of(bits)
            for route in machine.routes.get((source.store, store), ()):
                cycles = route.cycles(bits)
                wires_pj = bits * route.energy_pj_per_bit
                if best is not None and self._key(ready + cycles, pj + wires_pj, ready) > best[0]:
                    continue
                start = self._earliest(ready, cycles, (*route.uses, *machine.shared), room, name, used)
                key = self._key(start + cycles, pj + wires_pj, start)
                if best is None or key < best[0]:
                    best = (key, start, source, route)
        if best is None:
            raise ValueError(f"nothing leads '{tensor}' to {store}")
        _, start, source, route = best
        end = start + route.cycles(bits)
        uses = (*route.uses, *machine.shared)
        for resource, amount in uses:
            self._taken(self.resources, resource).add(start, end, amount)
        self._taken(self.memories, store).add(start, None, bits)
        copy = Copy(store, part, end, start, source.piece)
        self.copies.add(tensor, copy)
        self.copies.touch(source, end)
        move = Move(
            tensor, part, source.store, store, start, end, len(self.stage_ends), uses, bits, index,
            purpose, machine.stores[source.store].read.energy_of(bits), bits * route.energy_pj_per_bit,
            machine.stores[store].write.energy_of(bits),
        )  # fmt: skip
        self.moves.append(move)
        self.energy_pj += move.energy_pj
        self.end = max(self.end, end)
        return copy

    def _key(self, end: int, energy_pj: float, start: int) -> tuple[float, float, int]:
        """Return what of two ways to move is compared: when it is there, or what it costs."""
        return (energy_pj, end, start) if self.network.thrifty else (end, energy_pj, start)

    def _earliest(
        self,
        start: int,
        cycles: int,
        uses: Sequence[tuple[str, float]],
        room: Sequence[tuple[str, int]],
        layer: str,
        used: Sequence[tuple[str, Copy]],
    ) -> int:
        """Return when ``uses`` are free for ``cycles`` and the room is there: ``room`` for good."""
        begin = -1
        while begin != start:
            begin = start
            for resource, amount in uses:
                start = self.resources[resource].earliest(start, cycles, amount)
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
            NoRoomError: Nothing can go; from the outer store nothing ever can.
        """
        needed = {(name, copy.store, copy.region) for name, copy in used}
        victims = [
            (name, copy)
            for name, copy in self.copies.in_store(store)
            if not copy.fixed and (name, store, copy.region) not in needed
        ]
        if not victims or store == OUTER:
            raise self._no_room(store, bits, layer)
        position = {index: i for i, index in enumerate(self.network.order)}

        def next_use(name: str) -> int:
            done = {run.layer for run in self.runs}
            return min(
                (position[i] for i in self.network.consumers.get(name, ()) if i not in done), default=-1
            )

        def elsewhere(name: str, copy: Copy) -> bool:
            if name not in self.network.producer:
                return True
            same = self.copies.of_piece(name, copy.piece)
            return any(c != copy and copy.region.within(c.region) for c in same)

        victims.sort(key=lambda v: (not elsewhere(*v), -next_use(v[0]), v[0], v[1].region))
        name, copy = victims[0]
        if not elsewhere(name, copy):
            index = self.network.producer[name]
            self._move(index, name, copy.region, [copy], OUTER, "spill")
        self._drop(name, copy)

    def _drop(self, name: str, copy: Copy) -> None:
        """Give back the room of a copy after its last use."""
        end = self.copies.last_use(copy)
        bits = self.network.extents[name].bits_of(copy.region)
        self._taken(self.memories, copy.store).add(end, None, -bits)
        self.stays.append(Stay(copy.store, name, copy.region, bits, copy.since, end))
        self.copies.remove(name, copy)

    def _close(self, name: str, piece: Region | None = None) -> None:
        """Drop all copies of a tensor, or of one piece of it."""
        found = list(self.copies.of(name)) if piece is None else self.copies.of_piece(name, piece)
        for copy in found:
            if not copy.fixed:
                self._drop(name, copy)

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
