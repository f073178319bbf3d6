from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.cache.content import network_hash
from eecompile.exits.answers import answers
from eecompile.exits.thresholds import leaves_at
from eecompile.run.prepare import cost_of
from eecompile.run_files.directory import sha256
from eecompile.search.finalists import Finalist, finish, write_networks
from eecompile.search.worth.evaluation import DesignEvaluation
from eecompile.search.worth.supernet import Reach
from passes.exits.chain import keep_exits
from passes.state import state_of
from targets.evaluation.paths import Cost
from tests.eecompile.search.small import GENES, SPACE, question


def finished(evaluation: DesignEvaluation, told: list[str]) -> tuple[dict[str, Any], Finalist]:
    result = evaluation(0, GENES, 0, "")
    point = next(point for point in result["points"] if point["exits"])
    return point, finish(evaluation, 7, GENES, Reach(0), point, told.append)


def test_figures_are_those_of_the_network_scheduled_and_run_by_itself(tmp_path: Path) -> None:
    evaluation, told = DesignEvaluation(question(tmp_path)), list[str]()
    point, finalist = finished(evaluation, told)
    found, network = finalist.point, finalist.network
    design = evaluation.space.design(GENES)
    names = [item["name"] for item in found["exits"]]
    assert found["trial"] == 7 and [e.mount for e in state_of(network).exits[:-1]] == [
        item["mount"] for item in found["exits"]
    ]
    # What it answers on test, from the network that is written: quantized anew, as it was.
    lowered = evaluation.numbers.lowered(evaluation.calibrated(network, design))
    seen = answers(lowered, evaluation.images.dataset.test, evaluation.images.preprocess)
    thresholds = [np.float32(item["threshold"]) for item in found["exits"]]
    where = leaves_at(seen.confidence, thresholds)
    right = seen.correct[where, np.arange(len(where))]
    assert abs(float(right.mean()) - found["accuracy"]) < 0.05
    assert found["accuracy_ci95"][0] <= found["accuracy"] <= found["accuracy_ci95"][1]
    ratios = [*(item["ratio"] for item in found["exits"]), found["final_ratio"]]
    report = cost_of(
        evaluation.assigned(network, design), evaluation.target, evaluation.objective, ratios=ratios
    )
    expected = sum(r * path.cost.edp_j_cycles for r, path in zip(ratios, report.exits, strict=True))
    assert expected == pytest.approx(found["edp_j_cycles"]) and len(names) >= 1
    assert found["before"]["accuracy_val"] == point["accuracy_val"]
    written = write_networks(
        Finalist({**found, "point": 3}, network, finalist.quantized, finalist.detail), tmp_path / "networks"
    )
    assert list(written) == ["trial_7_3.onnx", "trial_7_3.quant.onnx"]
    assert written == {path.name: sha256(path) for path in sorted((tmp_path / "networks").iterdir())}


def test_one_that_keeps_the_constraints_no_more_says_so(tmp_path: Path) -> None:
    point = DesignEvaluation(question(tmp_path))(0, GENES, 0, "")["points"][0]
    asked = DesignEvaluation(question(tmp_path, SPACE + "[constraints]\nmax_macs = 1\n"))
    assert finish(asked, 7, GENES, Reach(0), point, lambda _: None).point["feasible"] is False
    free = DesignEvaluation(question(tmp_path))
    assert finish(free, 7, GENES, Reach(0), point, lambda _: None).point["feasible"] is True


def test_the_ratio_of_costs_is_against_the_first_final_head(tmp_path: Path) -> None:
    """A network without exits and with a dearer final head costs more than what it is compared with."""
    finals = SPACE.replace("[training]", 'final_heads = ["linear", "mlp"]\n[training]')
    point = DesignEvaluation(question(tmp_path, finals))(0, GENES, 0, "")["points"][0]
    asked = DesignEvaluation(question(tmp_path, finals + "[constraints]\nmax_cost_ratio = 1.0\n"))
    linear, mlp = asked.costs(asked.space.design(GENES)).statics
    assert linear.edp_j_cycles < mlp.edp_j_cycles
    for name, feasible in (("linear", True), ("mlp", False)):
        alone = {**point, "exits": [], "final_head": name}
        found = finish(asked, 7, GENES, Reach(0), alone, lambda _: None)
        assert found.point["final_head"] == name and found.point["feasible"] is feasible
        gemms = [node.name for node in found.network.nodes if node.op == "Gemm"]
        assert gemms == {"linear": ["logits/gemm"], "mlp": ["final/gemm", "final/gemm_1"]}[name]


