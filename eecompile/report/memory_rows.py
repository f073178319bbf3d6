"""Geometry of what lies in each memory over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eecompile.report.charts import Scale
from eecompile.report.schedule_facts import StoreFacts
from eecompile.wording import quantities

ROW, HEIGHT = 46, 36
# Below this part of its capacity a memory is drawn against its peak, or nothing would be seen of it.
_VISIBLE = 0.4


@dataclass(frozen=True)
class MemoryRow:
    """A memory over time.

    Attributes:
        points: Outline of what lies there, as SVG has it.
        capacity_y: Where its capacity is drawn; ``None`` where it is off the scale or has no limit.
        peak: Peak and capacity in words.
        label: Tooltip.
    """

    name: str
    y: float
    bottom: float
    points: str
    capacity_y: float | None
    peak: str
    label: str


def memory_rows(
    levels: Mapping[str, Sequence[tuple[float, float]]],
    stores: Sequence[StoreFacts],
    path: int,
    x: Scale,
    top: float,
) -> tuple[MemoryRow, ...]:
    """Return a row per memory in which anything lies, one below the other from ``top``.

    Args:
        levels: Cycles and the bits that lie there from then on.
        stores: Capacities and peaks.
        path: The exit path that is drawn.
        x: From cycles to pixels.
        top: Pixel the first row begins at.
    """
    rows: list[MemoryRow] = []
    for store in stores:
        steps, peak = levels.get(store.name, ()), store.peaks_bits[path]
        if not steps or not peak:
            continue
        capacity = store.capacity_bits
        shown = capacity is not None and peak >= _VISIBLE * capacity
        y = top + ROW * len(rows)
        bottom = y + HEIGHT
        full = float(capacity) if shown and capacity is not None else float(peak)
        scale = Scale(0.0, full, bottom, y + 3)
        words = _words(peak, capacity)
        rows.append(
            MemoryRow(
                store.name,
                y,
                bottom,
                _outline(steps, x, scale, bottom),
                scale(full) if shown else None,
                words,
                f"{store.name}: peak {words}",
            )
        )
    return tuple(rows)


def _words(peak_bits: float, capacity_bits: float | None) -> str:
    peak = quantities.memory(peak_bits)
    if capacity_bits is None:
        return f"{peak}, no limit"
    return f"{peak} of {quantities.memory(capacity_bits)}"


def _outline(steps: Sequence[tuple[float, float]], x: Scale, y: Scale, bottom: float) -> str:
    """Return the outline; of steps that fall into half a pixel only the highest is drawn."""
    columns: dict[float, float] = {}
    after: dict[float, float] = {}
    for cycle, bits in steps:
        if cycle < x.high:
            column = round(x(cycle) * 2) / 2
            columns[column] = max(columns.get(column, 0.0), bits)
            after[column] = bits
    points, level = [f"{x.start},{bottom}"], y(0.0)
    for column, bits in columns.items():
        points += [f"{column},{level}", f"{column},{y(bits)}"]
        level = y(after[column])
        if after[column] != bits:
            points += [f"{column + 0.5},{y(bits)}", f"{column + 0.5},{level}"]
    points += [f"{x.end},{level}", f"{x.end},{bottom}"]
    return " ".join(points)
