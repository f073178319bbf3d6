from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("optuna", reason="a search needs the extra 'search'")

from eecompile import api
from eecompile.run.main import RunResult
from eecompile.run_files.directory import OWNED
from eecompile.search.point_run import PointAsked, run_point
from eecompile.search.searching import SearchOptions, read_front, search
from passes.errors import InputError
from passes.model.graph import load
from passes.state import state_of
from tests.eecompile.search.small import SPACE, question

COSTS = ("edp_j_cycles", "energy_pj", "latency_cycles", "macs")


def searched(folder: Path, space: str = SPACE, trials: int = 2, **asked: Any) -> Path:
    """Search a small space; return the folder of the search."""
    search(SearchOptions(question(folder, space, **asked), trials, folder / "out"), lambda _: None)
    return folder / "out"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def study(folder: Path) -> Path:
    """A finished search without its cache and its space: what runs read is in its folder."""
    made = searched(folder)
    shutil.rmtree(folder / "cache")
    (folder / "space.toml").unlink()
    return made


def delivered(study: Path, point: dict[str, Any], out: Path, **given: Any) -> RunResult:
    return run_point(PointAsked(study, point["trial"], point["point"], {"out": out, **given}), lambda _: None)


def assert_same(point: dict[str, Any], result: RunResult) -> None:
    """Accuracy and costs of the run directory are exactly those of the point."""
    summary = result.summary
    assert summary.expected is not None and summary.study is not None
    assert summary.expected.accuracy == point["accuracy"]
    assert list(summary.expected.accuracy_ci95) == pytest.approx(point["accuracy_ci95"])
    assert [e.ratio for e in summary.exits] == point["on_test"]["ratios"]
    for key in COSTS:
        assert getattr(summary.expected, key) == point["on_test"][key], key
        paths = [getattr(path, key) for path in summary.exits]
        shares = [*(item["ratio"] for item in point["exits"]), point["final_ratio"]]
        assert sum(r * p for r, p in zip(shares, paths, strict=True)) == point[key], key
    assert summary.study.found == summary.study.told
    assert summary.study.told.accuracy_val == point["accuracy_val"]
    assert [e.threshold for e in summary.exits[:-1]] == [item["threshold"] for item in point["exits"]]
    assert [e.confidence for e in summary.exits[:-1]] == [item["confidence"] for item in point["exits"]]
    assert [e.mount for e in summary.exits[:-1]] == [item["mount"] for item in point["exits"]]
    assert [e.head for e in summary.exits[:-1]] == [item["head"] for item in point["exits"]]
    assert result.passed


def test_each_point_becomes_a_run_directory_with_its_figures(study: Path, tmp_path: Path) -> None:
    front = read_front(study)
    assert any(point["exits"] for point in front["points"])
    for point in front["points"]:
        out = tmp_path / f"run_{point['point']}"
        result = delivered(study, point, out)
        assert_same(point, result)
        names = {path.name for path in out.iterdir()}
        usual = set(OWNED) - {"front.csv", "front.json", "front.svg", "quantize.json"}
        usual -= {"model.onnx", "kept.zip", "described_target.yaml"}
        assert names == usual, "the files of any run, but for what only some have"
        lowered = load(out / "model.quant.onnx")
        found = load(study / "networks" / f"trial_{point['trial']}_{point['point']}.quant.onnx")
        weights = [
            {name: t.values for name, t in graph.tensors().items() if hasattr(t, "values")}
            for graph in (lowered, found)
        ]
        assert weights[0].keys() == weights[1].keys()
        assert all(np.array_equal(value, weights[1][name]) for name, value in weights[0].items())
        page = (out / "report.html").read_text()
        assert f"Point {point['point']} of trial {point['trial']} of the search &#39;out&#39;" in page
        assert "allowed accuracy drop" not in page
        info = json.loads((out / "run.json").read_text())
        ending = f" --from-study {study} --trial {point['trial']} --front-point {point['point']}"
        assert info["command"] == f"eecompile run --out {out}{ending}"


