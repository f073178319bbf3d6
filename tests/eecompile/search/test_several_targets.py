from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("optuna", reason="a search needs the extra 'search'")

from eecompile.search.reasons import reason_of
from eecompile.search.searching import SearchOptions, read_front, search
from eecompile.search.several_targets import (
    TargetsResult,
    check_targets,
    common_networks,
    search_targets,
    tell_targets,
)
from passes.errors import InputError
from tests.documents import valid
from tests.eecompile.search.small import SPACE, question

BOTH = ("diana", "gap9")
LITTLE = SPACE.replace("finalists = 2", "finalists = 1").replace("epochs = 3", "epochs = 1")


def options(folder: Path, **others: Any) -> SearchOptions:
    return SearchOptions(question(folder, LITTLE), **{"trials": 1, "out": folder / "both", **others})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TargetsResult, list[str]]:
    folder, told = tmp_path_factory.mktemp("targets"), list[str]()
    return folder, search_targets(options(folder), BOTH, told.append), told


def test_each_target_has_the_search_it_would_have_alone(made: tuple[Path, TargetsResult, list[str]]) -> None:
    folder, result, told = made
    assert list(result.results) == list(BOTH) and result.found
    trained = [line for line in told if "training: epoch" in line]
    assert any(line.startswith("diana: ") for line in trained)
    of_supernets = [line for line in trained if line.startswith("gap9: ")]
    assert len(of_supernets) <= 1, "its supernet is in the cache; a finalist may be another network"
    asked = dataclasses.replace(question(folder, LITTLE), target="gap9", cache=folder / "other")
    alone = search(SearchOptions(asked, 1, folder / "alone"), lambda _: None)
    assert read_front(folder / "both" / "gap9") == alone.front
    assert not (folder / "both" / "front.json").exists()


def test_its_documents_fit_their_schemas(made: tuple[Path, TargetsResult, list[str]]) -> None:
    folder, result, _ = made
    valid("search-targets", json.loads((folder / "both" / "targets.json").read_text()))
    valid("search-several", json.loads(json.dumps(result.to_json())))
    for target in BOTH:
        for name in ("front", "trials", "times"):
            valid(f"search-{name}", json.loads((folder / "both" / target / f"{name}.json").read_text()))
        for path in (folder / "both" / target / "points").glob("*_*_?.json"):
            valid("search-point", json.loads(path.read_text()))


def test_what_is_told_of_all(made: tuple[Path, TargetsResult, list[str]]) -> None:
    folder, result, _ = made
    document = json.loads((folder / "both" / "targets.json").read_text())
    assert [item["target"] for item in document["targets"]] == list(BOTH)
    for item in document["targets"]:
        front = read_front(folder / "both" / item["folder"])
        assert [p["edp_j_cycles"] for p in item["points"]] == [p["edp_j_cycles"] for p in front["points"]]
    fronts = {target: found.front for target, found in result.results.items()}
    assert document["common"] == common_networks(fronts) == list(result.common)
    assert result.to_json()["targets"]["diana"]["points"] == fronts["diana"]["points"]


def test_it_goes_on_and_takes_other_targets_no_more_for_one(
    made: tuple[Path, TargetsResult, list[str]],
) -> None:
    folder, result, _ = made
    with pytest.raises(InputError, match="holds a search already"):
        search_targets(options(folder), BOTH, lambda _: None)
    again = search_targets(options(folder, resume=True), BOTH, lambda _: None)
    assert [r.front for r in again.results.values()] == [r.front for r in result.results.values()]
    with pytest.raises(InputError, match="several targets: diana, gap9"):
        search(options(folder, resume=True), lambda _: None)
    with pytest.raises(InputError, match="holds a search for one target"):
        search_targets(options(folder, out=folder / "both" / "diana"), BOTH, lambda _: None)


def test_a_reason_is_of_one_target(made: tuple[Path, TargetsResult, list[str]]) -> None:
    folder, _, _ = made
    with pytest.raises(InputError, match="several targets: diana, gap9"):
        reason_of(folder / "both", 0)
    with pytest.raises(InputError, match="several targets: diana, gap9"):
        read_front(folder / "both")
    assert reason_of(folder / "both" / "gap9", 0)["state"] == "feasible"


def test_all_targets_are_looked_at_before_anything_is_trained(tmp_path: Path) -> None:
    asked = question(tmp_path, LITTLE + "[mapping]\npoints = ['nominal']\n")
    with pytest.raises(InputError, match="nominal"):
        search_targets(SearchOptions(asked, 1, tmp_path / "out"), BOTH, pytest.fail)
    assert not (tmp_path / "out").exists()


def test_what_would_be_done_is_told_of_each(tmp_path: Path) -> None:
    found = tell_targets(question(tmp_path, LITTLE), BOTH, 2, lambda _: None)
    latencies = {name: run.corners[0].figures["latency_cycles"] for name, run in found.runs.items()}
    assert found.found and latencies["diana"] != latencies["gap9"]
    assert list(found.to_json()["targets"]) == list(BOTH)


def test_networks_of_several_fronts() -> None:
    def point(trial: int, design: str, head: str, threshold: float) -> dict[str, Any]:
        exits = [{"mount": "block_0", "head": head, "threshold": threshold}]
        return {"trial": trial, "point": 0, "design": design, "exits": exits, "final_head": "own"}

    fronts = {
        "a": {"points": [point(1, "d", "conv", 0.5), point(2, "d", "linear", 0.5)]},
        "b": {"points": [point(4, "d", "conv", 0.9), point(5, "e", "linear", 0.5)]},
    }
    (common,) = common_networks(fronts)
    assert common["design"] == "d" and common["exits"] == [{"mount": "block_0", "head": "conv"}]
    assert common["points"] == {"a": [{"trial": 1, "point": 0}], "b": [{"trial": 4, "point": 0}]}


@pytest.mark.parametrize(
    ("names", "said"),
    [(["diana", ""], "leaves out a name"), (["diana", "diana"], "is there twice"), ([], "a name")],
)
def test_wrong_lists_of_targets(names: list[str], said: str) -> None:
    assert check_targets([*BOTH]) == BOTH
    with pytest.raises(InputError, match=said):
        check_targets(names)
