from __future__ import annotations

import dataclasses
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("optuna", reason="a search needs the extra 'search'")

from eecompile.exits.fronts.pareto import nondominated
from eecompile.search import searching
from eecompile.search.finalists import Finalist, finish
from eecompile.search.searching import (
    SearchOptions,
    SearchResult,
    check_question,
    predictions,
    read_front,
    search,
)
from eecompile.search.shown.measures import MEASURES
from eecompile.search.shown.study import shown_study
from eecompile.search.shown.volumes import common_reference, growth
from eecompile.search.study.predictor import rank_correlation
from eecompile.search.worth.evaluation import DesignEvaluation
from eecompile.search.worth.sibling import Sibling
from passes.errors import InputError
from passes.model.graph import load
from passes.progress import StageLine
from passes.state import state_of
from tests.eecompile.search.small import SPACE, question

EXAMPLES = Path(__file__).parents[3] / "examples"


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
    reference = common_reference([shown], shown.objectives, MEASURES)
    assert growth(shown, reference, MEASURES)[-1] == pytest.approx(front["hypervolume"]), "as it was told"
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
        ('[objectives]\nfront = ["accuracy", "memory"]\n', "nothing is known of `memory`"),
        ("[constraints]\nmax_memory_bytes = 5\n", "nothing is known of `memory`"),
        (
            'blocks = 5\n[exits]\nheads = ["linear", "mlp{reuse=logits}", "mlp{reuse=features}"]\n',
            r"heads on 14 mounts, and 150 at most",
        ),
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


def test_final_heads_are_chosen_among(folder: Path) -> None:
    """The chosen one closes the network that is written, and it alone."""
    space = SPACE.replace("[training]", 'final_heads = ["own", "mlp", "linear"]\n[training]')
    result = found(folder, space.replace("finalists = 2", "finalists = 12"), "finals", trials=1)
    chosen = {point["final_head"] for o in result.outcomes for point in o.points}
    assert len(chosen) > 1 and chosen <= {"own", "mlp", "linear"}
    assert {point["final_head"] for point in result.front["points"]} <= chosen
    layers = {"own": ["classifier"], "mlp": ["final/gemm", "final/gemm_1"], "linear": ["final/gemm"]}
    for point in result.front["points"]:
        network = load(folder / "finals" / "networks" / f"trial_0_{point['point']}.onnx")
        assert state_of(network).exits[-1].name == "final"
        names = [node.name for node in network.nodes if node.op == "Gemm" and "exit" not in node.name]
        assert names == layers[point["final_head"]]
        assert len(state_of(network).exits) == len(point["exits"]) + 1


def test_entries_of_the_cache_that_were_cut_short_are_made_again(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "cache", tmp_path / "cache")
    shutil.copy(folder / "images.npz", tmp_path)
    entries = list((tmp_path / "cache").rglob("*.entry"))
    assert {path.parent.parent.name for path in entries} >= {"supernet", "answers", "costs", "finalist"}
    for path in entries:
        path.write_bytes(path.read_bytes()[:-9])
    front = found(tmp_path).front
    assert front["points"] == read_front(folder / "out")["points"]


def test_the_times_add_up(folder: Path) -> None:
    result = found(folder, SPACE.replace("epochs = 3", "epochs = 4"), out="timed")
    times = json.loads((folder / "out" / "times.json").read_text())
    timed = json.loads((folder / "timed" / "times.json").read_text())
    assert result.times.to_json() == timed == result.to_json()["times"]
    assert times["designs"] == timed["designs"] == 2 and times["workers"] == 1
    assert sum(timed["seconds"].values()) == pytest.approx(result.seconds, rel=0.05, abs=0.3)
    parts = {"start", "training", "networks", "costs", "answers", "fronts", "study", "other", "finalists"}
    assert timed["seconds"].keys() == parts
    took = timed["seconds"]["training"] / sum(timed["seconds"].values())
    assert timed["overhead"] == pytest.approx(1 - took, abs=0.01)
    again = found(folder, SPACE.replace("epochs = 3", "epochs = 4"), out="timed", resume=True)
    assert again.times.designs == 0 and "training" not in again.times.seconds, "all is in the cache"


