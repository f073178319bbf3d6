"""Files whose nodes and tensors are called what passes call theirs."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from passes.exits.chain import set_thresholds
from passes.exits.insert_exits import add_rival_heads
from passes.heads.designs import CONV, LINEAR
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.rewrite.names import Names, make_way
from passes.state import copy_graph, state_of
from tests.passes.equivalence import batch_of, run_model
from tests.passes.grids import add_grids
from tests.passes.small_nets import chain

LAST = ("fold-qdq", "split-stages{stage=0}", "split-stages{stage=1}", "nest-exits")


def compiled(model: onnx.ModelProto, last: str) -> list[gs.Graph]:
    """Return the network with an exit, quantized, and after ``last``."""
    graph = from_model(model)
    parse_pipeline("canonicalize,insert-exits{at=1}")(graph)
    add_rival_heads(graph, (LINEAR, CONV))
    found = [copy_graph(graph)]
    set_thresholds(graph, [0.4] * (len(state_of(graph).exits) - 1))
    add_grids(graph, batch_of(model, 4))
    for step in ("quantize", last):
        parse_pipeline(step)(graph)
        found.append(copy_graph(graph))
    return found


def names_of(graph: gs.Graph) -> tuple[list[str], dict[str, int]]:
    """Return the names of all nodes, and how many different tensors each tensor name stands for."""
    nodes: list[str] = []
    tensors: dict[str, set[int]] = {}
    pending = [graph]
    while pending:
        part = pending.pop()
        for node in part.nodes:
            nodes.append(node.name)
            pending.extend(node.subgraphs())
            for tensor in (*node.inputs, *node.outputs):
                if not tensor.is_empty():
                    tensors.setdefault(tensor.name, set()).add(id(tensor))
    return nodes, {name: len(found) for name, found in tensors.items()}


def check_unique(graph: gs.Graph) -> None:
    nodes, tensors = names_of(graph)
    assert len(nodes) == len(set(nodes)), sorted(n for n in nodes if nodes.count(n) > 1)
    assert {name for name, count in tensors.items() if count > 1} == set()


def called(model: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    """Return ``model`` whose first nodes, and the tensors that they write, have these names."""
    new: dict[str, str] = {}
    for node, name in zip(model.graph.node, names, strict=False):
        node.input[:] = [new.get(tensor, tensor) for tensor in node.input]
        new[node.output[0]] = node.output[0] = node.name = name
    for node in model.graph.node:
        node.input[:] = [new.get(tensor, tensor) for tensor in node.input]
    model.graph.ClearField("value_info")
    return model


@pytest.mark.parametrize("last", LAST)
def test_no_name_of_ours_meets_one_of_the_file(last: str) -> None:
    """Every name that the pipeline gives is tried as the name of a node and of a tensor of the file."""
    plain = compiled(chain(4), last)
    before, (*_, after) = from_model(chain(4)), plain
    images = batch_of(chain(4), 1)
    nodes, tensors = names_of(after)
    taken = {t.name for graph in plain for t in (*graph.inputs, *graph.outputs)}
    ours = sorted({*nodes, *tensors} - {*names_of(before)[0], *names_of(before)[1]} - taken)
    assert len(ours) > 20
    expected = run_model(to_model(after), images) if "=1" not in last else []
    count = len(before.nodes) - 1  # the last one writes the output
    for start in range(0, len(ours), count):
        names = ours[start : start + count]
        found = compiled(called(chain(4), *names), last)
        for graph in found:
            check_unique(graph)
            onnx.checker.check_model(to_model(graph))
        origins = {origin for node in found[0].nodes for origin in state_of(found[0]).origins[node.name]}
        assert origins >= set(names), "the user's nodes are still known by their own names"
        if expected:
            for one, other in zip(run_model(to_model(found[-1]), images), expected, strict=True):
                np.testing.assert_array_equal(one, other)


def test_fresh_names() -> None:
    names = Names(from_model(chain()))
    assert [names.fresh("own"), names.fresh("own"), names.fresh("own")] == ["own", "own_2", "own_3"]
    assert names.fresh("x") == "x_2", "the input is called so"
    assert names.fresh("n0_Conv") == "n0_Conv_2", "a node is called so"
    assert names.fresh("n0_Conv_out") == "n0_Conv_out_2", "a tensor is called so"


def test_way_is_made_for_a_name_and_what_lies_under_it() -> None:
    graph = from_model(called(chain(), "exit_1/gemm", "exit_1", "exit_10/gemm"))
    make_way(graph, "exit_1")
    nodes, tensors = names_of(graph)
    assert nodes[:3] == ["user/exit_1/gemm", "user/exit_1", "exit_10/gemm"]
    assert "exit_10/gemm" in tensors and not {"exit_1", "exit_1/gemm"} & {*nodes, *tensors}
    check_unique(graph)
    assert state_of(graph).origins["user/exit_1/gemm"] == ("exit_1/gemm",)
