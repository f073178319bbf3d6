"""Heads are known by what exits record and by what hangs on a mount, never by names of nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.errors import InputError
from passes.exits.chain import head_nodes, keep_exits, set_thresholds
from passes.exits.insert_exits import InsertExits, add_rival_heads, head_parameters
from passes.exits.recognise import recognise_exits
from passes.heads.designs import AUTO, CONV, LINEAR, RIVALS, HeadDesign, parse_head
from passes.heads.families import FAMILIES, Genes, HeadFamily, flat
from passes.heads.layers import HeadLayer, Shape
from passes.model.graph import from_model, load
from passes.model.writing import save, to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from tests.passes.equivalence import batch_of, run_model
from tests.passes.grids import add_grids
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain


def deep_head(shape: Shape, _genes: Genes) -> tuple[HeadLayer, ...]:
    """Two convolutions, then as the linear head."""
    convs = tuple(HeadLayer("Conv", (3, 3), (1, 1), channels) for channels in (5, 3))
    return (*convs, *flat((3, *shape[1:])))


@pytest.fixture
def deep(monkeypatch: pytest.MonkeyPatch) -> HeadDesign:
    monkeypatch.setitem(FAMILIES, "deep", HeadFamily("deep", "two convolutions", (2,), (), deep_head))
    return parse_head("deep")


def own_exits(*outputs: str) -> gs.Graph:
    """Return a user's network whose early exits have nodes and outputs named as inserted ones are."""
    net = NetBuilder((1, 2, 8, 8))
    x, channels, made = "x", 2, []
    for _ in outputs:
        x = net.op("Relu", net.conv(x, channels, 4))
        channels = 4
        made.append(net.op("Gemm", net.op("Flatten", net.op("Relu", net.conv(x, 4, 2))), net.normal(128, 3)))
    x = net.op("Relu", net.conv(x, 4, 4))
    made.append(net.op("Gemm", net.op("Flatten", net.op("GlobalAveragePool", x)), net.normal(4, 3)))
    model = net.model(*made)
    graph = from_model(model)
    for number, name in enumerate(outputs):
        head = head_nodes(graph, recognise_exits(graph)[number])
        for node in head:
            node.name = f"exit_{number}/{node.op.lower()}"
            state_of(graph).origins[node.name] = (node.name,)
        head[-1].outputs[0].name = name
        state_of(graph).exits = []
    recognise_exits(graph)
    return graph


def head_layers_of(graph: gs.Graph, number: int) -> list[str]:
    nodes = head_nodes(graph, state_of(graph).exits[number])
    return list(dict.fromkeys(state_of(graph).layers[n.name] for n in nodes))


def test_what_was_built_is_recorded_not_what_was_asked_for(tmp_path: Path) -> None:
    graph = from_model(chain(4))  # mounts of 8, 4, 4 …
    InsertExits(at=("relu_0", "relu_1"), head=AUTO)(graph)
    assert [e.head_name for e in state_of(graph).exits] == ["conv", "linear", ""]
    again = state_of(load(save(graph, tmp_path / "net.onnx"))).exits
    assert [e.head for e in again] == [CONV, LINEAR, None]
    assert [e.head_name for e in state_of(keep_exits(graph, ["exit_1"])).exits] == ["linear", ""]


@pytest.mark.usefixtures("deep")
def test_two_convolutions_are_two_layers() -> None:
    graph = from_model(chain(4))
    InsertExits(at=("relu_0", "relu_1"), head="deep")(graph)
    for item, pool in zip(state_of(graph).exits[:-1], (["maxpool"], []), strict=True):
        layers = ["conv", "relu", "conv_1", "relu_1", *pool, "flatten", "gemm"]
        assert [n.name for n in head_nodes(graph, item)] == [f"{item.name}/{layer}" for layer in layers]
        parameters = head_parameters(graph, item)
        assert {k: v.shape for k, v in parameters.items()} == {
            "conv.weight": (5, 4, 3, 3), "conv.bias": (5,), "conv_1.weight": (3, 5, 3, 3),
            "conv_1.bias": (3,), "gemm.weight": (2, 48), "gemm.bias": (2,),
        }  # fmt: skip
    for names in ([n.name for n in graph.nodes], [t.name for n in graph.nodes for t in n.outputs]):
        assert len(set(names)) == len(names)
    x = batch_of(chain(4), 1)
    before = run_model(to_model(graph), x)
    bias = np.arange(3, dtype=np.float32)
    graph.tensors()["exit_0/conv_1.bias"].values = bias
    assert head_parameters(graph, state_of(graph).exits[0])["conv_1.bias"].tolist() == [0, 1, 2]
    after = run_model(to_model(graph), x)
    assert not np.array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])


