"""The cut into stages, and what a network must have for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from eecompile.runtime.early_exit import DynamicModel, StagedModel
from passes.errors import PassError
from passes.exits.chain import set_thresholds
from passes.exits.insert_exits import InsertExits
from passes.exits.nest_exits import NestExits
from passes.exits.recognise import recognise_exits
from passes.exits.split_stages import SplitStages
from passes.exits.stages import cut, cut_apart, free_names
from passes.model.graph import from_model
from passes.model.writing import save, to_model
from passes.registry import parse_pipeline
from passes.state import Exit, copy_graph, state_of
from tests.passes.equivalence import batch_of, run_model
from tests.passes.exits.ready import ready
from tests.passes.grids import add_grids
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import EARLY, FINAL, chain, two_exits

STEPS = [SplitStages(), NestExits()]


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
def test_a_later_exit_needs_work_of_its_own(step: SplitStages | NestExits) -> None:
    net = NetBuilder((1, 2, 4, 4))
    one = net.op("Relu", net.conv("x", 2, 2))
    early = net.op("Gemm", net.op("Flatten", one), net.normal(2, 32), transB=1)
    late = net.op("Gemm", early, net.normal(2, 2), transB=1)
    graph = from_model(net.model(early, late))
    state_of(graph).exits = [Exit("exit_0", one, late, 0.5), Exit("final", one, early)]
    with pytest.raises(PassError, match="exit 'final' needs nothing that exits before it do not"):
        step(graph)


def scales(case: str) -> gs.Graph:
    """Return three exits whose stages hand several tensors on, as those of MSDNet do."""
    net = NetBuilder((1, 2, 8, 8))
    fine = net.op("Relu", net.conv("x", 2, 4))
    coarse = net.op("Relu", net.conv(fine, 4, 4, strides=[2, 2]))
    first = net.op("Gemm", net.op("Flatten", coarse), net.normal(3, 64), transB=1)
    finer = net.op("Relu", net.conv(fine, 4, 4))
    parts = [net.conv(finer, 4, 4, strides=[2, 2]), coarse]
    coarser = net.op("Relu", net.op("Concat", *parts, axis=1))
    second = net.op("Gemm", net.op("Flatten", coarser), net.normal(3, 128), transB=1)
    last = net.conv(finer, 4, 8, strides=[2, 2])
    if case == "past a stage":
        last = net.op("Concat", last, net.op("MaxPool", fine, kernel_shape=[2, 2], strides=[2, 2]), axis=1)
        last = net.conv(last, 12, 8)
    elif case == "image":
        last = net.op("Add", last, net.conv("x", 2, 8, strides=[2, 2]))
    deep = net.op("Flatten", net.op("Relu", net.op("Add", last, net.conv(coarser, 8, 8))))
    third = net.op("Gemm", deep, net.normal(3, 128), transB=1)
    if case == "logits":
        third = net.op("Add", third, second)
    return from_model(net.model(first, second, third))


@pytest.mark.parametrize("lowered", [False, True], ids=["float", "integers"])
@pytest.mark.parametrize("left_at", range(3))
@pytest.mark.parametrize("case", ["two scales", "past a stage", "image", "logits"])
def test_stages_hand_several_tensors_on(case: str, left_at: int, lowered: bool, tmp_path: Path) -> None:
    graph = scales(case)
    images = batch_of(to_model(graph), 1)
    outputs = [t.name for t in graph.outputs]
    exits = [Exit(f"exit_{number}", "", name) for number, name in enumerate(outputs[:2])]
    state_of(graph).exits = [*exits, Exit("final", "", outputs[2])]
    if lowered:
        add_grids(graph, images)
        parse_pipeline("quantize,fold-qdq")(graph)
    expected = run_model(to_model(graph), images)[left_at]
    thresholds = [1.1] * left_at + [0.0] * (2 - left_at)
    set_thresholds(graph, thresholds)
    paths = []
    for number in range(3):
        stage = copy_graph(graph)
        SplitStages(number)(stage)
        paths.append(save(stage, tmp_path / f"{number}.onnx"))
    several = [onnx.load(path).graph for path in paths]
    assert max(len(g.input) for g in several) > 1
    NestExits()(graph)
    for model in (
        StagedModel(paths, [*thresholds, None]),
        DynamicModel(save(graph, tmp_path / "nested.onnx")),
    ):
        decision = model(images)
        assert decision.exit == left_at
        # The runtime sums floats of a part in another order than those of the whole.
        np.testing.assert_allclose(decision.logits, expected, rtol=0, atol=0 if lowered else 1e-5)


def test_stages_share_all_nodes() -> None:
    graph, _ = ready()
    stages = cut(graph)
    names = [name for stage in stages for name in stage.nodes]
    assert sorted(names) == sorted(n.name for n in graph.nodes)
    assert [list(stage.entries) for stage in stages[1:]] == [[e.mount] for e in state_of(graph).exits[:-1]]


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.name)
def test_exits_must_be_outputs(step: SplitStages | NestExits) -> None:
    graph, _ = ready()
    graph.outputs = graph.outputs[1:]
    with pytest.raises(PassError, match=r"its exits are no outputs .*\ngive the flat network"):
        step(graph)


def test_a_stage_is_what_runs_between_two_exits() -> None:
    graph = from_model(two_exits())
    first, second = recognise_exits(graph)
    stages = cut(graph)
    assert [(s.exit, s.entries) for s in stages] == [(first, ("x",)), (second, ("n1_Relu_out",))]
    assert stages[0].nodes == {"n0_Conv", "n1_Relu", "n2_Flatten", "n3_Gemm"}
    assert stages[1].nodes == {n.name for n in graph.nodes} - stages[0].nodes


def test_a_stage_that_reads_nothing_is_no_stage() -> None:
    net = NetBuilder((1, 2))
    early = net.op("Gemm", "x", net.normal(3, 2), transB=1)
    same = net.op("Identity", net.const([[1.0, 2.0, 3.0]]))
    graph = from_model(net.model(early, same))
    state_of(graph).exits = [Exit("exit_0", "x", early, 0.5), Exit("final", "x", same)]
    with pytest.raises(ValueError, match=r"stage of exit 'final' reads no tensor"):
        cut(graph)


def clipped() -> gs.Graph:
    """Return two exits whose mount is what a Clip writes, each stage reading it once."""
    net = NetBuilder((1, 2, 4, 4))
    mount = net.op("Clip", net.conv("x", 2, 4), net.const(0.0), net.const(6.0))
    early = net.op("Gemm", net.op("Flatten", net.op("GlobalMaxPool", mount)), net.normal(3, 4), transB=1)
    deep = net.op("Flatten", net.op("GlobalAveragePool", net.op("Relu", net.conv(mount, 4, 4))))
    final = net.op("Gemm", deep, net.normal(3, 4), transB=1)
    graph = from_model(net.model(early, final))
    state_of(graph).exits = [Exit("exit_0", mount, early, 0.5), Exit("final", mount, final)]
    state_of(graph).layers = {"n1_Clip": "conv_0"}
    return graph


def test_a_head_reads_a_clip_of_its_own() -> None:
    graph = clipped()
    plain = to_model(copy_graph(graph))
    stages = cut_apart(graph)
    again = "n1_Clip/exit_0"
    assert again in stages[0].nodes
    assert {name for stage in stages for name in stage.nodes} == {n.name for n in graph.nodes}
    tensors = graph.tensors()
    assert [n.op for n in tensors["n1_Clip_out"].outputs] == ["Conv"]
    assert [n.op for n in tensors["n1_Clip_out/exit_0"].outputs] == ["GlobalMaxPool"]
    assert state_of(graph).origins[again] == ("n1_Clip",)
    assert state_of(graph).layers == {"n1_Clip": "conv_0", again: "conv_0"}
    x = batch_of(plain, 1)
    for before, after in zip(run_model(plain, x), run_model(to_model(graph), x), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_mount_that_no_clip_writes_is_read_by_all() -> None:
    graph = from_model(two_exits())
    recognise_exits(graph)
    names = [n.name for n in graph.nodes]
    assert cut_apart(graph) == cut(graph)
    assert [n.name for n in graph.nodes] == names


def test_names_the_outputs_need_are_freed() -> None:
    graph = from_model(two_exits())
    tensors = graph.tensors()
    tensors[EARLY].name, tensors[FINAL].name = "logits", "confidence"
    free_names(graph.nodes, ("logits", "confidence"))
    assert (tensors[EARLY].name, tensors[FINAL].name) == ("logits/n3_Gemm", "confidence/n8_Gemm")
    assert tensors["n1_Relu_out"].name == "n1_Relu_out"
