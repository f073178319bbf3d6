"""The picture of a front: every mapping is there, at its place, and those by hand are named."""

from __future__ import annotations

from xml.etree import ElementTree

from eecompile.quantization.mapping.scheme_front import SchemeFront, SchemePoint
from eecompile.quantization.mapping.scheme_picture import BEATEN, BY_HAND, FRONT, front_picture
from targets.evaluation.paths import Cost
from targets.objective import LATENCY

SVG = "{http://www.w3.org/2000/svg}"


def point(name: str, cycles: int, loss: float, accuracy: float) -> SchemePoint:
    return SchemePoint(name, {"conv_0": name}, Cost.at_clock(1, cycles, 2.0, None), loss, (0.1, accuracy))


CHEAP, BAD, USUAL = point("", 10, 0.3, 0.6), point("a < b", 15, 0.4, 0.5), point("usual", 20, 0.1, 0.8)
WHOLE = SchemeFront(USUAL, (CHEAP, BAD, USUAL), (CHEAP, USUAL), {}, (0.2, 0.9), 7)


def test_every_mapping_has_its_place() -> None:
    root = ElementTree.fromstring(front_picture(WHOLE, LATENCY, "net & target"))
    dots = root.findall(f"{SVG}circle")
    assert [dot.get("fill") for dot in dots] == [FRONT, BEATEN, FRONT]
    assert [dot.get("stroke") for dot in dots] == [None, BY_HAND, BY_HAND]
    x, y = ([float(dot.get(axis, "nan")) for dot in dots] for axis in ("cx", "cy"))
    assert x[0] < x[1] < x[2] and abs((x[0] + x[2]) / 2 - x[1]) < 0.2, "in between, as its latency is"
    assert y[1] > y[0] > y[2], "what is more accurate lies higher"
    (line,) = root.findall(f"{SVG}polyline")
    assert line.get("points") == f"{x[0]},{y[0]} {x[2]},{y[2]}"
    (real,) = [found for found in root.findall(f"{SVG}line") if found.get("class") == "float"]
    assert float(real.get("y1", "nan")) < min(y)
    texts = {text.text for text in root.findall(f"{SVG}text")}
    assert {"net & target", "usual", "a < b"} <= texts
    assert any("latency" in str(text) and "7 val images" in str(text) for text in texts)


def test_a_single_mapping_is_a_picture_too() -> None:
    alone = SchemeFront(USUAL, (USUAL,), (USUAL,), {}, (0.8, 0.8), 7)
    root = ElementTree.fromstring(front_picture(alone, LATENCY, "alone"))
    assert len(root.findall(f"{SVG}circle")) == 1
