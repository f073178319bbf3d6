"""A terminal's screen as a small SVG: text in rows, no picture of letters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from tools.pictures.screen import Cell, Style

LETTER, LINE, EDGE = 8.4, 18, 14
BACKGROUND, TEXT = "#16191d", "#d6dae0"
COLORS = (
    "#16191d", "#f0706a", "#7fcf7a", "#e3c05c", "#6fa8ec", "#c58ae0", "#5cc7c7", "#d6dae0",
    "#7b828c", "#ff8f88", "#9be296", "#f3d67d", "#8fc0ff", "#dba9f2", "#7fe0e0", "#ffffff",
)  # fmt: skip
FONT = "DejaVu Sans Mono, Menlo, Consolas, monospace"


def picture(rows: Sequence[Sequence[Cell]], columns: int) -> str:
    """Return an SVG of the rows of a screen that is so many columns wide."""
    width, height = columns * LETTER + 2 * EDGE, len(rows) * LINE + 2 * EDGE
    lines = "\n".join(_lines(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}">\n<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>\n'
        f'<g font-family="{FONT}" font-size="14" fill="{TEXT}">\n{lines}\n</g>\n</svg>\n'
    )


def _lines(rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    for number, row in enumerate(rows):
        y = EDGE + number * LINE + 13
        place = 0
        for style, cells in groupby(row, key=lambda cell: cell[1]):
            text = "".join(letter for letter, _ in cells)
            for found in re.finditer(r"\S+(?: \S+)*", text):  # more blanks than one are none in a page
                x, length = EDGE + (place + found.start()) * LETTER, len(found[0]) * LETTER
                yield (
                    f'<text x="{x:.1f}" y="{y}" textLength="{length:.1f}"{_look(style)}>'
                    f"{escape(found[0], quote=False)}</text>"
                )
            place += len(text)


def _look(style: Style) -> str:
    said = "" if style.color is None else f' fill="{COLORS[style.color]}"'
    said += ' font-weight="bold"' if style.bold else ""
    return said + (' fill-opacity="0.6"' if style.dim else "")
