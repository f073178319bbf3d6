from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.search.shown.study import shown_study, shown_what_ifs
from passes.errors import InputError
from tests.eecompile.search.shown.made_study import STATIC, WORST, run_at_points, write_study, write_what_if


def test_all_that_a_folder_knows(tmp_path: Path) -> None:
    front = shown_study(write_study(tmp_path / "found"))
    assert front.title == "found (diana, digits, seed 4)" and front.objectives == ("accuracy", "edp")
    assert [point.name for point in front.points] == [
        "trial 2, point 0",
        "trial 1, point 1",
        "trial 0, point 2",
    ]
    first = front.points[0]
    assert first.figures["edp_j_cycles"] == 0.03 and first.static["edp_j_cycles"] == STATIC["edp_j_cycles"]
    assert first.files is not None and len(first.files.known["curve"]) == 5
    assert first.files.trace["traceEvents"]
    assert dict(front.reference) == WORST
    assert [len(design.points) for design in front.designs] == [2, 2, 2, 0]
    assert front.designs[3].text == "backbone.width 3" and not front.designs[3].static
    assert front.designs[0].static["worst_latency_cycles"] == STATIC["latency_cycles"]
    facts = dict(front.facts)
    assert (facts["space"], facts["eecompile"], facts["ablations"]) == ("space.toml", "9.9", "none")


def test_ablations_are_in_the_title(tmp_path: Path) -> None:
    front = shown_study(write_study(tmp_path / "a", hardware=False, fixed_heads=True, genetic=1000))
    assert front.title.startswith("a, no hardware, fixed heads, genetic algorithm only (")


def test_a_folder_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "found")
    for path in (folder / "points").iterdir():
        path.unlink()
    text = (folder / "trials.json").read_text()
    (folder / "trials.json").write_text(text.replace('"searched"', '"other"'))
    front = shown_study(folder)
    assert front.points[0].files is None and not front.reference and len(front.designs) == 4


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("front.json", None, "holds no finished search"),
        ("front.json", "{", "front.json is no JSON"),
        ("front.json", "[]", "holds no JSON object"),
        ("front.json", "{}", "is damaged: KeyError"),
        ("trials.json", None, "cannot read"),
        ("points/trial_2_0.json", "?", "trial_2_0.json is no JSON"),
    ],
)
def test_what_is_damaged_is_named(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    path = write_study(tmp_path / "found") / name
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    with pytest.raises(InputError, match=said):
        shown_study(tmp_path / "found")


def test_other_hardware_is_a_front_of_its_own(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "found")
    assert shown_what_ifs(folder) == []
    write_what_if(folder)
    (front,) = shown_what_ifs(folder)
    assert front.title == "found, what if: memories.l1.size_bytes 262144 → 65536"
    assert [point.figures["edp_j_cycles"] for point in front.points] == [0.06, 0.04], "the last cannot run"
    assert front.points[0].static["edp_j_cycles"] == 0.03 and front.points[0].static["accuracy_val"] == 0.97
    assert "before" not in front.points[0].facts and "found for" in front.points[0].against


def test_other_hardware_of_a_front_that_was_before_is_not_shown(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "found")
    path = write_what_if(folder)
    path.write_text(path.read_text().replace('"edp_j_cycles": 0.03', '"edp_j_cycles": 0.031'))
    assert shown_what_ifs(folder) == []
    path.write_text("{}")
    with pytest.raises(InputError, match="is damaged: KeyError"):
        shown_what_ifs(folder)


def test_of_several_operating_points_backbones_are_known_at_each(tmp_path: Path) -> None:
    front = shown_study(run_at_points(write_study(tmp_path / "found")))
    assert front.compared_by == ("accuracy_val", "edp_js")
    assert [point.static["edp_js"] for point in front.points] == pytest.approx([8e-10, 8e-10, 4e-10])
    statics = front.designs[0].statics
    assert [found["worst_latency_s"] for found in statics] == pytest.approx([2e-4, 1e-4])
    assert {found["accuracy_val"] for found in statics} == {0.9} and front.designs[3].statics == [{}]
