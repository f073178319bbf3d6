from __future__ import annotations

import dataclasses
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.exits.answers import answers
from eecompile.exits.confidence_fits import gate_images, gate_of, temperature_of
from eecompile.exits.fronts.front_problem import FrontProblem
from eecompile.exits.thresholds import leaves_at
from eecompile.search.backbones.final_head import final_name, split_finals
from eecompile.search.space.tables import ConstraintsTable
from eecompile.search.worth import evaluation as evaluation_of_designs
from eecompile.search.worth.evaluation import DesignEvaluation
from eecompile.search.worth.fitted_rules import FittedRules
from eecompile.search.worth.inner_front import AnsweredSupernet, FrontQuestion, front_problem
from eecompile.search.worth.supernet import Reach
from passes.errors import InputError
from passes.exits.chain import keep_exits, set_rules
from passes.state import state_of
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


def test_random_subsets_with_each_final_head_are_networks_that_are_cut(tmp_path: Path) -> None:
    """Cached answers and sums of costs against onnxruntime and a schedule of each network by itself."""
    heads = 'final_heads = ["linear", "own", "mlp"]\n'
    precision = "[precision]\nbackbone = 8\nheads = 8\n"
    evaluation = DesignEvaluation(
        question(tmp_path, MORE.replace("[training]", heads + "[training]") + precision)
    )
    design = evaluation.space.design({**THREE, "precision.backbone": "8", "precision.heads": "8"})
    supernet, logits = evaluation.answers(design, Reach(0))
    finals, costs = evaluation.finals, evaluation.costs(design)
    lowered = evaluation.numbers.lowered(evaluation.calibrated(supernet, design, finals))
    assigned = evaluation.assigned(supernet, design, finals)
    early, closing = split_finals(state_of(supernet).exits, finals)
    early_logits, final_logits = split_finals(logits, finals)
    val, rng = evaluation.images.dataset.val, np.random.default_rng(0)
    for final, item in enumerate(closing):
        assert (item.head is None) == (final == 1)
        for _ in range(5):
            kept = [int(rng.choice(here)) for here in _by_mount(costs.mounts) if rng.random() < 0.7]
            names = [early[k].name for k in kept]
            seen = answers(keep_exits(lowered, names, item.name), val, evaluation.images.preprocess)
            for mine, theirs in zip(
                [*(early_logits[k] for k in kept), final_logits[final]], seen.logits, strict=True
            ):
                np.testing.assert_array_equal(mine, theirs)
            where = leaves_at(seen.confidence, list(rng.uniform(0.4, 0.9, len(kept)).astype(np.float32)))
            ratios = np.bincount(where, minlength=len(kept) + 1) / len(val)
            cut = evaluation.numbers.assigned(
                keep_exits(supernet, names, item.name), design.wish(keep_exits(supernet, names, item.name))
            )
            for network in (keep_exits(assigned, names, item.name), cut):
                report = evaluation.quick(network)
                expected = sum(
                    r * path.cost.edp_j_cycles for r, path in zip(ratios, report.exits, strict=True)
                )
                paths = costs.figures["edp"].paths(kept, costs.mounts, final)
                assert float(ratios @ paths) == pytest.approx(expected)


ALL_RULES = (
    '["max_softmax", "margin", "entropy", "patience", "gate", "max_softmax{temperature=fit}", '
    '"entropy{temperature=fit}"]'
)


