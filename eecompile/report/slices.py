"""Stretches of a track, joined where they are too narrow to be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eecompile.wording import quantities


@dataclass(frozen=True)
class Slice:
    """A stretch of a track, in cycles.

    Attributes:
        names: Layers that run or data that moves, in order.
        spent: Cycles by kind of work.
        css: Class of the kind that takes most of it.
        count: Events behind it.
        size_bytes: Bytes that move.
    """

    start: float
    end: float
    names: tuple[str, ...]
    spent: Mapping[str, float]
    css: str
    count: int = 1
    size_bytes: float = 0.0
    energy_pj: float = 0.0
    detail: str = ""

    @property
    def label(self) -> str:
        """What it says when pointed at."""
        first = ", ".join(quantities.shortened(name, 48) for name in self.names[:4])
        parts = [first + (f" and {len(self.names) - 4} more" if len(self.names) > 4 else "")]
        if self.detail:
            parts.append(self.detail)
        if self.count > 1:
            parts.append(f"{self.count} slices")
        parts.append(f"cycles {self.start:,.0f} to {self.end:,.0f}")
        parts.append(", ".join(f"{kind} {cycles:,.0f}" for kind, cycles in self.spent.items()))
        if self.size_bytes:
            parts.append(quantities.memory(8 * self.size_bytes))
        if self.energy_pj:
            parts.append(quantities.energy(self.energy_pj))
        return "; ".join(parts)


def joined(slices: Sequence[Slice], pixel: float) -> list[Slice]:
    """Return ``slices`` of a track, fewer of them.

    * Parts of the same layer that follow one another become one, if they look alike or one is narrow.
    * Slices that are too narrow to be seen become one with what is beside them.

    Args:
        slices: By start, without overlaps.
        pixel: Cycles per pixel.
    """
    found: list[Slice] = []
    for item in slices:
        if found and _alike(found[-1], item, pixel):
            found[-1] = _join(found[-1], item)
        else:
            found.append(item)
    return found


def _alike(before: Slice, item: Slice, pixel: float) -> bool:
    if item.start - before.end >= pixel:
        return False
    narrow = min(before.end - before.start, item.end - item.start) < 3 * pixel
    if before.names == item.names and (before.css == item.css or narrow):
        return True
    return item.end - before.start < pixel


def _join(before: Slice, item: Slice) -> Slice:
    spent = {
        kind: before.spent.get(kind, 0.0) + item.spent.get(kind, 0.0)
        for kind in {**before.spent, **item.spent}
    }
    longer = before if sum(before.spent.values()) >= sum(item.spent.values()) else item
    return Slice(
        before.start,
        max(before.end, item.end),
        tuple(dict.fromkeys((*before.names, *item.names))),
        spent,
        longer.css,
        before.count + item.count,
        before.size_bytes + item.size_bytes,
        before.energy_pj + item.energy_pj,
        before.detail if before.detail == item.detail else "",
    )