def test_what_is_predicted_is_reported(folder: Path) -> None:
    space = SPACE.replace("[2, 4]", "[2, 3, 4, 5]").replace("blocks = 1", "blocks = [1, 2]")
    space = space.replace("epochs = 3", "epochs = 1") + "[sampler]\npredictor = true\n"
    told: list[str] = []
    first = found(folder, space, "some", trials=6)
    report = first.front["predictor"]
    assert report == {"designs": 1, "rank_correlation": {}}, "one was predicted before it was trained"
    assert predictions(report).startswith("too few")
    result = found(folder, space, "some", told, trials=8, resume=True)
    report = result.front["predictor"]
    assert report["designs"] == 3
    assert all(-1 <= value <= 1 for value in report["rank_correlation"].values())
    trials = json.loads((folder / "some" / "trials.json").read_text())["trials"]
    assert [bool(trial["predicted"]) for trial in trials] == [False] * 5 + [True] * 3
    both = [(t["predicted"]["accuracy_val"], t["static"]["accuracy_val"]) for t in trials[5:]]
    expected = rank_correlation(*zip(*both, strict=True))
    assert report["rank_correlation"].get("accuracy_val") == expected
    if expected is not None:
        assert f"accuracy {expected:.2f}" in predictions(report)
    last = [line for line in told if "(8 of 8)" in line]
    assert ("predictions rank 3 designs" in last[0]) == bool(report["rank_correlation"])
    assert "predictor" not in read_front(folder / "out")


def test_siblings_are_those_told_before(folder: Path) -> None:
    space = SPACE.replace("finalists", "inherit = true\nfinalists").replace("[2, 4]", "[2, 3, 4, 5]")
    outcomes = found(folder, space, "inherit", trials=3).outcomes
    starts = [Sibling.of(outcome.result["start"]).digest for outcome in outcomes]
    made = [outcome.result["supernet"] for outcome in outcomes]
    widths = [int(outcome.params["backbone.width"]) for outcome in outcomes]
    nearer = min((0, 1), key=lambda k: abs(np.log(widths[2] / widths[k])))
    assert starts == ["", made[0], made[nearer]]
    again = found(folder, space, "inherit", trials=3, resume=True).outcomes
    assert [outcome.result["supernet"] for outcome in again] == made


def test_what_a_design_started_from_may_leave_the_cache(folder: Path) -> None:
    """A design in an empty cache, with all that it started from: answers and fronts are the same."""
    space = SPACE.replace("finalists", "inherit = true\nfinalists").replace("[2, 4]", "[2, 3, 4, 5]")
    outcomes = found(folder, space, "inherited", trials=3).outcomes
    evaluation = DesignEvaluation(replace(question(folder, space), cache=folder / "emptied"))
    last = outcomes[-1]
    again = evaluation(last.candidate, last.params, last.result["rung"], last.result["start"])
    for key in ("supernet", "points", "static"):
        assert again[key] == last.result[key], key


def test_designs_that_share_weights_are_not_trained_by_themselves(folder: Path) -> None:
    space = SPACE.replace("finalists", "share = true\nfinalists").replace("[2, 4]", "[2, 3, 4, 5]")
    told: list[str] = []
    whole = found(folder, space, "shared", told, trials=3)
    told = [line for line in told if not isinstance(line, StageLine)]
    first = next(number for number, line in enumerate(told) if line.startswith("trial 0"))
    assert [line.partition(",")[0] for line in told[:first]] == [
        f"shared network: epoch {number} of 3" for number in (1, 2, 3)
    ]
    last = next(number for number, line in enumerate(told) if line.startswith("finalist 1"))
    assert not any("epoch" in line for line in told[first:last])
    assert any("training: epoch 1 of 1" in line for line in told[last:]), "finalists are trained on"
    assert len({outcome.result["supernet"] for outcome in whole.outcomes}) == 3
    found(folder, space, "shared_again", trials=1)
    assert found(folder, space, "shared_again", trials=3, resume=True).front == whole.front


def test_seeds_make_other_searches(folder: Path) -> None:
    space = SPACE.replace("[2, 4]", "[2, 3, 4, 5]").replace("epochs = 3", "epochs = 1")

    def order(seed: int) -> list[Any]:
        asked = dataclasses.replace(question(folder, space), seed=seed)
        what = SearchOptions(asked, 2, folder / f"seed{seed}")
        return [outcome.params["backbone.width"] for outcome in search(what, lambda _: None).outcomes]

    first = order(0)
    assert any(order(seed) != first for seed in (1, 2))


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("search_*.toml")), ids=lambda path: path.stem)
def test_examples_can_be_searched_on_the_target_that_they_name(example: Path, tmp_path: Path) -> None:
    command = re.search(r"--target (\S+)", example.read_text())
    target = "edge_tpu_quad" if command is None else command[1]
    check_question(dataclasses.replace(question(tmp_path, target=target), space=example))
