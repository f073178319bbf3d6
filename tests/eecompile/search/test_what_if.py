from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("optuna", reason="a search needs the extra 'search'")

from eecompile import api
from eecompile.search.searching import SearchOptions, read_front, search
from eecompile.search.shown.axes import measures_of
from eecompile.search.shown.measures import IN_SECONDS
from eecompile.search.shown.study import shown_study
from eecompile.search.shown.volumes import common_reference, growth
from passes.errors import InputError
from targets.contract.registry import load_target
from tests.eecompile.search.small import SPACE, question

SLOWER = "cores.digital.active_power_mw"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("what-if")
    search(SearchOptions(question(made), 2, made / "out"), lambda _: None)
    return made


def asked(folder: Path, *settings: str, **others: Any) -> dict[str, Any]:
    pairs = (text.split("=") for text in settings)
    numbers = {path: float(value) for path, value in pairs}
    return api.whatif(folder / "out", numbers, cache=folder / "cache", **others).document


def test_numbers_as_they_are_give_the_front_as_it_is(folder: Path) -> None:
    power = load_target("diana").arch.core("digital").active_power_mw
    assert power is not None
    found = asked(folder, f"{SLOWER}={power.value}", name="same")
    front = json.loads((folder / "out" / "front.json").read_text())
    assert json.loads((folder / "out" / "whatif-same.json").read_text()) == found
    for point, old in zip(found["points"], front["points"], strict=True):
        for key in ("edp_j_cycles", "energy_pj", "latency_cycles", "macs"):
            assert point[key] == pytest.approx(old[key]) and point["was"][key] == old[key]
        assert point["on_front"] and point["accuracy"] == old["accuracy"]
        assert point["planned"]["from"] == point["planned"]["to"] is not None
    assert found["not_in_cache"] == [] and found["objectives"] == front["objectives"]
    trials = json.loads((folder / "out" / "trials.json").read_text())["trials"]
    inner = {(t["trial"], p["accuracy_val"], p["edp_j_cycles"]) for t in trials for p in t["points"]}
    planned = {(p["trial"], p["accuracy_val"], p["edp_j_cycles"]) for p in found["planned"]}
    assert planned and planned <= inner, "solved anew, they are what they were"


def test_more_power_costs_more_energy_for_the_same_work(folder: Path) -> None:
    found = asked(folder, f"{SLOWER}=500")
    assert [change["new"] for change in found["hardware"]["changes"]] == [500]
    assert (folder / "out" / f"whatif-{SLOWER}-500.json").exists()
    assert "what if: cores.digital.active_power_mw" in (folder / "out" / "front.html").read_text()
    for point in found["points"]:
        assert point["energy_pj"] > point["was"]["energy_pj"]
        assert point["macs"] == point["was"]["macs"]
        assert "on_test" not in point, "figures of the old hardware"


def test_another_target(folder: Path) -> None:
    found = asked(folder, target="gap9")
    assert found["hardware"] == {"of": "diana", "target": "gap9", "changes": []}
    assert all(point["runs"] and point["energy_pj"] != point["was"]["energy_pj"] for point in found["points"])
    assert any(point["on_front"] for point in found["points"])


def test_hardware_that_is_too_small_runs_nothing(folder: Path) -> None:
    found = asked(folder, "memories.l2.size_bytes=64")
    assert not any(point["runs"] or point["on_front"] or point["feasible"] for point in found["points"])
    assert all(point["why"] for point in found["points"]) and found["planned"] == []


def test_what_is_not_in_the_cache_is_told(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "out", tmp_path / "out")
    found = api.whatif(tmp_path / "out", {SLOWER: 500}, cache=tmp_path / "none").document
    assert found["not_in_cache"] == [0, 1] and all(point["runs"] for point in found["points"])
    assert "planned" not in found["points"][0]


def test_a_constraint_may_be_broken_there(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "out", tmp_path / "out")
    space = tmp_path / "out" / "space.toml"
    front = json.loads((tmp_path / "out" / "front.json").read_text())
    most = max(point["energy_pj"] for point in front["points"])
    space.write_text(space.read_text() + f"[constraints]\nmax_energy_pj = {1.01 * most}\n")
    told = api.whatif(tmp_path / "out", {SLOWER: 500}, cache=folder / "cache").document
    assert not any(point["feasible"] or point["on_front"] for point in told["points"])


def test_points_are_costed_where_they_run(tmp_path: Path) -> None:
    space = SPACE.replace("width = [2, 4]", "width = 2").replace("finalists = 2", "finalists = 1")
    space += '[mapping]\npoints = ["0.8V", "0.65V"]\n[constraints]\nmax_drop = 100\n'
    search(SearchOptions(question(tmp_path, space, target="gap9"), 1, tmp_path / "out"), lambda _: None)
    shown = shown_study(tmp_path / "out")
    measures = measures_of([shown])
    assert measures is IN_SECONDS
    volume = growth(shown, common_reference([shown], shown.objectives, measures), measures)[-1]
    assert volume == pytest.approx(read_front(tmp_path / "out")["hypervolume"]), "as it was told"
    at = shown.designs[0].static_at
    assert at.keys() == {"0.8V", "0.65V"} and at["0.8V"]["latency_s"] < at["0.65V"]["latency_s"]
    assert at["0.8V"]["energy_pj"] > at["0.65V"]["energy_pj"]
    assert all(point.static == at[point.facts["operating_point"]] for point in shown.points)
    power = load_target("gap9").arch.core("ne16").active_power_mw
    assert power is not None
    found = asked(tmp_path, f"cores.ne16.active_power_mw={power.value}")
    assert found["points"] and found["operating_points"] == ["0.8V", "0.65V"]
    for point in found["points"]:
        for key in ("edp_js", "energy_pj", "latency_s", "worst_latency_s"):
            assert point[key] == pytest.approx(point["was"][key])
        assert point["operating_point"] in found["operating_points"] and point["on_front"]
    elsewhere = asked(tmp_path, target="diana")
    (only,) = elsewhere["operating_points"]
    assert only == load_target("diana").arch.operating_points[0].name and elsewhere["planned"]
    assert all(point["runs"] and point["operating_point"] == only for point in elsewhere["points"])
    assert elsewhere["compared_by"] == ["accuracy_val", "edp_j_cycles"]
    text = (tmp_path / "out" / "front.html").read_text()
    assert "what if: diana" in text and "expected energy-delay product, J·cycles" not in text


def test_what_is_wrong_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is another"):
        asked(folder)
    with pytest.raises(InputError, match="nothing is another"):
        asked(folder, target="diana")
    with pytest.raises(InputError, match="cores: has no 'digitl'"):
        asked(folder, "cores.digitl.active_power_mw=1")
    with pytest.raises(InputError, match="holds no finished search"):
        api.whatif(tmp_path, {SLOWER: 1})
    (tmp_path / "front.json").write_text('{"points": []}')
    with pytest.raises(InputError, match="is of another version"):
        api.whatif(tmp_path, {SLOWER: 1})
