"""The picture of predicted over measured: one row per network, drawn as SVG without any library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

TICKS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
LEFT, RIGHT, ROW, TOP, WIDTH = 380, 24, 22, 40, 900
AXIS = (
    "predicted over measured (left out of the fit where fitted); "
    "bars: where the interval of latency holds what was measured"
)
COLOURS = {"latency": "#2f6fd6", "energy": "#d97a1e"}


@dataclass(frozen=True)
class Dots:
    """A network at an operating point.

    Attributes:
        label: What it is called.
        latency: Honest prediction over measurement; ``None`` where it was not measured.
        energy: The same of the energy.
        interval: Predicted over measured latencies for which the interval holds what was measured; ``None``
            without one.
    """

    label: str
    latency: float | None
    energy: float | None
    interval: tuple[float, float] | None


def picture(rows: Sequence[Dots]) -> str:
    """Return the picture as an SVG document; without rows it says that nothing is validated."""
    values = [v for row in rows for v in (row.latency, row.energy, *(row.interval or ())) if v is not None]
    low, high = min([0.8, *values]) * 0.95, max([1.25, *values]) * 1.05

    x = _Axis(low, high)

    bottom = TOP + ROW * max(1, len(rows))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 46}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{bottom + 46}" fill="#ffffff"/>',
    ]
    for tick in (t for t in TICKS if low <= t <= high):
        colour = "#333333" if tick == 1 else "#dddddd"
        parts.append(
            f'<line x1="{x(tick)}" x2="{x(tick)}" y1="{TOP - 8}" y2="{bottom}" stroke="{colour}"/>'
            f'<text x="{x(tick)}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
        )
    if not rows:
        parts.append(f'<text x="{LEFT}" y="{TOP + 14}">No target is validated.</text>')
    for index, row in enumerate(rows):
        parts += _row(row, TOP + ROW * index + ROW // 2, x)
    parts.append(f'<text x="{WIDTH // 2}" y="{bottom + 36}" text-anchor="middle">{AXIS}</text>')
    for number, (name, colour) in enumerate(COLOURS.items()):
        parts.append(
            f'<circle cx="{LEFT + 90 * number}" cy="16" r="5" fill="{colour}"/>'
            f'<text x="{LEFT + 90 * number + 10}" y="20">{name}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Axis:
    """Ratios to pixels, on a logarithmic axis."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _row(row: Dots, y: int, x: _Axis) -> list[str]:
    parts = [f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(row.label)}</text>']
    if row.interval is not None:
        start, end = (x(bound) for bound in row.interval)
        parts.append(
            f'<rect x="{start}" y="{y - 5}" width="{round(end - start, 1)}" height="10" fill="#cfe0f7"/>'
        )
    for name, value in (("latency", row.latency), ("energy", row.energy)):
        if value is not None:
            told = escape(f"{row.label}: {name} {value:.3f}")
            dot = f'<circle cx="{x(value)}" cy="{y}" r="5" fill="{COLOURS[name]}">'
            parts.append(f"{dot}<title>{told}</title></circle>")
    return parts
