"""A plot as a file that stands alone."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from eecompile.report.paper.page_parts import PagePlot
from eecompile.report.paper.style_rules import style_rules
from eecompile.report.paper.svg_file import NAMESPACE, svg_file

RULES = style_rules(".c0 { fill: #00f; } .ring { fill: none; stroke: #111; } svg text.soft { fill: #555; }")
TAG = f"{{{NAMESPACE}}}"


def drawn(picture: str, *legend: tuple[str, str]) -> ET.Element:
    text = svg_file(PagePlot("Costs <of> exits", ET.fromstring(picture), legend), RULES)
    assert "class" not in text and "var(" not in text
    return ET.fromstring(text.encode())


def test_colours_are_in_it_and_the_ground_is_light() -> None:
    root = drawn(
        '<svg viewBox="0 0 100 50"><g><rect class="c0" width="3" rx="1"/></g><script>1</script></svg>'
    )
    assert root.tag == f"{TAG}svg" and root.get("viewBox") == "-8 -8 116 66"
    assert (root.get("width"), root.get("height")) == ("116", "66")
    title, ground, drawing = root
    assert title.text == "Costs <of> exits"
    assert ground.attrib == {"x": "-8", "y": "-8", "width": "116", "height": "66", "fill": "#ffffff"}
    (shape,) = drawing[0]
    assert shape.attrib == {"width": "3", "rx": "1", "fill": "#00f"}


def test_its_legend_is_below_in_as_many_lines_as_it_takes() -> None:
    root = drawn('<svg viewBox="0 0 100 50"><rect/></svg>', ("c0", "a long name"), ("ring", "another one"))
    texts = [part for part in root if part.tag == f"{TAG}text"]
    assert [(t.text, t.get("x"), t.get("y"), t.get("fill")) for t in texts] == [
        ("a long name", "28", "70", "#555"),
        ("another one", "28", "90", "#555"),
    ]
    assert [part.tag.removeprefix(TAG) for part in root if part.get("fill") in ("#00f", "none")] == [
        "rect",
        "circle",
    ]
    assert root.get("viewBox") == "-8 -8 116 118"


def test_a_bar_that_the_page_stretches_has_a_size_of_its_own() -> None:
    root = drawn('<svg viewBox="0 0 100 10" preserveAspectRatio="none"><rect class="c0" width="50"/></svg>')
    assert root[2].get("transform") == "scale(6.4 4)"
    assert (root.get("width"), root.get("height")) == ("656", "56")
