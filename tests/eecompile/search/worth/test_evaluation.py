from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.exits.answers import answers
from eecompile.exits.thresholds import leaves_at
from eecompile.search.worth.evaluation import DesignEvaluation
from eecompile.search.worth.supernet import Reach
from passes.errors import InputError
from passes.exits.chain import keep_exits
from tests.eecompile.search.small import GENES, SPACE, question

MORE = SPACE.replace("stages = 2", "stages = 3")
THREE = {**GENES, "backbone.stages": 3}


def test_figures_of_subsets_are_those_of_networks_that_are_cut(tmp_path: Path) -> None:
    """What cached answers say of each point is what its network answers in onnxruntime, by itself."""
    evaluation = DesignEvaluation(question(tmp_path, MORE))
    design = evaluation.space.design(THREE)
    result = evaluation(0, THREE, 0, "")
    supernet, _ = evaluation.answers(design, Reach(0))
    lowered = evaluation.numbers.lowered(evaluation.calibrated(supernet, design))
    val, rng = evaluation.images.dataset.val, np.random.default_rng(0)
    points = result["points"]
    for number in rng.permutation(len(points))[:10].tolist():
        point = points[number]
        cut = keep_exits(lowered, [item["name"] for item in point["exits"]])
        seen = answers(cut, val, evaluation.images.preprocess)
        confidence = seen.confidence
        where = leaves_at(confidence, [np.float32(item["threshold"]) for item in point["exits"]])
        right = seen.correct[where, np.arange(len(val))]
        assert float(right.mean()) == pytest.approx(point["accuracy_val"])
        report = evaluation.quick(
            keep_exits(evaluation.assigned(supernet, design), [e["name"] for e in point["exits"]])
        )
        ratios = np.bincount(where, minlength=len(report.exits)) / len(val)
        expected = sum(r * path.cost.edp_j_cycles for r, path in zip(ratios, report.exits, strict=True))
        assert expected == pytest.approx(point["edp_j_cycles"])


def test_another_process_finds_the_same(tmp_path: Path) -> None:
    told: list[str] = []
    evaluation = DesignEvaluation(question(tmp_path), told.append)
    again = pickle.loads(pickle.dumps(evaluation))
    first, second = evaluation(3, GENES, 0, ""), again(3, GENES, 0, "")
    times, cached = first.pop("times"), second.pop("times")
    assert first == second
    assert times.keys() == {"networks", "costs", "training", "answers", "fronts"}
    assert times["training"] > 0 and "training" not in cached, "it was trained before"
    assert told[0].startswith("trial 3: design{backbone=resnet{width=4")


def test_options_of_the_question_change_what_is_found(tmp_path: Path) -> None:
    def found(**options: Any) -> dict[str, object]:
        return DesignEvaluation(question(tmp_path, **options))(0, GENES, 0, "")

    usual = found()
    asked = dataclasses.replace(question(tmp_path), genetic=30)
    genetic = DesignEvaluation(asked)(0, GENES, 0, "")
    assert genetic["networks"] <= 30 and genetic["points"] != usual["points"]
    assert found(quantized=False)["points"] != usual["points"]
    one = DesignEvaluation(question(tmp_path, fixed_heads=True))
    assert [head.name for head in one.space.exits.heads] == ["linear"]
    macs = DesignEvaluation(question(tmp_path, hardware=False))
    assert macs.objectives == ("accuracy", "macs")
    more = question(tmp_path, MORE)
    own, shared = (
        DesignEvaluation(dataclasses.replace(more, one_threshold=one))(0, THREE, 0, "")
        for one in (False, True)
    )
    told = [
        [{e["threshold"] for e in p["exits"]} for p in found["points"] if len(p["exits"]) > 1]
        for found in (own, shared)
    ]
    assert any(len(values) > 1 for values in told[0]) and all(len(values) == 1 for values in told[1])


def test_without_a_mean_cost_there_is_one_threshold_unless_asked_for(tmp_path: Path) -> None:
    none = SPACE + '[objectives]\nfront = ["accuracy", "worst_latency"]\n'
    assert DesignEvaluation(question(tmp_path, none)).joint
    assert not DesignEvaluation(question(tmp_path)).joint
    assert DesignEvaluation(question(tmp_path, none))(0, GENES, 0, "")["points"]
    asked = none.replace("[training]", 'thresholds = "individual"\n[training]')
    with pytest.raises(InputError, match="threshold for each exit"):
        DesignEvaluation(question(tmp_path, asked))(0, GENES, 0, "")


def test_the_objective_of_schedules_is_the_first_cost_of_the_front(tmp_path: Path) -> None:
    def objective(space: str) -> str:
        return DesignEvaluation(question(tmp_path, space)).objective.name

    latency = SPACE + '[objectives]\nfront = ["accuracy", "latency", "energy"]\n'
    assert objective(SPACE) == "edp" and objective(latency) == "latency"
    assert objective(latency + '[mapping]\nobjective = "energy"\n') == "energy"
