from __future__ import annotations

import numpy as np
import pytest

from passes.errors import InputError
from passes.exits import ancestors, keep_exits, recognise_exits, set_thresholds
from passes.graph import from_model, to_model
from passes.insert_exits import InsertExits
from passes.registry import parse_pipeline
from passes.state import Exit, state_of
from tests.passes.equivalence import batch_of, printed, run_model
from tests.passes.grids import add_grids
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import EARLY, FINAL, chain, two_exits


def test_one_output_is_the_final_exit() -> None:
    graph = from_model(chain())
    assert recognise_exits(graph) == [Exit("final", "n5_Relu_out", graph.outputs[0].name)]


def test_outputs_become_exits_by_depth() -> None:
    graph = from_model(two_exits())
    assert recognise_exits(graph) == [
        Exit("exit_0", "n1_Relu_out", EARLY),
        Exit("final", "n5_Relu_out", FINAL),
    ]
    assert [t.name for t in graph.outputs] == [EARLY, FINAL]
    assert recognise_exits(graph) is state_of(graph).exits


def test_outputs_of_other_class_counts() -> None:
    net = NetBuilder((1, 2, 4, 4))
    flat = net.op("Flatten", net.conv("x", 2, 2))
    outputs = [net.op("Gemm", flat, net.normal(n, 32), transB=1) for n in (2, 3)]
    with pytest.raises(InputError, match=r"one class count.*, found .* \[1, 2\], .* \[1, 3\]"):
        recognise_exits(from_model(net.model(*outputs)))


def test_an_exit_that_leaves_at_two_tensors() -> None:
    net = NetBuilder((1, 2, 4, 4))
    one = net.op("Relu", net.conv("x", 2, 2))
    two = net.op("Relu", net.conv(one, 2, 2))
    early = net.op("Gemm", net.op("Flatten", net.op("Add", one, two)), net.normal(2, 32), transB=1)
    three = net.op("Relu", net.conv(net.op("Sigmoid", net.op("Tanh", two)), 2, 2))
    late = net.op("Gemm", net.op("Flatten", net.op("Mul", three, one)), net.normal(2, 32), transB=1)
    with pytest.raises(InputError, match="leaves the network at 2 tensors"):
        recognise_exits(from_model(net.model(late, early)))


def test_metadata_of_another_network() -> None:
    graph = from_model(chain())
    state_of(graph).exits = [Exit("final", "m", "gone")]
    with pytest.raises(InputError, match="exits 'final' at output 'gone'"):
        recognise_exits(graph)


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


def test_ancestors() -> None:
    graph = from_model(chain(1))
    assert ancestors([graph.outputs[0]]) == {n.name for n in graph.nodes}
    assert ancestors([graph.inputs[0]]) == set()