def test_it_is_scheduled_at_its_operating_point(tmp_path: Path) -> None:
    """Figures of `cost_of` at the slower point: another energy, another time, the same cycles."""
    space = SPACE + "[mapping]\npoints = ['0.65V', '0.8V']\n[objectives]\nfront = ['accuracy', 'energy']\n"
    evaluation = DesignEvaluation(question(tmp_path, space, target="gap9"))
    point = evaluation(0, GENES, 0, "")["points"][0]
    assert point["operating_point"] == "0.65V"
    finalist = finish(evaluation, 7, GENES, Reach(0), point, lambda _: None)
    found = finalist.point
    costed = evaluation.assigned(finalist.network, evaluation.space.design(GENES))
    ratios = [*(item["ratio"] for item in found["exits"]), found["final_ratio"]]
    slow = evaluation.target.at_point("0.65V")
    report = cost_of(costed, slow, evaluation.objective, ratios=ratios)
    expected = Cost.mean([path.cost for path in report.exits], ratios)
    assert found["operating_point"] == "0.65V" and found["energy_pj"] == pytest.approx(expected.energy_pj)
    assert found["latency_s"] == pytest.approx(expected.latency_s)
    assert found["edp_js"] == pytest.approx(expected.edp_js)
    assert found["summed"]["energy_pj"] == pytest.approx(found["energy_pj"], rel=0.2)


def test_it_is_trained_on_once(tmp_path: Path) -> None:
    evaluation, told = DesignEvaluation(question(tmp_path)), list[str]()
    _, first = finished(evaluation, told)
    assert any("epoch 1 of 1" in line for line in told)
    told.clear()
    _, again = finished(evaluation, told)
    assert not told and again.point == first.point


def test_without_fine_tuning_it_is_cut_from_its_supernet(tmp_path: Path) -> None:
    evaluation, told = (
        DesignEvaluation(question(tmp_path, SPACE.replace("final_epochs = 1", "final_epochs = 0"))),
        list[str](),
    )
    point, finalist = finished(evaluation, told)
    assert not told
    assert finalist.point["accuracy_val"] >= point["accuracy_val"]
    supernet = evaluation.supernets.trained(evaluation.space.design(GENES), Reach(0))
    cut = keep_exits(supernet, [item["name"] for item in point["exits"]])
    kept = {n: t.values for n, t in finalist.network.tensors().items() if hasattr(t, "values")}
    given = {n: t.values for n, t in cut.tensors().items() if hasattr(t, "values")}
    assert all(np.array_equal(value, given[name]) for name, value in kept.items() if name in given)


def test_trained_for_integers_where_the_space_asks_for_it(tmp_path: Path) -> None:
    space = SPACE.replace('quantize = "ptq"', 'quantize = "qat"\nqat_epochs = 1')
    told: list[str] = []
    finished(DesignEvaluation(question(tmp_path, space)), told)
    assert any("integers" in line for line in told)


class _KilledError(Exception):
    """Stands for kill -9 at the end of an epoch."""


@pytest.mark.parametrize("stage", ["training: epoch 1 of 3", "training for integers: epoch 1 of 2"])
def test_a_killed_finalist_goes_on_from_its_last_epoch(tmp_path: Path, stage: str) -> None:
    space = SPACE.replace("final_epochs = 1", "final_epochs = 3")
    space = space.replace('quantize = "ptq"', 'quantize = "qat"\nqat_epochs = 2')
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    told: list[str] = []
    _, whole = finished(DesignEvaluation(question(tmp_path / "whole", space)), told)
    killed = DesignEvaluation(question(tmp_path / "killed", space))
    point = killed(0, GENES, 0, "")["points"]
    point = next(item for item in point if item["exits"])

    def until(line: str) -> None:
        if line.startswith(stage):
            raise _KilledError

    with pytest.raises(_KilledError):
        finish(killed, 7, GENES, Reach(0), point, until)
    after: list[str] = []
    again = finish(killed, 7, GENES, Reach(0), point, after.append)
    assert any("goes on after epoch 1 of" in line for line in after)
    assert not any(line.startswith(stage) for line in after), "this epoch is not trained twice"
    assert again.point == whole.point and network_hash(again.network) == network_hash(whole.network)
    assert not any((tmp_path / "killed" / "cache" / "training").iterdir())
