"""The chain of exits: order, heads, which are kept and how they are called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.confidence import PATIENCE
from passes.confidence.probabilities import MaxSoftmax
from passes.errors import InputError
from passes.exits.chain import (
    ancestors,
    final_exit,
    head_nodes,
    keep_exits,
    number_exits,
    order_outputs,
    set_rules,
    set_thresholds,
)
from passes.exits.insert_exits import InsertExits
from passes.exits.recognise import recognise_exits
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import Decline, Exit, state_of
from tests.passes.equivalence import batch_of, printed, run_model
from tests.passes.grids import activation_grid, add_grids
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import EARLY, FINAL, chain, two_exits


def with_heads(count: int = 2) -> gs.Graph:
    """Return a network with ``count`` early exits whose heads are ours."""
    graph = from_model(chain(4))
    InsertExits(at=(str(count),), head="linear")(graph)
    return graph


@pytest.mark.parametrize("form", ["", "quantize", "quantize,fold-qdq"])
@pytest.mark.parametrize("kept", [[], [0], [1], [2], [0, 2], [1, 2], [0, 1, 2]])
def test_kept_exits_are_numbered_anew_and_compute_the_same(form: str, kept: list[int]) -> None:
    model = chain(4)
    images = batch_of(model, 2)
    graph = from_model(model)
    InsertExits(at=("3",), head="conv")(graph)
    set_thresholds(graph, [0.1, 0.2, 0.3])
    if form:
        add_grids(graph, images)
        parse_pipeline(form + ",fuse-layers")(graph)
    before = printed(graph)
    few = keep_exits(graph, [f"exit_{k}" for k in kept])
    state = state_of(few)
    names = [*(f"exit_{k}" for k in range(len(kept))), "final"]
    assert [e.name for e in state.exits] == names
    assert [e.threshold for e in state.exits[:-1]] == [(k + 1) / 10 for k in kept]
    assert [e.output for e in state.exits] == [t.name for t in few.outputs]
    assert [t.name for t in few.outputs[:-1]] == names[:-1]
    assert set(state.origins) == {n.name for n in few.nodes}
    assert set(state.layers) == ({n.name for n in few.nodes} if form else set())
    all_outputs = run_model(to_model(graph), images[:1])
    expected = [all_outputs[k] for k in [*kept, 3]]
    for a, b in zip(run_model(to_model(few), images[:1]), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert printed(graph) == before, "the graph itself stays as it is"


@pytest.mark.parametrize("form", ["", "quantize", "quantize,fold-qdq"])
@pytest.mark.parametrize("kept", [[], [0], [0, 1]])
def test_the_head_of_an_early_exit_may_close_the_network(form: str, kept: list[int]) -> None:
    model = chain(4)
    images = batch_of(model, 2)
    graph = from_model(model)
    InsertExits(at=("3",), head="conv", confidence="margin")(graph)
    set_thresholds(graph, [0.1, 0.2, 0.3])
    if form:
        add_grids(graph, images)
        parse_pipeline(form + ",fuse-layers")(graph)
    before, names = printed(graph), [f"exit_{k}" for k in kept]
    few = keep_exits(graph, names, "exit_2")
    last = state_of(few).exits[-1]
    assert (
        [e.name for e in state_of(few).exits] == [*names, "final"] == [e.output for e in state_of(few).exits]
    )
    assert (last.threshold, last.head, last.confidence.name) == (None, None, "margin")
    assert not any(n.name.startswith("exit_2/") for n in few.nodes)
    assert sum(n.name.startswith("final/") for n in few.nodes) >= 3
    assert set(state_of(few).origins) == {n.name for n in few.nodes}
    every = run_model(to_model(graph), images[:1])
    for a, b in zip(run_model(to_model(few), images[:1]), [every[k] for k in [*kept, 2]], strict=True):
        np.testing.assert_array_equal(a, b)
    assert printed(graph) == before
    assert printed(keep_exits(graph, names, "final")) == printed(keep_exits(graph, names))
    with pytest.raises(InputError, match="no exit 'exit_7'"):
        keep_exits(graph, names, "exit_7")


@pytest.mark.parametrize("names", [["exit_3"], ["exit_0", "exit0"], [""]])
def test_an_exit_that_is_not_there_cannot_be_kept(names: list[str]) -> None:
    with pytest.raises(InputError, match=f"the network has no exit '{names[-1]}'"):
        keep_exits(with_heads(3), names)


def test_users_own_heads_keep_their_names() -> None:
    graph = from_model(two_exits())
    recognise_exits(graph)
    nodes = [n.name for n in graph.nodes]
    assert [n.name for n in keep_exits(graph, ["exit_0"]).nodes] == nodes


def test_thresholds_count() -> None:
    graph = from_model(two_exits())
    recognise_exits(graph)
    set_thresholds(graph, [0.5])
    assert [e.threshold for e in state_of(graph).exits] == [0.5, None]
    with pytest.raises(ValueError, match="shorter"):
        set_thresholds(graph, [])


def test_rules_are_those_of_all_exits_and_travel_with_what_is_kept() -> None:
    graph = from_model(two_exits())
    recognise_exits(graph)
    set_rules(graph, [PATIENCE, MaxSoftmax(2.0)])
    assert [e.confidence for e in state_of(graph).exits] == [PATIENCE, MaxSoftmax(2.0)]
    assert [e.confidence for e in state_of(keep_exits(graph, [])).exits] == [MaxSoftmax(2.0)]
    with pytest.raises(ValueError, match="shorter"):
        set_rules(graph, [PATIENCE])


def test_ancestors() -> None:
    graph = from_model(chain(1))
    assert ancestors([graph.outputs[0]]) == {n.name for n in graph.nodes}
    assert ancestors([graph.inputs[0]]) == set()


def test_outputs_are_those_of_the_exits_in_their_order() -> None:
    graph = from_model(two_exits())
    assert [t.name for t in graph.outputs] == [FINAL, EARLY]
    state_of(graph).exits = [Exit("exit_0", "m", EARLY), Exit("final", "m", FINAL)]
    order_outputs(graph)
    assert [t.name for t in graph.outputs] == [EARLY, FINAL]
    state_of(graph).exits = [Exit("final", "m", FINAL)]
    order_outputs(graph)
    assert [t.name for t in graph.outputs] == [FINAL]


@pytest.mark.parametrize(
    ("case", "mount"),
    [
        ("pooled", "n0_Relu_out"),
        ("straight", "n0_Relu_out"),
        ("two layers", "n2_Relu_out"),
        ("no classifier", "n1_Tanh_out"),
        ("input", "x"),
    ],
)
def test_the_final_exit_hangs_on_what_its_classifier_reads(case: str, mount: str) -> None:
    net = NetBuilder((1, 4, 2, 2))
    weights, wide = net.normal(3, 4), net.normal(3, 16)
    stem = "x" if case == "input" else net.op("Relu", "x")
    if case == "no classifier":
        logits = net.op("Tanh", stem)
    elif case == "two layers":
        hidden = net.op("Relu", net.op("Flatten", stem))
        logits = net.op("Gemm", hidden, wide, transB=1)
    elif case == "straight":
        logits = net.op("Softmax", net.op("Gemm", net.op("Flatten", stem), wide, transB=1))
    else:
        pooled = net.op("Flatten", net.op("GlobalAveragePool", stem))
        logits = net.op("Gemm", pooled, weights, transB=1)
    graph = from_model(net.model(logits))
    assert final_exit(graph.outputs[0]) == Exit("final", mount, logits)


def test_a_head_is_what_runs_for_its_exit_alone() -> None:
    graph = from_model(two_exits())
    early, final = recognise_exits(graph)
    assert [n.name for n in head_nodes(graph, early)] == ["n2_Flatten", "n3_Gemm"]
    assert [n.name for n in head_nodes(graph, final)] == [
        "n4_Conv", "n5_Relu", "n6_GlobalAveragePool", "n7_Flatten", "n8_Gemm"
    ]  # fmt: skip


def test_what_is_computed_from_the_logits_takes_nothing_from_the_head() -> None:
    graph = from_model(two_exits())
    early, _ = recognise_exits(graph)
    softmax = gs.Variable("probabilities", np.float32, [1, 3])
    graph.nodes.append(gs.Node("Softmax", "softmax", {"axis": 1}, [graph.outputs[0]], [softmax]))
    graph.outputs.append(softmax)
    assert [n.name for n in head_nodes(graph, early)] == ["n2_Flatten", "n3_Gemm"]


def test_an_exit_whose_logits_are_no_output_has_no_head() -> None:
    graph = from_model(two_exits())
    early, _ = recognise_exits(graph)
    graph.outputs = graph.outputs[1:]
    assert head_nodes(graph, early) == []


def test_what_is_known_of_dropped_nodes_is_dropped() -> None:
    graph = with_heads()
    parse_pipeline("fuse-layers")(graph)
    gone, kept = "exit_0", state_of(graph).exits[2].output
    state_of(graph).grids = dict.fromkeys((gone, kept), activation_grid(0.5))
    few = keep_exits(graph, ["exit_1"])
    state = state_of(few)
    names = {n.name for n in few.nodes}
    assert state.layers.keys() == state.origins.keys() == names
    assert list(state.grids) == [kept]


def test_exits_that_change_places_change_their_names() -> None:
    graph = with_heads()
    state = state_of(graph)
    state.layers = {n.name: n.name for n in graph.nodes}
    state.declined = [Decline("test", "exit_0/gemm", "no"), Decline("test", "other", "no")]
    state.grids = {"exit_1": activation_grid(0.25)}
    first, second, final = state.exits
    state.exits = [second, first, final]
    order_outputs(graph)
    images = batch_of(to_model(graph), 1)
    before = run_model(to_model(graph), images)
    number_exits(graph)
    assert [(e.name, e.mount, e.output) for e in state.exits[:2]] == [
        ("exit_0", second.mount, "exit_0"),
        ("exit_1", first.mount, "exit_1"),
    ]
    assert [t.name for t in graph.outputs[:2]] == ["exit_0", "exit_1"]
    assert state.layers == {n.name: n.name for n in graph.nodes}
    assert [d.subject for d in state.declined] == ["exit_1/gemm", "other"]
    assert list(state.grids) == ["exit_0"]
    for old, new in zip(before, run_model(to_model(graph), images), strict=True):
        np.testing.assert_array_equal(old, new)


def test_an_exit_of_the_user_is_numbered_by_name_alone() -> None:
    graph = from_model(two_exits())
    early, final = recognise_exits(graph)
    graph.nodes[3].name = "exit_7/fc"
    state_of(graph).exits = [Exit("exit_7", early.mount, early.output), final]
    nodes = [n.name for n in graph.nodes]
    number_exits(graph)
    assert state_of(graph).exits == [early, final]
    assert [n.name for n in graph.nodes] == nodes


def test_a_network_that_knows_no_exits_stays_as_it_is() -> None:
    graph = from_model(chain())
    state_of(graph).exits = []
    kept = keep_exits(graph, [])
    assert [node.name for node in kept.nodes] == [node.name for node in graph.nodes]
    assert state_of(kept).exits == []


@pytest.mark.parametrize("names", [[], ["exit_0"]])
def test_what_the_final_exit_took_over_is_its_own_once_the_other_is_gone(names: list[str]) -> None:
    """A network that came with answers taken over is written without its exits, and read again."""
    graph = from_model(two_exits())
    recognise_exits(graph)
    early, final = state_of(graph).exits
    state_of(graph).exits = [early, replace(final, reads=early.name)]
    kept = keep_exits(graph, [early.name] if names else [])
    assert state_of(kept).exits[-1].reads == (early.name if names else "")
    again = from_model(to_model(kept))
    assert [e.reads for e in state_of(again).exits] == [e.reads for e in state_of(kept).exits]
