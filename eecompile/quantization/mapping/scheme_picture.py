"""The picture of a front of mappings: accuracy on val over what is minimised, as SVG without any library."""

from __future__ import annotations

from html import escape

from eecompile.quantization.mapping.scheme_front import SchemeFront, SchemePoint, worth
from targets.objective import Objective

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 440, 60, 30, 40, 50
TICKS = 5
FRONT, BEATEN, BY_HAND = "#2f6fd6", "#bbbbbb", "#d97a1e"


def front_picture(front: SchemeFront, objective: Objective, title: str) -> str:
    """Return the picture as an SVG document: the front as a line, mappings by hand with their names.

    Args:
        front: What a search found.
        objective: What is on the horizontal axis, as a share of the usual mapping.
        title: What stands above.
    """
    usual = worth(front.usual.cost, objective)
    places = [(worth(p.cost, objective) / usual, 100 * p.accuracy[-1]) for p in front.points]
    real = 100 * front.float_accuracy[-1]
    across = _Axis(min(x for x, _ in places), max(x for x, _ in places), LEFT, WIDTH - RIGHT)
    up = _Axis(min(y for _, y in places), max(real, *(y for _, y in places)), HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{WIDTH // 2}" y="20" text-anchor="middle">{escape(title)}</text>',
    ]
    for value in across.ticks:
        parts.append(
            f'<text x="{across(value)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:.2f}</text>'
        )
    for value in up.ticks:
        parts.append(f'<text x="{LEFT - 8}" y="{up(value)}" text-anchor="end">{value:.1f}</text>')
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(value)}" y2="{up(value)}" stroke="#eeeeee"/>'
        )
    parts.append(
        f'<line class="float" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(real)}" y2="{up(real)}" '
        'stroke="#333333" stroke-dasharray="4 3"/>'
    )
    line = " ".join(
        f"{across(x)},{up(y)}"
        for point, (x, y) in zip(front.points, places, strict=True)
        if point in front.front
    )
    parts.append(f'<polyline class="front" points="{line}" fill="none" stroke="{FRONT}"/>')
    for point, (x, y) in zip(front.points, places, strict=True):
        parts += _dot(point, across(x), up(y), point in front.front)
    parts.append(
        f'<text x="{WIDTH // 2}" y="{HEIGHT - 10}" text-anchor="middle">{objective} over that of the usual '
        f"mapping; % right of {front.images} val images; dashed: in float</text>"
    )
    return "\n".join([*parts, "</svg>", ""])


def _dot(point: SchemePoint, x: float, y: float, best: bool) -> list[str]:
    colour = FRONT if best else BEATEN
    ring = f' stroke="{BY_HAND}" stroke-width="2"' if point.name else ""
    found = [f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"{ring}/>']
    if point.name:
        end = ' text-anchor="end"' if x > WIDTH / 2 else ""
        shift = -8 if end else 8
        found.append(
            f'<text x="{x + shift:.1f}" y="{y + 14:.1f}" font-size="10"{end}>{escape(point.name)}</text>'
        )
    return found


class _Axis:
    """A linear map from values to pixels, with some room at both ends."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        room = 0.05 * (high - low or 1.0)
        self._low, self._high, self._start, self._end = low - room, high + room, start, end
        self.ticks = [low + (high - low) * i / (TICKS - 1) for i in range(TICKS)] if high > low else [low]

    def __call__(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return round(self._start + share * (self._end - self._start), 1)
