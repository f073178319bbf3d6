from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from eecompile.search.shown.front import ShownFront
from eecompile.search.shown.measures import IN_SECONDS, MEASURES
from eecompile.search.shown.picture import COLOURS, front_picture
from eecompile.search.shown.study import shown_study
from tests.eecompile.search.shown.made_study import run_at_points, write_study

SVG = "{http://www.w3.org/2000/svg}"


def test_fronts_over_each_other_with_what_was_tried(tmp_path: Path) -> None:
    fronts = [
        shown_study(write_study(tmp_path / name, better)) for name, better in (("a<b", 1.0), ("c", 0.5))
    ]
    root = ElementTree.fromstring(front_picture(fronts, "edp", "accuracy", MEASURES))
    texts = [item.text for item in root.iter(f"{SVG}text")]
    assert "a<b (diana, digits, seed 4)" in texts and "expected energy-delay product, mJ·cycles" in texts
    assert {"accuracy on val, %", "90", "60"} & set(texts) >= {"accuracy on val, %", "90"}
    circles = list(root.iter(f"{SVG}circle"))
    assert sum(item.get("class") == "tried" for item in circles) == 12
    lines = [item.get("points", "").split() for item in root.iter(f"{SVG}polyline")]
    assert [len(line) for line in lines] == [3, 3]
    first, second = ([float(place.split(",")[0]) for place in line] for line in lines)
    assert first == sorted(first) and all(b < a for a, b in zip(first, second, strict=True)), "costs halve"
    for colour in COLOURS[:2]:
        assert sum(item.get("fill") == colour for item in circles) == 4, "three points and the legend"


def test_lines_join_what_is_best_on_the_axes_shown(tmp_path: Path) -> None:
    front = shown_study(write_study(tmp_path / "found"))
    root = ElementTree.fromstring(front_picture([front], "energy", "worst_latency", MEASURES))
    (line,) = root.iter(f"{SVG}polyline")
    assert len(line.get("points", "").split()) == 1, "all wait equally long, one takes least"


def test_nothing_to_draw() -> None:
    text = front_picture([ShownFront("", ("edp",), ())], "edp", "macs", MEASURES)
    assert "No network keeps all constraints." in text


def test_points_stand_by_their_seconds(tmp_path: Path) -> None:
    front = shown_study(run_at_points(write_study(tmp_path / "found")))
    root = ElementTree.fromstring(front_picture([front], "latency", "accuracy", IN_SECONDS))
    assert "expected latency, µs" in {item.text for item in root.iter(f"{SVG}text")}
    dots = [float(i.get("cx", "")) for i in root.iter(f"{SVG}circle") if i.get("r") == "4"][:3]
    # 6000 and 4000 cycles at 100 MHz, 2000 at 200 MHz: 60, 40 and 10 µs.
    assert (dots[1] - dots[2]) / (dots[0] - dots[1]) == pytest.approx(30 / 20, abs=0.01)
