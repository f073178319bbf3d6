"""Split-stages: one model per stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from passes.errors import InputError
from passes.exits.chain import set_thresholds
from passes.exits.recognise import recognise_exits
from passes.exits.split_stages import SplitStages
from passes.integers.schemes import SCHEMES
from passes.model.graph import from_model, load
from passes.model.writing import save, to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from tests.passes.equivalence import batch_of, check_text_form, printed, run_model, softmax
from tests.passes.exits.ready import ready
from tests.passes.grids import add_grids
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import two_exits


@pytest.mark.parametrize("stage", [-1, 3])
def test_no_such_stage(stage: int) -> None:
    graph, _ = ready()
    with pytest.raises(InputError, match=rf"no stage {stage}\nthe network has stages 0 to 2"):
        SplitStages(stage)(graph)


def test_readers_in_other_stages_are_forgotten() -> None:
    graph, _ = ready()
    SplitStages(0)(graph)
    mount = graph.outputs[2]
    assert {reader.name for reader in mount.outputs} <= {n.name for n in graph.nodes}


def test_recognised_exits_split() -> None:
    graph = from_model(two_exits())
    recognise_exits(graph)
    set_thresholds(graph, [0.5])
    SplitStages(1)(graph)
    assert [t.name for t in graph.inputs] == ["n1_Relu_out"]


def test_stages_that_read_integers_load_again(tmp_path: Path) -> None:
    graph, images = ready()
    add_grids(graph, images)
    parse_pipeline("quantize,fold-qdq,split-stages{stage=1}")(graph)
    again = load(save(graph, tmp_path / "stage.onnx"))
    assert again.inputs[0].dtype == np.uint8
    assert printed(again) == printed(graph)


@pytest.mark.parametrize("step", [SplitStages(), SplitStages(2)])
def test_text_form(step: SplitStages) -> None:
    check_text_form(step)


def test_stages_run_one_after_the_other_are_the_network() -> None:
    graph, images = ready()
    expected = run_model(to_model(graph), images)
    carried = images
    for number, logits in enumerate(expected):
        stage = copy_graph(graph)
        assert SplitStages(number)(stage)
        last = number == len(expected) - 1
        assert [t.name for t in stage.outputs[:2]] == ["logits", "confidence"]
        assert len(stage.outputs) == (2 if last else 3)
        found = run_model(to_model(stage), carried)
        np.testing.assert_array_equal(found[0], logits)
        np.testing.assert_allclose(found[1], softmax(logits).max(axis=1), rtol=1e-6)
        carried = found[-1]


def test_the_state_is_that_of_the_stage() -> None:
    graph, _ = ready()
    state = state_of(graph)
    parse_pipeline("fuse-layers")(graph)
    state.precisions = {n.name: SCHEMES["int8-channel"].precision(False) for n in graph.nodes}
    known = state.exits[1]
    SplitStages(1)(graph)
    (only,) = state.exits
    assert (only.name, only.mount, only.threshold, only.output) == (
        known.name,
        known.mount,
        known.threshold,
        "logits",
    )
    own = {n.name for n in graph.nodes if not n.name.startswith("exit_1/") or "gemm" in n.name}
    assert state.layers.keys() == state.precisions.keys() <= {n.name for n in graph.nodes}
    assert "n0_Conv" not in state.layers
    assert own <= state.layers.keys()
    assert state.origins["exit_1/softmax"] == ()


def test_a_stage_is_not_split_again() -> None:
    graph, _ = ready()
    SplitStages(1)(graph)
    before = printed(graph)
    assert not SplitStages(0)(graph)
    assert printed(graph) == before


def taken_names(name: str) -> onnx.ModelProto:
    """Return a network with two exits whose mount has a name that the outputs of stages have."""
    net = NetBuilder((1, 2, 4, 4))
    stem = net.op("Relu", net.conv("x", 2, 4))
    net.nodes[-1].output[0] = stem = name
    early = net.op("Gemm", net.op("Flatten", stem), net.normal(3, 64), transB=1)
    deep = net.op("Flatten", net.op("GlobalAveragePool", net.op("Relu", net.conv(stem, 4, 4))))
    return net.model(net.op("Gemm", deep, net.normal(3, 4), transB=1), early)


@pytest.mark.parametrize("name", ["logits", "confidence"])
def test_a_mount_with_the_name_of_an_output_gives_way_in_every_stage(name: str) -> None:
    model = taken_names(name)
    graph = from_model(model)
    recognise_exits(graph)
    set_thresholds(graph, [0.5])
    images = batch_of(model, 1)
    expected = run_model(to_model(graph), images)
    first, second = copy_graph(graph), copy_graph(graph)
    SplitStages(0)(first)
    SplitStages(1)(second)
    assert second.inputs[0].name == first.outputs[2].name == state_of(first).exits[0].mount
    found = run_model(to_model(first), images)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(run_model(to_model(second), found[2])[0], expected[1])