@pytest.mark.parametrize(
    ("target", "precision", "asked"),
    [
        ("diana", 'placement = "analog"', {}),
        ("gap9", "backbone = 4\nheads = 4", {}),
        ("diana", "", {"quantized": False}),
        ("edge_tpu_quad", "", {}),
    ],
)
def test_numbers_and_placement_are_those_of_the_point(
    tmp_path: Path, target: str, precision: str, asked: dict[str, Any]
) -> None:
    space = SPACE.replace("[2, 4]", "2").replace("finalists = 2", "finalists = 1").replace(', "mlp"', "")
    made = searched(tmp_path, f"{space}[precision]\n{precision}\n", target=target, trials=1, **asked)
    front = read_front(made)
    for point in front["points"]:
        assert_same(point, delivered(made, point, tmp_path / "run"))
        summary = json.loads((tmp_path / "run" / "summary.json").read_text())
        assert summary["quantize"] == ("ptq" if asked.get("quantized", True) else "none")
        assert summary["placement"] == ("analog" if "analog" in precision else None)
        assert (summary["bits"] == {"backbone": 4, "head": 4}) == ("4" in precision)


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ("patience", {}),
        ("patience", {"one_threshold": True}),
        ("gate", {"genetic": 60}),
        ("max_softmax{temperature=fit}", {}),
    ],
)
def test_rules_that_read_exits_before_or_are_fitted(tmp_path: Path, rule: str, asked: dict[str, Any]) -> None:
    """Searched with exits that most images must leave at; fitted anew to what the finalist answers."""
    space = SPACE.replace("stages = 2", "stages = 3").replace("[2, 4]", "2").replace(', "mlp"', "")
    space = space.replace("[training]", f'confidence = "{rule}"\n[training]').replace(
        "epochs = 3", "epochs = 1", 1
    )
    bounds = "[constraints]\nmax_final_ratio = 0.8\n"
    made = searched(tmp_path, space + bounds, trials=1, **asked)
    front = read_front(made)
    exits = [item for point in front["points"] for item in point["exits"]]
    assert exits and all(item["confidence"].partition("{")[0] == rule.partition("{")[0] for item in exits)
    assert all(bool(item.get("confidence_parameters")) == (rule != "patience") for item in exits)
    point = front["points"][-1]
    result = delivered(made, point, tmp_path / "run")
    assert_same(point, result)
    for form in ("model.exits.onnx", "model.quant.onnx"):
        rules = [item.confidence for item in state_of(load(tmp_path / "run" / form)).exits[:-1]]
        assert [r.parameters for r in rules] == [e.get("confidence_parameters", {}) for e in point["exits"]]
    (trial,) = json.loads((made / "trials.json").read_text())["trials"]
    planned = {item["confidence"] for one in trial["points"] for item in one["exits"]}
    assert planned == {rule}, "plans say what is asked for: it is fitted anew"


@pytest.mark.parametrize("asked", [{}, {"genetic": 100, "quantized": False}], ids=["solved", "genetic"])
def test_heads_that_read_the_exit_before(tmp_path: Path, asked: dict[str, Any]) -> None:
    """Finalists keep the weights of their chain, and the run directory says the same of them."""
    space = (
        SPACE.replace("stages = 2", "stages = 3")
        .replace("[2, 4]", "4")
        .replace("epochs = 3", "epochs = 2", 1)
    )
    space = space.replace('["linear", "mlp"]', '["linear", "mlp{reuse=logits}", "linear{reuse=features}"]')
    made = searched(tmp_path, space.replace("finalists = 2", "finalists = 4"), trials=1, **asked)
    points = read_front(made)["points"]
    reading = [point for point in points if any("reuse" in item["head"] for item in point["exits"])]
    assert all("reuse" not in point["exits"][0]["head"] for point in reading)
    result = delivered(made, reading[0], tmp_path / "run")
    assert_same(reading[0], result)
    exits = state_of(load(tmp_path / "run" / "model.exits.onnx")).exits
    assert [item.reads for item in exits] == ["", "exit_0", ""]


def test_after_training_for_integers_and_for_another_objective(tmp_path: Path) -> None:
    space = SPACE.replace('quantize = "ptq"', 'quantize = "qat"\nqat_epochs = 1')
    space = space.replace("[2, 4]", "4") + '[objectives]\nfront = ["accuracy", "latency"]\n'
    made = searched(tmp_path, space, trials=1)
    point = read_front(made)["points"][0]
    result = delivered(made, point, tmp_path / "run")
    assert_same(point, result)
    summary = result.summary
    assert summary.objective.name == "latency" and summary.quantization is not None
    assert (summary.quantize, summary.quantization.epochs) == ("qat", 1)


def test_a_point_without_early_exits(tmp_path: Path) -> None:
    made = searched(tmp_path, SPACE.replace('heads = ["linear", "mlp"]', "at_most = 0"), trials=1)
    point = read_front(made)["points"][0]
    assert point["exits"] == []
    result = delivered(made, point, tmp_path / "run")
    assert_same(point, result)
    assert [e.name for e in result.summary.exits] == ["final"], "none are put in"
    assert any("it has learnt little" in text for text in result.summary.warnings)


def test_without_a_number_the_most_accurate_point_of_a_trial_is_taken(study: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(study, tmp_path / "copy"))
    front = read_front(copy)
    first = front["points"][0]
    front["points"] = [first, {**first, "point": 99, "accuracy_val": first["accuracy_val"] / 2}]
    (copy / "front.json").write_text(json.dumps(front))
    told: list[str] = []
    asked = PointAsked(copy, first["trial"], None, {"out": tmp_path / "run"})
    summary = run_point(asked, told.append).summary
    assert summary.study is not None and summary.study.point == first["point"]
    assert any("has several points" in line and "99 (" in line for line in told)


