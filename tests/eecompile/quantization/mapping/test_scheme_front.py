"""The front is of what was measured: costs by the schedule, losses by onnxruntime, and nothing beats it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.quantization.mapping.scheme_front import (
    LabelledImages,
    SchemeFront,
    SchemeSearch,
    divergence,
    worth,
)
from eecompile.quantization.wishes import SchemeWish
from eecompile.runtime.sessions import Evaluator
from passes.errors import InputError
from passes.exits.recognise import recognise_exits
from passes.model.graph import load
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.registry import load_target
from targets.evaluation.report import evaluate
from targets.objective import EDP
from tests.eecompile.small_models import write_skip_net


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> gs.Graph:
    graph = load(write_skip_net(tmp_path_factory.mktemp("net") / "model.onnx"))
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    recognise_exits(graph)
    return graph


def search(network: gs.Graph, target: str, fixed: SchemeWish | None = None) -> SchemeSearch:
    rng = np.random.default_rng(0)
    train, val = (rng.normal(size=(n, 3, 16, 16)).astype(np.float32) for n in (24, 40))
    output = [network.outputs[-1].name]
    (logits,) = Evaluator.of(lambda batch: to_model(network, batch)).run(val.__getitem__, 40, output)
    labelled = LabelledImages(val, logits.argmax(axis=1))
    return SchemeSearch(network, load_target(target), EDP, train, labelled, fixed or SchemeWish())


@pytest.fixture(scope="module")
def found(network: gs.Graph) -> tuple[SchemeSearch, SchemeFront]:
    searched = search(network, "diana")
    return searched, searched.run(3)


def test_points_are_what_their_mappings_give(found: tuple[SchemeSearch, SchemeFront]) -> None:
    searched, front = found
    assert front.float_accuracy == (1.0,) and front.images == 40
    for point in (front.points[0], front.points[-1]):
        made = searched.quantized(point.schemes)
        names = [item.output for item in state_of(made).exits]
        val = searched.val
        (logits,) = Evaluator.of(partial(to_model, made)).run(val.x.__getitem__, 40, names)
        assert point.accuracy == (float((logits.argmax(axis=1) == val.y).mean()),)
        lowered = copy_graph(made)
        parse_pipeline("fold-qdq,fuse-layers")(lowered)
        assert evaluate(lowered, searched.target).total == point.cost
    assert len({tuple(point.schemes.items()) for point in front.points}) == len(front.points)


def test_mappings_are_calibrated_as_was_asked(found: tuple[SchemeSearch, SchemeFront]) -> None:
    searched, front = found
    schemes = front.points[0].schemes
    steps = {
        name: state_of(replace(searched, calibration=name).quantized(schemes)).grids["image"].scale[0]
        for name in ("least-squares", "minmax")
    }
    assert steps["minmax"] == 2.0 ** np.ceil(np.log2(np.abs(searched.train).max() / 127))
    assert steps["least-squares"] < steps["minmax"]


def test_nothing_that_was_measured_beats_the_front(found: tuple[SchemeSearch, SchemeFront]) -> None:
    _, front = found
    value = {id(point): worth(point.cost, EDP) for point in front.points}
    for point in front.front:
        assert not any(value[id(p)] <= value[id(point)] and p.loss < point.loss for p in front.points)
    assert [value[id(p)] for p in front.points] == sorted(value.values())
    assert 1 < len(front.front) <= len(front.points)


def test_mappings_by_hand_are_marked(found: tuple[SchemeSearch, SchemeFront]) -> None:
    _, front = found
    by_name = {name: p for p in front.points for name in p.name.split(", ") if name}
    assert by_name.keys() == {
        "usual", "all layers changed", "first and last layer usual", "least cost"
    }  # fmt: skip
    schemes = [*by_name["all layers changed"].schemes.values()]
    assert schemes[:-1] == ["ternary-analog"] * (len(schemes) - 1), "the classifier is no convolution"
    inner = [*by_name["first and last layer usual"].schemes.values()]
    assert inner[0] == inner[-1] == "int8-pow2" and {*inner[1:-1]} == {"ternary-analog"}
    assert worth(by_name["least cost"].cost, EDP) == min(worth(p.cost, EDP) for p in front.points)


def test_what_is_taken_is_the_cheapest_within_the_drop(found: tuple[SchemeSearch, SchemeFront]) -> None:
    _, front = found
    assert front.within(100.0, EDP).cost == front.points[0].cost
    best = max(front.points, key=lambda p: p.accuracy)
    strict = replace(front, usual=best).within(0.0, EDP)
    assert strict.accuracy == best.accuracy


def test_layers_with_bits_of_their_own_are_not_searched(network: gs.Graph) -> None:
    first = next(node.name for node in network.nodes if node.op == "Conv")
    searched = search(network, "gap9", SchemeWish(bits={first: 4}))
    assert first not in searched._ladders
    assert set(searched._ladders.values()) == {("int8-channel", "int4-channel", "int2-channel")}
    with pytest.raises(InputError, match="`bits` name all layers"):
        search(network, "gap9", SchemeWish(bits={"backbone": 4}))
    with pytest.raises(InputError, match="max78000 has one scheme for each layer"):
        search(network, "max78000")


def test_whole_mappings_are_measured_as_they_were_trained(network: gs.Graph) -> None:
    first = next(node.name for node in network.nodes if node.op == "Conv")
    others = {node.name: 8 for node in network.nodes if node.op in ("Conv", "Gemm") and node.name != first}
    searched, taught = search(network, "gap9", SchemeWish(bits=others)), []

    def always_the_third(calibrated: gs.Graph, real: gs.Graph) -> None:
        taught.append(real)
        bias = next(node for node in calibrated.nodes if node.op == "Gemm").inputs[2]
        bias.values = np.where(np.arange(bias.values.size) == 2, 100, 0).astype(np.float32)

    searched.trainer = always_the_third
    front = searched.run(2)
    share = float((searched.val.y == 2).mean())
    assert {point.accuracy for point in front.points} == {(share,)} != {front.float_accuracy}
    assert len(taught) == len(front.points), "single changes are not trained, and none twice"
    searched.quantized(front.points[0].schemes)
    assert len(taught) == len(front.points)


def test_divergence_is_of_probabilities() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 5, 3)).astype(np.float32)
    p, q = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (one, other))
    assert divergence([one], [other]) == pytest.approx((p * np.log(p / q)).sum(axis=1).mean(), rel=1e-4)
    assert divergence([one], [one + 7]) == pytest.approx(0, abs=1e-6)
    assert divergence([one, one], [one, other]) == pytest.approx(divergence([one], [other]) / 2, abs=1e-6)
