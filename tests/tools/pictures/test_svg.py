"""Letters of a screen stand at their places in the picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tools.pictures.screen import Screen
from tools.pictures.svg import COLORS, EDGE, LETTER, picture

SVG = "{http://www.w3.org/2000/svg}"


def test_runs_of_text_stand_where_they_stand_on_the_screen() -> None:
    screen = Screen(30)
    screen.feed("one two   three\r\n\r\n  \x1b[1;31m<4> & 5\x1b[0m\x1b[2m dim\x1b[0m")
    root = ET.fromstring(picture(screen.rows, 30))
    texts = root.findall(f".//{SVG}text")
    assert [text.text for text in texts] == ["one two", "three", "<4> & 5", "dim"]
    places = [(float(text.attrib["x"]) - EDGE) / LETTER for text in texts]
    assert places == pytest.approx([0, 10, 2, 10], abs=0.01)
    assert float(texts[0].attrib["textLength"]) == pytest.approx(7 * LETTER, abs=0.1)
    rows = [int(text.attrib["y"]) for text in texts]
    assert rows[0] == rows[1] < rows[2] == rows[3] and rows[2] - rows[0] == 36
    assert texts[2].attrib["fill"] == COLORS[1] and texts[2].attrib["font-weight"] == "bold"
    assert texts[3].attrib["fill-opacity"] == "0.6"
    assert float(root.attrib["width"]) == pytest.approx(30 * LETTER + 2 * EDGE)
