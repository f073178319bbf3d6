"""Preconditions and corners of split-stages and nest-exits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.errors import InputError, PassError
from passes.exits.chain import set_thresholds
from passes.exits.insert_exits import InsertExits
from passes.exits.nest_exits import NestExits
from passes.exits.recognise import recognise_exits
from passes.exits.split_stages import SplitStages
from passes.exits.stages import cut
from passes.model.graph import from_model, load, save, to_model
from passes.registry import parse_pipeline
from passes.rewrite.rewriter import Array
from passes.state import Exit, copy_graph, state_of
from tests.passes.equivalence import batch_of, check_text_form, printed, run_model
from tests.passes.grids import add_grids
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain, two_exits

STEPS = [SplitStages(), NestExits()]


def ready(threshold: float = 0.5) -> tuple[gs.Graph, Array]:
    model = chain(4)
    graph = from_model(model)
    InsertExits(at=("2",))(graph)
    set_thresholds(graph, [threshold] * 2)
    return graph, batch_of(model, 1)


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.name)
def test_needs_exits_and_thresholds(step: SplitStages | NestExits) -> None:
    graph = from_model(chain(4))
    with pytest.raises(PassError, match=r"the graph has no exits .*\n.*insert-exits"):
        step(graph)
    InsertExits()(graph)
    with pytest.raises(PassError, match=r"without a threshold: exit_0, exit_1 .*before: insert-exits"):
        step(graph)
    set_thresholds(graph, [0.5, 0.5])
    state_of(graph).symbolic = True
    with pytest.raises(PassError, match="weights are absent"):
        step(graph)


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.name)
def test_exits_must_separate(step: SplitStages | NestExits) -> None:
    net = NetBuilder((1, 2, 4, 4))
    one = net.op("Relu", net.conv("x", 2, 2))
    two = net.op("Relu", net.conv(one, 2, 2))
    early = net.op("Gemm", net.op("Flatten", two), net.normal(2, 32), transB=1)
    late = net.op("Gemm", net.op("Flatten", net.op("Add", two, one)), net.normal(2, 32), transB=1)
    graph = from_model(net.model(early, late))
    state_of(graph).exits = [Exit("exit_0", two, early, 0.5), Exit("final", two, late)]
    with pytest.raises(PassError, match=r"stage of exit 'final' reads .*, expected one tensor"):
        step(graph)


@pytest.mark.parametrize("stage", [-1, 3])
def test_no_such_stage(stage: int) -> None:
    graph, _ = ready()
    with pytest.raises(InputError, match=rf"no stage {stage}\nthe network has stages 0 to 2"):
        SplitStages(stage)(graph)


def test_stages_share_all_nodes() -> None:
    graph, _ = ready()
    stages = cut(graph)
    names = [name for stage in stages for name in stage.nodes]
    assert sorted(names) == sorted(n.name for n in graph.nodes)
    assert [stage.entry for stage in stages[1:]] == [e.mount for e in state_of(graph).exits[:-1]]


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


def test_readers_in_other_stages_are_forgotten() -> None:
    graph, _ = ready()
    SplitStages(0)(graph)
    mount = graph.outputs[2]
    assert {reader.name for reader in mount.outputs} <= {n.name for n in graph.nodes}


def test_saved_forms_load_again(tmp_path: Path) -> None:
    graph, images = ready()
    stage, nested = copy_graph(graph), copy_graph(graph)
    SplitStages(1)(stage)
    NestExits()(nested)
    for made, name in ((stage, "stage.onnx"), (nested, "nested.onnx")):
        again = load(save(made, tmp_path / name))
        assert state_of(again).exits == state_of(made).exits
        kept = {n: o for n, o in state_of(made).origins.items() if n in state_of(again).origins}
        assert state_of(again).origins == kept
    assert state_of(again).origins["n0_Conv"] == ("n0_Conv",)
    assert state_of(again).origins["exit_1/if"] == (), "also in bodies"
    found = run_model(to_model(again), images)
    for a, b in zip(found, run_model(to_model(nested), images), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(InputError, match="give the flat network"):
        recognise_exits(again)


def test_recognised_exits_split() -> None:
    graph = from_model(two_exits())
    recognise_exits(graph)
    set_thresholds(graph, [0.5])
    SplitStages(1)(graph)
    assert [t.name for t in graph.inputs] == ["n1_Relu_out"]


@pytest.mark.parametrize("step", [SplitStages(), SplitStages(2), NestExits()])
def test_text_forms(step: SplitStages | NestExits) -> None:
    check_text_form(step)


def test_stages_that_read_integers_load_again(tmp_path: Path) -> None:
    graph, images = ready()
    add_grids(graph, images)
    parse_pipeline("quantize,fold-qdq,split-stages{stage=1}")(graph)
    again = load(save(graph, tmp_path / "stage.onnx"))
    assert again.inputs[0].dtype == np.uint8
    assert printed(again) == printed(graph)
