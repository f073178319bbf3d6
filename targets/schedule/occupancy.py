"""What is taken of an accelerator: resources and stores over time, data in stores, moves between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from targets.schedule.copies import Copies, Copy
from targets.schedule.log import Log
from targets.schedule.machine import OUTER, Route
from targets.schedule.network import Network
from targets.schedule.profile import Profile
from targets.schedule.regions import Region
from targets.schedule.result import Move, Purpose, Stay


class NoRoomError(Exception):
    """A store cannot hold what it must.

    Attributes:
        bits: What ``layer`` needs beside what is there.
        held_bits: What is there and cannot go.
        weight_bits: How much of both is weights.
    """

    def __init__(self, store: str, bits: int, layer: str, held_bits: int, weight_bits: int = 0) -> None:
        super().__init__(store, bits, layer, held_bits, weight_bits)
        self.store, self.bits, self.layer, self.held_bits = store, bits, layer, held_bits
        self.weight_bits = weight_bits


class Occupancy:
    """What is taken so far, and what is noted of it.

    Attributes:
        resources: What is taken of each resource over time.
        memories: What is taken of each store over time.
        copies: Where the parts of each tensor lie.
        completed: Bit set of the layers all tiles of which have been placed.
        floor: Nothing starts before it.
        end: When all that was placed is over.
        energy_pj: Of all that was placed.
        stage_ends: When each stage was over.
        stage_energies: What was spent by then.
    """

    def __init__(self, network: Network) -> None:
        machine = network.machine
        self.network = network
        self.resources = {name: Profile(capacity) for name, capacity in machine.capacities.items()}
        self.memories = {name: Profile(store.size_bits) for name, store in machine.stores.items()}
        self._own: set[tuple[bool, str]] = set()
        self.copies = Copies(network.consumers)
        self.completed = 0
        self.floor = self.end = 0
        self.energy_pj = 0.0
        self.stage_ends: tuple[int, ...] = ()
        self.stage_energies: tuple[float, ...] = ()
        self.moves: Log[Move] = Log()
        self.stays: Log[Stay] = Log()

    def _copy_to(self, twin: Occupancy) -> None:
        """Let ``twin`` start from what is taken here."""
        twin.network = self.network
        twin.resources, twin.memories = dict(self.resources), dict(self.memories)
        # From now on both share the profiles; whoever changes one takes a copy first.
        self._own, twin._own = set(), set()
        twin.copies, twin.completed = self.copies.copy(), self.completed
        twin.floor, twin.end, twin.energy_pj = self.floor, self.end, self.energy_pj
        twin.stage_ends, twin.stage_energies = self.stage_ends, self.stage_energies
        twin.moves, twin.stays = self.moves.copy(), self.stays.copy()

    def readers_of(self, name: str) -> Iterator[int]:
        """Yield the layers that have yet to read a tensor."""
        return (i for i in self.network.consumers.get(name, ()) if not self.completed >> i & 1)

    def is_wanted(self, name: str) -> bool:
        """Whether some layer has yet to read a tensor."""
        return next(self.readers_of(name), None) is not None

    def _taken(self, profiles: dict[str, Profile], name: str) -> Profile:
        """Return the profile of a resource or store, to be changed."""
        key = (profiles is self.memories, name)
        if key not in self._own:
            self._own.add(key)
            profiles[name] = profiles[name].copy(self.floor)
        return profiles[name]

    def _no_room(self, store: str, bits: int, layer: str, weights: bool = False) -> NoRoomError:
        """Return that ``bits``, which may be weights, do not fit beside what is in ``store`` for good."""
        held = [
            s.bits for s in self.stays if s.store == store and s.end is None and self._is_weights(s.tensor)
        ]
        held += [
            self.network.extents[name].bits_of(copy.region)
            for name, copy in self.copies.in_store(store)
            if not copy.fixed and self._is_weights(name)
        ]
        of_weights = sum(held) + (bits if weights else 0)
        return NoRoomError(store, bits, layer, int(self.memories[store].steps()[-1][1]), of_weights)

    def _is_weights(self, name: str) -> bool:
        """Whether what lies in a store is neither handed on nor an output, nor the buffers of a run."""
        network = self.network
        return name in network.extents and name not in network.consumers and name not in network.producer

    def _settled(self, name: str, store: str, region: Region) -> Copy:
        """Let weights take room in ``store`` from before the first cycle, for good."""
        bits = self.network.extents[name].bits_of(region)
        self._taken(self.memories, store).add(0, None, bits)
        self.stays.append(Stay(store, name, region, bits, 0, None))
        return Copy(store, region, 0, 0, self.network.extents[name].whole, fixed=True)

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
                taken = (*route.uses, *machine.moves_take)
                try:
                    start = self._earliest(ready, cycles, taken, room, name, used)
                except NoRoomError as error:
                    if self._is_weights(tensor):
                        error.weight_bits += bits
                    raise
                key = self._key(start + cycles, pj + wires_pj, start)
                if best is None or key < best[0]:
                    best = (key, start, source, route)
        if best is None:
            raise ValueError(f"nothing leads '{tensor}' to {store}")
        _, start, source, route = best
        end = start + route.cycles(bits)
        uses = (*route.uses, *machine.moves_take)
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
        position = self.network.position

        def next_use(name: str) -> int:
            return min((position[reader] for reader in self.readers_of(name)), default=-1)

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
