from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eecompile.exits.thresholds import leaves_at
from eecompile.search.point_detail import (
    PointDetail,
    ThresholdMoves,
    detail_of,
    point_files,
    write_detail,
)
from eecompile.search.space.tables import TrainingTable
from passes.confidence import confidence_rule
from targets.contract.registry import load_target
from targets.evaluation.paths import Cost
from targets.objective import EDP


def moves(images: int = 200) -> ThresholdMoves:
    rng = np.random.default_rng(1)
    confidence = rng.random((2, images)).astype(np.float32)
    confidence[1, :10] = np.nan
    correct = rng.random((3, images)) < np.array([[0.6], [0.7], [0.9]])
    paths = [Cost(100, 10, None, 1000, None, 1.0), Cost(200, 20, None, 2000, None, 4.0)]
    paths.append(Cost(300, 30, None, 3000, None, 9.0))
    return ThresholdMoves(confidence, correct, [np.float32(0.7), np.float32(0.4)], [np.float32(2)] * 2, paths)


def test_a_curve_goes_through_the_chosen_thresholds_from_none_to_all() -> None:
    given = moves()
    curve = given.curve()
    none, chosen, every = curve[0], curve[20], curve[-1]
    assert len(curve) == 41 and none["ratios"] == [0, 0, 1] and every["ratios"] == [1, 0, 0]
    assert none["accuracy_val"] == pytest.approx(given.correct[2].mean()) and none["macs"] == 300
    assert every["accuracy_val"] == pytest.approx(given.correct[0].mean()) and every["edp_j_cycles"] == 1
    assert chosen["thresholds"] == [float(t) for t in given.thresholds]
    where = leaves_at(given.confidence, given.thresholds)
    assert chosen["accuracy_val"] == pytest.approx(given.correct[where, np.arange(200)].mean())
    assert chosen["latency_cycles"] == pytest.approx(10 * (1 + where).mean())
    assert np.all(np.diff([at["ratios"][0] for at in curve]) >= 0)


def test_without_exits_there_is_no_curve() -> None:
    static = moves()
    assert ThresholdMoves(static.confidence[:0], static.correct[2:], [], [], static.paths[2:]).curve() == []


def test_answers_come_from_logits() -> None:
    logits = [np.array([[3, 0, 0], [0, 1, 0]], np.float32), np.array([[0, 2, 0], [0, 9, 0]], np.float32)]
    rule = confidence_rule("margin")
    found = ThresholdMoves.of(logits, np.array([0, 1]), [rule], [np.float32(0.5)], moves().paths[:2])
    assert found.correct.tolist() == [[True, True], [False, True]]
    assert found.confidence == pytest.approx(rule.evaluate(logits[0], ())[None])
    assert found.never == [rule.never]


def test_the_files_of_a_point(tmp_path: Path) -> None:
    from eecompile.run.prepare import cost_of
    from passes.model.graph import load
    from tests.eecompile.small_models import write_skip_net

    graph = load(write_skip_net(tmp_path / "net.onnx"))
    report = cost_of(graph, load_target("diana"), EDP)
    table = TrainingTable(epochs=5, quantize="ptq")
    detail = detail_of(report, moves(), table, quantized=False)
    assert isinstance(detail, PointDetail) and detail.known["training"]["quantize"] == "none"
    assert sum(layer["macs"] for layer in detail.known["layers"]) == report.total.macs
    assert [path["exit"] for path in detail.known["paths"]] == [path.name for path in report.exits]
    write_detail(tmp_path, {"trial": 3, "point": 1}, detail)
    known, trace = (json.loads((tmp_path / name).read_text()) for name in point_files(3, 1))
    assert (known["trial"], known["point"], known["training"]["epochs"]) == (3, 1, 5)
    assert trace["traceEvents"] == json.loads(json.dumps(detail.trace["traceEvents"]))
