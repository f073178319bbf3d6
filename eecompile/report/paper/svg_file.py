"""A plot of the page as an SVG file that stands alone: with its colours, a light ground and its legend."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from eecompile.report.paper.page_parts import SHAPES, PagePlot
from eecompile.report.paper.style_rules import StyleRule, styled

NAMESPACE = "http://www.w3.org/2000/svg"
FONT = "Helvetica, Arial, sans-serif"
GROUND = "#ffffff"
_BAR = (640, 40)
"""Width and height of a bar that the page stretches."""
_LINE, _LETTER, _GAP, _MARGIN, _EDGE = 20, 6.6, 18, 12, 8
_LEFT_OUT = {"class", "role", "aria-label", "id", "pointer-events"}


def svg_file(plot: PagePlot, rules: Sequence[StyleRule]) -> str:
    """Return the file of a plot.

    Args:
        plot: As the page has it.
        rules: Of the style sheet of the page.
    """
    x, y, wide, high = (float(part) for part in plot.picture.get("viewBox", "0 0 100 100").split())
    stretched = plot.picture.get("preserveAspectRatio") == "none"
    width, height = _BAR if stretched else (wide, high)
    legend, below = _legend(plot, rules, width, height)
    left, top = x - _EDGE, y - _EDGE
    size = {"width": f"{width + 2 * _EDGE:g}", "height": f"{height + below + 2 * _EDGE:g}"}
    view = f"{left:g} {top:g} {size['width']} {size['height']}"
    root = ET.Element("svg", {"xmlns": NAMESPACE, "viewBox": view, **size, "font-family": FONT})
    ET.SubElement(root, "title").text = plot.title
    ET.SubElement(root, "rect", {"x": f"{left:g}", "y": f"{top:g}", **size, "fill": GROUND})
    scale = {"transform": f"scale({width / wide:g} {height / high:g})"} if stretched else {}
    drawing = ET.SubElement(root, "g", scale)
    for child in plot.picture:
        _draw(drawing, [plot.picture, child], rules)
    root.extend(legend)
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _draw(into: ET.Element, path: list[ET.Element], rules: Sequence[StyleRule]) -> None:
    element = path[-1]
    if element.tag not in SHAPES | {"g", "title"}:
        return
    kept = {name: value for name, value in element.attrib.items() if name not in _LEFT_OUT}
    look = {} if element.tag == "title" else styled(path, rules)
    found = ET.SubElement(into, element.tag, {**kept, **look})
    found.text = element.text
    for child in element:
        _draw(found, [*path, child], rules)


def _legend(
    plot: PagePlot, rules: Sequence[StyleRule], width: float, top: float
) -> tuple[list[ET.Element], float]:
    """Return the legend below a plot, as many entries side by side as fit, and how high it is."""
    parts: list[ET.Element] = []
    x, y = float(_MARGIN), top + _LINE
    for colour, text in plot.legend:
        long = 16 + _LETTER * len(text) + _GAP
        if x > _MARGIN and x + long > width:
            x, y = float(_MARGIN), y + _LINE
        shape = ET.Element("circle" if "ring" in colour.split() else "rect", {"class": colour})
        place = (
            {"cx": f"{x + 5:g}", "cy": f"{y - 4:g}", "r": "4"}
            if shape.tag == "circle"
            else {"x": f"{x:g}", "y": f"{y - 9:g}", "width": "10", "height": "10", "rx": "2"}
        )
        parts.append(ET.Element(shape.tag, {**place, **styled([plot.picture, shape], rules)}))
        label = ET.Element("text", {"class": "soft"})
        known = styled([plot.picture, label], rules)
        parts.append(ET.Element("text", {"x": f"{x + 16:g}", "y": f"{y:g}", **known}))
        parts[-1].text = text
        x += long
    return parts, (y + _MARGIN - top if plot.legend else 0)
