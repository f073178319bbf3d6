from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("optuna", reason="a search needs the extra 'search'")

from eecompile.exits.fronts.pareto import nondominated
from eecompile.search import searching
from eecompile.search.finalists import Finalist, finish
from eecompile.search.searching import SearchOptions, SearchResult, read_front, search
from eecompile.search.shown.study import shown_study
from eecompile.search.shown.volumes import common_reference, growth
from passes.errors import InputError
from passes.model.graph import load
from passes.state import state_of
from tests.eecompile.search.small import SPACE, question


def found(
    folder: Path, space: str = SPACE, out: str = "out", told: list[str] | None = None, **options: Any
) -> SearchResult:
    asked = {key: options.pop(key) for key in ("hardware", "target") if key in options}
    options = {"trials": 2, **options}
    what = SearchOptions(question(folder, space, **asked), out=folder / out, **options)
    return search(what, (lambda _: None) if told is None else told.append)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One search, whose cache the others use."""
    made = tmp_path_factory.mktemp("search")
    found(made)
    return made


def test_the_front_is_of_final_figures(folder: Path) -> None:
    front = read_front(folder / "out")
    points = front["points"]
    assert front["trials_done"] == 2 and front["objectives"] == ["accuracy", "edp"]
    assert 1 <= len(points) <= 2 and all(point["feasible"] for point in points)
    rows = np.array([[-point["accuracy_val"], point["edp_j_cycles"]] for point in points])
    assert len(nondominated(rows)) == len(points)
    for point in points:
        low, high = point["accuracy_ci95"]
        assert 0 <= low <= point["accuracy"] <= high <= 1
        network = load(folder / "out" / "networks" / f"trial_{point['trial']}_{point['point']}.onnx")
        exits = state_of(network).exits[:-1]
        assert [e.name for e in exits] == [f"exit_{number}" for number in range(len(point["exits"]))]
        assert [e.threshold for e in exits] == pytest.approx([item["threshold"] for item in point["exits"]])
    told = json.loads((folder / "out" / "trials.json").read_text())
    assert [trial["trial"] for trial in told["trials"]] == [0, 1]
    assert told["searched"]["question"]["hardware"] is True and "cache" not in told["searched"]["question"]


def test_what_is_looked_at_is_written_at_the_end(folder: Path) -> None:
    out = folder / "out"
    front, shown = read_front(out), shown_study(out)
    assert all((out / name).stat().st_size for name in ("front.html", "front.csv", "front.svg"))
    reference = common_reference([shown], shown.objectives)
    assert growth(shown, reference)[-1] == pytest.approx(front["hypervolume"]), "as it was told"
    for point, known in zip(front["points"], shown.points, strict=True):
        assert known.files is not None and known.files.trace["traceEvents"]
        paths = [path["edp_j_cycles"] for path in known.files.known["paths"]]
        ratios = [*(item["ratio"] for item in point["exits"]), point["final_ratio"]]
        assert np.dot(paths, ratios) == pytest.approx(point["edp_j_cycles"])
        if point["exits"]:
            chosen = known.files.known["curve"][len(known.files.known["curve"]) // 2]
            assert chosen["ratios"] == pytest.approx(ratios)
            assert chosen["accuracy_val"] == pytest.approx(point["accuracy_val"])
            assert chosen["edp_j_cycles"] == pytest.approx(point["edp_j_cycles"])


def test_a_search_that_goes_on_ends_as_one_that_was_not_interrupted(folder: Path) -> None:
    found(folder, out="again", trials=1)
    result = found(folder, out="again", resume=True)
    assert result.front == read_front(folder / "out")
    told: list[str] = []
    assert found(folder, out="again", resume=True, told=told).front == result.front
    assert not any("epoch" in line for line in told), "all is in the cache"


def test_a_folder_that_was_begun_is_gone_on_with_only_if_asked(folder: Path) -> None:
    with pytest.raises(InputError, match="holds a search already"):
        found(folder)
    with pytest.raises(InputError, match="is of another space"):
        found(folder, SPACE.replace("finalists = 2", "finalists = 1"), resume=True)


def test_progress_says_how_far_it_is(folder: Path) -> None:
    told: list[str] = []
    found(folder, out="told", told=told)
    lines = [line for line in told if " of 2): " in line]
    pattern = (
        r"trial 1 \(2 of 2\): up to [\d.]+ % on val, \d+ points; front of \d+, hypervolume 0\.\d{4}, 0 s left"
    )
    assert re.fullmatch(pattern, lines[-1])


def test_without_a_feasible_network_the_nearest_is_named(folder: Path) -> None:
    result = found(folder, SPACE + "[constraints]\nmax_macs = 1000\n", "none")
    assert not result.found and result.front["points"] == []
    assert result.nearest in (0, 1)
    costs = {o.candidate: o.result["static"]["macs"] for o in result.outcomes}
    assert result.nearest == min(costs, key=lambda number: costs[number])


def test_finalists_that_keep_constraints_no_more_are_on_no_front(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any) -> Finalist:
        finalist = finish(*given)
        finalist.point["feasible"] = False
        return finalist

    monkeypatch.setattr(searching, "finish", broken)
    assert found(folder, out="broken").front["points"] == []


def test_by_macs_the_front_still_tells_what_the_target_takes(folder: Path) -> None:
    usual, macs = read_front(folder / "out"), found(folder, out="macs", hardware=False).front
    assert macs["objectives"] == usual["objectives"]
    assert all(point["edp_j_cycles"] > 0 for point in macs["points"])


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ('[exits]\nconfidence = "patience"\n', "reads those before it"),
        ('[exits]\nconfidence = "gate"\n', "reads those before it"),
        ('[exits]\nfinal_heads = ["own", "linear"]\n', "tries one final head"),
        ('[objectives]\nfront = ["accuracy", "memory"]\n', "nothing is known of `memory`"),
        ("[constraints]\nmax_memory_bytes = 5\n", "nothing is known of `memory`"),
        ("[precision]\nbackbone = 3\n", "no core of diana computes with weights of 3 bits"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_trained(
    folder: Path, space: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        found(folder, '[backbone]\nfamily = "resnet"\nwidth = 2\n' + space, "refused")
    assert not (folder / "refused").exists()


def test_a_storage_that_does_not_answer_leaves_nothing(folder: Path) -> None:
    with pytest.raises(InputError, match="does not answer"):
        found(folder, out="nowhere", storage="sqlite:////nowhere/at/all/study.db")


def test_a_front_that_is_not_there_or_broken(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no finished search"):
        read_front(tmp_path)
    (tmp_path / "front.json").write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        read_front(tmp_path)


def test_siblings_are_those_told_before(folder: Path) -> None:
    space = SPACE.replace("finalists", "inherit = true\nfinalists").replace("[2, 4]", "[2, 3, 4, 5]")
    outcomes = found(folder, space, "inherit", trials=3).outcomes
    starts = [outcome.result["start"] for outcome in outcomes]
    made = [outcome.result["supernet"] for outcome in outcomes]
    widths = [int(outcome.params["backbone.width"]) for outcome in outcomes]
    nearer = min((0, 1), key=lambda k: abs(np.log(widths[2] / widths[k])))
    assert starts == ["", made[0], made[nearer]]
    again = found(folder, space, "inherit", trials=3, resume=True).outcomes
    assert [outcome.result["supernet"] for outcome in again] == made


def test_seeds_make_other_searches(folder: Path) -> None:
    def order(seed: int) -> list[Any]:
        asked = dataclasses.replace(question(folder, SPACE.replace("[2, 4]", "[2, 3, 4, 5]")), seed=seed)
        what = SearchOptions(asked, 2, folder / f"seed{seed}")
        return [outcome.params["backbone.width"] for outcome in search(what, lambda _: None).outcomes]

    assert len({tuple(order(seed)) for seed in (0, 1, 2)}) > 1
