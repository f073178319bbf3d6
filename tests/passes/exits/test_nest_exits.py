"""Nest-exits: one model that leaves early by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from passes.confidence import MARGIN
from passes.errors import InputError
from passes.exits.chain import set_thresholds
from passes.exits.insert_exits import InsertExits
from passes.exits.nest_exits import OUTPUTS, NestExits
from passes.exits.recognise import recognise_exits
from passes.exits.split_stages import SplitStages
from passes.model.graph import from_model, load
from passes.model.writing import save, to_model
from passes.state import copy_graph, state_of
from tests.passes.equivalence import batch_of, check_text_form, printed, run_model
from tests.passes.exits.ready import ready
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain


@pytest.mark.parametrize(("threshold", "leaves"), [(0.0, 0), (1.1, 2)])
def test_thresholds_decide(threshold: float, leaves: int) -> None:
    graph, images = ready(threshold)
    NestExits()(graph)
    assert run_model(to_model(graph), images)[1].tolist() == [leaves]


def test_confidence_equal_to_the_threshold_leaves() -> None:
    graph, images = ready(0.0)
    stage = copy_graph(graph)
    SplitStages(0)(stage)
    confidence = run_model(to_model(stage), images)[1][0]
    for threshold, leaves in ((confidence, 0), (np.nextafter(confidence, np.float32(2)), None)):
        nested = copy_graph(graph)
        set_thresholds(nested, [float(threshold)] * 2)
        NestExits()(nested)
        found = run_model(to_model(nested), images)[1][0]
        assert found == leaves if leaves is not None else found > 0


def test_a_single_exit_needs_no_branch() -> None:
    graph = from_model(chain())
    recognise_exits(graph)
    NestExits()(graph)
    assert "If" not in {n.op for n in graph.nodes}
    assert [t.name for t in graph.outputs] == ["logits", "exit", "confidence"]


def test_saved_forms_load_again(tmp_path: Path) -> None:
    graph, images = ready()
    stage, nested = copy_graph(graph), copy_graph(graph)
    SplitStages(1)(stage)
    NestExits()(nested)
    for made, name in ((stage, "stage.onnx"), (nested, "nested.onnx")):
        again = load(save(made, tmp_path / name))
        recorded = [replace(e, output="") for e in state_of(again).exits]
        assert recorded == [replace(e, output="") for e in state_of(made).exits]
        kept = {n: o for n, o in state_of(made).origins.items() if n in state_of(again).origins}
        assert state_of(again).origins == kept
    assert state_of(again).origins["n0_Conv"] == ("n0_Conv",)
    assert recognise_exits(again) == state_of(again).exits, "what was nested is flat again"
    NestExits()(again)
    assert state_of(again).origins["exit_1/if"] == (), "also in bodies"
    found = run_model(to_model(again), images)
    for a, b in zip(found, run_model(to_model(nested), images), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(InputError, match="give the flat network"):
        recognise_exits(load(tmp_path / "stage.onnx"))


def test_text_form() -> None:
    check_text_form(NestExits())


def test_outputs_have_their_names_types_and_shapes() -> None:
    graph, images = ready()
    NestExits()(graph)
    assert tuple(t.name for t in graph.outputs) == OUTPUTS
    found = run_model(to_model(graph), images)
    assert [v.dtype for v in found] == [np.float32, np.int64, np.float32]
    assert [v.shape for v in found] == [(1, 2), (1,), (1,)]


@pytest.mark.parametrize("leaves", [0, 1, 2])
def test_logits_are_those_of_the_exit_that_is_taken(leaves: int) -> None:
    graph, images = ready()
    set_thresholds(graph, [1.1] * leaves + [0.0] * (2 - leaves))
    expected = run_model(to_model(graph), images)[leaves]
    NestExits()(graph)
    logits, taken, _ = run_model(to_model(graph), images)
    assert taken.tolist() == [leaves]
    np.testing.assert_array_equal(logits, expected)


def test_each_exit_decides_by_its_own_rule() -> None:
    model = chain(4)
    graph = from_model(model)
    InsertExits(at=("2",), confidence="margin")(graph)
    set_thresholds(graph, [0.0, 0.0])
    images = batch_of(model, 1)
    logits = run_model(to_model(graph), images)[0]
    NestExits()(graph)
    confidence = run_model(to_model(graph), images)[2]
    np.testing.assert_allclose(confidence, MARGIN.evaluate(logits), rtol=1e-5)


def test_a_nested_network_is_not_nested_again() -> None:
    graph, _ = ready()
    assert NestExits()(graph)
    before = printed(graph)
    assert not NestExits()(graph)
    assert printed(graph) == before


def test_a_tensor_of_the_network_gives_its_name_to_an_output() -> None:
    model = chain(4)
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "confidence"
    model.graph.ClearField("value_info")
    graph = from_model(model)
    InsertExits(at=("2",))(graph)
    set_thresholds(graph, [0.0, 0.0])
    images = batch_of(model, 1)
    logits = run_model(to_model(graph), images)[0]
    NestExits()(graph)
    np.testing.assert_array_equal(run_model(to_model(graph), images)[0], logits)


def test_weights_lie_in_the_stage_that_uses_them() -> None:
    """Also those that two stages share: onnxruntime prepacks what lies in the body alone."""
    net = NetBuilder((1, 4, 4, 4))
    shared = net.normal(4, 4, 3, 3, scale=0.1)
    stem = net.op("Relu", net.op("Conv", "x", shared, pads=[1] * 4))
    early = net.op("Gemm", net.op("Flatten", stem), net.normal(3, 64), transB=1)
    deep = net.op("Flatten", net.op("Relu", net.op("Conv", stem, shared, pads=[1] * 4)))
    model = net.model(net.op("Gemm", deep, net.normal(3, 64), transB=1), early)
    graph = from_model(model)
    recognise_exits(graph)
    set_thresholds(graph, [1.1])
    NestExits()(graph)
    nested = to_model(graph)
    (choice,) = [node for node in nested.graph.node if node.op_type == "If"]
    (deeper,) = [a.g for a in choice.attribute if a.name == "else_branch"]
    outer, inner = ({t.name for t in g.initializer} for g in (nested.graph, deeper))
    assert not outer & inner
    for body, own in ((nested.graph, outer), (deeper, inner)):
        read = {name for node in body.node if node.op_type in ("Conv", "Gemm") for name in node.input[1:]}
        assert len(read) == 2
        assert read <= own
    images = batch_of(model, 1)
    np.testing.assert_array_equal(run_model(nested, images)[0], run_model(model, images)[0])
