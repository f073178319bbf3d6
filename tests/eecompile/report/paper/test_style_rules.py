"""The look of shapes as the style sheet of the page says it, on a light page."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from eecompile.report.paper.style_rules import style_rules, styled

SHEET = """
:root { --c0: #2f6fd6; --ink: #111; } /* .c0 { fill: none; } */
@media (prefers-color-scheme: dark) { :root { --c0: #fff; } .c0 { opacity: .1; } }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg text.small { font-size: 10px; }
.c0, .c1 { fill: var(--c0); stroke: var(--c0); margin: 3px }
rect { stroke: none !important; }
.chart.reliability line.c0 { stroke-width: 1.5; opacity: .6; }
.other .c0 { opacity: .2; } .c0:hover { opacity: .3; }
"""


def look(*path: tuple[str, str]) -> dict[str, str]:
    return styled([ET.Element(tag, {"class": names}) for tag, names in path], style_rules(SHEET))


def test_variables_are_those_of_a_light_page_and_important_ones_win() -> None:
    assert look(("svg", "chart"), ("circle", "c0")) == {"fill": "#2f6fd6", "stroke": "#2f6fd6"}
    assert look(("svg", "chart"), ("rect", "c1")) == {"fill": "#2f6fd6", "stroke": "none"}


def test_what_is_more_exact_goes_before() -> None:
    assert look(("svg", ""), ("text", "")) == {"fill": "#111", "font-size": "12px"}
    assert look(("svg", ""), ("g", ""), ("text", "small soft")) == {"fill": "#111", "font-size": "10px"}
    assert look(("svg", "chart reliability"), ("line", "c0"))["opacity"] == ".6"
    assert "opacity" not in look(("svg", "chart"), ("line", "c0"))
    assert look(("g", ""), ("text", "")) == {}