def test_figures_that_are_others_than_told_are_warned_of(study: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(study, tmp_path / "copy"))
    front = read_front(copy)
    front["points"][0]["macs"] *= 2
    (copy / "front.json").write_text(json.dumps(front))
    summary = delivered(copy, front["points"][0], tmp_path / "run").summary
    assert [text for text in summary.warnings if text.startswith("macs is ")]


def spoil_images(study: Path, front: dict[str, Any]) -> None:
    path = Path(front["data"])
    with np.load(path) as found:
        arrays = dict(found)
    arrays["test_y"] = arrays["test_y"][::-1]
    other = study / "other.npz"
    np.savez(other, **arrays)
    front["data"] = str(other)


def lose_images(study: Path, front: dict[str, Any]) -> None:
    front["data"] = str(study / "gone.npz")


def spoil_network(study: Path, front: dict[str, Any]) -> None:
    name = next(iter(front["points"][0]["networks"]))
    path = study / "networks" / name
    path.write_bytes(path.read_bytes() + b" ")


def lose_network(study: Path, front: dict[str, Any]) -> None:
    (study / "networks" / next(iter(front["points"][0]["networks"]))).unlink()


def make_old(study: Path, front: dict[str, Any]) -> None:  # noqa: ARG001
    del front["images_hash"]


def make_new(study: Path, front: dict[str, Any]) -> None:  # noqa: ARG001
    front["schema_version"] = 2


def make_empty(study: Path, front: dict[str, Any]) -> None:  # noqa: ARG001
    front["points"] = []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_images, "holds other images than those the search copy was made with"),
        (lose_images, "the images of the search, .*gone.npz, are not there"),
        (spoil_network, "is not the network that front.json tells of"),
        (lose_network, "is not there any more"),
        (make_old, "was written by another version of eecompile: it does not say `images_hash`"),
        (make_new, "has schema_version 2, and this eecompile reads 1"),
        (make_empty, "is empty: no network that was found keeps all constraints"),
    ],
)
def test_what_is_not_the_search_any_more(
    study: Path, tmp_path: Path, spoil: Callable[[Path, dict[str, Any]], None], said: str
) -> None:
    copy = Path(shutil.copytree(study, tmp_path / "copy"))
    front = read_front(copy)
    point = dict(front["points"][0])
    spoil(copy, front)
    (copy / "front.json").write_text(json.dumps(front))
    with pytest.raises(InputError, match=said):
        delivered(copy, point, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_asked_otherwise_is_refused(study: Path, tmp_path: Path) -> None:
    front = read_front(study)
    point = front["points"][0]
    trials = {point["trial"] for point in front["points"]}
    with pytest.raises(InputError, match="trial 77 has no point") as error:
        delivered(study, {"trial": 77, "point": None}, tmp_path / "run")
    assert f"these trials have: {', '.join(map(str, sorted(trials)))}" in error.value.hint
    with pytest.raises(InputError, match="has no point 55") as error:
        delivered(study, {**point, "point": 55}, tmp_path / "run")
    assert f"{point['point']} (" in error.value.hint
    for name, value in (("target", "gap9"), ("objective", "latency"), ("seed", 3), ("preprocess", "raw")):
        with pytest.raises(InputError, match=f"has `{name}` "):
            delivered(study, point, tmp_path / "run", **{name: value})
    with pytest.raises(InputError, match="`max_drop` could make another of it"):
        delivered(study, point, tmp_path / "run", max_drop=2.0)


def test_images_may_lie_elsewhere_and_what_is_the_same_may_be_said(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Path(shutil.copy(read_front(study)["data"], tmp_path / "moved.npz"))
    point = read_front(study)["points"][-1]
    monkeypatch.chdir(tmp_path)
    result = api.run(
        from_study=study, trial=point["trial"], front_point=point["point"], data=str(moved), target="diana",
        objective="edp", seed=0, preprocess="auto",
    )  # fmt: skip
    assert_same(point, result)
    assert result.out == Path("runs") / f"out-trial_{point['trial']}_{point['point']}-diana"


def test_the_float_network_brings_thresholds_that_a_run_may_keep(study: Path, tmp_path: Path) -> None:
    point = next(point for point in read_front(study)["points"] if point["exits"])
    model = study / "networks" / f"trial_{point['trial']}_{point['point']}.onnx"
    result = api.run(model, "diana", read_front(study)["data"], tmp_path / "run", keep_thresholds=True)
    told = [item.threshold for item in state_of(load(model)).exits[:-1]]
    assert [e.threshold for e in result.summary.exits[:-1]] == told
    assert result.summary.kept_thresholds and result.summary.study is None