@pytest.mark.parametrize("kept", [["exit_0"], ["exit_1"], ["exit_0", "exit_1"]])
def test_two_convolutions_pass_through_all_passes(deep: HeadDesign, kept: list[str], tmp_path: Path) -> None:
    model = chain(4)
    images = batch_of(model, 3)
    graph = from_model(model)
    InsertExits(at=("relu_0", "relu_1"), head="deep", seed=3)(graph)
    set_thresholds(graph, [0.6, 0.6])
    parse_pipeline("fuse-layers")(graph)
    float_layers = [head_layers_of(graph, number) for number in (0, 1)]
    assert float_layers[0] == [f"exit_0/{n}" for n in ("conv", "conv_1", "maxpool", "flatten", "gemm")]
    assert float_layers[1] == [f"exit_1/{n}" for n in ("conv", "conv_1", "flatten", "gemm")]
    add_grids(graph, images)
    quantized = copy_graph(graph)
    parse_pipeline("quantize")(quantized)
    lowered = copy_graph(quantized)
    parse_pipeline("fold-qdq,fuse-layers")(lowered)
    assert not [n.op for n in lowered.nodes if n.op in ("Conv", "Gemm")]
    for a, b in zip(run_model(to_model(quantized), images[:1]), run_model(to_model(lowered), images[:1]),
                    strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)
    again = load(save(lowered, tmp_path / "net.onnx"))
    few = keep_exits(again, kept)
    parse_pipeline("fuse-layers")(few)
    for number, name in enumerate(kept):
        expected = [layer.replace(name, f"exit_{number}") for layer in float_layers[int(name[-1])]]
        assert head_layers_of(few, number) == expected
        assert state_of(few).exits[number].head == deep
    nested = copy_graph(few)
    parse_pipeline("nest-exits")(nested)
    outputs = run_model(to_model(few), images[:1])
    logits, left, _ = run_model(to_model(nested), images[:1])
    np.testing.assert_array_equal(logits, outputs[left[0]])


def test_heads_are_found_whatever_their_nodes_are_called() -> None:
    graph = from_model(chain(4))
    InsertExits(at=("2",), head="conv")(graph)
    add_rival_heads(graph, RIVALS)
    exits = state_of(graph).exits
    ops = [[n.op for n in head_nodes(graph, e)] for e in exits[:-1]]
    before = [head_parameters(graph, e) for e in exits[:-1]]
    for index, node in enumerate(graph.nodes):
        node.name = f"exit_9/conv{index}"
    assert [[n.op for n in head_nodes(graph, e)] for e in exits[:-1]] == ops
    for item, values in zip(exits[:-1], before, strict=True):
        found = head_parameters(graph, item)
        assert set(found) == set(values)
        assert all(found[key] is values[key] for key in values)
    conv, linear = ["Conv", "Relu", "Flatten", "Gemm"], ["Flatten", "Gemm"]
    assert [[op for op in found if op != "MaxPool"] for found in ops] == [conv, linear] * 2


def test_nodes_of_the_user_are_no_heads_of_ours() -> None:
    graph = own_exits("early", "exit_0")
    assert [e.head for e in state_of(graph).exits] == [None] * 3
    parse_pipeline("fuse-layers")(graph)
    assert not [layer for layer in state_of(graph).layers.values() if "exit_" in layer]


def test_renumbering_leaves_names_of_the_user(tmp_path: Path) -> None:
    graph = own_exits("exit_0", "exit_1")
    x = np.random.default_rng(0).normal(size=(1, 2, 8, 8)).astype(np.float32)
    expected = run_model(to_model(graph), x)
    few = keep_exits(graph, ["exit_1"])
    exits = state_of(few).exits
    assert [(e.name, e.output) for e in exits[:-1]] == [("exit_0", "exit_1")]
    assert {n.name for n in head_nodes(few, exits[0])} == {
        f"exit_1/{op}" for op in ("conv", "relu", "flatten", "gemm")
    }
    again = load(save(few, tmp_path / "net.onnx"))
    assert recognise_exits(again) == exits
    for a, b in zip(run_model(to_model(again), x), expected[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_mount_with_nearly_the_name_of_an_exit_keeps_it() -> None:
    model = chain(4)
    text = {"n1_Relu_out": "exit_1/x", "n3_Relu_out": "my_exit_1/y"}
    for node in model.graph.node:
        for names in (node.input, node.output):
            renamed = [text.get(name, name) for name in names]
            del names[:]
            names.extend(renamed)
    model.graph.ClearField("value_info")
    graph = from_model(model)
    InsertExits(at=("relu_0", "relu_1"), head="linear")(graph)
    set_thresholds(graph, [0.5, 0.5])
    add_grids(graph, batch_of(model, 2))
    few = keep_exits(graph, ["exit_1"])
    assert [e.mount for e in state_of(few).exits[:-1]] == ["my_exit_1/y"]
    tensors = few.tensors()
    assert {"user/exit_1/x", "my_exit_1/y"} <= set(tensors), "what would be of the exit gives way"
    assert set(state_of(few).grids) <= set(tensors)
    assert "exit_0/gemm.weight" in state_of(few).grids
    parse_pipeline("quantize,fold-qdq")(few)
    assert "exit_0/gemm" in [n.name for n in few.nodes if n.op == "MatMulInteger"]


def test_head_nodes_of_other_forms() -> None:
    graph = from_model(chain(4))
    InsertExits(at=("2",), head="linear")(graph)
    set_thresholds(graph, [0.5, 0.5])
    item = state_of(graph).exits[0]
    names = [n.name for n in head_nodes(graph, item)]
    stage, nested = copy_graph(graph), copy_graph(graph)
    parse_pipeline("split-stages{stage=0}")(stage)
    assert [n.name for n in head_nodes(stage, state_of(stage).exits[0])] == names
    parse_pipeline("nest-exits")(nested)
    assert head_nodes(nested, item) == []


@pytest.mark.usefixtures("deep")
def test_shape_only_heads_are_symbolic() -> None:
    graph = from_model(chain(4))
    state_of(graph).symbolic = True
    InsertExits(at=("1",), head="deep")(graph)
    values = head_parameters(graph, state_of(graph).exits[0])
    assert len(values) == 6
    assert all(not any(value.strides) for value in values.values())


@pytest.mark.usefixtures("deep")
def test_a_registered_family_may_be_asked_for() -> None:
    with pytest.raises(InputError, match="unknown head 'dep'\ndid you mean 'deep'"):
        InsertExits(head="dep")(from_model(chain()))
