"""Fronts as one SVG file, for papers and slides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

import numpy as np

from eecompile.exits.fronts.pareto import nondominated
from eecompile.report.charts import Scale, ticks
from eecompile.search.shown.front import ShownFront
from eecompile.search.shown.measures import ShownMeasure
from eecompile.wording.quantities import prefix_of

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 440, 70, 20, 24, 52
COLOURS = ("#2f6fd6", "#cf4a7c", "#12978a", "#8457d6", "#7b9a22", "#a8703f")
TRIED = "#b9c0c9"
_ROW = 18


def front_picture(
    fronts: Sequence[ShownFront], across: str, up: str, measures: Mapping[str, ShownMeasure]
) -> str:
    """Return fronts over each other, with all that the designs tried could have been in grey.

    Args:
        fronts: One at least.
        across: Name of the measure on the horizontal axis.
        up: Likewise, vertical.
        measures: By name.
    """
    first, second = measures[across], measures[up]
    places = [
        [
            (p.figures[first.key], p.figures[second.key])
            for p in front.points
            if first.key in p.figures and second.key in p.figures
        ]
        for front in fronts
    ]
    grey = [
        (values[first.key], values[second.key])
        for front in fronts
        for design in front.designs
        for values in design.points
        if first.key in values and second.key in values
    ]
    every = [place for some in (*places, grey) for place in some]
    bottom = HEIGHT + _ROW * len(fronts)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{bottom}" fill="#ffffff"/>'
    )
    if not every:
        return head + f'<text x="{LEFT}" y="40">No network keeps all constraints.</text></svg>\n'
    x = _Axis(first, [place[0] for place in every], LEFT, WIDTH - RIGHT)
    y = _Axis(second, [place[1] for place in every], HEIGHT - BOTTOM, TOP)
    parts = [head, *_axes(x, y)]
    parts += [f'<circle class="tried" cx="{x(a)}" cy="{y(b)}" r="1.5" fill="{TRIED}"/>' for a, b in grey]
    for number, (front, some) in enumerate(zip(fronts, places, strict=True)):
        parts += _front(
            front.title, [(x(a), y(b)) for a, b in _best(some, first, second)], some, x, y, number
        )
    return "\n".join([*parts, "</svg>", ""])


def _front(
    title: str,
    line: Sequence[tuple[float, float]],
    places: Sequence[tuple[float, float]],
    x: _Axis,
    y: _Axis,
    number: int,
) -> Iterator[str]:
    colour, row = COLOURS[number % len(COLOURS)], HEIGHT + _ROW * number
    points = " ".join(f"{a},{b}" for a, b in line)
    yield f'<polyline class="front" points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    yield from (f'<circle cx="{x(a)}" cy="{y(b)}" r="4" fill="{colour}"/>' for a, b in places)
    yield f'<circle cx="{LEFT}" cy="{row - 4}" r="4" fill="{colour}"/>'
    yield f'<text x="{LEFT + 12}" y="{row}">{escape(title)}</text>'


def _best(
    places: Sequence[tuple[float, float]], first: ShownMeasure, second: ShownMeasure
) -> list[tuple[float, float]]:
    """Return the places that no other is better than in both, along the horizontal axis."""
    signs = np.array([-1.0 if measure.rises else 1.0 for measure in (first, second)])
    rows = np.array(places, np.float64).reshape(-1, 2)
    return sorted(places[k] for k in nondominated(rows * signs).tolist())


def _axes(x: _Axis, y: _Axis) -> Iterator[str]:
    for value in y.ticks:
        at = y(value)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}" stroke="#e6e6e6"/>'
        yield f'<text x="{LEFT - 8}" y="{at + 4}" text-anchor="end">{y.text(value)}</text>'
    for value in x.ticks:
        at = x(value)
        foot = HEIGHT - BOTTOM
        yield f'<line x1="{at}" x2="{at}" y1="{foot}" y2="{foot + 4}" stroke="#333333"/>'
        yield f'<text x="{at}" y="{foot + 18}" text-anchor="middle">{x.text(value)}</text>'
    yield (
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - BOTTOM + 36}" text-anchor="middle">'
        f"{escape(x.title)}</text>"
    )
    yield f'<text x="4" y="14">{escape(y.title)}</text>'


class _Axis:
    """A linear map from numbers of files to pixels, with round ticks in a unit that suits them."""

    def __init__(self, measure: ShownMeasure, values: Sequence[float], start: float, end: float) -> None:
        shown = [value * measure.factor for value in values]
        low, high = min(shown), max(shown)
        most = max(abs(low), abs(high))
        factor, prefix = 1.0, ""
        if measure.unit not in ("%", "exits"):
            factor, prefix = prefix_of(most)
        found = ticks(low / factor, high / factor)
        self.title = f"{measure.words}, {prefix}{measure.unit}".removesuffix(", exits")
        self.ticks = [value * factor / measure.factor for value in found]
        self._shown = factor / measure.factor
        self._scale = Scale(found[0] * self._shown, found[-1] * self._shown, start, end)

    def __call__(self, value: float) -> float:
        return self._scale(value)

    def text(self, value: float) -> str:
        return f"{value / self._shown:.6g}"
