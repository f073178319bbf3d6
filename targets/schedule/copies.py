"""Where the parts of tensors lie."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import NamedTuple

from targets.schedule.regions import Region


class Copy(NamedTuple):
    """A part of a tensor in a store.

    Attributes:
        ready: When it is there whole.
        since: When its room was taken.
        piece: The part its producer wrote at once, of which it is (a part of) a copy.
        fixed: It stays for good.
    """

    store: str
    region: Region
    ready: int
    since: int
    piece: Region
    fixed: bool = False


class Copies:
    """All copies there are; cheap to copy, as a beam of schedules does all the time.

    Args:
        handed_on: Tensors that layers read from one another, or from outside; all others are weights.
    """

    __slots__ = ("_by_piece", "_handed_on", "_last_use", "_live", "_pieces", "_settled")

    def __init__(self, handed_on: Container[str]) -> None:
        self._handed_on = handed_on
        # Those of them that lie anywhere: few at any time, while all weights may lie in the outer store.
        self._live: dict[str, None] = {}
        # What was there from the start and stays for good, which all copies of this share.
        self._settled: dict[tuple[str, Region], tuple[Copy, ...]] = {}
        self._by_piece: dict[tuple[str, Region], tuple[Copy, ...]] = {}
        self._pieces: dict[str, tuple[Region, ...]] = {}
        # By the identity of the copy, which is there as long as it is one of these.
        self._last_use: dict[int, int] = {}

    def copy(self) -> Copies:
        """Return a copy that can change on its own."""
        twin = Copies(self._handed_on)
        twin._settled = self._settled
        twin._by_piece, twin._live = dict(self._by_piece), dict(self._live)
        twin._pieces, twin._last_use = dict(self._pieces), dict(self._last_use)
        return twin

    def settle(self, name: str, copy: Copy) -> None:
        """Note weights that are there from the start and stay for good; before anything else is noted."""
        part = (name, copy.piece)
        self._settled[part] = (*self._settled.get(part, ()), copy)

    def add(self, name: str, copy: Copy) -> None:
        """Note a new copy."""
        part = (name, copy.piece)
        if part not in self._by_piece:
            self._pieces[name] = (*self._pieces.get(name, ()), copy.piece)
            if name in self._handed_on:
                self._live[name] = None
        self._by_piece[part] = (*self._by_piece.get(part, ()), copy)

    def remove(self, name: str, copy: Copy) -> None:
        """Forget a copy."""
        part = (name, copy.piece)
        left = tuple(c for c in self._by_piece[part] if c is not copy)
        if left:
            self._by_piece[part] = left
        else:
            del self._by_piece[part]
            pieces = tuple(p for p in self._pieces[name] if p != copy.piece)
            if pieces:
                self._pieces[name] = pieces
            else:
                del self._pieces[name]
                self._live.pop(name, None)
        self._last_use.pop(id(copy), None)

    def touch(self, copy: Copy, end: int) -> None:
        """Note that a copy is read until ``end``; of one that stays for good it does not matter."""
        if not copy.fixed and self._last_use.get(id(copy), 0) < end:
            self._last_use[id(copy)] = end

    def last_use(self, copy: Copy) -> int:
        """Return when the last that reads a copy has ended, so far; never before it is there."""
        return max(copy.ready, self._last_use.get(id(copy), 0))

    def pieces(self, name: str) -> tuple[Region, ...]:
        """Return the parts a tensor was written in, as far as they lie anywhere."""
        return self._pieces.get(name, ())

    def of_piece(self, name: str, piece: Region) -> tuple[Copy, ...]:
        """Return the copies of (parts of) a piece."""
        part = (name, piece)
        if part in self._settled:
            return (*self._settled[part], *self._by_piece.get(part, ()))
        return self._by_piece.get(part, ())

    def of(self, name: str) -> Iterator[Copy]:
        """Yield the copies of a tensor that may go again."""
        for piece in self.pieces(name):
            yield from self._by_piece[name, piece]

    def ready(self) -> Iterator[tuple[str, int, int]]:
        """Yield each tensor there is, weights left out, with when its first and last piece are anywhere."""
        for name in self._live:
            times = [self._by_piece[name, piece][0].ready for piece in self._pieces[name]]
            yield name, min(times), max(times)

    def in_store(self, store: str) -> Iterator[tuple[str, Copy]]:
        """Yield all that lies in a store and may go again."""
        for (name, _), copies in self._by_piece.items():
            for copy in copies:
                if copy.store == store:
                    yield name, copy