@pytest.mark.parametrize(
    ("heads", "blocks", "options"),
    [
        ('["linear", "mlp", "conv", "separable"]', 2, 9),
        ('["linear", "conv{reuse=logits}", "mlp{reuse=features}"]', 1, 8),
    ],
    ids=["families", "reuse"],
)
def test_random_subsets_of_each_family_and_rule_are_networks_that_are_cut(
    tmp_path: Path, heads: str, blocks: int, options: int
) -> None:
    """Cached answers, fitted rules and sums of costs against onnxruntime and a schedule of each network.

    Each image leaves where the cut network lets it, at random thresholds, and is as sure there.
    """
    space = MORE.replace('["linear", "mlp"]', f"{heads}\nconfidence = {ALL_RULES}")
    space = space.replace("blocks = 1", f"blocks = {blocks}").replace("stages = 3", f"stages = {5 - blocks}")
    evaluation = DesignEvaluation(question(tmp_path, space.replace("epochs = 3", "epochs = 2", 1)))
    genes = {**THREE, "backbone.blocks": blocks, "backbone.stages": 5 - blocks}
    design = evaluation.space.design(genes)
    supernet, logits = evaluation.answers(design, Reach(0))
    lowered = evaluation.numbers.lowered(evaluation.calibrated(supernet, design))
    assigned = evaluation.assigned(supernet, design)
    costs, dataset = evaluation.costs(design), evaluation.images.dataset
    fitted = evaluation.fitted(design, Reach(0))
    _assert_fitted_apart(evaluation, lowered, fitted)
    answered = AnsweredSupernet(supernet, logits, dataset.val.y, costs, fitted=fitted)
    question_ = FrontQuestion(evaluation.space.exits.confidence, ("accuracy", "edp"), ConstraintsTable())
    exits, problem = front_problem(answered, question_)
    rng, looked = np.random.default_rng(0), Counter[str]()
    for number in range(50):
        kept = _drawn(problem, rng)
        chosen = [exits[k] for k in kept]
        looked.update([*(told.rule.name for told in chosen), *(told.exit.head_name for told in chosen)])
        cut = keep_exits(lowered, [told.exit.name for told in chosen])
        set_rules(cut, [*(told.fitted for told in chosen), state_of(cut).exits[-1].confidence])
        seen = answers(cut, dataset.val, evaluation.images.preprocess)
        for told, mine in zip(chosen, seen.logits, strict=False):
            np.testing.assert_array_equal(logits[told.number], mine)
        confidence = np.array([problem.confidence_of(kept[:n], k) for n, k in enumerate(kept)], np.float32)
        np.testing.assert_array_equal(confidence.reshape(len(kept), problem.images), seen.confidence)
        np.testing.assert_array_equal([*problem.correct[list(kept)], problem.finals[0]], seen.correct)
        thresholds = [np.float32(rng.choice(row)) for row in seen.confidence]
        where, _ = seen.leaving(thresholds)
        if number % 5:  # of all: a schedule takes longer than an answer
            continue
        network = keep_exits(assigned, [told.exit.name for told in chosen])
        set_rules(network, [item.confidence for item in state_of(cut).exits])
        report = evaluation.quick(network)
        for name, key in (("edp", "edp_j_cycles"), ("latency", "latency_cycles"), ("energy", "energy_pj")):
            expected = [getattr(path.cost, key) for path in report.exits]
            paths = problem.costs[name].paths(kept, problem.mounts, 0)
            np.testing.assert_allclose(paths[where], np.array(expected)[where], rtol=1e-9)
    assert len(looked) == options and min(looked.values()) >= 3, looked


def _drawn(problem: FrontProblem, rng: np.random.Generator) -> tuple[int, ...]:
    """Return exits of a network; of those with heads that read the exit before one that goes behind it."""
    kept: tuple[int, ...] = ()
    for here in problem.options:
        some = [k for k in here if k is not None and problem.is_network((*kept, k))]
        kept += (int(rng.choice(some)),) if some and rng.random() < 0.7 else ()
    return kept


def _assert_fitted_apart(evaluation: DesignEvaluation, lowered: gs.Graph, fitted: FittedRules) -> None:
    """Gates are of the answers on training images alone, temperatures of those on val."""
    dataset = evaluation.images.dataset
    train = answers(lowered, gate_images(dataset.train), evaluation.images.preprocess)
    val = answers(lowered, dataset.val, evaluation.images.preprocess)
    gate, softmax, _ = fitted
    assert fitted[gate] == tuple(gate_of(z, train.labels) for z in train.logits[:-1])
    found = [rule.temperature for rule in fitted[softmax]]  # type: ignore[attr-defined]
    assert found == [temperature_of(z, val.labels) for z in val.logits[:-1]]


def test_rules_are_fitted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = MORE.replace("[training]", 'confidence = "gate"\n[training]').replace(
        "epochs = 3", "epochs = 1", 1
    )
    first, again = (DesignEvaluation(question(tmp_path, space)) for _ in range(2))
    design = first.space.design(THREE)
    digest = first.supernets.key(design, Reach(0)).digest
    assert first.known_rules(design, digest, 0) is None
    fitted = first.fitted(design, Reach(0))
    monkeypatch.setattr(evaluation_of_designs, "logits_of", None)
    assert again.fitted(design, Reach(0)) == again.known_rules(design, digest, 0) == fitted
    assert DesignEvaluation(question(tmp_path, MORE)).fitted(design, Reach(0)) == {}


def _by_mount(mounts: tuple[int, ...]) -> list[list[int]]:
    return [[k for k, at in enumerate(mounts) if at == mount] for mount in sorted(set(mounts))]


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
    several = SPACE.replace("[training]", 'final_heads = ["mlp", "own"]\n[training]')
    first = DesignEvaluation(question(tmp_path, several, fixed_heads=True))
    assert [final_name(head) for head in first.finals] == ["mlp"]
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
