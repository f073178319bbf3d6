from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eecompile.search.shown.front import ShownFront, ShownPoint
from eecompile.search.shown.measures import IN_SECONDS, MEASURES
from eecompile.search.shown.point_facts import PointFacts, point_facts
from eecompile.search.shown.study import shown_study
from tests.eecompile.search.shown.made_study import run_at_points, write_study


@pytest.fixture
def front(tmp_path: Path) -> ShownFront:
    return shown_study(write_study(tmp_path / "found"))


@pytest.fixture
def found(front: ShownFront) -> PointFacts:
    return point_facts(front, front.points[0], "0-0", "c0", MEASURES)


def test_figures_are_held_against_the_backbone_without_exits(found: PointFacts) -> None:
    figures = {label: (value, small) for label, value, small in found.figures}
    assert figures["accuracy on val"] == ("97.00 %", "without exits 90.00 %")
    assert figures["accuracy on test"] == ("96.00 %", "95 %: [94.0, 98.0]")
    assert figures["expected energy-delay product"] == ("30.0 mJ·cycles", "62.5 % less")
    assert figures["latency of the last exit"] == ("21,000 cycles", "5.0 % more")


def test_exits_say_when_images_leave(found: PointFacts) -> None:
    assert [item["leaves"] for item in found.exits] == [
        "margin ≥ 0.5000",
        "margin: never",
        "all that are left",
    ]
    assert [item["costs"][0] for item in found.exits] == [
        "10.0 mJ·cycles",
        "20.0 mJ·cycles",
        "30.0 mJ·cycles",
    ]
    assert found.exits[-1]["ratio"] == 0.25


def test_plan_and_figure_stand_beside_each_other(found: PointFacts) -> None:
    row = next(row for row in found.planned if row.label == "expected energy-delay product")
    assert (row.planned, row.summed, row.final) == ("37.5 mJ·cycles", "33.0 mJ·cycles", "30.0 mJ·cycles")


def test_where_it_comes_from(found: PointFacts) -> None:
    told = {fact.label: fact.value for fact in found.provenance}
    assert told["seed"] == "4" and told["network"] == "networks/trial_2_0.onnx"
    assert told["trained"] == (
        "with all exits of its backbone: epochs 40\nby itself: epochs by the recipe\n"
        "for its integers (qat): epochs 3"
    )
    assert [fact.value for fact in found.genes] == ["2"]


def test_its_schedule_is_drawn(found: PointFacts) -> None:
    assert found.schedule is not None and found.schedule.bars and found.layers[0]["name"] == "conv_0"


def test_of_a_point_with_figures_alone_there_is_less_to_say(front: ShownFront) -> None:
    bare = ShownPoint("what if", front.points[0].figures)
    found = point_facts(replace(front, points=(bare,)), bare, "1-0", "c1", MEASURES)
    assert found.figures and not (found.exits or found.planned or found.layers or found.schedule)


def test_a_point_is_held_against_its_backbone_at_its_own_operating_point(tmp_path: Path) -> None:
    front = shown_study(run_at_points(write_study(tmp_path / "found")))
    last = point_facts(front, front.points[2], "0-2", "c0", IN_SECONDS)
    figures = {label: (value, small) for label, value, small in last.figures}
    assert figures["expected energy-delay product"] == ("50.0 pJ·s", "87.5 % less"), "of 400, not of 800"
    assert figures["expected latency"] == ("10.0 µs", "90.0 % less")
    assert figures["latency of the last exit"] == ("105 µs", "5.0 % more")
    assert "fast" in {fact.value for fact in last.provenance if fact.label == "operating point"}
    planned = {row.label: (row.planned, row.summed, row.final) for row in last.planned}
    assert planned["expected energy-delay product"] == ("62.5 pJ·s", "55.0 pJ·s", "50.0 pJ·s")
    first = point_facts(front, front.points[0], "0-0", "c0", IN_SECONDS)
    assert [item["costs"][2] for item in first.exits] == ["20.0 µs", "40.0 µs", "60.0 µs"]
