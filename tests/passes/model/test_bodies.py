"""Nodes come out of bodies under names of their own, and none twice."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from passes.model.bodies import (
    ancestors,
    copy_behind,
    linear_layers,
    macs,
    merge_clips,
    move_out,
    replace_reads,
    twins,
)

ONE = np.ones((3, 4), np.float32)


def tensor(name: str) -> gs.Variable:
    return gs.Variable(name, np.float32, [1, 4])


def gemm(name: str, read: gs.Tensor, values: np.ndarray = ONE, transposed: int = 1) -> gs.Node:
    weights = gs.Constant(f"{name}_w", values)
    made = gs.Variable(f"{name}_out", np.float32, [1, 3])
    return gs.Node("Gemm", name, {"transB": transposed}, [read, weights], [made])


def outer() -> tuple[gs.Graph, gs.Tensor]:
    x = tensor("x")
    node = gemm("head", x)
    return gs.Graph([node], [x], list(node.outputs), opset=21), x


def body_of(*nodes: gs.Node) -> gs.Graph:
    return gs.Graph(list(nodes), [], list(nodes[-1].outputs), opset=21)


def choice(body: gs.Graph) -> gs.Node:
    condition = gs.Variable("c", np.bool_, [1])
    return gs.Node("If", "choice", {"then_branch": body, "else_branch": body}, [condition], [tensor("y")])


def test_what_is_there_already_is_told_by_what_it_computes() -> None:
    graph, x = outer()
    same, other = gemm("same", x), gemm("other", x, 2 * ONE)
    square = np.ones((4, 4), np.float32)
    graph.nodes.append(gemm("square", x, square))
    turned = gemm("turned", x, square, 0)
    found = twins(graph, body_of(same, other, turned))
    assert {key: node.name for key, node in found.items()} == {id(same): "head"}


def test_a_chain_is_there_as_far_as_it_is_the_same() -> None:
    graph, x = outer()
    relu = gs.Node("Relu", "relu", {}, list(graph.outputs), [tensor("r")])
    graph.nodes.append(relu)
    first = gemm("first", x)
    second = gs.Node("Relu", "second", {}, list(first.outputs), [tensor("s")])
    third = gs.Node("Neg", "third", {}, list(second.outputs), [tensor("t")])
    body = body_of(first, second, third)
    move_out(graph, choice(body), body, "leave")
    assert [node.name for node in graph.nodes] == ["head", "relu", "third"]
    assert third.inputs[0] is relu.outputs[0]


def test_names_that_are_taken_are_given_anew() -> None:
    graph, x = outer()
    twin = gemm("head", x, 3 * ONE)
    body = body_of(twin)
    move_out(graph, choice(body), body, "go_on")
    names = [node.name for node in graph.nodes]
    tensors = [t.name for node in graph.nodes for t in (*node.inputs, *node.outputs) if t.name != "x"]
    assert len(set(names)) == len(names) == 2 and len(set(tensors)) == len(tensors) == 4
    assert names[1] == "choice/go_on/gemm_0"


def test_weights_and_work_in_bodies_count() -> None:
    graph, x = outer()
    branch = choice(body_of(gemm("inner", x, 2 * ONE)))
    branch.attrs["else_branch"] = body_of(gemm("small", x, np.ones((1, 4), np.float32)))
    assert linear_layers([*graph.nodes, branch]) == 3
    assert macs([*graph.nodes, branch]) == 24
    branch.attrs["then_branch"].nodes[0].outputs[0].shape = None
    assert macs([branch]) is None


def test_what_bodies_read_is_needed() -> None:
    graph, _ = outer()
    inner = gs.Node("Neg", "inner", {}, list(graph.outputs), [tensor("n")])
    branch = choice(body_of(inner))
    assert {node.name for node in ancestors(branch.outputs).values()} == {"choice", "inner", "head"}
    assert ancestors(branch.outputs, but=branch) == {}


def test_copies_read_what_they_are_told_to() -> None:
    graph, x = outer()
    relu = gs.Node("Relu", "relu", {}, [x], [tensor("r")])
    neg = gs.Node("Neg", "neg", {}, list(relu.outputs), [tensor("n")])
    graph.nodes += [relu, neg]
    instead = tensor("z")
    known = copy_behind(graph, [relu, neg], {id(x): instead}, "way")
    copied = known[id(neg.outputs[0])].inputs[0]
    assert copied.name == "way/neg" and copied.inputs[0].inputs[0].inputs == [instead]
    assert neg.inputs[0].inputs[0].inputs == [x]


def test_equal_clips_are_one() -> None:
    x, least = tensor("x"), gs.Constant("least", np.zeros((), np.float32))
    clips = [gs.Node("Clip", f"clip_{n}", {}, [x, least], [tensor(f"c{n}")]) for n in range(2)]
    other = gs.Node("Clip", "other", {}, [x, gs.Constant("one", np.ones((), np.float32))], [tensor("o")])
    readers = [
        gs.Node("Neg", f"neg_{clip.name}", {}, list(clip.outputs), [tensor(f"r_{clip.name}")])
        for clip in (*clips, other)
    ]
    outputs = [node.outputs[0] for node in readers]
    merge_clips(gs.Graph([*clips, other, *readers], [x], outputs, opset=21))
    assert [reader.inputs[0].name for reader in readers] == ["c0", "c0", "o"]


def test_an_output_keeps_its_name() -> None:
    graph, x = outer()
    (old,) = graph.outputs
    new = gs.Node("Relu", "relu", {}, [x], [tensor("r")])
    graph.nodes.append(new)
    replace_reads(graph, old, new.outputs[0])
    assert [t.name for t in graph.outputs] == ["head_out"] and graph.outputs[0] is new.outputs[0]
