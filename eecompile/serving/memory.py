"""The memories of an accelerator that several networks, and interrupted requests, share."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from targets.residence import Residence, StoreUse


@dataclass(frozen=True)
class LeftBehind:
    """What a request has in the memories between two of its stages.

    Attributes:
        inside: Bits by store on chip.
        outside: Bits in the outer store, wherever the rest is.
        out_s: Seconds to move what is inside to the outer store; joules beside.
        out_j: Joules.
        back_s: Seconds to move it back.
        back_j: Joules.
    """

    inside: Mapping[str, int]
    outside: int
    out_s: float
    out_j: float
    back_s: float
    back_j: float


@dataclass(frozen=True)
class MemoryNeeds:
    """What a network needs of the memories.

    Attributes:
        stores: What it takes of each store while it runs, its kept weights included.
        boundaries: What a request leaves behind each stage but the last.
        batches: Sizes of batches, and the most that each has in each store, by its name, beside kept weights.
    """

    stores: tuple[StoreUse, ...]
    boundaries: tuple[LeftBehind, ...]
    batches: tuple[tuple[int, Mapping[str, int]], ...] = ()

    def of_batches(self, largest: int) -> MemoryNeeds:
        """Return what it needs where any batch of at most so many images may run."""
        some = [bits for size, bits in self.batches if size <= largest]
        stores = [
            replace(
                use, peak_bits=max([use.peak_bits, *(use.kept_bits + bits.get(use.name, 0) for bits in some)])
            )
            for use in self.stores
        ]
        return replace(self, stores=tuple(stores))


def footprint(found: Residence, seconds_per_cycle: float) -> MemoryNeeds:
    """Return what a network needs of the memories of a machine with a clock."""
    outer = {use.name for use in found.stores if use.outer}
    boundaries = [
        LeftBehind(
            {store: bits for store, bits in one.bits.items() if store not in outer},
            sum(bits for store, bits in one.bits.items() if store in outer),
            one.out_cycles * seconds_per_cycle,
            one.out_pj * 1e-12,
            one.back_cycles * seconds_per_cycle,
            one.back_pj * 1e-12,
        )
        for one in found.boundaries
    ]
    return MemoryNeeds(found.stores, tuple(boundaries))


def kept_together(footprints: Sequence[MemoryNeeds | None]) -> bool:
    """Return whether the weights that networks keep on chip lie there beside each other.

    They do where, in each store, they fit beside the most that any of the networks has there besides. One
    network has its own; of networks of which this is not known they do not.
    """
    if len(footprints) == 1:
        return True
    known = [one for one in footprints if one is not None]
    if len(known) < len(footprints):
        return False
    return all(room >= 0 for store, room in _room(known, True).items() if not _is_outer(known, store))


def _is_outer(footprints: Sequence[MemoryNeeds], store: str) -> bool:
    return any(use.outer for one in footprints for use in one.stores if use.name == store)


def _room(footprints: Sequence[MemoryNeeds], together: bool) -> dict[str, float]:
    """Return the bits of each store that no network needs, whichever of them runs."""
    uses: dict[str, list[StoreUse]] = {}
    for one in footprints:
        for use in one.stores:
            uses.setdefault(use.name, []).append(use)
    room: dict[str, float] = {}
    for name, found in uses.items():
        kept = sum(use.kept_bits for use in found) if together or found[0].outer else 0
        most = max(use.peak_bits - (use.kept_bits if together or use.outer else 0) for use in found)
        capacity = found[0].capacity_bits
        room[name] = inf if capacity is None else capacity - kept - most
    return room


def _beside_kept(footprints: Sequence[MemoryNeeds], together: bool) -> defaultdict[str, float]:
    """Return the bits of each store beside the weights that are kept there."""
    found: defaultdict[str, float] = defaultdict(lambda: inf)
    for name in {use.name for one in footprints for use in one.stores}:
        uses = [use for one in footprints for use in one.stores if use.name == name]
        kept = [use.kept_bits for use in uses]
        if uses[0].capacity_bits is not None:
            found[name] = uses[0].capacity_bits - (sum(kept) if together or uses[0].outer else max(kept))
    return found


class Interrupted:
    """What interrupted requests leave in the memories, and what it costs to bring it away and back.

    It stays where it is if all of it fits beside what any of the networks needs there; else it is moved to
    the outer store. Where that has no room either, a request cannot be interrupted.
    """

    def __init__(self, footprints: Sequence[MemoryNeeds]) -> None:
        """Begin with nothing there."""
        self._left = [one.boundaries for one in footprints]
        together = kept_together(footprints)
        room = _room(footprints, together)
        self._outer = next((name for name in room if _is_outer(footprints, name)), "")
        self._room = {name: max(bits, 0.0) for name, bits in room.items()}
        self._room.setdefault(self._outer, inf)
        # Of each network and boundary, the bits by store of what is left, the outer one included.
        self._lies = [[{**one.inside, self._outer: one.outside} for one in of] for of in self._left]
        self._beside = _beside_kept(footprints, together)
        self._moved: dict[int, bool] = {}
        self._bits = 0
        self.peak_bits = self.spills = 0

    def may_leave(self, model: int, stage: int, count: int = 1) -> bool:
        """Return whether so many requests that wait for ``stage`` can be interrupted now, all of them."""
        lies = self._lies[model][stage - 1]
        return self.stays(lies, count) or count * sum(lies.values()) <= self._room[self._outer]

    def bits(self, model: int, stage: int, count: int = 1) -> Counter[str]:
        """Return what so many requests that wait for ``stage`` have in each store if nothing is moved."""
        return Counter({store: count * bits for store, bits in self._lies[model][stage - 1].items()})

    def stays(self, bits: Mapping[str, int], count: int = 1) -> bool:
        """Return whether what so many left, by store, can stay where it is, whatever runs next."""
        return all(count * some <= self._room[store] for store, some in bits.items())

    def has_room(self, bits: Mapping[str, int]) -> bool:
        """Return whether what runs has room, by store, beside kept weights and all that is interrupted."""
        return all(some <= self._beside[store] for store, some in bits.items())

    def is_moved(self, request: int) -> bool:
        """Return whether what an interrupted request has was moved to the outer store."""
        return self._moved.get(request, False)

    def change(
        self, leaves: tuple[int, int, int] | None, begins: tuple[int, int, int]
    ) -> tuple[float, float]:
        """Let another request run; return the seconds and joules of moving what both have.

        Args:
            leaves: Number, network and next stage of the one that is interrupted; ``None``: none is.
            begins: Of the one that runs; it was interrupted before, unless this is its first stage.
        """
        # What comes back makes room for what leaves.
        back_s, back_j = self.back(*begins) if begins[2] else (0.0, 0.0)
        out_s, out_j = self.leave(*leaves) if leaves is not None else (0.0, 0.0)
        return back_s + out_s, back_j + out_j

    def leave(self, request: int, model: int, stage: int) -> tuple[float, float]:
        """Interrupt a request that waits for ``stage``; return seconds and joules of moving what it has."""
        left, lies = self._left[model][stage - 1], self._lies[model][stage - 1]
        moved = not self.stays(lies)
        self._moved[request] = moved
        self._take(lies, moved, 1)
        self.peak_bits = max(self.peak_bits, self._bits)
        if not moved:
            return 0.0, 0.0
        self.spills += 1
        return left.out_s, left.out_j

    def back(self, request: int, model: int, stage: int) -> tuple[float, float]:
        """Let an interrupted request go on with ``stage``; return seconds and joules of moving it back."""
        left, moved = self._left[model][stage - 1], self._moved.pop(request)
        self._take(self._lies[model][stage - 1], moved, -1)
        return (left.back_s, left.back_j) if moved else (0.0, 0.0)

    def _take(self, lies: Mapping[str, int], moved: bool, sign: int) -> None:
        bits = sum(lies.values())
        self._bits += sign * bits
        for store, some in ({self._outer: bits} if moved else lies).items():
            self._room[store] -= sign * some
            self._beside[store] -= sign * some
