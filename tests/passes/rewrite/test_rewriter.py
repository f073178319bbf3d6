"""The rewrite driver: its loop, its steps, and the small questions rules ask."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.model.graph import from_model, tidy
from passes.rewrite.rewriter import (
    Rewriter,
    Rule,
    constant_input,
    detach,
    dims,
    optional_input,
    producer_of,
    redirect,
)
from passes.state import Decline, Exit, state_of
from tests.passes.net_builder import NetBuilder


def line(*operators: str) -> gs.Graph:
    """Return one-input operators in a row; each is called like ``n1_Relu``."""
    net = NetBuilder((1, 2))
    x = "x"
    for op in operators:
        x = net.op(op, x)
    return from_model(net.model(x))


def ops(graph: gs.Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def rename_to(op: str) -> Rule:
    def rule(_: Rewriter, node: gs.Node) -> bool:
        node.op = op
        return True

    return rule


def test_rules_are_applied_until_none_fires() -> None:
    graph = line("Abs", "Neg", "Abs")
    steps = {"Abs": [rename_to("Exp")], "Exp": [rename_to("Sin")]}
    rewriter = Rewriter(graph, "test")
    assert rewriter.apply(lambda op: steps.get(op, []))
    assert ops(graph) == ["Sin", "Neg", "Sin"]
    assert not rewriter.apply(lambda op: steps.get(op, []))


def test_the_first_rule_that_fires_is_the_only_one_on_a_visit() -> None:
    graph = line("Abs")
    rules = [lambda _rw, _node: False, rename_to("Exp"), rename_to("Sin")]
    Rewriter(graph, "test").apply(lambda op: rules if op == "Abs" else [])
    assert ops(graph) == ["Exp"]


def test_rules_that_undo_each_other_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="rules of 'test' do not converge"):
        Rewriter(line("Abs"), "test").apply(lambda op: [rename_to("Exp" if op == "Abs" else "Abs")])


def test_what_a_rule_cut_out_is_visited_no_more() -> None:
    graph = line("Abs", "Neg", "Exp")
    seen: list[str] = []

    def skip(rw: Rewriter, node: gs.Node) -> bool:
        seen.append(node.op)
        if node.op != "Abs":
            return False
        follower = node.outputs[0].outputs[0]
        return rw.replace(follower.outputs[0], node.inputs[0])

    assert Rewriter(graph, "test").apply(lambda op: [skip] if op in ("Abs", "Neg") else [])
    assert seen == ["Abs"]
    assert ops(graph) == ["Exp"], "the graph is tidy behind the last sweep"


def test_what_a_rule_inserts_is_visited_in_the_same_sweep() -> None:
    graph = line("Abs")
    seen: list[str] = []

    def split(rw: Rewriter, node: gs.Node) -> bool:
        seen.append(node.op)
        if node.op == "Neg":
            return False
        result, between = node.outputs[0], rw.variable("between", dims(node.outputs[0]), np.float32)
        node.outputs = [between]
        node.op = "Exp"
        rw.insert("Neg", [between], result, [node])
        return True

    Rewriter(graph, "test").apply(lambda op: [split] if op in ("Abs", "Neg") else [])
    assert seen == ["Abs", "Neg", "Neg"], "a sweep in which a rule fired is followed by another"
    assert ops(graph) == ["Exp", "Neg"]


def test_names_are_those_that_nothing_has() -> None:
    graph = line("Abs", "Neg")
    rewriter = Rewriter(graph, "test")
    assert rewriter.fresh("other") == "other"
    assert rewriter.fresh("other") == "other_2"
    assert rewriter.fresh("other") == "other_3"
    taken = ("x", "n0_Abs", "n0_Abs_out", "n1_Neg_out")
    assert [rewriter.fresh(name) for name in taken] == [f"{name}_2" for name in taken]
    unread = gs.Graph([], [gs.Variable("x", np.float32, [1, 2])], [])
    assert Rewriter(unread, "test").fresh("x") == "x_2"
    made = rewriter.variable("x", (1, 2), np.float32)
    assert (made.name, made.shape, rewriter.constant("x", np.ones(2)).name) == ("x_3", [1, 2], "x_4")


def test_an_inserted_node_comes_from_its_sources() -> None:
    graph = line("Abs", "Neg")
    rewriter = Rewriter(graph, "test")
    result = rewriter.variable("y", (1, 2), np.float32)
    node = rewriter.insert("Softmax", [graph.inputs[0]], result, graph.nodes[::-1], axis=1)
    assert (node.name, node.attrs) == ("n1_Neg_softmax", {"axis": 1})
    assert state_of(graph).origins[node.name] == ("n1_Neg", "n0_Abs")


def test_a_reason_is_recorded_under_the_pass() -> None:
    graph = line("Abs")
    assert not Rewriter(graph, "test").decline(graph.nodes[0], "no")
    assert state_of(graph).declined == [Decline("test", "n0_Abs", "no")]


def test_who_reads_a_tensor() -> None:
    net = NetBuilder((1, 2))
    once, twice, shown, kept = (net.op("Abs", "x") for _ in range(4))
    total = net.op("Sum", once, net.op("Add", twice, twice), net.op("Neg", shown), net.op("Neg", kept))
    graph = from_model(net.model(total, shown))
    state_of(graph).exits = [Exit("exit_0", kept, total)]
    rewriter, tensors = Rewriter(graph, "test"), graph.tensors()
    names = [once, twice, shown, kept, total]
    assert [rewriter.sole_reader(tensors[name]) for name in names] == [True, False, False, False, False]
    assert [rewriter.is_output(tensors[name]) for name in names] == [False, False, True, False, True]
    assert [rewriter.is_mount(tensors[name]) for name in names] == [False, False, False, True, False]
    assert rewriter.is_input(tensors["x"])
    assert not rewriter.is_input(tensors[once])


def test_readers_of_a_replaced_tensor_read_the_other() -> None:
    net = NetBuilder((1, 2))
    same = net.op("Identity", net.op("Abs", "x"))
    graph = from_model(net.model(net.op("Add", same, same), net.op("Neg", same)))
    state_of(graph).exits = [Exit("exit_0", same, "somewhere")]
    rewriter = Rewriter(graph, "test")
    assert rewriter.replace(graph.nodes[1].outputs[0], graph.nodes[0].outputs[0])
    tidy(graph)
    assert ops(graph) == ["Abs", "Add", "Neg"]
    assert [t.name for n in graph.nodes[1:] for t in n.inputs] == ["n0_Abs_out"] * 3
    assert state_of(graph).exits[0].mount == "n0_Abs_out"


def test_a_replaced_output_keeps_its_name() -> None:
    net = NetBuilder((1, 2))
    first = net.op("Abs", "x")
    last = net.op("Identity", first)
    graph = from_model(net.model(last, net.op("Neg", first)))
    state_of(graph).exits = [Exit("exit_0", first, last)]
    assert Rewriter(graph, "test").replace(graph.outputs[0], graph.nodes[0].outputs[0])
    tidy(graph)
    assert ops(graph) == ["Abs", "Neg"]
    assert graph.nodes[0].outputs[0].name == graph.nodes[1].inputs[0].name == graph.outputs[0].name == last
    assert state_of(graph).exits == [Exit("exit_0", last, last)]


def test_the_slot_of_an_output_is_kept() -> None:
    net = NetBuilder((1, 4))
    net.op("Split", "x", net.const([2, 2], np.int64), axis=1)
    net.nodes[-1].output.append("second")
    last = net.op("Identity", "second")
    graph = from_model(net.model(last))
    assert Rewriter(graph, "test").replace(graph.outputs[0], graph.nodes[0].outputs[1])
    assert [t.name for t in graph.nodes[0].outputs] == ["n0_Split_out", last]


@pytest.mark.parametrize("operators", [("Identity",), ("Abs", "Identity")])
def test_two_names_of_the_interface_both_stay(operators: tuple[str, ...]) -> None:
    graph = line(*operators)
    last = graph.nodes[-1]
    if len(operators) > 1:
        graph.outputs.append(graph.nodes[0].outputs[0])
    assert not Rewriter(graph, "test").replace(last.outputs[0], last.inputs[0])
    assert (ops(graph), last.inputs[0].name) == (
        list(operators),
        "x" if len(operators) == 1 else "n0_Abs_out",
    )


def test_a_node_is_absorbed_with_its_origin() -> None:
    graph = line("Abs", "Neg", "Exp")
    first, second, third = graph.nodes
    Rewriter(graph, "test").absorb(second, first)
    tidy(graph)
    assert ops(graph) == ["Abs", "Exp"]
    assert third.inputs[0] is first.outputs[0]
    assert first.outputs[0].name == "n1_Neg_out"
    assert state_of(graph).origins["n0_Abs"] == ("n0_Abs", "n1_Neg")


def test_detached_nodes_go_with_the_next_tidy() -> None:
    graph = line("Abs", "Neg")
    first, second = graph.nodes
    redirect(first.outputs[0], graph.inputs[0])
    detach(first)
    tidy(graph)
    assert graph.nodes == [second]
    assert second.inputs == [graph.inputs[0]]


def test_inputs_that_are_there_and_those_that_are_not() -> None:
    net = NetBuilder((1, 2))
    made = net.op("Clip", net.op("Abs", "x"), "", net.const(3.0))
    clip = from_model(net.model(made)).nodes[1]
    high = constant_input(clip, 2)
    assert high is not None
    assert high.tolist() == 3.0
    assert constant_input(clip, 0) is None, "it is computed"
    assert optional_input(clip, 0) is clip.inputs[0]
    assert [optional_input(clip, index) for index in (1, 3)] == [None, None]
    assert [constant_input(clip, index) for index in (1, 3)] == [None, None]
    above = producer_of(clip.inputs[0])
    assert above is not None
    assert (above.op, producer_of(above.inputs[0]), producer_of(clip.inputs[2])) == ("Abs", None, None)


def test_the_sole_writer_is_of_that_operator_and_has_one_reader() -> None:
    net = NetBuilder((1, 2))
    first = net.op("Relu", "x")
    second = net.op("Sigmoid", first)
    graph = from_model(net.model(net.op("Add", net.op("Tanh", second), second)))
    rewriter, tensors = Rewriter(graph, "test"), graph.tensors()
    found = rewriter.sole_writer(tensors[first], "Relu")
    assert found is not None and found.outputs[0].name == first
    assert rewriter.sole_writer(tensors[first], "Tanh") is None, "another operator"
    assert rewriter.sole_writer(tensors[second], "Sigmoid") is None, "two readers"
    assert rewriter.sole_writer(tensors["x"], "Relu") is None, "the input"
